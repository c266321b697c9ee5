#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_pgzip.sh PROGRAM FOLDER - pgzip from the outside: what it writes, what it says, what it leaves.
#
# FOLDER is made anew and removed at the end. gzip is the judge of what pgzip writes.
set -u
export LC_ALL=C
unset HILO_WORKERS

pgzip=$1
work=$2/pgzip-$$
checks=0
failures=0
skips=0

mkdir -p "$work" || exit 1
trap 'exec 3>&- ; rm -rf "$work"' EXIT
cd "$work" || exit 1

# ok TEXT COMMAND... : the command must succeed.
ok() {
	local text=$1
	shift
	checks=$((checks + 1))
	if ! "$@"; then
		failures=$((failures + 1))
		echo "FAIL: $text"
		[ -s err ] && sed 's/^/    stderr: /' err
	fi
}

skip() {
	skips=$((skips + 1))
	echo "SKIP: $1: $2"
}

# run ARGUMENT... : pgzip with its streams in files; the status is in $status.
run() {
	"$pgzip" "$@" >out 2>err </dev/null
	status=$?
}

is() { [ "$1" = "$2" ] || { echo "    got '$1', expected '$2'"; false; }; }
says() { grep -q -- "$1" err; }
has_output() { [ -n "$(ls -A empty)" ]; }
leaves_nothing() { [ -z "$(ls -A "${1:-empty}")" ]; }
fresh() { rm -rf empty && mkdir empty; }

# fails TEXT STATUS MESSAGE : what the last run must have come to.
fails() {
	ok "$1: status $2" is "$status" "$2"
	ok "$1: says '$3'" says "$3"
}

# Ended, or ended and not yet waited for.
gone() { ! jobs -r -p | grep -qx "$1"; }

# wait_for COMMAND... : until it succeeds, 20 s at most.
wait_for() {
	local i
	for i in $(seq 400); do
		"$@" && return 0
		sleep 0.05
	done
	echo "    waited in vain for: $*"
	false
}

# --- data ------------------------------------------------------------------------------------------

block=131072
seq 1 400000 >text # 2.7 MB
head -c 1500000 /dev/urandom >noise
: >size0
for size in 1 $((block - 1)) $block $((block + 1)) $((2 * block)) $((5 * block + 17)); do
	head -c "$size" text >"size$size"
done
cat text noise text size0 noise >mixed
files="size0 size1 size$((block - 1)) size$block size$((block + 1)) size$((2 * block)) size$((5 * block + 17))"
files="$files text noise mixed"

# --- round trips -----------------------------------------------------------------------------------

for workers in 1 2 4; do
	for file in $files; do
		name="$file with $workers workers"
		run -p $workers -b 128 -c "$file"
		mv out packed.gz
		ok "$name: status" is "$status" 0
		ok "$name: gzip -t" gzip -t packed.gz
		gzip -dc packed.gz >back
		ok "$name: gzip gives it back" cmp -s "$file" back
		ok "$name: pgzip -d gives it back" eval "'$pgzip' -p $workers -dc packed.gz 2>err | cmp -s '$file'"
	done
done

for level in 1 2 3 4 5 6 7 8 9; do
	ok "level $level as -$level" eval "'$pgzip' -$level -c mixed 2>err | gzip -dc | cmp -s mixed"
	ok "level $level as -l" eval "'$pgzip' -l $level <mixed 2>err | gzip -dc | cmp -s mixed"
done

for kib in 1 7 16 31 32 33 64 300 1024 16384; do
	ok "blocks of $kib KiB" eval "'$pgzip' -b $kib -p 3 -c mixed 2>err | gzip -dc | cmp -s mixed"
done

for level in 1 6; do
	"$pgzip" -$level -p 3 -b 16 -c mixed >first 2>err
	for i in 1 2 3 4 5; do
		ok "the same output each time, level $level" eval "'$pgzip' -$level -p 3 -b 16 -c mixed 2>err | cmp -s first"
	done
done
ok "blocks that suit the input" eval "'$pgzip' -c mixed 2>err | gzip -dc | cmp -s mixed"
ok "pipe to pipe" eval "cat mixed | '$pgzip' 2>err | '$pgzip' -d 2>>err | cmp -s mixed"
ok "a slow pipe" eval "{ head -c 1000 text; sleep 0.2; tail -c +1001 text; } | '$pgzip' 2>err | gzip -dc | cmp -s text"
ok "one member only" eval "[ \$('$pgzip' -c text | gzip -lv - 2>/dev/null | wc -l) -le 2 ]"

