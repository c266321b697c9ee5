# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What .ci/run and .ci/full share: named steps with a log each, the first failure ends the run.
# shellcheck source=lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

hilo_steps=0
hilo_patience=15 # the children are scripts that end children of their own
hilo_logs=$hilo_root/build/ci
hilo_totals=(0 0 0)

# Warnings are errors here, as in every build that CI makes.
export HILO_CMAKE_ARGS="-DHILO_WERROR=ON ${HILO_CMAKE_ARGS-}"

begin_steps() {
	mkdir -p "$hilo_logs" || exit 1
	rm -f "$hilo_logs"/*.log
}

# Add the counts of a log's test runs to the totals.
count_tests() {
	local passed failed skipped
	while read -r passed failed skipped; do
		hilo_totals[0]=$((hilo_totals[0] + passed))
		hilo_totals[1]=$((hilo_totals[1] + failed))
		hilo_totals[2]=$((hilo_totals[2] + skipped))
	done < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$1")
}

# step NAME COMMAND...: run it with its output in a log; a line with its seconds, or the log's end and FAIL.
step() {
	local name=$1 log start=$EPOCHREALTIME status
	shift
	hilo_steps=$((hilo_steps + 1))
	log=$(printf '%s/%02d-%s.log' "$hilo_logs" "$hilo_steps" "${name//[^a-z0-9]/-}")
	say "[$(seconds_since "$hilo_start") s] $name"
	run_child "$@" >"$log" 2>&1
	status=$?
	count_tests "$log"
	grep -E '^(SKIP|Explored|Pollers): ' "$log" | sed 's/^/    /' >&"$hilo_messages"
	if [ "$status" -ne 0 ]; then
		show_log "$log" 80
		say "${hilo_totals[0]} passed, $((hilo_totals[1] ? hilo_totals[1] : 1)) failed, ${hilo_totals[2]} skipped"
		fail "$hilo_name: $name, $(seconds_since "$hilo_start") s; the whole log is $log"
	fi
	say "    $(grep -v '^$' "$log" | tail -n 1)"
	say "    $(seconds_since "$start") s"
}

end_steps() {
	say "${hilo_totals[0]} passed, ${hilo_totals[1]} failed, ${hilo_totals[2]} skipped"
	say "PASS: $hilo_name, $hilo_steps steps, $(seconds_since "$hilo_start") s"
}
