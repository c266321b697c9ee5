#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_locks.sh PROGRAM LIBRARY - libhilo-locks.so tells of each place where a task has taken a lock that it
# held when it suspended, once, and of nothing else; without it nothing is said. PROGRAM is holds_locks.c.
set -u -o pipefail
export LC_ALL=C
program=$1
library=$2

said=$(mktemp "${TMPDIR:-/tmp}/hilo-locks.XXXXXX") || exit 1
trap 'rm -f "$said"' EXIT

wrong() {
	echo "FAIL: $*"
	cat "$said"
	exit 1
}

"$program" >"$said" 2>&1 || wrong "the program fails by itself"
grep -q 'suspends while' "$said" && wrong "something is said without the library"

LD_PRELOAD=$library "$program" >"$said" 2>&1 || wrong "the program fails with the library"
for what in 'sleeper mutex' 'yielder rwlock' 'spawner spinlock' 'awaiter mutex'; do
	read -r task kind <<<"$what"
	count=$(grep -cE "task $task suspends while it holds a pthread $kind at 0x[0-9a-f]+, locked at 0x[0-9a-f]+ " "$said")
	[ "$count" -eq 1 ] || wrong "task $task is told of $count times, not once"
done
[ "$(grep -c 'suspends while' "$said")" -eq 4 ] || wrong "something else is said, too"
echo "each lock that was held is told of once"
