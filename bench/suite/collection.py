# SPDX-License-Identifier: MIT
"""The records of a comparison as they come: a file for each side, equal logits, and axiom-compare over all
of them at the end.
Must not know: who the sides are, or how they were measured."""
import json
import pathlib
import subprocess
import sys
import time


class Wrong(Exception):
    """A run that failed, or results that must be equal and are not."""


def say(text):
    print(f"[{text}]", file=sys.stderr, flush=True)


class Collection:
    def __init__(self, folder, sides, n_steps):
        """sides: names, the baseline first; files of an earlier comparison go."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.records = {side: [] for side in sides}
        self.n_steps, self.n_done, self.begin = n_steps, 0, time.monotonic()
        for side in sides:
            self.path(side).unlink(missing_ok=True)

    def path(self, side):
        return self.folder / f"{side}.jsonl"

    def step(self, what):
        self.n_done += 1
        say(f"{self.n_done}/{self.n_steps}, {time.monotonic() - self.begin:.0f} s: {what}")

    def add(self, side, records):
        """Kept at once: what comes later may fail."""
        with open(self.path(side), "a", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record) + "\n")
        self.records[side] += records
        self.hashes()

    def add_trace(self, side, lines):
        """Lines of a trace stand in the file of the side's runs; nothing else is made of them here."""
        with open(self.path(side), "ab") as file:
            file.writelines(line + b"\n" for line in lines)

    def hashes(self):
        """{test: hash}. The same weights, prompt and tests give the same logits, whatever runs beneath."""
        seen = {}
        for side, records in self.records.items():
            for record in records:
                if not record.get("logits_hash"):
                    continue
                test = record.get("test") or "answer"
                first = seen.setdefault(test, (record["logits_hash"], side))
                if record["logits_hash"] != first[0]:
                    raise Wrong(f"{test}: LOGITS DIFFER: {first[1]} has hash {first[0]}, {side} has "
                                f"{record['logits_hash']}")
        return {test: found for test, (found, _) in seen.items()}

    def compare(self, program):
        """The table on standard output and the page beside the records; False: there is nothing yet."""
        have = [self.path(side) for side, records in self.records.items() if records]
        if not have:
            return False
        try:
            print("\nlogits hashes, equal in all: " +
                  ", ".join(f"{test} {found}" for test, found in self.hashes().items()) + "\n")
        except Wrong as error:
            print(f"\n{error}\n")
        sys.stdout.flush()
        page = self.folder / "report.html"
        # Its exit status says that a pair was refused or runs were few, which the table says too.
        subprocess.run([str(program), *map(str, have), "--html", str(page)], check=False)
        say(f"records: {self.folder}/*.jsonl; page: {page}")
        return True
