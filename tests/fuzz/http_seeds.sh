#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# http_seeds.sh CORPUS OUTPUT - what is said in each .http file of CORPUS, in a file of OUTPUT: inputs to begin with.
# The form of those files is told in tests/unit/io/http/test_corpus.c.
set -eu -o pipefail
export LC_ALL=C

# Whether \{N}x, N times that byte, is the next; then the N and the byte.
many='^(([^\\]|\\[^{])*)\\\{([0-9]+)\}(.)'

mkdir -p "$2"
for file in "$1"/*.http; do
	text=$(tail -n +2 "$file" | tr -d '\n')
	while [[ $text =~ $many ]]; do
		printf -v bytes '%*s' "${BASH_REMATCH[3]}" ''
		text=${BASH_REMATCH[1]}${bytes// /${BASH_REMATCH[4]}}${text:${#BASH_REMATCH[0]}}
	done
	printf '%b' "$text" >"$2/$(basename "$file" .http)"
done
