#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_install.sh BUILD-DIRECTORY JEMALLOC - install the build, move the tree, and build consumers against it:
# by find_package and by pkg-config, shared and static, in C and (where there is a compiler) in C++.
# JEMALLOC is 1 when programs are expected to be linked with it.
set -u -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
build=$1
jemalloc=$2

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hilo-install.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

fail() {
	echo "test_install: $*"
	exit 1
}

# must WHAT COMMAND...: its output is shown when it fails.
must() {
	local what=$1
	shift
	"$@" >"$scratch/log" 2>&1 || {
		tail -n 40 "$scratch/log"
		fail "$what"
	}
	echo "ok: $what"
}

needs() {
	readelf -dW "$1" | grep -q "NEEDED.*\[lib$2\.so"
}

# Programs are linked with jemalloc or not, as asked for; what is linked against libhilo is the soname.
check_program() {
	must "$1 runs" env LD_LIBRARY_PATH="$prefix/lib" "$1"
	if [ "$jemalloc" -eq 1 ]; then
		needs "$1" jemalloc || fail "$1 is not linked with jemalloc"
	elif needs "$1" jemalloc; then
		fail "$1 is linked with jemalloc"
	fi
}

command -v ninja >/dev/null && export CMAKE_GENERATOR=Ninja
must "install" cmake --install "$build" --prefix "$scratch/first"
mv "$scratch/first" "$scratch/moved"
prefix=$scratch/moved
libdir=$(dirname "$(find "$prefix" -name libhilo.a)")
[ "$libdir" = "$prefix/lib" ] || ln -sfn "$libdir" "$prefix/lib"
grep -rlF "$scratch/first" "$prefix" | grep -v '\.so\|\.a$' && fail "installed files name the place they were installed to"
needs "$libdir/libhilo.so" jemalloc && fail "libhilo.so itself is linked with jemalloc"

must "find_package: configure" cmake -S "$here/consumer" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" \
	-DCMAKE_BUILD_TYPE=Release
must "find_package: build" cmake --build "$scratch/cmake"
check_program "$scratch/cmake/consumer_shared"
check_program "$scratch/cmake/consumer_static"
needs "$scratch/cmake/consumer_shared" hilo || fail "consumer_shared is not linked with libhilo.so.0"
needs "$scratch/cmake/consumer_static" hilo && fail "consumer_static is linked with libhilo.so"
needs "$scratch/cmake/libconsumer_plugin.so" jemalloc && fail "a shared library that uses hilo brings jemalloc along"

needs "$libdir/libhilo.so" ssl && fail "libhilo.so itself is linked with OpenSSL"
check_program "$scratch/cmake/consumer_tls"
check_program "$scratch/cmake/consumer_tls_static"
needs "$scratch/cmake/consumer_tls" hilo-tls || fail "consumer_tls is not linked with libhilo-tls.so.0"
needs "$scratch/cmake/consumer_tls_static" hilo-tls && fail "consumer_tls_static is linked with libhilo-tls.so"
needs "$scratch/cmake/consumer_shared" hilo-tls && fail "consumer_shared is linked with libhilo-tls.so"

if [ "$jemalloc" -eq 1 ]; then
	must "find_package without jemalloc: configure" cmake -S "$here/consumer" -B "$scratch/plain" \
		-DCMAKE_PREFIX_PATH="$prefix" -DHILO_JEMALLOC=OFF
	must "find_package without jemalloc: build" cmake --build "$scratch/plain"
	needs "$scratch/plain/consumer_shared" jemalloc && fail "HILO_JEMALLOC=OFF of a consumer has no effect"
fi

export PKG_CONFIG_PATH=$libdir/pkgconfig
read -ra cflags <<<"$(pkg-config --cflags hilo)"
read -ra libs <<<"$(pkg-config --libs hilo)"
[ "$(pkg-config --modversion hilo)" = "$("$scratch/cmake/consumer_static" | sed 's/hilo \([0-9.]*\):.*/\1/')" ] ||
	fail "hilo.pc and the library disagree on the version"
