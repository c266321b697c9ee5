#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# nginx.sh http_server --workers=N --port=N [--n=N] - the workload with nginx, which answers from memory; the workers are
# its processes.
set -eu

[ "${1-}" = http_server ] || { echo "nginx: cannot express this one" >&2 && exit 3; }
shift
workers=2
port=0
for argument in "$@"; do
	case $argument in
	--workers=*) workers=${argument#*=} ;;
	--port=*) port=${argument#*=} ;;
	--n=*) ;;
	*) echo "cannot use $argument" >&2 && exit 2 ;;
	esac
done
program=$(PATH=$PATH:/usr/sbin command -v nginx) || { echo "nginx is not installed" >&2 && exit 1; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/hilo-nginx.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'kill "$server" 2>/dev/null' INT TERM
cat >"$folder/conf" <<END
daemon off;
worker_processes $workers;
pid $folder/pid;
error_log $folder/log;
events {
	worker_connections 1024;
}
http {
	access_log off;
	default_type text/plain;
	keepalive_requests 1000000000;
	client_body_temp_path $folder/body;
	proxy_temp_path $folder/proxy;
	fastcgi_temp_path $folder/fastcgi;
	uwsgi_temp_path $folder/uwsgi;
	scgi_temp_path $folder/scgi;
	server {
		listen 127.0.0.1:$port;
		location = / {
			return 200 "Hello, World!";
		}
	}
}
END
"$program" -p "$folder/" -c "$folder/conf" -e "$folder/log" &
server=$!
until wait "$server"; [ ! -e "/proc/$server" ]; do
	continue
done
