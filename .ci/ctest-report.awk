# SPDX-License-Identifier: MIT
#
# ctest-report.awk CTEST_OUTPUT LAST_TEST_LOG - what a run of ctest came to.
#
# Counts cases where a program is written with cmocka; elsewhere a program is one test, and each line that
# begins with "SKIP: " one that was skipped. Prints why each skipped test was skipped and the end of the
# output of each that failed; the last line is "passed failed skipped".

# From ctest's own lines: how each program ended.
FNR == NR {
	if (match($0, /Test +#[0-9]+: [^ ]+/)) {
		name = substr($0, RSTART, RLENGTH)
		sub(/.*: /, "", name)
		if ($0 ~ /\*\*\*Skipped/)
			state[name] = "skipped"
		else if ($0 ~ /   Passed /)
			state[name] = "passed"
		else {
			state[name] = $0
			sub(/.*\*\*\*/, "", state[name])
			sub(/ +[0-9.]+ sec.*/, "", state[name])
		}
	}
	next
}

/^[0-9]+\/[0-9]+ Testing: / {
	name = $3
	seen[name] = 1
	inside = counting = lines = ok = bad = skip = reasons = told = 0
	running = ""
	next
}
/^Output:$/ && !inside {
	getline
	inside = counting = 1
	next
}
/^<end of output>$/ && inside {
	inside = 0
	settle()
	next
}
!inside {
	next
}
!/^\[( RUN     |       OK) \]/ {
	text[lines++] = $0 # what went well is only counted
}
/^\[==========\] .*run\.$/ {
	counting = 0
}
counting && /^\[ RUN      \]/ {
	running = $NF
}
counting && /^\[ .*(OK|FAILED|SKIPPED) .*\]/ {
	running = ""
}
counting && /^\[       OK \]/ {
	ok++
}
counting && /^\[  FAILED  \]/ {
	bad++
}
/ COMPLETE: bound [0-9]+, [0-9]+ executions/ {
	models++
	executions += $5
}
/^SKIP: / {
	reason[reasons++] = (counting && running ? running ": " : "") substr($0, 7)
	told = 1
}
counting && /^\[  SKIPPED \]/ {
	skip++
	if (!told)
		reason[reasons++] = $NF ": no reason given"
	told = 0
}

function settle(    i, first, last) {
	for (i = 0; i < reasons; i++)
		print "SKIP: " name ": " reason[i]
	if (state[name] == "skipped") {
		skipped += skip ? skip : 1
		if (!reasons)
			print "SKIP: " name ": no reason given"
		return
	}
	passed += ok
	skipped += ok || bad || skip ? skip : reasons
	if (state[name] == "passed") {
		if (!ok && !skip)
			passed++
		return
	}
	failed += bad ? bad : 1
	# The end of a long output; but a sanitizer's report or a panic from where it begins.
	first = lines > tail_lines ? lines - tail_lines : 0
	for (i = 0; i < first; i++)
		if (text[i] ~ /ERROR: [A-Za-z]+Sanitizer|WARNING: ThreadSanitizer|runtime error:|hilo: panic/)
			first = i
	last = first + 2 * tail_lines < lines ? first + 2 * tail_lines : lines
	print "---- " name ": " state[name] (running ? " in " running : "") (first || last < lines ? ", a part of its output" : "")
	for (i = first; i < last; i++)
		print text[i]
	print "----"
}

END {
	for (name in state)
		if (!seen[name]) {
			print "---- " name ": " state[name]
			failed++
		}
	if (models)
		printf "Explored: %d models completely, %.0f executions\n", models, executions
	print passed + 0, failed + 0, skipped + 0
}
