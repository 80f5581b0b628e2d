#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the parts of `make test` one after another and sums their tallies. A part is NAME=COMMAND;
the last `N passed, N failed` it prints counts, or Catch2's summary. A part that prints none, or that
fails without saying what failed, is one failure."""
import os
import re
import subprocess
import sys
import time

TALLY = re.compile(r"^(\d+) passed, (\d+) failed\s*$")
CATCH_ALL = re.compile(r"^All tests passed \(.* in (\d+) test cases?\)")
CATCH_SOME = re.compile(r"^test cases:\s*(\d+)\s*\|")
CATCH_FIELD = re.compile(r"\|\s*(\d+)\s+(passed|failed(?: as expected)?|skipped)")


def tally_of(line):
    if match := TALLY.match(line):
        return int(match[1]), int(match[2])
    if match := CATCH_ALL.match(line):
        return int(match[1]), 0
    if CATCH_SOME.match(line):
        fields = {name: int(n) for n, name in CATCH_FIELD.findall(line)}
        # A skipped test case did not run: that is no pass.
        return fields.get("passed", 0), fields.get("failed", 0) + fields.get("skipped", 0)
    return None


def run_part(name, command):
    print(f"== {name}", flush=True)
    begin = time.monotonic()
    # A job server of the calling make is not ours to hand on.
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    passed = failed = None
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, env=environment, text=True, errors="replace") as p:
        for line in p.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if tally := tally_of(line):
                passed, failed = tally
    why = ""
    if passed is None:
        passed, failed = 0, 1
        why = f": ended with status {p.returncode} and no tally"
    elif p.returncode != 0 and failed == 0:
        failed = 1
        why = f": ended with status {p.returncode}"
    elif passed + failed == 0:
        failed = 1
        why = ": nothing ran"
    seconds = time.monotonic() - begin
    return passed, failed, f"{name:<24}{passed:>6} passed {failed:>4} failed {seconds:>6.0f} s{why}"


def main():
    results = []
    for part in sys.argv[1:]:
        name, command = part.split("=", 1)
        results.append(run_part(name, command))
    print()
    for _, _, text in results:
        print(text)
    passed = sum(r[0] for r in results)
    failed = sum(r[1] for r in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted\n0 passed, 1 failed")
        sys.exit(130)
