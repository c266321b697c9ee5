#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_http_server.sh PROGRAM FOLDER - hello_server from the outside: with curl, with bash's own sockets, with many slow
# clients at a time, under load of wrk where that is installed; and how it ends.
set -u
# shellcheck source=frame.bash
. "$(dirname "${BASH_SOURCE[0]}")/frame.bash"

program=$1
command -v curl >/dev/null || { echo "SKIP: curl is not installed"; exit 77; }
enter "$2/http-$$"

get() {
	curl --silent --show-error --max-time 60 --noproxy '*' "$@"
}

status() {
	get --output /dev/null --write-out '%{http_code}' "$@"
}

head -c 300000 /dev/urandom >file
head -c 5000000 /dev/zero | tr '\0' 'x' >large
mkdir within
ln file within/file
ln -s ../file within/link
ln -s ../../../../etc/passwd within/out
ln -s /etc/passwd password
ln -s /etc system
mkfifo pipe
set -m # else a shell lets what runs beside it ignore SIGINT
"$program" 0 >access.log 2>err &
server=$!
set +m
wait_for_port 'listening on port \(.*\)' err
url=http://127.0.0.1:$port

same "a text" "Hello, World!" "$(get "$url/")"
same "a part of the path" "Hello, a b/c!" "$(get "$url/hello/a%20b%2Fc")"
same "HTTP/1.0" "Hello, World!" "$(get --http1.0 "$url/")"
same "HEAD" "200" "$(status --head "$url/")"
same "no such path" "404" "$(status "$url/none")"
same "no such method" "405" "$(status --request DELETE "$url/")"
same "OPTIONS" "GET, HEAD, OPTIONS" "$(get --request OPTIONS --head "$url/" | tr -d '\r' | sed -n 's/^Allow: //p')"
same "chunks" "$(seq 1000)" "$(get "$url/count/1000")"
same "a body" "$(cksum <large)" "$(get --data-binary @large "$url/echo" | cksum)"
same "a body in chunks" "$(cksum <large)" "$(get --header 'Transfer-Encoding: chunked' --data-binary @large "$url/echo" | cksum)"
same "a body that waits for 100" "$(cksum <large)" "$(get --header 'Expect: 100-continue' --data-binary @large "$url/echo" | cksum)"
same "a file" "$(cksum <file)" "$(get "$url/files/file" | cksum)"
same "a range" "$(tail -c +1001 file | head -c 1000 | cksum)" "$(get --range 1000-1999 "$url/files/file" | cksum)"
same "a range beyond" "416" "$(status --range 300000- "$url/files/file")"
same "above the folder" "400" "$(status --path-as-is "$url/files/../../etc/passwd")"
same "above it in escapes" "400" "$(status "$url/files/%2e%2e/%2e%2e/etc/passwd")"
same "an absolute path" "404" "$(status --path-as-is "$url/files//etc/passwd")"
same "a folder" "404" "$(status "$url/files/within")"
same "nothing there" "404" "$(status "$url/files/.hidden")"
same "no name" "404" "$(status "$url/files/")"
same "a file in a folder" "$(cksum <file)" "$(get "$url/files/within/file" | cksum)"
same "a link to a file below" "$(cksum <file)" "$(get "$url/files/within/link" | cksum)"
same "a link to a file elsewhere" "404" "$(status "$url/files/password")"
same "a folder that is a link to one elsewhere" "404" "$(status "$url/files/system/passwd")"
same "a link up and out" "404" "$(status "$url/files/within/out")"
same "a FIFO" "404404" "$(status --max-time 20 "$url/files/pipe")$(status --max-time 20 "$url/files/pipe")"
same "others beside the FIFO" "Hello, World!" "$(get "$url/")"
same "several on one connection" "Hello, World!Hello, x!" "$(get "$url/" "$url/hello/x" | tr -d '\n')"
same "connections of several" "1" "$(get --verbose "$url/" "$url/hello/x" 2>&1 | grep -c 'Re-using existing connection')"

# say TEXT: what comes back until the end.
say() {
	local answer
	exec 5<>"/dev/tcp/127.0.0.1/$port" || return 1
	printf "$1" >&5
	IFS= read -r -t 60 answer <&5
	exec 5>&-
	printf '%s' "${answer%$'\r'}"
}

same "no HTTP" "HTTP/1.1 400 Bad Request" "$(say '\x16\x03\x01\x00')"
same "two lengths" "HTTP/1.1 400 Bad Request" \
	"$(say 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n')"
same "a long line" "HTTP/1.1 414 URI Too Long" "$(say "GET /$(head -c 9000 large) HTTP/1.1\r\n")"

# Many that begin a request and say no more: others are served all the same.
slow=()
for ((i = 0; i < 200; i++)); do
	exec {fd}<>"/dev/tcp/127.0.0.1/$port" || break
	printf 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ' >&"$fd"
	slow+=("$fd")
done
same "slow clients" "200" "${#slow[@]}"
same "others beside slow ones" "Hello, World!" "$(get "$url/")"
for fd in "${slow[@]}"; do
	exec {fd}>&-
done

if command -v wrk >/dev/null; then
	wrk -t 2 -c 50 -d 1 "$url/" >wrk.log
	same "wrk has no errors" "0" "$(grep -c 'Socket errors\|Non-2xx' wrk.log)"
	same "wrk is answered" "1" "$(grep -c 'requests in' wrk.log)"
else
	echo "SKIP: load: wrk is not installed"
fi

kill -INT "$server"
wait "$server"
same "its status at Ctrl-C" "0" "$?"
server=
same "lines of the log" "1" "$(grep -c '^127.0.0.1 - - \[.*\] "GET /hello/a%20b%2Fc HTTP/1.1" 200 14 "-" "curl/' access.log)"
same "what it complains of" "" "$(grep -v '^listening' err)"

finish
