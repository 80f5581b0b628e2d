#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real records of axiom-host, of every kind, against bench/record.schema.json, and the page that is
made from it. Records of the image are checked where it is booted (test/boot/guest.py)."""
import argparse
import copy
import json
import pathlib
import subprocess
import sys

import jsonschema
import record_schema

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import record_doc  # noqa: E402

PROMPTS = """Hello, world
{"prompt":"a","id":"x","n":3,"temp":0.9,"seed":7}
{"prompt":"no such key","tempo":1}
{"prompt":"b","id":12.5}
"""
QUIET = ("--quiet", "--ignore-eos")


class Checks:
    def __init__(self, build):
        self.build = build
        self.folder = build / "check-records"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = self.folder / "tiny.axm"
        self.n_passed = self.n_failed = 0
        subprocess.run(
            [build / "axiom-pack", "--synthetic", "64,3,4,2,160,300", "-o", self.model],
            check=True,
            capture_output=True,
        )

    def result(self, name, failure):
        self.n_failed += failure is not None
        self.n_passed += failure is None
        print(f"{'ok  ' if failure is None else 'FAIL'} {name}" + (f": {failure}" if failure else ""))

    def host(self, *options, typed=""):
        command = [self.build / "axiom-host", "-m", self.model, *options, *QUIET]
        run = subprocess.run(
            command, input=typed.encode(), check=True, capture_output=True, timeout=120
        )
        return run.stdout.decode()

    def path(self, name):
        return self.folder / name

    def slowed(self):
        """What is wrong with the build that make bench-alternate is tried with."""
        hashes = []
        for program in ("axiom-host", "axiom-host-slowed"):
            subprocess.run([self.build / program, "-m", self.model, "-p", "Hello", "-n", "4", "--json", self.path("s.jsonl"),
                            *QUIET], check=True, capture_output=True, timeout=120)
            hashes.append(json.loads(self.path("s.jsonl").read_text())["logits_hash"])
        return None if hashes[0] == hashes[1] else f"hashes {hashes}"

    def run(self):
        """name of the check, lines it gave, how many of each kind there must be at least"""
        files = {name: self.path(name) for name in ("r.jsonl", "t.jsonl", "prompts.jsonl")}
        json_to = ("--json", files["r.jsonl"])
        trace_to = ("--trace", files["t.jsonl"])
        prompt = ("-p", "Hello", "-n", "9", "--draft", "off")

        def written(*names):
            return "".join(files[name].read_text() for name in names)

        self.host(*prompt, *json_to, *trace_to)
        yield "lines of a run and its trace", written("r.jsonl", "t.jsonl"), {"record": 1, "trace": 1, "pass": 9}
        self.host(*prompt, *json_to, "--stream", "on", "--resident-mib", "0")
        yield "lines of a run with streamed weights", written("r.jsonl"), {"record": 1}
        bench = self.host("--bench", "pp=9,20 tg=4 d=0,5 npl=1,2 threads=1,2 reps=2", *trace_to)
        kinds = {"record": 12, "trace": 12, "pass": 72}
        yield "lines of tests of --bench and their traces", bench + written("t.jsonl"), kinds
        long = self.host("--bench", "pp=0 tg=64 reps=75")
        yield "lines of a test with samples for every percentile", long, {"record": 1}
        files["prompts.jsonl"].write_text(PROMPTS)
        served = self.host("--prompts", files["prompts.jsonl"], "-n", "5")
        self.host("--chat", "-n", "5", *json_to, typed="Hello\n/save-record\nAnd?\n")
        yield "lines of a conversation", written("r.jsonl"), {"record": 2}
        yield "lines of answers to many prompts", served, {"result": 4, "record": 1}
        if "--noise" in self.host("--help"):
            yield "lines of --noise", self.host("--noise", "0.2"), {"noise": 1}

    def check_lines(self, name, text, wanted):
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        failure = record_schema.failure_in(text)
        for kind, n in wanted.items():
            found = sum(record_schema.kind_of(line) == kind for line in lines)
            if failure is None and found < n:
                failure = f"found {found} lines of kind {kind}, allowed {n} or more"
        self.result(f"{name} are as the schema says", failure)
        return lines

    def check_schema(self):
        try:
            jsonschema.Draft202012Validator.check_schema(record_schema.SCHEMA)
            failure = None
        except jsonschema.SchemaError as error:
            failure = error.message
        record = record_schema.SCHEMA["$defs"]["record"]
        if failure is None and record["required"] != list(record["properties"]):
            failure = "required and properties of a record differ"
        self.result("the schema is one, and has every field of a record required", failure)
        page = ROOT / "bench" / "RECORD.md"
        failure = None if page.read_text() == record_doc.text() else "run bench/record_doc.py > bench/RECORD.md"
        self.result("bench/RECORD.md is what the schema gives", failure)

    def check_refusals(self, record):
        """The schema refuses: any field missing, of another type, or unknown."""
        accepted = []
        for field in record:
            for value in ("missing", {}):
                wrong = copy.deepcopy(record)
                if value == "missing":
                    del wrong[field]
                else:
                    wrong[field] = value
                if record_schema.failure_of(wrong) is None:
                    accepted.append(f"{field} {value}")
        if record_schema.failure_of({**record, "n_thread": 1}) is None:
            accepted.append("n_thread")
        self.result("the schema refuses a record with a wrong field", ", ".join(accepted) or None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    checks = Checks(parser.parse_args().build)
    checks.check_schema()
    record = None
    for name, text, wanted in checks.run():
        for line in checks.check_lines(name, text, wanted):
            if record is None and record_schema.kind_of(line) == "record":
                record = line
    checks.check_refusals(record)
    checks.result("a build that is slowed on purpose computes the same", checks.slowed())
    print(f"{checks.n_passed} passed, {checks.n_failed} failed")
    return 1 if checks.n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
