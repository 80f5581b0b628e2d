# SPDX-License-Identifier: MIT
# What the test programs of this folder share: where the build is, the small model, results as
# `ok`/`not ok` lines and a final `N passed, N failed`.
import argparse
import os
import pathlib
import subprocess
import sys
import threading


def arguments():
    """--build and --filter, by default from AXIOM_BUILD_DIR and FILTER."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--build", type=pathlib.Path, default=os.environ.get("AXIOM_BUILD_DIR", "build")
    )
    parser.add_argument(
        "--filter", default=os.environ.get("FILTER", ""), help="regular expression over test names"
    )
    return parser.parse_args()


def tiny_model(build):
    """The small valid packed file that tests boot and break."""
    path = build / "boot-tests" / "tiny.axm"
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [str(build / "axiom-pack"), "--synthetic", "tiny", "-o", str(path)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return path


class Tally:
    def __init__(self):
        self.n_passed = self.n_failed = 0
        self.lock = threading.Lock()

    def result(self, name, failure=None):
        """`failure`: None, or what was wrong."""
        with self.lock:
            if failure is None:
                self.n_passed += 1
                print(f"ok - {name}")
            else:
                self.n_failed += 1
                print(f"not ok - {name}")
                for line in str(failure).splitlines():
                    print(f"    {line}")
            sys.stdout.flush()

    def skip(self, name, why):
        """A test that cannot run here, which is no failure and does not count."""
        with self.lock:
            print(f"skipped - {name}: {why}")
            sys.stdout.flush()

    def finish(self):
        """Prints the tally; returns the exit status. No test at all is a failure."""
        print(f"{self.n_passed} passed, {self.n_failed} failed")
        return 0 if self.n_failed == 0 and self.n_passed > 0 else 1
