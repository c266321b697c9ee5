#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_scraper.sh PROGRAM FOLDER - scraper from the outside: its own servers, many pages, a server that is none of its
# own, and what it says when something is wrong.
set -u
# shellcheck source=frame.bash
. "$(dirname "${BASH_SOURCE[0]}")/frame.bash"

program=$1
enter "$2/scraper-$$"

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
	wait_for_port '.*port \([0-9]*\).*' server.log
	same "a server of another kind" "Descargado http://127.0.0.1:$port/page.txt con longitud de 4 caracteres" \
		"$("$program" "http://127.0.0.1:$port/page.txt")"
	same "one of two pages is not to be had" "1 Descargado http://127.0.0.1:$port/page.txt con longitud de 4 caracteres" \
		"$("$program" "http://127.0.0.1:$port/page.txt" http://127.0.0.1:1/ >out 2>err; echo $? "$(cat out)")"
fi

finish
