#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_main.sh BUILD-DIRECTORY SOURCE - HILO_MAIN makes a program without a warning, in C and, where there is a compiler, in
# C++; it gets its arguments, and exits with 0 or, after a message, with 1, or dies by SIGINT.
set -u -o pipefail
export LC_ALL=C
build=$1
source=$2

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hilo-main.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

# expect STATUS OUTPUT ERRORS ARGUMENT...: what the program does with these arguments.
expect() {
	local status=$1 output=$2 errors=$3 got
	shift 3
	"$scratch/program" "$@" >"$scratch/output" 2>"$scratch/errors"
	got=$?
	if [ "$got" -ne "$status" ] || [ "$(<"$scratch/output")" != "$output" ] || [ "$(<"$scratch/errors")" != "$errors" ]; then
		echo "FAIL: program $*: status $got"
		cat "$scratch/output" "$scratch/errors"
		failed=1
	fi
}

# check COMPILER...: what it makes of the source.
check() {
	rm -f "$scratch/program"
	"$@" -Wall -Wextra -Wpedantic -Wredundant-decls -Wmissing-declarations -Werror -I "$build/include" -c \
		"$source" -o "$scratch/program.o" || exit 1
	"$1" "$scratch/program.o" -o "$scratch/program" "$build/libhilo.a" -pthread || exit 1
	expect 0 $'hello\nworld' '' say hello world
	expect 0 '' '' say
	expect 1 '' 'program: no word is said to fail' fail
	expect 1 '' "program: $io_error" fail-mutely
	expect 130 'cleaned up' '' interrupted
	HILO_WORKERS=none expect 1 '' 'program: HILO_WORKERS=none: a whole number from 1 to 1024 is needed' say
}

io_error='Input/output error'
check cc -std=c11 -x c -Wstrict-prototypes -Wmissing-prototypes
if command -v c++ >/dev/null; then
	check c++ -std=c++17 -x c++
else
	echo "SKIP: C++: no compiler is installed"
fi
[ "$failed" -eq 0 ] && echo "test_main: programs begin and end as they should"
exit "$failed"