run -c text
ours=$(wc -c <out)
theirs=$(gzip -6 -c text | wc -c)
ok "size within 2 % of gzip's ($ours, $theirs)" [ "$ours" -le $((theirs * 102 / 100)) ]

# --- files and their names -------------------------------------------------------------------------

mkdir files
cp text files/a
touch -d '2001-02-03 04:05:06' files/a
chmod 640 files/a
run files/a
ok "FILE becomes FILE.gz" is "$status" 0
ok "FILE is kept" cmp -s text files/a
ok "permissions are kept" is "$(stat -c %a files/a.gz)" 640
ok "time is kept" is "$(stat -c %Y files/a.gz)" "$(stat -c %Y files/a)"
ok "nothing else is there" is "$(ls -A files | tr '\n' ' ')" "a a.gz "

run files/a
fails "existing output" 1 "already exists; use -f"
run -f files/a
ok "-f overwrites" is "$status" 0
run files/a.gz
fails "a name that ends in .gz" 1 "ends in .gz already"
rm files/a
run -d files/a.gz
ok "-d FILE.gz" is "$status" 0
ok "-d gives FILE" cmp -s text files/a
run -d files/a.gz
fails "-d on existing output" 1 "already exists; use -f"
cp files/a.gz files/b.tgz
run -k -d files/b.tgz
ok ".tgz becomes .tar" cmp -s text files/b.tar
run -d files/a
fails "-d without a suffix" 1 "does not end in .gz"
run -o files/c text
ok "-o" eval "gzip -dc <files/c | cmp -s text"
run -d -o files/d files/c
ok "-d -o" cmp -s text files/d
run -f -o files/d files/d
fails "input and output the same" 1 "is input and output at once"
ok "and it is left alone" cmp -s text files/d
run -c text noise
ok "several files" eval "cat text noise >both && gzip -dc <out | cmp -s both"
run -c missing text
fails "a missing file among others" 1 "cannot open missing: No such file or directory"
ok "and the others are done" eval "gzip -dc <out | cmp -s text"
run -o - text
ok "-o - is standard output" eval "gzip -dc <out | cmp -s text"

# --- testing and damage ----------------------------------------------------------------------------

run -c mixed
cp out good.gz
run -t good.gz
ok "-t of good data" is "$status" 0
ok "-t writes nothing" [ ! -s out ]

size=$(wc -c <good.gz)
for at in $((size / 3)) $((size - 6)) $((size - 2)); do
	{ head -c $((at - 1)) good.gz; printf '\252\125'; tail -c +$((at + 2)) good.gz; } >bad.gz
	run -t bad.gz
	fails "damage at $at" 1 "bad.gz is damaged"
	fresh
	run -d -o empty/back bad.gz
	ok "damage at $at: status of -d" is "$status" 1
	ok "damage at $at: nothing is left" leaves_nothing
done
for length in 0 1 2 9 10 1000 $((size - 8)) $((size - 1)); do
	head -c $length good.gz >short.gz
	run -t short.gz
	fails "cut after $length" 1 "short.gz ends too early"
	fresh
	run -d -o empty/back short.gz
	ok "cut after $length: nothing is left" leaves_nothing
done
run -t text
fails "not gzip" 1 "text is not in gzip format"

cat good.gz good.gz >two.gz
ok "two members" eval "cat mixed mixed >both && '$pgzip' -dc two.gz 2>err | cmp -s both"
for i in 1 2 3 4 5 6 7 8 9; do cat size$block; done >nine
ok "many members" eval "for i in 1 2 3 4 5 6 7 8 9; do gzip -c size$block; gzip -c size0; done | '$pgzip' -d 2>err |
	cmp -s nine"
{ cat good.gz; head -c 100000 /dev/zero; } >padded.gz
run -t padded.gz
ok "zeros behind" is "$status" 0
for tail in 'garbage' '\037' '\037x' '\0\0\0x'; do
	{ cat good.gz; printf "$tail"; } >garbage.gz
	run -dc garbage.gz
	fails "garbage behind" 2 "what follows the compressed data was left aside"
	ok "garbage behind: data" cmp -s mixed out
