#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh PROGRAM FOLDER - run one of the programs of this folder, and compare what it says with what is known, or with
# what another program says. A folder of its own is made in FOLDER, and removed at the end.
set -u -o pipefail
export LC_ALL=C
unset HILO_WORKERS
program=$(realpath "${1:?usage: check.sh PROGRAM FOLDER}")
name=$(basename "$program")
work=${2:?usage: check.sh PROGRAM FOLDER}/$name-$$
failures=0

mkdir -p "$work" || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# ok TEXT COMMAND...: the command succeeds.
ok() {
	local text=$1
	shift
	if ! "$@"; then
		echo "FAIL: $text"
		failures=$((failures + 1))
	fi
}

# status N COMMAND...: the command ends with status N, and says why on standard error if that is not 0.
status() {
	local expected=$1 got
	shift
	"$@" >out 2>err </dev/null
	got=$?
	[ "$got" -eq "$expected" ] || { echo "  status $got: $(cat err)"; return 1; }
	[ "$expected" -eq 0 ] || [ -s err ]
}

# full_disk N ARGUMENT...: what cannot be printed is told, and the status is N.
full_disk() {
	local expected=$1 got
	shift
	"$program" "$@" >/dev/full 2>err
	got=$?
	ok "a full disk" test "$got" -eq "$expected"
	ok "it is told" grep -q 'standard output: No space' err
}

check_all() {
	ok "--help" status 0 "$program" --help
	ok "the help is on standard output" grep -q "^Usage: $name" out
	ok "an unknown option" status 2 "$program" --no-such-option
	ok "no number of workers" status 2 "$program" -p none
}

# sorted WORKERS OPTION FILE...: psort and sort agree. Through pipes: disks may be slow.
sorted() {
	local workers=$1
	shift
	cmp -s <(sort "$@") <("$program" -p "$workers" "$@" </dev/null)
}

check_psort() {
	local options file workers
	head -c 300000 /dev/urandom >random
	awk 'BEGIN { srand(1); for (i = 0; i < 30000; i++)
		printf "%s/%s%d\n", i % 3 ? "/usr/share/doc" : "/usr/lib", substr("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1, 32 * rand()),
			1000 * rand() }' >paths
	awk 'BEGIN { for (i = 0; i < 3000; i++) print "the same line again and again" }' >same
	awk 'BEGIN { for (i = 300; i > 0; i--) { line = line "x"; print line; print line "\001" } }' >rising
	{ head -c 17000000 /dev/zero | tr '\0' a; echo b; head -c 17000000 /dev/zero | tr '\0' a; echo; echo a; } >long
	printf 'last\nline\nhas no end' >unended
	: >empty
	printf '\n\n\n' >blank
	for file in random paths same rising unended empty blank; do
		for workers in 1 2 8; do
			ok "$file, $workers workers" sorted "$workers" -- "$file"
		done
	done
	for file in random paths same unended; do
		for options in -r -u -ru; do
			ok "$file, $options" sorted 2 "$options" "$file"
		done
	done
	ok "long lines" sorted 2 -- long
	ok "long lines, from the end" sorted 2 -ru long
	ok "several files" sorted 2 -- paths unended random rising
	ok "from standard input" cmp -s <("$program" - <paths) <(sort paths)
	ok "from a pipe" cmp -s <(cat paths | "$program") <(sort paths)
	cp paths input
	ok "to a file" status 0 "$program" -o output input
	ok "what is in it" cmp -s output <(sort paths)
	ok "to the file itself" status 0 "$program" -o input input
	ok "what is in that" cmp -s input <(sort paths)
	for file in /sys/kernel/mm/transparent_hugepage/enabled /sys/devices/system/cpu/online; do
		[ ! -r "$file" ] || ok "a file that is shorter than it says" sorted 2 -- "$file" unended
	done
	ok "no such file" status 2 "$program" paths nowhere
	ok "it is named" grep -q '^psort: nowhere: No such file' err
	ok "nowhere to write" status 2 "$program" -o nowhere/output paths
	ok "a full disk" bash -c '! "$0" paths >/dev/full 2>err' "$program"
	ok "it is told" grep -q 'standard output: No space' err
}

