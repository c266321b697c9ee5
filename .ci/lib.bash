# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What tests/run, examples/run, bench/run and .ci/* share: packages, builds, children, time.
# A script sets hilo_name (its own name, for messages) and sources this file; with hilo_quiet set, all
# messages go to standard error. Needs bash, coreutils, sed, grep and awk.

export LC_ALL=C
hilo_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
hilo_start=$EPOCHREALTIME
hilo_child=
hilo_patience=5 # tenths of a second that an interrupted child gets to end
hilo_jobs=$(nproc 2>/dev/null || echo 2)

# A descriptor of its own for messages: a trap may run while standard output is redirected into a log.
if [ -n "${hilo_quiet-}" ]; then
	exec {hilo_messages}>&2
else
	exec {hilo_messages}>&1
fi
hilo_lock=

say() {
	printf '%s\n' "$*" >&"$hilo_messages"
}

# The last word: one line, and the status to match.
fail() {
	say "FAIL: $*"
	exit 1
}

# seconds_since T, where T is an old $EPOCHREALTIME: with one decimal.
seconds_since() {
	local us=$((${EPOCHREALTIME/./} - ${1/./}))
	printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# ---- Children --------------------------------------------------------------------------------------

# run_child COMMAND...: run it in a process group of its own, wait, return its status. The traps below end the group.
run_child() {
	local status
	set -m
	(
		exec {hilo_messages}>&-
		[ -z "$hilo_lock" ] || exec {hilo_lock}>&-
		"$@"
	) </dev/null &
	hilo_child=$!
	set +m
	wait "$hilo_child"
	status=$?
	hilo_child=
	return "$status"
}

# A moment to end by itself, then by force. (An ended process nobody has waited for still counts as
# there; in a container where process 1 waits for nobody that is for ever, hence no longer patience.)
end_child() {
	local tries=0
	[ -n "$hilo_child" ] || return 0
	kill -TERM -- "-$hilo_child" 2>/dev/null
	while kill -0 -- "-$hilo_child" 2>/dev/null && [ $((tries += 1)) -le "$hilo_patience" ]; do
		sleep 0.1
	done
	kill -KILL -- "-$hilo_child" 2>/dev/null
	hilo_child=
}

# A script with more to clean up redefines this.
clean_up() {
	:
}

interrupted() {
	trap '' INT TERM HUP
	end_child
	say ""
	say "FAIL: $hilo_name was interrupted after $(seconds_since "$hilo_start") s"
	exit "$1" # the trap of EXIT cleans up
}

trap 'interrupted 130' INT
trap 'interrupted 143' TERM
trap 'interrupted 129' HUP
trap 'clean_up' EXIT

# follow LOG: what comes in goes into LOG, and while it takes long the latest line of it to standard output.
follow() {
	local line next=$((SECONDS + 15))
	while IFS= read -r line || [ -n "$line" ]; do
		printf '%s\n' "$line" >&3
		[ "$SECONDS" -ge "$next" ] || continue
		printf '  %.100s\n' "$line"
		next=$((SECONDS + 15))
	done 3>"$1"
}

# ---- Packages --------------------------------------------------------------------------------------

have() {
	command -v "$1" >/dev/null 2>&1
}

have_header() {
	if have cc; then
		printf '#include <%s>\n' "$1" | cc -E -x c - >/dev/null 2>&1
	else
		[ -e "/usr/include/$1" ]
	fi
}

have_library() {
	have cc && [ "$(cc -print-file-name="lib$1.so")" != "lib$1.so" ]
}

have_cmake() {
	local version
	have cmake || return 1
	version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
	[ "${version% *}" -gt 3 ] || { [ "${version% *}" -eq 3 ] && [ "${version#* }" -ge 25 ]; }
}

# Is what the Debian package $1 is needed for there? By trying, so that other ways of installing it count.
have_package() {
	case $1 in
	cmake) have_cmake ;;
	gcc) have cc ;;
	g++) have c++ ;;
	libc6-dev) have_header stdlib.h ;;
	ninja-build) have ninja || have make ;;
	pkg-config) have pkg-config ;;
	libcmocka-dev) have_header cmocka.h ;;
	libjemalloc-dev) have_library jemalloc ;;
	zlib1g-dev) have_header zlib.h ;;
	node-llhttp) [ -e /usr/share/llhttp/llhttp.c ] || { have_header llhttp.h && have_library llhttp; } ;;
	libssl-dev) have_header openssl/ssl.h ;;
	libcurl4-openssl-dev) have_header curl/curl.h ;;
	libsqlite3-dev) have_header sqlite3.h ;;
	libjansson-dev) have_header jansson.h ;;
	libjpeg-dev) have_header jpeglib.h ;;
	libpq-dev) have_header libpq-fe.h || have_header postgresql/libpq-fe.h ;;
	postgresql) have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
	nginx) have nginx || [ -x /usr/sbin/nginx ] ;;
	valgrind) have valgrind ;;
	clang) have clang && have clang++ ;;
	clang-format) have clang-format ;;
	gcc-aarch64-linux-gnu) have aarch64-linux-gnu-gcc ;;
	libc6-dev-arm64-cross) [ -e /usr/aarch64-linux-gnu/include/stdlib.h ] ;;
	qemu-user) have qemu-aarch64 || have qemu-aarch64-static ;;
	binutils) have nm && have readelf ;;
	*) have "$1" ;;
	esac
}

