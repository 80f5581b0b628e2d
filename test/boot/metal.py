# SPDX-License-Identifier: MIT
# Boots on machines that lack something or are broken: no PM timer, no HPET, no PIT, errors that the
# hardware corrects or does not.
import json
import re
import socket

import conf
import guest
import judge

TEXT = "Hello, bare metal"
N_TOKENS = 8
# The first of two tests has ended, the second one takes seconds.
FIRST_RECORD = re.compile(rb'\{"axiom":[^\n]*\n')
BENCH = '--bench "pp=4 tg=64 reps=20 warmup=0"'
# Banks' status: valid, uncorrected, enabled, misc and address valid, context corrupt; and a corrected one.
UNCORRECTED, CORRECTED = 0xBE00000000000175, 0x9400000000000151


def command(path, line):
    """A line to QEMU's monitor, through its control socket."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(path))
        replies = control.makefile()
        replies.readline()
        for request in (
            {"execute": "qmp_capabilities"},
            {"execute": "human-monitor-command", "arguments": {"command-line": line}},
        ):
            control.sendall(json.dumps(request).encode() + b"\n")
            reply = json.loads(replies.readline())
            while "event" in reply:
                reply = json.loads(replies.readline())
            if "error" in reply or reply["return"]:
                raise RuntimeError(f"{line}: {reply}")


def lacks(outcome, *patterns):
    """None, or the first of the patterns that the serial text lacks."""
    for pattern in patterns:
        if not re.search(pattern, outcome.text):
            return f"found no {pattern!r} in\n{outcome.tail(25)}"
    return None


class Metal:
    def __init__(self, suite):
        self.suite = suite

    def boot(self, label, efi, text=TEXT, options="", reactions=(), model=None, n=N_TOKENS, **machine):
        files = {
            "EFI/BOOT/BOOTX64.EFI": efi,
            "axiom/model.axm": model or self.suite.tiny,
            "axiom/axiom.conf": self.suite.source(
                label + ".conf", conf.text(text, str(n), "--ignore-eos " + options)
            ),
        }
        image = self.suite.image(label, files)
        machine = {"memory_mib": 512, **machine}
        return guest.boot(self.suite.folder / label, image, 120, reactions, **machine)

    def clock(self, label, reference, extra=()):
        """Without a PM timer, and what `extra` takes away."""

        def run(results, name):
            outcome = self.boot(label, self.suite.fault_efi, "no-pm", extra=extra)
            expected = self.suite.host_hash(self.suite.tiny, "no-pm", N_TOKENS)
            failure = judge.judge_run(outcome, expected)
            found = (outcome.record or {}).get("tsc_reference")
            if failure is None and found != reference:
                failure = f"tsc_reference: found {found}, allowed {reference}"
            results.result(name, failure or lacks(outcome, f"MHz against the {reference}, spread"))

        return run

    def leaves(self, label, kind, options, *patterns, **machine):
        """The firmware's ResetSystem only says where it was called: the machine goes off all the same."""

        def run(results, name):
            outcome = self.boot(label, self.suite.fault_efi, kind, options, **machine)
            results.result(name, outcome.failure or lacks(outcome, *patterns))

        return run

    def high_memory(self, results, name):
        # A small model would come through the file system's own buffers.
        model = self.suite.default
        outcome = self.boot(
            "high-dma", self.suite.fault_efi, "high-dma", model=model, n=2, memory_mib=6144
        )
        expected = self.suite.host_hash(model, "high-dma", 2)
        failure = judge.judge_run(outcome, expected)
        note = r"note      \\axiom\\model\.axm: .*; it is read again by way of memory below 4 GiB"
        results.result(name, failure or lacks(outcome, note))

    def facts(self, results, name):
        outcome = self.boot("facts", self.suite.efi, extra=["-device", "e1000"])
        failure = judge.judge_run(outcome, self.suite.host_hash(self.suite.tiny, TEXT, N_TOKENS))
        record = outcome.record or {}
        # What this emulation has none of is null, and not 0.
        found = {
            field: record.get(field)
            for field in ("frequency_method", "frequency_before", "frequency_after", "n_smi", "nodes")
        }
        if failure is None and any(value is not None for value in found.values()):
            failure = f"the record: found {found}, allowed null for each"
        if failure is None and not re.fullmatch("0x[0-9a-f]+", record.get("microcode") or ""):
            failure = f"microcode: found {record.get('microcode')}"
        counts = record.get("n_corrected_errors"), record.get("n_siblings")
        if failure is None and counts != (0, 0):
            failure = f"corrected errors and siblings: found {counts}, allowed 0 and 0"
        results.result(name, failure or lacks(outcome, r"pci +[1-9]\d* of \d+ functions may no longer"))

    def machine_check(self, label, status, judge_outcome):
        def run(results, name):
            control = self.suite.folder / (label + ".qmp")
            control.unlink(missing_ok=True)
            # cpu, bank, its status, global status, address, misc
            line = f"mce 0 3 {status:#x} 5 0x12345000 0x86"
            outcome = self.boot(
                label,
                self.suite.efi,
                options=BENCH,
                reactions=[(FIRST_RECORD, lambda: command(control, line))],
                extra=["-qmp", f"unix:{control},server=on,wait=off"],
                cpus=2,
            )
            results.result(name, outcome.failure or judge_outcome(outcome))

        return run


def judge_corrected(outcome):
    found = [r.get("n_corrected_errors") for r in outcome.records]
    if found != [0, 1]:
        return f"n_corrected_errors: found {found}, allowed [0, 1]"
    return lacks(outcome, "hardware +1 error was corrected")


def judge_uncorrected(outcome):
    if len(outcome.records) != 1:
        return f"found {len(outcome.records)} records, allowed one from before"
    return lacks(
        outcome,
        r"exception: #MC machine check \(vector 18\).* \(1 other stopped\)",
        r"machine check: global status 0x5, 1 bank\n",
        r"bank 3: status 0xbe00000000000175, uncorrected, address 0x12345000, misc 0x86\n",
    )


RESET_HERE = r"fault     ResetSystem on cpu 0 \(apic 0\)"


def scenarios(suite):
    metal = Metal(suite)
    yield "devices are stopped, and the record has null for what was not measured", metal.facts
    yield "a disk that cannot reach high memory is read by way of low memory", metal.high_memory
    yield "ACPI powers off a machine whose firmware does not", metal.leaves(
        "reset-off", "reset", "", '"status":"ok"', RESET_HERE
    )
    yield "ACPI resets a machine whose firmware does not", metal.leaves(
        "reset-reboot", "reset", "--on-exit reboot", '"status":"ok"', RESET_HERE
    )
    yield "after a crash of another core the boot processor powers off", metal.leaves(
        "reset-ap",
        "ap-reset",
        "",
        r"panic: .* cpu 2 \(apic 2\) \(2 others stopped\)",
        RESET_HERE,
        cpus=3,
    )
    yield "without a PM timer the HPET measures the TSC", metal.clock("no-pm", "HPET")
    yield "without PM timer and HPET the PIT measures the TSC", metal.clock(
        "no-hpet", "PIT", ["-machine", "hpet=off"]
    )
    yield "without PM timer, HPET and PIT the firmware's Stall measures the TSC", metal.clock(
        "no-pit", "firmware's Stall", ["-machine", "hpet=off,pit=off"]
    )
    yield "an error that the hardware corrected is counted in the record of its test", metal.machine_check(
        "mce-corrected", CORRECTED, judge_corrected
    )
    yield "a machine check names its bank and the machine goes off", metal.machine_check(
        "mce-fatal", UNCORRECTED, judge_uncorrected
    )
