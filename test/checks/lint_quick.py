#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The part of lint that takes seconds: names in the Python (pyflakes), formatting of the C++ files given.
Prints what is wrong, then `N passed, N failed` counting the two."""
import argparse
import os
import re
import subprocess
import sys

FOLDERS = ("bench", "model", "ovmf", "packer", "test")
CLANG_FORMAT = 14  # Debian 12's; other versions break lines elsewhere


def python_files():
    for folder in FOLDERS:
        for path, _, names in sorted(os.walk(folder)):
            yield from (os.path.join(path, name) for name in sorted(names) if name.endswith(".py"))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, (done.stdout + done.stderr).strip()


def check_python():
    status, text = run(["pyflakes3", *python_files()])
    return status == 0, text


def check_format(files):
    _, text = run(["clang-format", "--version"])
    version = re.search(r"version (\d+)", text)
    if version is None:
        return False, f"clang-format: {text}"
    if int(version[1]) != CLANG_FORMAT:
        return True, f"formatting is that of clang-format {CLANG_FORMAT}; version {version[1]} was not asked"
    status, text = run(["clang-format", "--dry-run", "-Werror", *files])
    return status == 0, text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="C++ files")
    results = (("names in the Python are defined and used", check_python()),
               ("the C++ is formatted (make format)", check_format(parser.parse_args().files)))
    for meaning, (good, text) in results:
        if text:
            print(text)
        print(f"{'ok' if good else 'not ok'} - {meaning}")
    failed = sum(not good for _, (good, _) in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
