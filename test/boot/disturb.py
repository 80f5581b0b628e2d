# SPDX-License-Identifier: MIT
# Boots that are disturbed on purpose: NMIs from outside while --noise looks, and every --disturb, which
# must not change a bit of the logits.
import json
import re
import socket
import time

import conf
import guest
import judge

N_NMIS = 3
TEXT = "Hello, disturbed world"
N_TOKENS = 8
# Shown once the loop has run for two seconds.
LOOKING = re.compile(rb"measuring noise")


def inject_nmis(path):
    """By QEMU's control socket, each after the one before has been handled."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(path))
        replies = control.makefile()
        replies.readline()
        for command in ["qmp_capabilities"] + ["inject-nmi"] * N_NMIS:
            control.sendall(json.dumps({"execute": command}).encode() + b"\n")
            reply = json.loads(replies.readline())
            while "event" in reply:
                reply = json.loads(replies.readline())
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error']}")
            time.sleep(0.3)


class Disturbed:
    def __init__(self, suite):
        self.suite = suite

    def boot(self, label, options, reactions=(), **machine):
        files = {
            "EFI/BOOT/BOOTX64.EFI": self.suite.efi,
            "axiom/model.axm": self.suite.tiny,
            "axiom/axiom.conf": self.suite.source(
                label + ".conf", conf.text(TEXT, str(N_TOKENS), "--ignore-eos " + options)
            ),
        }
        image = self.suite.image(label, files)
        machine = {"memory_mib": 512, "cpus": 2, **machine}
        return guest.boot(self.suite.folder / label, image, 120, reactions, **machine)

    def nmis(self, results, name):
        control = self.suite.folder / "noise.qmp"
        control.unlink(missing_ok=True)
        outcome = self.boot(
            "noise-nmi",
            "--noise 6",
            [(LOOKING, lambda: inject_nmis(control))],
            extra=["-qmp", f"unix:{control},server=on,wait=off"],
        )
        records = [r for r in outcome.records if r.get("kind") == "noise"]
        failure = outcome.failure
        if failure is None and [r.get("core") for r in records] != [0, 1]:
            failure = f"found noise records of {[r.get('core') for r in records]}, allowed 0 and 1"
        found = [r.get("n_nmi") for r in records]
        # The line by which QEMU sends them is connected to the boot processor alone.
        if failure is None and found != [N_NMIS, 0]:
            failure = f"n_nmi: found {found}, allowed {[N_NMIS, 0]}"
        for r in records:
            counts = (r.get("gap_histogram") or {}).get("counts", [])
            if failure is None and not sum(counts) == r["n_gaps"] > 0:
                failure = f"core {r['core']}: gap_histogram has {sum(counts)}, n_gaps is {r['n_gaps']}"
        if failure is None and "record    kept" in outcome.text:
            failure = "a record of no run was kept by the firmware"
        results.result(name, failure)

    def running(self, label, what, ticks, *patterns):
        """A run that is disturbed: the hash of one that is not, and the record says so."""

        def run(results, name):
            outcome = self.boot(label, f"--disturb {what}")
            expected = self.suite.host_hash(self.suite.tiny, TEXT, N_TOKENS)
            failure = judge.judge_run(outcome, expected, n_threads=2)
            record = outcome.record or {}
            n_ticks = record.get("n_disturb_ticks")
            if failure is None and record.get("disturb") != what:
                failure = f"disturb in the record: found {record.get('disturb')}, allowed {what}"
            if failure is None and (bool(n_ticks) if ticks else n_ticks is None) is False:
                failure = f"n_disturb_ticks: found {n_ticks}, allowed {'some' if ticks else 'null'}"
            for pattern in patterns:
                if failure is None and not re.search(pattern, outcome.text):
                    failure = f"found no {pattern!r} in\n{outcome.tail(25)}"
            results.result(name, failure)

        return run


def scenarios(suite):
    disturbed = Disturbed(suite)
    yield "ticks inside layers that walk a buffer leave the logits hash", disturbed.running(
        "disturb-tick", "tick=5000,evict=64,boundary=stage", True
    )
    yield "4 KiB pages in another order leave the logits hash", disturbed.running(
        "disturb-scatter",
        "scatter,boundary=token",
        False,
        r"pages +weights in 0 of 1 GiB, 0 of 2 MiB, \d+ of 4 KiB",
    )
    yield "injected NMIs are counted while --noise looks, and nothing else comes of them", disturbed.nmis
