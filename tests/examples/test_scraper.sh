#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_scraper.sh PROGRAM FOLDER - scraper from the outside: its own servers, many pages, a server that is none of its
# own, and what it says when something is wrong.
set -u
export LC_ALL=C

program=$1
work=$2/scraper-$$
checks=0
failures=0
server=

mkdir -p "$work" || exit 1
clean_up() {
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT
cd "$work" || exit 1

# same TEXT WANTED GOT
same() {
	checks=$((checks + 1))
	[ "$2" = "$3" ] && return
	failures=$((failures + 1))
	printf 'FAIL: %s\n    wanted: %s\n    got:    %s\n' "$1" "$2" "$3"
}

# The lines in an order of their own, with PORT for the ports.
lines() {
	sed 's/127\.0\.0\.1:[0-9]*/127.0.0.1:PORT/' | sort
}

same "pages of its own servers" "Descargado http://127.0.0.1:PORT/ con longitud de 11 caracteres
Descargado http://127.0.0.1:PORT/ con longitud de 20 caracteres
Descargado http://127.0.0.1:PORT/ con longitud de 27 caracteres" "$("$program" --delay=20 2>err | lines)"
same "how long that took" 1 "$(grep -c '^[0-9.]* s for all; the slowest takes 0\.060 s, one after the other 0\.120 s$' err)"
same "many pages" 1 "$("$program" --pages=200 --delay=5 --concurrency=20 | grep -c '^200 p.*ginas en ')"
same "a wrong number" 2 "$("$program" --pages=x >out 2>err; echo $?)"
same "nobody there" 1 "$("$program" http://127.0.0.1:1/ >out 2>err; echo $?)"
same "which page that was" 1 "$(grep -c 'GET http://127\.0\.0\.1:1/: ' err)"

if command -v python3 >/dev/null; then
	printf 'a\303\261o\n' >page.txt
	python3 -u -m http.server --bind 127.0.0.1 0 >server.log 2>&1 &
	server=$!
	until port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' server.log | head -n 1) && [ -n "$port" ]; do
		kill -0 "$server" 2>/dev/null || { cat server.log; echo "FAIL: the server does not begin"; exit 1; }
	done
	same "a server of another kind" "Descargado http://127.0.0.1:$port/page.txt con longitud de 4 caracteres" \
		"$("$program" "http://127.0.0.1:$port/page.txt")"
	same "one of two pages is not to be had" "1 Descargado http://127.0.0.1:$port/page.txt con longitud de 4 caracteres" \
		"$("$program" "http://127.0.0.1:$port/page.txt" http://127.0.0.1:1/ >out 2>err; echo $? "$(cat out)")"
fi

echo "$checks checks, $failures failures"
[ "$failures" -eq 0 ]
