#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check_output.sh PROGRAM - run one of the programs of this folder: it prints these lines, in this order and no others,
# and ends well.
set -u -o pipefail
program=${1:?usage: check_output.sh PROGRAM}

case $(basename "$program") in
process_pipeline) lines=$(printf '%s\n' 'apple: 2' 'fig: 1' 'pear: 3' 'sort: 0, uniq: 0') ;;
process_graceful)
	lines=$(printf '%s\n' 'piece 1: begun' 'piece 1: done' 'piece 2: begun' \
		'SIGHUP: the configuration is read again' 'SIGTERM: no more work is taken' 'piece 2: done' \
		'all work that was begun is done')
	;;
*)
	echo "FAIL: nobody has said what $program prints"
	exit 1
	;;
esac

output=$("$program")
status=$?
if [ "$status" -ne 0 ] || [ "$output" != "$lines" ]; then
	echo "FAIL: status $status"
	diff <(echo "$lines") <(echo "$output")
	exit 1
fi
echo "PASS"
