#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_readme.sh BUILD-DIRECTORY - the program in README.md compiles without a warning and says what it should.
set -u -o pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=$1

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hilo-readme.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

awk '/^```/ { if (inside) exit; inside = $0 == "```c"; next } inside' "$root/README.md" >"$scratch/program.c"
[ -s "$scratch/program.c" ] || { echo "README.md shows no C program"; exit 1; }
cc -std=c11 -Wall -Wextra -Werror -I "$build/include" "$scratch/program.c" -o "$scratch/program" "$build/libhilo.a" -pthread || exit 1
"$scratch/program" | sort >"$scratch/output"
cat "$scratch/output"
printf '%s\n' hello world | cmp - "$scratch/output"
