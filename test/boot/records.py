# SPDX-License-Identifier: MIT
# The record in the firmware's variable store: it outlives the power and gets into records.jsonl at the
# next start, once; a store that has no room, or refuses, costs a note.
import json
import pathlib
import shutil
import sys

import guest
import judge
import variables

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ovmf"))
import conf  # noqa: E402
import image  # noqa: E402
import qemu  # noqa: E402

PROMPT, N = "Take this home", 5
HALF_A_LINE = b'{"axiom":1,"half of a line'


class Medium:
    """A disk and a variable store that keep what is written to them."""

    def __init__(self, suite, name, efi, prompt=PROMPT):
        self.suite = suite
        self.folder = suite.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.image = suite.image(
            name,
            {
                "EFI/BOOT/BOOTX64.EFI": efi,
                "axiom/model.axm": suite.tiny,
                "axiom/axiom.conf": suite.source(name + ".conf", conf.text(prompt, str(N), "--on-exit shutdown")),
                "startup.nsh": suite.source(name + ".nsh", "@echo -off\r\nreset -s\r\n"),
            },
        )
        self.volume = f"{self.image}@@{image.ALIGNMENT}"
        self.variables = self.folder / "variables.fd"
        shutil.copyfile(qemu.find_firmware()[1], self.variables)

    def boot(self, **machine):
        return guest.boot(
            self.folder,
            self.image,
            90,
            memory_mib=512,
            snapshot=False,
            fresh_variables=False,
            **machine,
        )

    def put(self, name, data):
        source = self.suite.source("put-" + pathlib.PurePosixPath(name).name, data)
        image.run("mcopy", "-o", "-i", self.volume, str(source), "::/" + name)

    def records(self):
        out = self.folder / "records.jsonl"
        out.unlink(missing_ok=True)
        image.run("mcopy", "-i", self.volume, "::/axiom/records.jsonl", str(out))
        return out.read_bytes()


def judge_error(line):
    record = json.loads(line)
    if record["status"] == "error" and "none.axm" in record["error"]:
        return None
    return f"the start that failed: found {line[:300]}"


def survives(suite):
    def run(results, name):
        medium = Medium(suite, "record", suite.efi)
        outcome = medium.boot(serial="none")
        kept = variables.record(medium.variables)
        failure = outcome.failure
        if failure is None and kept is None:
            failure = "the run left no record in the variable store"
        if failure is None:
            record = json.loads(kept)
            expected = suite.host_hash(suite.tiny, PROMPT, N)
            found = (record["status"], record["logits_hash"], len(kept) <= 4096)
            if found != ("ok", expected, True):
                failure = f"the record in the store, {len(kept)} bytes: found {kept[:300]}"
        results.result(name, failure)
        if failure is not None:
            return
        after_run = medium.variables.read_bytes()

        # The next start moves it, after what a cut wrote, and then fails, which is recorded too.
        medium.put("axiom/axiom.conf", "prompt x\nmodel \\axiom\\none.axm\n")
        medium.put("axiom/records.jsonl", HALF_A_LINE)
        outcome = medium.boot()
        failure = outcome.failure
        lines = medium.records().split(b"\n") if failure is None else []
        if failure is None and (len(lines) != 4 or lines[:2] != [HALF_A_LINE, kept] or lines[3]):
            failure = f"records.jsonl: found {lines}"
        if failure is None:
            failure = judge_error(lines[2])
        if failure is None and variables.record(medium.variables) is not None:
            failure = "the record is still in the variable store"
        results.result("the next start moves the record into records.jsonl, and records its error", failure)

        # As if the power had gone between the file and the variable.
        medium.variables.write_bytes(after_run)
        medium.put("axiom/records.jsonl", kept + b"\n")
        outcome = medium.boot()
        failure = outcome.failure
        lines = medium.records().split(b"\n") if failure is None else []
        if failure is None and (len(lines) != 3 or lines[0] != kept or b"none.axm" not in lines[1]):
            failure = f"records.jsonl: found {lines}"
        results.result("a record that is in records.jsonl already is not written there again", failure)

    return run


def refused(suite, kind, pattern):
    """`kind`: as axiom-fault.efi's prompt says what the firmware does."""

    def run(results, name):
        medium = Medium(suite, "record-" + kind, suite.fault_efi, kind)
        outcome = medium.boot()
        failure = judge.judge_run(outcome, suite.host_hash(suite.tiny, kind, N))
        if failure is None and pattern not in outcome.text:
            failure = f"found no {pattern!r} in\n{outcome.tail(20)}"
        if failure is None and variables.record(medium.variables) is not None:
            failure = "a record in the variable store"
        results.result(name, failure)

    return run


def scenarios(suite):
    yield "a run without a serial port leaves its record in the variable store", survives(suite)
    # OVMF itself does not start with a store that is full, so the full one is played.
    yield "a variable store without room costs a note", refused(
        suite, "variable-full", "found 2000 bytes free, at most 2000 for one variable, needed"
    )
    yield "firmware that refuses to write a variable costs a note", refused(
        suite, "variable", "writing the record: status 0x8000000000000008"
    )
