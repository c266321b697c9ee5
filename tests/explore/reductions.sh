#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# reductions.sh DIRECTORY - the explorer's shortcuts, each against the search without it, on small models.
#
# DIRECTORY holds the built model programs. R4: the number of executions that merging adds up is the number
# that a search without it runs one by one. R2, R3: with preemptions everywhere the executions end in the
# same number of different states. README.md tells what the reductions are.
set -u -o pipefail
export LC_ALL=C
directory=$(cd "${1:?"usage: reductions.sh DIRECTORY"}" && pwd) || exit 1
failures=0

# number WORD PROGRAM MODEL [OPTION...]: the number before WORD in the line of results.
number() {
	local word=$1 program=$2 model=$3
	shift 3
	"$directory/model_$program" --model="$model" --no-retry --seconds=60 "$@" |
		sed -nE "s/^$model .*COMPLETE.* ([0-9]+) $word.*/\1/p"
}

# compare WORD OPTION PROGRAM MODEL [OPTION...]: that number with OPTION and without.
compare() {
	local word=$1 option=$2 with without
	shift 2
	with=$(number "$word" "$@")
	without=$(number "$word" "$@" "$option")
	printf '%-12s %-24s %s %s\n' "$option" "$2" "$with" "$word"
	if [ -z "$with" ] || [ "$with" != "$without" ]; then
		echo "reductions.sh: $*: $with $word, but ${without:-none} with $option"
		failures=$((failures + 1))
	fi
}

while read -r program model bound; do
	compare executions --no-merge "$program" "$model" --bound="$bound"
	compare outcomes --no-commute "$program" "$model" --bound="$bound"
done <<'END'
litmus iriw_seq_cst 3
litmus rs_rmw 3
litmus lock 3
litmus futex_two 3
deque deque_one_by_one 2
deque deque_three 2
deque deque_oldest 2
ring ring_thief_of_thief 3
ring ring_thief_full 2
inbox inbox_append 3
inbox inbox_fill 3
inbox inbox_sleep 2
task_state state_two_waits 3
task_state state_wake_cancel 3
record record_join_cancel 3
record record_join_visit 3
record record_reuse_visit 3
completion done_await 3
completion done_callback 3
completion done_look 3
future future_set_await 2
future future_set_set 3
future future_callback_removed 2
thread thread_await 3
thread thread_await_limit 2
timer timer_arm_disarm 1
timer timer_two 1
timer timer_move 0
sleep sleep_post 1
END
[ $failures -eq 0 ]
