#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py PROGRAM SEED - Hilo's traces of the scenarios, from PROGRAM, against asyncio's. README.md says more."""

import importlib
import os
import re
import subprocess
import sys
from collections import Counter
from difflib import unified_diff
from pathlib import Path

import harness

FOLDER = Path(__file__).parent
SEEDS = 8
LAST_LINES = 8  # of a program that has failed

failures = 0


def fail(name, text, lines=()):
    global failures
    failures += 1
    print(f"---- {name}: {text}")
    for line in lines:
        print("    " + line)


def diff(asyncio, hilo):
    """How two traces differ, whole, as differences.md shows it."""
    return list(unified_diff(asyncio, hilo, n=len(hilo), lineterm=""))[3:]


def hilo_traces(program, **environment):
    """The traces that PROGRAM prints: name: lines."""
    inherited = {name: value for name, value in os.environ.items() if name != "HILO_TEST_NATURAL"}
    ended = subprocess.run([program], env=inherited | environment, capture_output=True, text=True, check=False)
    traces = {}
    for line in ended.stdout.splitlines():
        if line.startswith("== "):
            trace = traces[line[3:]] = []
        else:
            trace.append(line)
    if ended.returncode:
        lines = ended.stdout.splitlines()[-LAST_LINES:] + ended.stderr.splitlines()
        fail(f"{program} {environment}", f"ended with status {ended.returncode}", lines)
    return traces


def traces_by_lot(program, seed, natural):
    """What a trace shows is promised: no decision of the scheduler changes it."""
    for chosen in range(seed, seed + SEEDS):
        for name, trace in hilo_traces(program, HILO_TEST_SEED=str(chosen)).items():
            if trace != natural.get(name):
                fail(name, f"HILO_TEST_SEED={chosen} changes the trace", diff(natural.get(name, []), trace))


def is_of_this_python(first, last):
    """Whether this Python's version is from the first to the last one; "and later" is the last without an end."""
    if not first:
        return True
    minor = sys.version_info.minor
    return minor >= int(first) if last == "and later" else int(first) <= minor <= int(last or first)


def documented_differences():
    """What differences.md says: name: (asyncio's trace, Hilo's)."""
    text = (FOLDER / "differences.md").read_text()
    documented = {}
    for section in re.split(r"^### ", text, flags=re.M)[1:]:
        match = re.fullmatch(
            r"(\w+)(?: \(Python 3\.(\d+)(?: (?:to 3\.)?(\d+|and later))?\))?\n\n(?!```).+?\n\n```diff\n(.*?)```\n(?:\n## .*)?\s*",
            section, flags=re.S)
        if not match:
            fail(section.splitlines()[0], "differences.md needs a reason, and then the difference")
        elif is_of_this_python(match[2], match[3]):
            lines = match[4].splitlines()
            documented[match[1]] = tuple([line[1:] for line in lines if line[0] != other] for other in "+-")
    return documented


def judge(name, asyncio, hilo, documented):
    """What the two traces are: equal, explained, or a failure."""
    if documented == (asyncio, hilo) and asyncio != hilo:
        return "explained"
    if documented and asyncio == hilo:
        fail(name, "does not differ any more, but stands in differences.md")
    elif documented:
        fail(name, "differs in another way than differences.md says (- asyncio, + Hilo)", diff(asyncio, hilo))
    elif asyncio != hilo:
        fail(name, "differs (- asyncio, + Hilo)", diff(asyncio, hilo))
    else:
        return "equal"
    return "failed"


def compare(program, seed):
    natural = hilo_traces(program, HILO_TEST_NATURAL="1", HILO_TEST_SEED=str(seed))
    if failures:
        return  # it has not come to its end: what is missing would bury that
    traces_by_lot(program, seed, natural)
    documented = documented_differences()
    for name in sorted(natural.keys() ^ harness.scenarios.keys()):
        fail(name, "is written in C only" if name in natural else "is written in Python only")
    for name in sorted(documented.keys() - harness.scenarios.keys()):
        fail(name, "stands in differences.md, and is no scenario")
    names = [name for name in harness.scenarios if name in natural]
    verdicts = Counter(judge(name, harness.run(name), natural[name], documented.get(name)) for name in names)
    print(f"{len(names)} scenarios, {verdicts['equal']} equal, {verdicts['explained']} explained differences;",
          f"Python {sys.version.split()[0]}, seeds {seed} to {seed + SEEDS - 1}")


def main(program, seed):
    for path in sorted(FOLDER.glob("*.py")):
        importlib.import_module(path.stem)
    compare(program, seed)
    print(f"FAIL: {failures} failures" if failures else "PASS")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