done
gzip -9c text >theirs.gz
ok "what gzip made" eval "'$pgzip' -dc theirs.gz 2>err | cmp -s text"

# --- what goes wrong -------------------------------------------------------------------------------

run missing
fails "missing file" 1 "cannot open missing: No such file or directory"
mkdir folder
run folder
fails "a folder" 1 "folder is a directory"
run -o folder text
fails "a folder as output" 1 "folder is a directory"
run -o nowhere/x text
fails "a folder that is missing" 1 "cannot create nowhere/x: No such file or directory"
run -l 12 text
fails "level 12" 1 "level 12 is out of range, 1 to 9"
run -l 0 text
fails "level 0" 1 "level 0 is out of range, 1 to 9"
run -l x text
fails "level x" 1 "level: 'x' is not a number"
run -p 0 text
fails "no workers" 1 "number of workers 0 is out of range"
run -b 0 text
fails "no block" 1 "block size 0 is out of range"
run -o a -c text
fails "-o with -c" 1 "-o and -c"
run -o a text noise
fails "-o with two files" 1 "several inputs"
run --nonsense
fails "unknown option" 1 "Try 'pgzip --help'"
run --help
ok "--help" eval "is $status 0 && grep -q Usage: out"
run --version
ok "--version" eval "is $status 0 && grep -q zlib out"

"$pgzip" -c mixed >/dev/full 2>err
status=$?
fails "full disk" 1 "cannot write stdout: No space left on device"
run -o /dev/full mixed
fails "full disk, by name" 1 "cannot write /dev/full: No space left on device"
ok "/dev/full is still there" [ -c /dev/full ]
"$pgzip" -dc good.gz >/dev/full 2>err
status=$?
fails "full disk with -d" 1 "cannot write stdout: No space left on device"

# A limit in size ends the writing of a file in the middle, as a full disk does.
fresh
(ulimit -f 500 && exec "$pgzip" -o empty/out mixed) 2>err
status=$?
fails "a file that grows too large" 1 "cannot write empty/out: File too large"
ok "a file that grows too large: nothing is left" leaves_nothing

if [ -r /proc/self/mem ]; then # its first page cannot be read
	fresh
	run -o empty/out /proc/self/mem
	fails "a read that fails" 1 "cannot read /proc/self/mem: Input/output error"
	ok "a read that fails: nothing is left" leaves_nothing
else
	skip "a read that fails" "there is no /proc"
fi

cp text locked
chmod 000 locked
if [ -r locked ]; then
	skip "unreadable file" "this user reads everything"
else
	run locked
	fails "unreadable file" 1 "cannot open locked: Permission denied"
fi
mkdir sealed
chmod 500 sealed
if [ -w sealed ]; then
	skip "folder without permission" "this user writes everywhere"
else
	run -o sealed/x text
	fails "folder without permission" 1 "cannot create sealed/x: Permission denied"
fi

"$pgzip" -c noise 2>err | head -c 1 >/dev/null
status=${PIPESTATUS[0]}
fails "broken pipe" 1 "cannot write stdout: Broken pipe"
"$pgzip" -dc good.gz 2>err | head -c 1 >/dev/null
status=${PIPESTATUS[0]}
fails "broken pipe with -d" 1 "cannot write stdout: Broken pipe"
mkfifo pipe nobody
exec 3<>pipe
"$pgzip" <pipe >nobody 2>err 3>&- &
head -c 1 nobody >/dev/null     # the header; from here on nobody reads
head -c 1060000 noise >&3 # more than is read at once
ok "broken pipe while the input rests" wait_for gone $!
exec 3>&-
wait $!
status=$?
fails "broken pipe while the input rests" 1 "cannot write stdout: Broken pipe"

# --- signals ---------------------------------------------------------------------------------------

truncate -s 8G endless # a hole: read at full speed, and not to be finished before the signal

for entry in INT:130 TERM:143 HUP:129; do
	signal=${entry%:*}
	fresh
	"$pgzip" -o empty/out endless 2>err &
	ok "SIG$signal: it has begun" wait_for has_output
	kill -s "$signal" $!
	wait $! 2>/dev/null
	status=$?
	fails "SIG$signal" "${entry#*:}" "pgzip: stopped: "
	ok "SIG$signal leaves nothing" leaves_nothing
done