check_wordcount() {
	mkdir -p tree/sub/deep
	printf 'One two two,three. THREE three\n' >tree/a
	printf 'four-four four\tfour\n' >tree/sub/b
	awk 'BEGIN { for (i = 0; i < 20000; i++) printf "five%s", i % 10 ? " " : "\n" }' >tree/sub/deep/c
	printf 'not\0text one one' >tree/binary
	: >tree/empty
	ok "a tree" status 0 "$program" -n 3 tree
	printf '%10d five\n%10d four\n%10d three\n%10d words, 5 different ones, in 4 files of %d bytes\n' 20000 4 3 20010 \
		"$(cat tree/a tree/sub/b tree/sub/deep/c | wc -c)" >expected
	ok "its words" diff expected out
	ok "all" status 0 "$program" -n 0 -p 1 tree
	ok "all words" test "$(wc -l <out)" -eq 6
	ok "two roots" status 0 "$program" -n 1 tree/a tree/sub/b
	ok "their words" grep -q '10 words, 4 different ones, in 2 files' out
	for i in $(seq 200); do printf 'word%s and\n' "$(tr 0-9 a-j <<<"$i")" >"tree/sub/f$i"; done
	"$program" -n 0 -p 1 tree >expected
	ok "many files" status 0 "$program" -n 0 -p 8 tree
	ok "the same words" cmp -s expected out
	full_disk 2 -n 1 tree
	ok "no such file" status 1 "$program" nowhere
	ok "it is named" grep -q 'nowhere: No such file' err
}

check_mandelbrot() {
	ok "a small picture" status 0 "$program" -s 64x48 -i 100 -o one.ppm -p 1
	ok "the same on eight workers" status 0 "$program" -s 64x48 -i 100 -o eight.ppm -p 8
	ok "they are the same" cmp -s one.ppm eight.ppm
	ok "its head" cmp -s <(head -c 13 one.ppm) <(printf 'P6\n64 48\n255\n')
	ok "its size" test "$(wc -c <one.ppm)" -eq $((13 + 64 * 48 * 3))
	ok "its center is black" cmp -s <(tail -c +$((14 + 3 * (24 * 64 + 32))) one.ppm | head -c 3) <(head -c 3 /dev/zero)
	ok "to standard output" cmp -s one.ppm <("$program" -q -s 64x48 -i 100 -o -)
	ok "no size" status 2 "$program" -s 64
	ok "no center" status 2 "$program" -c 1
	ok "no zoom" status 2 "$program" -z 0
	ok "nowhere to write" status 1 "$program" -s 8x8 -o nowhere/picture.ppm
	if "$program" -q -s 64x48 -i 100 -o one.png 2>/dev/null && command -v python3 >/dev/null; then
		ok "the PNG has the same points" python3 - <<'END'
import struct, zlib
png = open("one.png", "rb").read()
assert png[:8] == b"\x89PNG\r\n\x1a\n"
at, data = 8, b""
while at < len(png):
    size, = struct.unpack(">I", png[at:at + 4])
    kind, body = png[at + 4:at + 8], png[at + 8:at + 8 + size]
    assert zlib.crc32(kind + body) == struct.unpack(">I", png[at + 8 + size:at + 12 + size])[0]
    data += body if kind == b"IDAT" else b""
    at += 12 + size
rows = zlib.decompress(data)
points = b"".join(rows[r * (64 * 3 + 1) + 1:(r + 1) * (64 * 3 + 1)] for r in range(48))
assert points == open("one.ppm", "rb").read()[13:]
END
	fi
}

check_nqueens() {
	local n ways=(0 1 0 0 2 10 4 40 92 352 724)
	for n in 1 2 3 4 5 6 7 8 9 10; do
		ok "$n queens" test "$("$program" -q "$n")" -eq "${ways[$n]}"
	done
	ok "on eight workers" test "$("$program" -q -p 8 8)" -eq 92
	ok "too many" status 2 "$program" 23
	ok "no number" status 2 "$program" many
	ok "more than a number" status 2 "$program" 6abc
	ok "two numbers" status 2 "$program" 6 7
	full_disk 1 -q 6
}

check_all
"check_$name"
[ "$failures" -eq 0 ] && echo PASS
[ "$failures" -eq 0 ]