# need_packages PACKAGE...: install those that are missing, or say how and stop. Nothing missing: no network.
need_packages() {
	local package command log start=$EPOCHREALTIME
	local missing=() sudo=()
	for package in "$@"; do
		have_package "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	command="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
	if ! have apt-get; then
		say "$hilo_name needs what these Debian packages hold; install it with this system's own tool: ${missing[*]}"
		fail "packages are missing, nothing was done"
	fi
	if [ "$(id -u)" -ne 0 ]; then
		if ! have sudo || { ! sudo -n true 2>/dev/null && ! [ -t 0 ]; }; then
			say "$hilo_name needs packages that are not installed. As root:"
			say ""
			say "    $command"
			say ""
			fail "packages are missing, nothing was done"
		fi
		sudo=(sudo)
	fi
	say "Installing with apt-get${sudo[0]:+ through sudo}: ${missing[*]}"
	log=$(mktemp "${TMPDIR:-/tmp}/hilo-apt.XXXXXX")
	# In the foreground, because sudo may ask for a password.
	if ! { "${sudo[@]}" apt-get update && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "${missing[@]}"; } 2>&1 </dev/null | follow "$log" >&"$hilo_messages"; then
		show_log "$log"
		rm -f "$log"
		fail "packages could not be installed: ${missing[*]}"
	fi
	rm -f "$log"
	for package in "${missing[@]}"; do
		have_package "$package" || fail "$package was installed, but what it is needed for is still missing"
	done
	say "Installed in $(seconds_since "$start") s"
}

# ---- Builds ----------------------------------------------------------------------------------------

# The end of a log, without the lines in which a build says that all goes well.
show_log() {
	say "---- the end of $1"
	grep -vE '^\[ *[0-9]+(/[0-9]+|%)\] (Building|Linking|Built)' "$1" | tail -n "${2:-40}" >&"$hilo_messages"
	say "----"
}

# Remove a build directory that cannot be gone on with: of another checkout, or of a generator that is gone.
drop_stale_build() {
	local cache=$1/CMakeCache.txt
	[ -e "$cache" ] || return 0
	if ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$hilo_root" "$cache" ||
		{ grep -qx 'CMAKE_GENERATOR:INTERNAL=Ninja' "$cache" && ! have ninja; } ||
		{ grep -qx 'CMAKE_GENERATOR:INTERNAL=Unix Makefiles' "$cache" && ! have make; }; then
		rm -rf "$1"
	fi
}

# Once more where packages came or went since: what was not found before may be there.
configure_and_build() {
	local preset=$1 build=$hilo_root/build/$1
	shift
	local arguments=()
	read -ra arguments <<<"${HILO_CMAKE_ARGS-}"
	if [ ${#arguments[@]} -gt 0 ] || { [ ! -e "$build/build.ninja" ] && [ ! -e "$build/Makefile" ]; } ||
		[ /var/lib/dpkg/status -nt "$build/configured" ]; then
		if have ninja; then
			export CMAKE_GENERATOR=Ninja
		else
			export CMAKE_GENERATOR="Unix Makefiles"
		fi
		(cd "$hilo_root" && cmake --preset "$preset" "${arguments[@]}" && touch "$build/configured") || return 1
	fi
	cmake --build "$build" --parallel "$hilo_jobs" "$@"
}

# lock_build PRESET: one script at a time in a build directory; a second one waits here. unlock_build ends it.
lock_build() {
	mkdir -p "$hilo_root/build" 2>/dev/null
	if ! { : >>"$hilo_root/build/$1.lock"; } 2>/dev/null; then
		fail "$hilo_root/build is not writable"
	fi
	exec {hilo_lock}>>"$hilo_root/build/$1.lock"
	if have flock && ! flock -n "$hilo_lock"; then
		say "Waiting for another script that uses build/$1"
		flock "$hilo_lock"
	fi
}

unlock_build() {
	exec {hilo_lock}>&-
	hilo_lock=
}

# build_into LOG PRESET [--target TARGET]...
build_into() {
	local log=$1
	shift
	configure_and_build "$@" 2>&1 | follow "$log"
	return "${PIPESTATUS[0]}"
}

# build_preset PRESET [--target TARGET]...: configure if need be, build what has changed; the log is shown on failure.
build_preset() {
	local preset=$1 log=$hilo_root/build/$1.log
	shift
	drop_stale_build "$hilo_root/build/$preset"
	if ! run_child build_into "$log" "$preset" "$@" >&"$hilo_messages"; then
		show_log "$log"
		fail "$hilo_name could not build ($preset preset, $(seconds_since "$hilo_start") s); the whole log is $log"
	fi
}