must "pkg-config: build" cc -std=c11 -Wall -Werror "${cflags[@]}" "$here/consumer/main.c" -o "$scratch/by_pc" "${libs[@]}"
check_program "$scratch/by_pc"
read -ra tls <<<"$(pkg-config --cflags --libs hilo-tls)"
must "pkg-config, TLS: build" cc -std=c11 -Wall -Werror "$here/consumer/tls.c" -o "$scratch/tls_by_pc" "${tls[@]}"
check_program "$scratch/tls_by_pc"
read -ra tls <<<"$(pkg-config --static --libs hilo-tls | sed 's/-lhilo-tls/-l:libhilo-tls.a/; s/-lhilo /-l:libhilo.a /')"
must "pkg-config, TLS, static: build" cc "${cflags[@]}" "$here/consumer/tls.c" -o "$scratch/tls_static" "${tls[@]}"
check_program "$scratch/tls_static"
must "TLS, as it is without OpenSSL: build" cc "${cflags[@]}" "$here/consumer/tls.c" "$here/../../io/tls_off.c" \
	-o "$scratch/tls_off" "${libs[@]}"
check_program "$scratch/tls_off"
LD_LIBRARY_PATH="$prefix/lib" "$scratch/tls_off" | grep -q 'built without OpenSSL' || fail "libhilo-tls without OpenSSL does not say so"
must "pkg-config, --as-needed: build" cc "${cflags[@]}" "$here/consumer/main.c" -o "$scratch/as_needed" -Wl,--as-needed "${libs[@]}"
check_program "$scratch/as_needed"

# The HTTP server, if this copy has it: a library of its own, which libhilo does not need.
if [ -e "$libdir/libhilo-http.so" ]; then
	needs "$libdir/libhilo.so" hilo-http && fail "libhilo.so is linked with libhilo-http.so"
	check_program "$scratch/cmake/consumer_http"
	check_program "$scratch/cmake/consumer_http_static"
	needs "$scratch/cmake/consumer_http_static" hilo && fail "consumer_http_static is linked with libhilo.so"
	read -ra http_libs <<<"$(pkg-config --libs hilo-http)"
	must "pkg-config, hilo-http: build" cc -std=c11 -Wall -Werror "${cflags[@]}" "$here/consumer/http.c" \
		-o "$scratch/http_by_pc" "${http_libs[@]}"
	check_program "$scratch/http_by_pc"
else
	echo "SKIP: HTTP consumer: this build has no HTTP server"
fi

# The HTTP client likewise.
if [ -e "$libdir/libhilo-http-client.so" ]; then
	needs "$libdir/libhilo.so" curl && fail "libhilo.so is linked with libcurl"
	check_program "$scratch/cmake/consumer_http_client"
	check_program "$scratch/cmake/consumer_http_client_static"
	needs "$scratch/cmake/consumer_http_client_static" hilo && fail "consumer_http_client_static is linked with libhilo.so"
	read -ra client_libs <<<"$(pkg-config --libs hilo-http-client)"
	must "pkg-config, hilo-http-client: build" cc -std=c11 -Wall -Werror "${cflags[@]}" "$here/consumer/http_client.c" \
		-o "$scratch/http_client_by_pc" "${client_libs[@]}"
	check_program "$scratch/http_client_by_pc"
else
	echo "SKIP: HTTP client consumer: this build has no HTTP client"
fi

if command -v c++ >/dev/null; then
	must "C++: build" c++ -std=c++17 -Wall -Wextra -Werror "${cflags[@]}" -x c++ "$here/consumer/main.c" -o "$scratch/cxx" "${libs[@]}"
	check_program "$scratch/cxx"
else
	echo "SKIP: C++ consumer: no C++ compiler is installed"
fi
echo "installed, moved and used"
