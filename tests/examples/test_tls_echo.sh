#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_tls_echo.sh PROGRAM FOLDER - tls_echo and the openssl command, each as server and as client of the other: lines go
# there and back, keys are changed, a handshake is not made again, and certificates are judged.
set -u -o pipefail
export LC_ALL=C

program=$1
work=$2/tls-echo-$$
failures=0
server=

command -v openssl >/dev/null || { echo "SKIP: the openssl command is not installed"; exit 77; }
mkdir -p "$work" || exit 1
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1

# ok TEXT COMMAND...: the command must succeed.
ok() {
	local text=$1
	shift
	if "$@"; then
		echo "ok: $text"
	else
		echo "FAIL: $text"
		failures=$((failures + 1))
		tail -n 20 out err 2>/dev/null
	fi
}

# start COMMAND...: a server, whose port is $port; one that is not taken.
start() {
	local try
	for try in 1 2 3 4 5 6 7 8; do
		port=$((20000 + (RANDOM + try) % 10000))
		"${@//PORT/$port}" >server.out 2>&1 &
		server=$!
		for _ in $(seq 100); do
			kill -0 "$server" 2>/dev/null || break
			(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return 0
			sleep 0.1
		done
		kill "$server" 2>/dev/null
		wait "$server" 2>/dev/null
	done
	echo "FAIL: no server could be started: $*"
	cat server.out
	exit 1
}

stop() {
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=
}

has() { grep -q -- "$1" "$2" 2>/dev/null; }
has_no() { ! has "$@"; }

# until PATTERN FILE: it is there, or 20 s are over.
until_has() {
	for _ in $(seq 200); do
		has "$1" "$2" && return 0
		sleep 0.1
	done
	return 1
}

# talk "LINE..." OPTION...: s_client says each line to our server when the one before has come back, in out. Single
# letters are its own commands, and what it says to them is in err.
talk() {
	local lines=$1 line
	shift
	rm -f out err
	for line in $lines; do
		printf '%s\n' "$line"
		case $line in
		K) until_has KEYUPDATE err ;;
		R) until_has RENEGOTIATING err ;;
		*) until_has "^$line" out ;;
		esac || break
	done | openssl s_client -connect "127.0.0.1:$port" -CAfile cert.pem -verify_return_error "$@" >out 2>err
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout key.pem -out cert.pem 2>err || { cat err; exit 1; }

start "$program" --port=PORT --cert=cert.pem --key=key.pem
talk "hello last" -quiet -no_ign_eof -verify_hostname localhost
ok "s_client, TLS 1.3: what it says comes back" has '^last' out
talk "hello last" -quiet -no_ign_eof -tls1_2 -verify_ip 127.0.0.1
ok "s_client, TLS 1.2: what it says comes back" has '^last' out
talk "first K second K last" -tls1_3
ok "s_client asks for new keys, and is answered" has '^last' out
talk "first R" -tls1_2
ok "s_client cannot make the handshake again" has 'no renegotiation' err
openssl s_client -connect "127.0.0.1:$port" -tls1_1 >out 2>err </dev/null
ok "TLS 1.1 is not spoken" has_no 'Cipher is [A-Z]*-' out
printf 'hello\nlast\n' | "$program" --connect=localhost --port="$port" --ca=cert.pem >out 2>err
ok "our client: what it says comes back, and both end" has '^last' out
"$program" --connect=localhost --port="$port" >out 2>err </dev/null
ok "our client does not accept a certificate it does not know" has 'is not accepted: self-signed certificate' err
stop

start openssl s_server -accept PORT -cert cert.pem -key key.pem -rev -quiet
printf 'hello\nlast\n' | "$program" --connect=localhost --port="$port" --ca=cert.pem >out 2>err
ok "s_server, TLS 1.3: turns our lines round" has '^tsal' out
stop
start openssl s_server -accept PORT -cert cert.pem -key key.pem -rev -quiet -tls1_2
printf 'hello\nlast\n' | "$program" --connect=127.0.0.1 --port="$port" --ca=cert.pem >out 2>err
ok "s_server, TLS 1.2: turns our lines round" has '^tsal' out
stop

[ "$failures" -eq 0 ]
