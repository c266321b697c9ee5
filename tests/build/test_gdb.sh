#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_gdb.sh PROGRAM - gdb shows the frames of a suspended task by name, in a living program and in a core
# file. PROGRAM is suspended.c, linked with the library that ships.
set -u -o pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
program=$1

command -v gdb >/dev/null || { echo "SKIP: gdb is not installed"; exit 77; }
gdb --batch -nx -ex 'python print("has", "python")' 2>&1 | grep -qx 'has python' ||
	{ echo "SKIP: this gdb has no Python"; exit 77; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hilo-gdb.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

# look TITLE ARGUMENT...: gdb, with the command that is tested; what it says goes into a file and is looked at.
look() {
	title=$1 said=$scratch/said
	shift
	gdb --batch -nx -iex "set auto-load off" -ex "source $root/scheduler/fiber/hilo-gdb.py" "$@" >"$said" 2>&1 </dev/null
}

wrong() {
	echo "FAIL: $title: $*"
	cat "$said"
	exit 1
}

# must_show FROM TO FUNCTION...: the frames between the lines FROM and TO are these ones, from the innermost on.
must_show() {
	local lines frames from=$1 to=$2
	shift 2
	lines=$(sed -n "/$from/,/$to/p" "$said" | grep -E '^#')
	# uniq: a function that was inlined in part is there twice.
	frames=$(sed -E 's/^#[0-9]+ +(0x[0-9a-f]+ in )?([A-Za-z_.]+).*/\2/' <<<"$lines" |
		grep -xF "$(printf '%s\n' "$@")" | uniq | paste -sd ' ')
	[ "$frames" = "$*" ] || wrong "expected the frames '$*' after '$from', found '$frames'"
	! grep -qE 'corrupt stack|Backtrace stopped|Cannot access' <<<"$lines" || wrong "the stack has no end"
}

must_show_both() {
	must_show '^fiber 0x' '^plain$' hilo_sleep_until innermost_of_user middle_of_user entry_of_user
	grep -qx ' *on_the_stack = 4711' "$said" || wrong "the variable of middle_of_user is not there"
	# What `hilo bt` pretended is gone again: the thread is where it was.
	must_show '^plain$' '^end$' at_rest suspended_main
}

find_sleeper='((struct hilo_task *)sleeper)->fiber'
show=(-ex "hilo bt $find_sleeper -full" -ex 'echo plain\n' -ex bt -ex 'echo end\n')

look "living program" -ex "break at_rest" -ex run "${show[@]}" -ex kill "$program"
if grep -qE 'ptrace: Operation not permitted|Cannot PTRACE|Could not trace' "$said"; then
	echo "SKIP: living program: this machine does not allow to trace"
elif grep -q 'switches with ucontext' "$said"; then
	echo "SKIP: contexts of ucontext are not understood by hilo-gdb.py"
	exit 77
else
	must_show_both
fi

# Of the kernel's. gdb's own gcore cannot read guards and leaves out the stacks behind the first of them.
ulimit -c unlimited 2>/dev/null
("$program" core; true) >/dev/null 2>&1 # a shell of its own is the one that remarks on the end
core=$(find "$scratch" -name '*core*' -size +0 | head -n 1)
if [ -z "$core" ]; then
	echo "SKIP: core file: this machine leaves none in the current folder ($(cat /proc/sys/kernel/core_pattern))"
	exit 0
fi
look "core file" "${show[@]}" "$program" "$core"
must_show_both
echo "the frames are there"
