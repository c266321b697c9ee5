# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# frame.bash - what tests of a program from the outside share: a folder of their own, one server at a time, the last word.
export LC_ALL=C
checks=0
failures=0
server= # its process; it is ended with the test

# enter FOLDER: go there; it is made, and removed at the end.
enter() {
	work=$1
	mkdir -p "$work" || exit 1
	trap leave EXIT
	cd "$work" || exit 1
}

leave() {
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null
	rm -rf "$work"
}

# same TEXT WANTED GOT
same() {
	checks=$((checks + 1))
	[ "$2" = "$3" ] && return
	failures=$((failures + 1))
	printf 'FAIL: %s\n    wanted: %s\n    got:    %s\n' "$1" "$2" "$3"
}

# wait_for_port PATTERN LOG: sets port, which is what PATTERN, of sed, has in its brackets in a line that the server writes.
wait_for_port() {
	until port=$(sed -n "s/$1/\\1/p" "$2" | head -n 1) && [ -n "$port" ]; do
		kill -0 "$server" 2>/dev/null || { cat "$2"; echo "FAIL: the server does not begin"; exit 1; }
	done
}

# The last word, and the status to match.
finish() {
	echo "$checks checks, $failures failures"
	[ "$failures" -eq 0 ]
}