fresh
"$pgzip" -o empty/out <pipe 2>err &
exec 3>pipe
cat noise >&3
wait_for has_output
kill -INT $!
wait $! 2>/dev/null
status=$?
exec 3>&-
fails "SIGINT while waiting for input" 130 "pgzip: stopped: Interrupt"
ok "SIGINT while waiting for input leaves nothing" leaves_nothing

"$pgzip" -c noise >pipe 2>err &
exec 3<pipe
head -c 1 <&3 >/dev/null
kill -INT $!
wait $! 2>/dev/null
status=$?
exec 3<&-
fails "SIGINT while nobody takes the output" 130 "pgzip: stopped: Interrupt"

head -c 30000000 /dev/zero | gzip -c >zeros.gz
fresh
(while cat zeros.gz; do :; done) 2>/dev/null | "$pgzip" -d -o empty/out 2>err &
wait_for has_output
kill -TERM $!
wait $! 2>/dev/null
status=$?
fails "SIGTERM with -d" 143 "pgzip: stopped: Terminated"
ok "SIGTERM with -d leaves nothing" leaves_nothing

# --- memory ----------------------------------------------------------------------------------------

peak() { sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }
modes="compress decompress"
if [ ! -r /proc/self/status ]; then
	skip "memory" "there is no /proc"
	modes=
fi
for mode in $modes; do
	"$pgzip" -1 -p 2 $([ $mode = compress ] || echo -d) <pipe >/dev/null 2>err &
	exec 3>pipe
	if [ "$mode" = compress ]; then
		head -c 50000000 /dev/zero >&3
		before=$(peak $!)
		head -c 350000000 /dev/zero >&3
	else
		cat zeros.gz zeros.gz >&3
		before=$(peak $!)
		cat zeros.gz zeros.gz zeros.gz zeros.gz zeros.gz zeros.gz zeros.gz zeros.gz zeros.gz >&3
	fi
	after=$(peak $!)
	exec 3>&-
	wait $!
	ok "memory stays as it is in $mode ($before, then $after kB)" [ $((after - before)) -lt 40000 ]
done

# --- counters and terminals ------------------------------------------------------------------------

head -c 40000000 endless >long
cat mixed mixed mixed mixed >>long
run --stats -p 2 -b 128 -c long
blocks=$(sed -n 's/.*worker [0-9]*: \([0-9]*\) blocks.*/\1/p' err | awk '{ sum += $1 } END { print sum }')
ok "--stats counts all blocks" is "$blocks" $(($(wc -c <long) / block + 1))
if [ "$(nproc)" -ge 2 ]; then
	ok "--stats shows both workers at work" eval "! grep -q 'worker [01]: 0 blocks' err"
else
	skip "blocks on every worker" "there is one core only"
fi
ok "no progress where there is no terminal" eval "run -c long; [ ! -s err ]"

if ! script -qec true /dev/null </dev/null >/dev/null 2>&1; then
	skip "terminals" "script(1) is not installed, or this root has no pseudo-terminals"
else
	terminal() { script -qec "stty cols ${columns:-80}; $*" /dev/null </dev/null >out 2>&1; }
	terminal "'$pgzip' -c text >/dev/null; '$pgzip' text; '$pgzip' -c text"
	ok "compressed data are not for a terminal" grep -q "not written to a terminal" out
	rm -f text.gz
	for columns in 80 40 20 8; do
		terminal "timeout --foreground -s INT 2 '$pgzip' -c endless >/dev/null"
		longest=$(tr '\r' '\n' <out | sed -e 's/\x1b\[K//g' -e '/^pgzip/d' -e '/\^C/d' |
			awk '{ if (length > max) max = length } END { print max + 0 }')
		ok "the line fits in $columns columns ($longest)" [ "$longest" -lt $columns ]
		ok "a line was drawn in $columns columns" [ "$longest" -gt 3 ]
	done
	columns=80
	terminal "timeout --foreground -s INT 2 '$pgzip' -c endless >/dev/null"
	ok "bar, rate and time left" grep -q '% \[=*>* *\] .*/s, .* left' out
	terminal "timeout --foreground -s INT 2 '$pgzip' -q -c endless >/dev/null"
	ok "-q draws nothing" eval "! grep -q '\[K' out"
fi

echo "$((checks - failures)) of $checks checks passed, $skips skipped"
[ $failures -eq 0 ]
