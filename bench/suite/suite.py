#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The suite on this machine: the image in QEMU, axiom-host, and other programs with llama-bench's options,
taking turns, then the table and the page that compare them. `make bench`; results in build/bench/."""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import shlex
import sys

import command
import machine
import media
from collection import Collection, Wrong, say

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
import programs  # noqa: E402
from workshop import Missing, Workshop  # noqa: E402

# Tests as --bench takes them. Where the image is emulated it is timed with little; axiom-host and the
# peers then with the same sizes, so that logits can be compared, and with larger ones.
EMULATED = "pp=16 tg=16 reps=1 warmup=0"
SMALL, LARGE = "pp=16 tg=16 reps=3 warmup=1", "pp=128 tg=32 reps=3 warmup=1"
ROUNDS = 4  # the fewest with which a difference can be shown
FAILURES = (Missing, *media.FAILURES)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--bench", default="", help="tests of all, as axiom-host --bench takes them")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--llama-bin", type=pathlib.Path, metavar="FOLDER",
                        help="with llama-bench; by default what make bench-peers has built, if it has")
    parser.add_argument("--peer", metavar="PROGRAM", help="another one with llama-bench's options")
    parser.add_argument("--peer-args", default="", help="its own, e.g. '-rtr 1 -fa 1'")
    parser.add_argument("--peer-name", default="peer")
    machine.Virtual.add_arguments(parser)
    return parser.parse_args()


TRACE_LINES = (b'{"axiom":1,"kind":"trace"', b'{"pass":')


class Image:
    """axiom.efi in the virtual machine of `make run`."""
    name = "image"

    def __init__(self, common, virtual, works):
        self.common, self.virtual, self.works = common, virtual, works

    def run(self, work, folder):
        """(records, lines of a trace)"""
        disk = self.common.disk(self.common.build / "axiom.efi", work.options())
        boot = machine.boot(self.virtual, disk, folder)
        if boot.failure is not None:
            raise Wrong(f"the image: {boot.failure}")
        return boot.records, [line for line in boot.log.read_bytes().splitlines() if line.startswith(TRACE_LINES)]


class Host:
    """axiom-host on this machine, with as many threads as the virtual one has cores."""
    name = "axiom-host"

    def __init__(self, common, n_threads, works):
        self.common, self.n_threads, self.works = common, n_threads, works

    def run(self, work, folder):
        folder.mkdir(parents=True, exist_ok=True)
        out, trace = folder / "record.json", folder / "trace.jsonl"
        words = self.common.host_words(self.common.model, f"{work.options(trace)} -t {self.n_threads}")
        programs.checked([self.common.build / "axiom-host", *words, "--json", out])
        records = [json.loads(line) for line in out.read_bytes().splitlines()]
        return records, trace.read_bytes().splitlines() if work.traced else []


class Peer:
    """A llama-bench on the same GGUF. Several sequences side by side are none of its tests."""

    def __init__(self, common, program, n_threads, works):
        self.name, self.program = program.name, program
        self.common, self.n_threads, self.works = common, n_threads, works

    def run(self, work, folder):
        keys = dict(re.findall(r"(\w+)=([\d,]+)", work.plan))
        reps = ["-t", self.n_threads, "-r", keys.get("reps", 5), *self.program.options]
        commands = [["-p", keys.get("pp", 512), "-n", 0]]
        if keys.get("tg") != "0":
            depth = keys.get("d", "0")
            commands.append(["-p", 0, "-n", keys.get("tg", 128), *(["-d", depth] if depth != "0" else [])])
        if keys.get("pp") == "0":
            del commands[0]
        records, raw = [], []
        for sizes in commands:
            raw.append(programs.checked([self.program.bench, "-m", self.common.gguf, *sizes, *reps, "-o", "json"],
                                        env=self.program.env))
            records += programs.bench_records(raw[-1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "output.txt").write_text("".join(raw))
        return records, []


class Suite:
    def __init__(self, options, virtual):
        self.options, self.virtual, self.folder = options, virtual, options.build / "bench"
        common = media.Media(options.build, self.folder)
        small, large = ([options.bench],) * 2 if options.bench else (
            ([EMULATED], [SMALL, LARGE]) if virtual.is_emulated else ([LARGE], [LARGE]))
        small, large = [media.tests(plan) for plan in small], [media.tests(plan) for plan in large]
        extras = [dataclasses.replace(media.NOISE, once=True), media.TRACE]
        self.sides = [Host(common, virtual.smp, [media.ANSWER, *large, *extras]),
                      Image(common, virtual, [media.ANSWER, *small, *extras])]
        programs_there = list(self.peers())
        if programs_there and not common.gguf.endswith(".gguf"):
            say(f"{common.gguf} is no .gguf, which llama-bench reads: it is left out")
            programs_there = []
        self.sides += [Peer(common, program, virtual.smp, large) for program in programs_there]
        self.steps = list(self.all_steps())
        self.collection = Collection(self.folder, [side.name for side in self.sides], len(self.steps))

    def all_steps(self):
        """(round, side, number of its work, work)"""
        for i in range(self.options.rounds):
            for side in command.in_turn(self.sides, i):
                for number, work in enumerate(side.works):
                    if i == 0 or not work.once:
                        yield i, side, number, work

    def peers(self):
        llama_bin = self.options.llama_bin or Workshop(self.options.build).built_llama_bin()
        if llama_bin:
            yield programs.Llama("llama.cpp", llama_bin / "llama-bench")
        if self.options.peer:
            if not os.access(self.options.peer, os.X_OK):
                raise Missing(f"PEER: found {self.options.peer}, allowed a program that can be run")
            yield programs.Llama(self.options.peer_name, self.options.peer, shlex.split(self.options.peer_args))

    def headline(self):
        return (f"{self.virtual.smp} CPU {self.virtual.cpu}, {self.virtual.mem} MiB; "
                f"{', '.join(side.name for side in self.sides)}; {self.options.rounds} rounds")

    def all(self):
        for i, side, number, work in self.steps:
            self.collection.step(f"round {i + 1}, {side.name}: {work.name}")
            records, trace = side.run(work, self.folder / "raw" / f"{i + 1}-{side.name}-{number}")
            if work.traced:
                self.collection.add_trace(side.name, trace)
            else:
                self.collection.add(side.name, records)

    def report(self):
        self.collection.compare(self.options.build / "axiom-compare")
        if self.virtual.is_emulated:
            print("\nQEMU emulated the processor of the image (no KVM): its speeds compare with nothing but "
                  "themselves.")


if __name__ == "__main__":
    sys.exit(command.run("make bench", arguments(), Suite, FAILURES))
