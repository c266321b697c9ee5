#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# mutants.sh DIRECTORY - plant each fault of mutants.txt and demand that the explorer finds it.
#
# DIRECTORY holds the built model programs. The list and the sources must name the same faults. A program
# must find nothing when nothing is planted, and must end with status 1, a found failure, when a fault is.
set -u -o pipefail
export LC_ALL=C
directory=$(cd "${1:?"usage: mutants.sh DIRECTORY"}" && pwd) || exit 1
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

list=tests/explore/mutants.txt
failures=0
caught=0

complain() {
	echo "mutants.sh: $*"
	failures=$((failures + 1))
}

# is_left_out PROGRAM: it is about an optional library, which this build has not.
is_left_out() {
	[[ $1 = http_* ]] && [ ! -e "$directory/model_$1" ]
}

# The numbers in the sources and in the list.
planted=$(grep -rhoE --include='*.[ch]' '\bMUTANT\([0-9]+,' scheduler runtime sync io tests/explore |
	grep -oE '[0-9]+' | sort -nu)
listed=$(awk '!/^#/ && NF { print $1 }' "$list" | sort -n)
if [ "$(echo "$listed" | uniq -d)" ]; then
	complain "listed twice: $(echo "$listed" | uniq -d | tr '\n' ' ')"
fi
if [ "$planted" != "$(echo "$listed" | uniq)" ]; then
	complain "list and sources differ:"
	grep -vxF "$listed" <<<"$planted" | sed 's/^/  only in the sources: /'
	grep -vxF "$planted" <<<"$listed" | sed 's/^/  only in the list: /'
fi

# Nothing planted, nothing found; a small bound will do here, the models' own tests use the full one.
for program in $(awk '!/^#/ && NF { print $2 }' "$list" | sort -u); do
	is_left_out "$program" && continue
	if ! output=$("$directory/model_$program" --bound=0 --seconds=300 2>&1); then
		complain "model_$program fails without a fault:"
		tail -n 3 <<<"$output"
	fi
done

while read -r number program model file what; do
	case $number in '' | '#'*) continue ;; esac
	is_left_out "$program" && continue
	output=$("$directory/model_$program" --model="$model" --mutant="$number" --seconds=60 2>&1)
	status=$?
	if [ $status -ne 1 ]; then
		complain "fault $number is not found (status $status): $file: $what"
		tail -n 3 <<<"$output"
		continue
	fi
	caught=$((caught + 1))
	printf '%3d  %s\n' "$number" "$(tail -n 1 <<<"$output")"
done <"$list"

echo "$caught of $(echo "$listed" | wc -l) planted faults found"
[ $failures -eq 0 ]
