#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures AXIOM beside llama.cpp, and any other program with llama-bench's options, on the same
weights in one run: the programs take turns, and the machine's read bandwidth and dot-product peak
are measured in the same rounds. `make bench-peers`; results in build/peers/."""
import argparse
import json
import os
import pathlib
import platform
import shlex
import sys
import time

import programs
import report
import tests
from samples import Samples
from workshop import FORMATS, SHAPES, Missing, Workshop, say

BUSY_LOAD = 0.5  # runnable threads besides ours, at the start


def words(text):
    return text.replace(",", " ").split()


def numbers(option, least, most):
    def parse(text):
        try:
            values = [int(word) for word in words(text)]
        except ValueError:
            values = []
        if not values or any(not least <= v <= most for v in values):
            raise argparse.ArgumentTypeError(
                f"{option}: found {text!r}, allowed whole numbers from {least} to {most}")
        return values
    return parse


def names(option, allowed):
    def parse(text):
        chosen = words(text)
        if not chosen or any(name not in allowed for name in chosen):
            raise argparse.ArgumentTypeError(
                f"{option}: found {text!r}, allowed some of {' '.join(allowed)}")
        return chosen
    return parse


def test_names(text):
    """Test names, separated by commas, or by blanks where no name has any."""
    chosen = [tests.parse(word) for word in (text.split(",") if "," in text else text.split())]
    if not chosen or None in chosen:
        raise argparse.ArgumentTypeError(
            f"TESTS: found {text!r}, allowed names as pp128, tg32, tg32@d2000, tg32x8, tg32x8@d2000")
    return chosen


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--shapes", type=names("SHAPES", SHAPES), default=list(SHAPES))
    parser.add_argument("--formats", type=names("FORMATS", FORMATS), default=list(FORMATS))
    parser.add_argument("--threads", type=numbers("THREADS", 1, 256), default=[1, 2])
    parser.add_argument("--pp", type=numbers("PP", 1, 16384), default=[128, 512, 2000],
                        help="prompt lengths; a pass of M rows is a prompt of M tokens")
    parser.add_argument("--tg", type=numbers("TG", 1, 2048), default=[32])
    parser.add_argument("--depth", type=numbers("DEPTH", 0, 16384), default=[0, 2000],
                        help="tokens in the cache before tg")
    parser.add_argument("--npl", type=numbers("NPL", 1, 64), default=[1, 8],
                        help="sequences side by side in tg, at the least depth if more than one")
    parser.add_argument("--tests", type=test_names, help="instead of PP, TG, DEPTH and NPL, by name")
    parser.add_argument("--rounds", type=numbers("ROUNDS", 1, 1000), default=[5])
    parser.add_argument("--into", type=pathlib.Path, metavar="FILE",
                        help="keep samples in this file and measure only what it does not have")
    parser.add_argument("--llama-bin", type=pathlib.Path, metavar="FOLDER",
                        help="of llama-bench, llama-batched-bench and llama-quantize, instead of building")
    parser.add_argument("--peer", metavar="PROGRAM", help="another one with llama-bench's options")
    parser.add_argument("--peer-args", default="", help="its own, e.g. '-rtr 1 -fa 1'")
    parser.add_argument("--peer-batched-args", default="",
                        help="those of the llama-batched-bench beside it, e.g. '-rtr -fa on'")
    parser.add_argument("--peer-name", default="peer")
    parser.add_argument("--only-peer", action="store_true",
                        help="leave llama.cpp out: long prompts take it minutes a model")
    parser.add_argument("--models-only", action="store_true", help="make the models and end")
    args = parser.parse_args()
    if args.only_peer and not args.peer:
        parser.error("ONLY_PEER: found no PEER, allowed with PEER=program")
    chosen = args.tests or tests.combined(args.pp, args.tg, args.depth, args.npl)
    args.tests = sorted(set(chosen), key=tests.Test.order)
    for shape in args.shapes:
        longest = max(args.tests, key=lambda t: t.n_positions)
        if longest.n_positions > SHAPES[shape]["n_ctx"]:
            parser.error(f"{shape}: found {longest} of {longest.n_positions} positions, allowed at "
                         f"most {SHAPES[shape]['n_ctx']}")
    return args


class Run:
    def __init__(self, args, compared, models, samples):
        self.args, self.compared, self.models, self.samples = args, compared, models, samples
        self.failures = {}  # (program, model, test): message; tried no further
        self.n_done = 0
        self.n_steps = sum(1 for _ in self.steps())
        self.begin = time.monotonic()

    def steps(self):
        """What is still to be measured: peaks (program None), or one sample. Programs take turns at each
        test; who is first changes from round to round."""
        for i_round in range(self.args.rounds[0]):
            for n_threads in self.args.threads:
                if (i_round, n_threads) not in self.samples.peaks_done:
                    yield i_round, n_threads, None, None, None
                for model in self.models:
                    for test in self.args.tests:
                        shift = i_round % len(self.compared)
                        for program in self.compared[shift:] + self.compared[:shift]:
                            key = (program.name, model["shape"], model["format"], n_threads,
                                   str(test), i_round)
                            if key not in self.samples.done:
                                yield i_round, n_threads, model, test, program

    def say_step(self, what):
        self.n_done += 1
        elapsed = time.monotonic() - self.begin
        left = elapsed / self.n_done * (self.n_steps - self.n_done) if self.n_done > 3 else None
        minutes = f", {left / 60:.0f} min left" if left is not None else ""
        say(f"[{self.n_done}/{self.n_steps}{minutes}] {what}")

    def all(self):
        for i_round, n_threads, model, test, program in self.steps():
            where = f"round {i_round + 1}, {report.counted(n_threads, 'thread')}"
            if program is None:
                self.say_step(f"{where}: read bandwidth and peak")
                self.samples.add_peaks({"round": i_round, "n_threads": n_threads,
                                        **programs.measure_peaks(self.args.build, n_threads)})
            elif (program.name, model["name"], str(test)) in self.failures:
                self.n_steps -= 1
            else:
                self.say_step(f"{where}, {model['name']}, {test}: {program.name}")
                self.measure(i_round, n_threads, model, test, program)

    def measure(self, i_round, n_threads, model, test, program):
        load = os.getloadavg()[0]
        try:
            speed, record = program.run(model, n_threads, test)
        except Missing as error:
            say(f"peers: {error}")
            self.failures[program.name, model["name"], str(test)] = str(error)
            return
        self.samples.add({
            "program": program.name, "identity": program.identity, "shape": model["shape"],
            "format": model["format"], "model_facts": model["facts"], "n_threads": n_threads,
            "test": str(test), "round": i_round, "ts": speed, "load_before": load,
            "record": record})


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def prepare(args):
    workshop = Workshop(args.build)
    llama_bin = args.llama_bin or workshop.llama_bin()
    for name in ("llama-bench", "llama-quantize"):
        if not (llama_bin / name).is_file():
            raise Missing(f"LLAMA_BIN: found no {name} in {llama_bin}, allowed a folder with both")
    models = []
    for shape in args.shapes:
        for format_name in args.formats:
            gguf, axm, facts = workshop.models(shape, format_name, llama_bin)
            models.append({"name": f"{shape} {format_name}", "shape": shape, "format": format_name,
                           "gguf": gguf, "axm": axm, "facts": facts})
    compared = [programs.Axiom(args.build)]
    if not args.only_peer:
        compared.append(programs.Llama("llama.cpp", llama_bin / "llama-bench"))
    if args.peer:
        if not os.access(args.peer, os.X_OK):
            raise Missing(f"PEER: found {args.peer}, allowed a program that can be run")
        compared.append(programs.Llama(args.peer_name, args.peer, shlex.split(args.peer_args),
                                       shlex.split(args.peer_batched_args)))
    return compared, models


def main():
    args = arguments()
    load = os.getloadavg()[0]
    folder = args.build / "peers"
    facts = {"cpu": cpu_name(), "system": f"{platform.system()} {platform.release()}",
             "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "load_at_start": load}
    try:
        compared, models = prepare(args)
        if args.models_only:
            return 0
        samples = Samples(args.into or folder / "samples.jsonl", facts,
                          {p.name: p.identity for p in compared}, keep=args.into is not None)
    except Missing as error:
        say(f"peers: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    if load > BUSY_LOAD:
        say(f"peers: the machine is not idle (load {load:.2f}): figures will be noisy")
    run = Run(args, compared, models, samples)
    interrupted = False
    failure = None
    try:
        run.all()
    except KeyboardInterrupt:
        interrupted = True
        say("peers: interrupted; what was measured follows")
    except Missing as error:  # the peaks: nothing to compare with
        failure = str(error)
        say(f"peers: {error}")
    made = report.make(samples=samples.samples, peaks=samples.peaks, failures=run.failures,
                       facts={**samples.facts, "status": "interrupted" if interrupted else "ok",
                              "peer_args": args.peer_args if args.peer else None})
    kept = samples.path.with_suffix("") if args.into else folder / "report"
    page, figures = kept.with_suffix(".html"), kept.with_suffix(".json")
    figures.write_text(json.dumps(made, indent=1) + "\n")
    page.write_text(report.html(made))
    print(report.text(made))
    say(f"peers: {samples.path}, {figures}, {page}")
    return 130 if interrupted else 1 if failure or run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
