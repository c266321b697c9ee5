# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# demo.bash - the second job of examples/run, which sources this: the service, asked, loaded, restarted and killed.

service_wrk=(wrk -t 1 --latency)
load_seconds=3

# Start it, or start it again: sets url.
start_service() {
	rm -f "$scratch/pid"
	"$service" --port "${port:-0}" --database "$scratch/service.db" --pid-file "$scratch/pid" --log "$scratch/service.log" \
		2>"$scratch/service.err" &
	service_child=$!
	until [ -s "$scratch/pid" ]; do
		kill -0 "$service_child" 2>/dev/null || {
			show_log "$scratch/service.err"
			fail "the service does not begin"
		}
		sleep 0.02
	done
	until port=$(sed -n 's/.*"event":"listening".*"port":\([0-9]*\).*/\1/p' "$scratch/service.log" | tail -n 1) && [ -n "$port" ]; do
		sleep 0.02
	done
	url=http://127.0.0.1:$port
}

ask() {
	curl --silent --show-error --max-time 60 --noproxy '*' "$@"
}

ask_json() {
	ask --header 'Content-Type: application/json' "$@"
}

# load FILE CONNECTIONS [ARGUMENT]...: wrk, its report in FILE.
load() {
	local file=$1 connections=$2
	shift 2
	run_child "${service_wrk[@]}" -c "$connections" -d "$load_seconds" "$@" >"$scratch/$file" 2>&1 || {
		show_log "$scratch/$file"
		fail "wrk has failed"
	}
}

# Of a report: requests a second; the 99th percentile in ms; requests; what went wrong.
rate_of() {
	awk '/^Requests\/sec:/ { printf "%.0f", $2 }' "$scratch/$1"
}
late_of() {
	awk '$1 == "99%" { v = $2 + 0; if ($2 ~ /us$/) v /= 1000; else if ($2 !~ /ms$/) v *= 1000; printf "%.2f", v }' "$scratch/$1"
}
count_of() {
	awk '/requests in/ { print $1 }' "$scratch/$1"
}
errors_of() {
	grep -E 'Socket errors|Non-2xx' "$scratch/$1"
}

report_load() {
	printf '  %-46s %8s requests/s  p99 %7s ms\n' "$1" "$(rate_of "$2")" "$(late_of "$2")"
}

no_errors() {
	[ -z "$(errors_of "$1")" ] || {
		show_log "$scratch/$1"
		fail "requests were refused, lost, or not answered within 2 s: $2"
	}
}

figure() {
	ask "$url/metrics" | awk -v name="$1" '$1 == name { print $2 }'
}

write_scripts() {
	local post='{["Content-Type"]="application/json"}, "{\"title\":\"a note\",\"body\":\"some words in it\"}"'
	cat >"$scratch/mixed.lua" <<END
local n = 0
function request()
	n = n + 1
	if n % 5 == 0 then
		return wrk.format("POST", "/items", $post)
	end
	return wrk.format("GET", "/items/" .. (n % 50 + 1))
end
END
	cat >"$scratch/writes.lua" <<END
function request()
	return wrk.format("POST", "/items", $post)
end
END
}

# Requests as a user would send them.
ask_service() {
	say "Asking the service at $url"
	say "  POST /items      $(ask_json --data '{"title":"Bread","body":"and butter"}' "$url/items")"
	say "  GET /items/1     $(ask "$url/items/1")"
	say "  GET /items/none  $(ask "$url/items/none")"
	"$(dirname "$service")/service_photo" 4000 3000 >"$scratch/photo.jpg" || fail "no photo could be made"
	say "  POST /photos     $(ask --header 'Content-Type: image/jpeg' --data-binary "@$scratch/photo.jpg" "$url/photos")"
	ask --output "$scratch/small.jpg" "$url/photos/1/thumbnail?width=320" || fail "there is no thumbnail"
	say "  GET /photos/1/thumbnail?width=320: $(wc -c <"$scratch/small.jpg") bytes of JPEG"
	for _ in $(seq 50); do
		ask_json --data '{"title":"a note","body":"some words in it"}' --output /dev/null "$url/items"
	done
}

load_service() {
	local made
	say "Loading it with wrk, on the same $hilo_jobs CPUs, $load_seconds s each"
	load light 16 "$url/items/1"
	no_errors light "reads"
	report_load "reads, 16 connections" light
	load mixed 64 -s "$scratch/mixed.lua" "$url"
	no_errors mixed "reads and writes"
	report_load "a write in 5, each on the disk, 64 connections" mixed
	made=$(figure service_thumbnails_total)
	wrk -t 1 -c "$((2 * hilo_jobs))" -d "$((load_seconds + 1))" "$url/photos/1/thumbnail?width=320" >"$scratch/jobs" 2>&1 &
	hilo_beside=$!
	load beside 16 "$url/items/1"
	wait "$hilo_beside" || {
		show_log "$scratch/jobs"
		fail "wrk has failed"
	}
	no_errors beside "reads beside thumbnails"
	report_load "reads beside thumbnails of 12 megapixels" beside
	say "  $((($(figure service_thumbnails_total) - made) / (load_seconds + 1))) thumbnails a second meanwhile; p99 of reads $(ratio "$(late_of beside)" "$(late_of light)") times that without"
}

# SIGHUP, twice, under load: nobody is refused, nothing is lost.
restart_service() {
	local before
	say "Restarting it twice under load"
	(
		for _ in 1 2; do
			sleep 1
			kill -HUP "$(cat "$scratch/pid")"
		done
	) &
	hilo_beside=$!
	before=$(cat "$scratch/pid")
	load restart 64 -s "$scratch/mixed.lua" "$url"
	wait "$hilo_beside"
	no_errors restart "in a restart"
	[ "$(cat "$scratch/pid")" != "$before" ] || fail "no new process has taken over"
	say "  $(count_of restart) requests, none refused, reset or lost"
}

# kill -9 under writes; what was acknowledged is there afterwards: ids have no gaps.
kill_service() {
	local first last kept
	say "Killing it with kill -9 in the middle of writes"
	first=$(ask_json --data '{"title":"first"}' "$url/items" | sed -n 's/{"id":\([0-9]*\),.*/\1/p')
	(
		sleep 1
		kill -KILL "$(cat "$scratch/pid")"
	) &
	hilo_beside=$!
	load killed 64 -s "$scratch/writes.lua" "$url"
	wait "$hilo_beside"
	start_service
	last=$(ask_json --data '{"title":"last"}' "$url/items" | sed -n 's/{"id":\([0-9]*\),.*/\1/p')
	kept=$((last - first - 1))
	acknowledged=$(count_of killed)
	say "  $acknowledged writes acknowledged, $kept are there"
	[ "$acknowledged" -gt 0 ] && [ "$kept" -ge "$acknowledged" ] || fail "acknowledged writes were lost"
}

service_job() {
	local url='' port='' service_child
	build_examples
	service=$(program_of service) || fail "the service was not built; the log is $hilo_root/build/release.log"
	need_scratch
	say ""
	write_scripts
	start_service
	ask_service
	load_service
	restart_service
	kill_service
	kill -TERM "$(cat "$scratch/pid")"
	wait "$service_child" || fail "the service has ended with an error"
	rm -f "$scratch/pid"
}

service_done() {
	printf '%s requests a second of the service, no request lost in restarts, no write with kill -9' "$(rate_of mixed)"
}
