#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What an operating system costs inference: the same virtual machine boots AXIOM, a tuned Linux and Linux
as Debian boots it, taking turns, with the same model and tests. `make bench-linux`; results in
build/bench/linux/. The text for prompt, model and ARGS comes by environment, as for `make run`."""
import argparse
import pathlib
import sys

import command
import figures
import linux_guest
import machine
import media
import systems
from collection import Collection, Wrong

# Small where everything is emulated: 16 tokens of 30 layers are enough samples of a layer for a p99.
EMULATED = {"bench": "pp=16 tg=16 reps=1 warmup=0", "rounds": 1}
REAL = {"bench": "pp=128 tg=64 reps=3 warmup=1", "rounds": 5}
FAILURES = (*linux_guest.FAILURES, *media.FAILURES)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--kernel", default=linux_guest.KERNEL, help="the package")
    parser.add_argument("--bench", default="", help="tests, as axiom-host --bench takes them")
    parser.add_argument("--rounds", type=int, default=0)
    machine.Virtual.add_arguments(parser)
    return parser.parse_args()


class Bench:
    def __init__(self, options, virtual):
        self.options, self.virtual = options, virtual
        self.build, self.folder = options.build, options.build / "bench" / "linux"
        self.media = media.Media(self.build, self.folder)
        guest = linux_guest.Guest(self.build / "bench" / "guest", virtual.disk, options.kernel)
        self.facts = guest.facts
        self.systems = systems.all_of(int(virtual.smp))
        self.programs = {s.name: guest.program(s) if s.is_linux else self.build / "axiom.efi" for s in self.systems}
        defaults = EMULATED if virtual.is_emulated else REAL
        self.tests = options.bench or defaults["bench"]
        self.rounds = options.rounds or defaults["rounds"]
        self.works = [media.ANSWER, media.tests(self.tests), media.NOISE]
        self.chosen = ""  # kernels and reading, as the first boot chose them
        self.boots = {(s.name, work.name): [] for s in self.systems for work in self.works}
        self.collection = Collection(self.folder, [s.name for s in self.systems],
                                     self.rounds * len(self.systems) * len(self.works))

    def headline(self):
        v = self.virtual
        return (f"{v.machine}, {v.smp} CPU {v.cpu}, {v.mem} MiB, {v.disk} disk; {self.facts}; "
                f"{self.rounds} rounds of {self.tests}")

    def all(self):
        for i in range(self.rounds):
            # AXIOM's first answer chooses the kernels for everyone.
            for system in command.in_turn(self.systems, i):
                for number, work in enumerate(self.works):
                    self.collection.step(f"round {i + 1}, {system.title}: {work.name}")
                    self.one(system, work, self.folder / "raw" / f"{i + 1}-{system.name}-{number}")

    def one(self, system, work, folder):
        # The same image for all, but for the program that firmware starts and the file of its options.
        disk = self.media.disk(self.programs[system.name], f"{self.chosen} {work.options()}",
                               ["--json", "-", *system.options] if system.is_linux else None)
        boot = machine.boot(self.virtual, disk, folder)
        if boot.failure is not None:
            raise Wrong(f"{system.title}, {work.name}: {boot.failure}")
        self.boots[system.name, work.name].append(boot)
        self.collection.add(system.name, boot.records)
        if not self.chosen:
            record = boot.records[0]
            self.chosen = (f"--isa {record['kernel_set']} "
                           f"--reading {record['read_streams']},{record['read_ahead_bytes']},{record['read_tokens']}")

    # --- what is printed

    def what_was_on(self):
        for system in self.systems:
            boots = [boot for work in self.works for boot in self.boots[system.name, work.name]]
            guest = boots[-1].of_kind("linux") if boots else None
            if guest is None:
                continue
            took = [f"{s['path'].rsplit('/', 1)[1]}={s['value']}" for s in guest["settings"] if s["n_set"]]
            not_there = [s["path"] for s in guest["settings"] if not s["n_set"]]
            print(f"{system.title}: {guest['kernel']}, isolated {guest['isolated'] or 'none'}, nohz_full "
                  f"{guest['nohz_full'] or 'none'}, governor {guest['governor'] or 'none here'}, huge pages "
                  f"{guest['huge_pages']}, clock {guest['clocksource']}")
            print(f"  {guest['command_line']}")
            if took:
                print(f"  set: {' '.join(took)}")
            if not_there:
                print(f"  not in this machine: {' '.join(not_there)}")

    def records(self, key, wanted):
        """{key(record): of each system its records} of those that are wanted."""
        out = {}
        for i, system in enumerate(self.systems):
            for record in filter(wanted, self.collection.records[system.name]):
                out.setdefault(key(record), [[] for _ in self.systems])[i].append(record)
        return out

    def figures(self):
        answers = [[figures.Answer(boot.records[0], boot.of_kind("linux"))
                    for boot in self.boots[system.name, media.ANSWER.name]] for system in self.systems]
        rows = list(figures.rows_of(figures.ANSWER_ROWS, answers))
        for test, groups in self.records(lambda r: r["test"], lambda r: r.get("test")).items():
            rows += figures.rows_of(figures.TEST_ROWS, groups, prefix=f"{test}: ")
        # Core 0 of a tuned Linux has the kernel's own work.
        which = lambda r: "core 0" if r["core"] == 0 else "other cores"
        for cores, groups in self.records(which, lambda r: r.get("kind") == "noise").items():
            rows += figures.rows_of(figures.NOISE_ROWS, groups, prefix=f"{cores}: ")
        n = [str(len(a)) for a in answers]
        return figures.table(["", *(s.title for s in self.systems)], [["boots that answered", *n], *rows])

    def report(self):
        if not any(self.boots.values()):
            return
        print()
        self.what_was_on()
        print(f"kernels, the same for all: {self.chosen}")
        print()
        print(self.figures())
        self.collection.compare(self.build / "axiom-compare")
        if self.virtual.is_emulated:
            print("\nQEMU emulated the processor (no KVM): its microseconds prove nothing about an operating "
                  "system's cost.\nWhat holds are the hashes, the memory, and that every part works.")


if __name__ == "__main__":
    sys.exit(command.run("make bench-linux", arguments(), Bench, FAILURES))
