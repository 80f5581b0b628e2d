#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a Catch2 program, the tests of each source file in a process of their own, several at once; shows what
failing ones print and ends with a tally. Every test that matches runs, or that is a failure."""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import threading
import time

from run_parts import tally_of

MATCHING = re.compile(r"^(\d+) (?:matching )?test cases?$", re.MULTILINE)
NONE_RAN = re.compile(r"^No (?:tests ran|test cases matched)", re.MULTILINE)


def count(program, spec):
    done = subprocess.run([program, "-#", "--list-tests", spec], stdout=subprocess.PIPE, text=True, errors="replace")
    match = MATCHING.search(done.stdout)
    return int(match[1]) if match else 0


def run_file(program, spec, name):
    """(tests passed, failed, seconds, what it printed)."""
    begin = time.monotonic()
    done = subprocess.run([program, "-#", f"{spec}[#{name}]"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    passed, failed = 0, 0
    for line in done.stdout.splitlines():
        passed, failed = tally_of(line) or (passed, failed)
    if done.returncode != 0 and failed == 0 and not NONE_RAN.search(done.stdout):
        failed = 1
        done.stdout += f"ended with status {done.returncode}\n"
    return passed, failed, time.monotonic() - begin, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--files", nargs="+", required=True, help="the sources that have tests")
    parser.add_argument("--alone", nargs="*", default=[], help="those of them whose threads need the cores for themselves")
    parser.add_argument("--spec", default="", help="which tests of each, as Catch2 selects them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    a = parser.parse_args()
    shown = threading.Lock()
    totals = [0, 0]
    spec = "~[.]" + a.spec  # a filter of one's own would bring hidden tests back

    def run(name):
        passed, failed, seconds, text = run_file(a.program, spec, name)
        with shown:
            totals[0] += passed
            totals[1] += failed
            if failed:
                print(text)
            if passed + failed:
                print(f"{name:<24}{passed:>4} passed {failed:>3} failed {seconds:>6.1f} s", flush=True)

    for name in a.alone:
        run(name)
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        for done in [pool.submit(run, name) for name in a.files if name not in a.alone]:
            done.result()
    passed, failed = totals
    matching = count(a.program, spec)
    if passed + failed < matching or matching == 0:
        print(f"{a.program}: {matching} tests match, {passed + failed} ran")
        failed += max(1, matching - passed - failed)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
