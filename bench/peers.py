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
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import peers_build
import peers_report
from peers_build import FORMATS, SHAPES, Missing, say
from peers_report import counted

RUN_SECONDS = 3600  # no single run takes so long
BUSY_LOAD = 0.5     # runnable threads besides ours, at the start


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


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--shapes", type=names("SHAPES", SHAPES), default=list(SHAPES))
    parser.add_argument("--formats", type=names("FORMATS", FORMATS), default=list(FORMATS))
    parser.add_argument("--threads", type=numbers("THREADS", 1, 256), default=[1, 2])
    parser.add_argument("--pp", type=numbers("PP", 1, 2048), default=[128],
                        help="prompt lengths, e.g. '128 512'")
    parser.add_argument("--tg", type=numbers("TG", 1, 2048), default=[32])
    parser.add_argument("--rounds", type=numbers("ROUNDS", 1, 1000), default=[5])
    parser.add_argument("--llama-bin", type=pathlib.Path, metavar="FOLDER",
                        help="of llama-bench and llama-quantize, instead of building them")
    parser.add_argument("--peer", metavar="PROGRAM", help="another one with llama-bench's options")
    parser.add_argument("--peer-args", default="", help="its own, e.g. '-rtr 1 -fa 1'")
    parser.add_argument("--peer-name", default="peer")
    parser.add_argument("--only-peer", action="store_true",
                        help="leave llama.cpp out: long prompts take it minutes a model")
    args = parser.parse_args()
    if args.only_peer and not args.peer:
        parser.error("ONLY_PEER: found no PEER, allowed with PEER=program")
    return args


# ---- programs: each gives samples in tokens per second, by test name ("pp128", "tg32") -------------

def checked(command, env=None):
    """Standard output; a failure names the program and the end of what it said."""
    command = [str(c) for c in command]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", env=env, timeout=RUN_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode == 130 or done.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Missing(f"{' '.join(command)}: exit status {done.returncode}: " + " | ".join(tail))
    return done.stdout


class Axiom:
    name = "axiom"

    def __init__(self, build):
        self.program = build / "axiom-host"

    def run(self, model, n_threads, n_prompt, n_gen):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            plan = f"pp={n_prompt} tg={n_gen} reps=1 warmup=1 threads={n_threads}"
            checked([self.program, "-m", model["axm"], "--bench", plan, "--quiet",
                     "--json", file.name])
            lines = file.read().decode().splitlines()
        return {f"{'pp' if r['n_prompt'] else 'tg'}{r['n_prompt'] or r['n_gen']}": r
                for r in map(json.loads, lines)}


def bench_records(text):
    """llama-bench's JSON array; some builds print lines of their own around it."""
    begin = re.search(r"^\[\s*$", text, re.MULTILINE)
    end = text.rfind("]")
    if begin is None or end < begin.start():
        raise Missing(f"llama-bench: found no JSON array in its output: {text[:200]!r}")
    try:
        return json.loads(text[begin.start():end + 1])
    except ValueError as error:
        raise Missing(f"llama-bench: its JSON does not parse: {error}") from error


class LlamaBench:
    def __init__(self, name, program, options=()):
        self.name, self.program, self.options = name, program, options

    def run(self, model, n_threads, n_prompt, n_gen):
        # The first of two repetitions is the warm-up: what -w does differs between builds.
        out = checked([self.program, "-m", model["gguf"], "-p", n_prompt, "-n", n_gen,
                       "-t", n_threads, "-r", 2, "-o", "json", *self.options],
                      env=peers_build.library_path(pathlib.Path(self.program).parent))
        results = {}
        for r in bench_records(out):
            n_p, n_g = int(r["n_prompt"]), int(r["n_gen"])
            if (n_p == 0) == (n_g == 0):
                continue  # both at once is a test that was not asked for
            ns = [float(v) for v in r["samples_ns"]][1:]
            r["samples_ns"], r["samples_ts"] = ns, [(n_p or n_g) * 1e9 / v for v in ns]
            results[f"{'pp' if n_p else 'tg'}{n_p or n_g}"] = r
        return results


def measure_peaks(build, n_threads):
    out = checked([build / "axiom-bench-kernels", "--peaks", "--only-threads", n_threads, "--json",
                   "-", "--quiet"])
    return json.loads(out)


# ---- the run ---------------------------------------------------------------------------------------

class Run:
    def __init__(self, args, programs, models):
        self.args, self.programs, self.models = args, programs, models
        self.samples = []   # one dict a timed repetition
        self.peaks = []     # one dict a measurement
        self.failures = {}  # (program, model): message; tried no further
        self.n_done = 0
        per_round = len(args.threads) * (1 + len(models) * len(args.pp) * len(programs))
        self.n_steps = args.rounds[0] * per_round
        self.begin = time.monotonic()

    def step(self, what):
        self.n_done += 1
        elapsed = time.monotonic() - self.begin
        left = elapsed / self.n_done * (self.n_steps - self.n_done) if self.n_done > 3 else None
        minutes = f", {left / 60:.0f} min left" if left is not None else ""
        say(f"[{self.n_done}/{self.n_steps}{minutes}] {what}")

    def all(self):
        for i_round in range(self.args.rounds[0]):
            for n_threads in self.args.threads:
                self.step(f"round {i_round + 1}, {counted(n_threads, 'thread')}: read bandwidth and peak")
                self.peaks.append({"round": i_round, "n_threads": n_threads,
                                   **measure_peaks(self.args.build, n_threads)})
                for model in self.models:
                    for i_pp, n_prompt in enumerate(self.args.pp):
                        self.turn(i_round, n_threads, model, n_prompt,
                                  self.args.tg[0] if i_pp == 0 else 0)

    def turn(self, i_round, n_threads, model, n_prompt, n_gen):
        """Every program once; who is first changes from round to round."""
        shift = i_round % len(self.programs)
        for program in self.programs[shift:] + self.programs[:shift]:
            key = (program.name, model["name"])
            what = f"round {i_round + 1}, {model['name']}, {counted(n_threads, 'thread')}, pp{n_prompt}" + (
                f" tg{n_gen}" if n_gen else "") + f": {program.name}"
            if key in self.failures:
                self.n_steps -= 1
                continue
            self.step(what)
            load = os.getloadavg()[0]
            try:
                results = program.run(model, n_threads, n_prompt, n_gen)
            except Missing as error:
                say(f"peers: {error}")
                self.failures[key] = str(error)
                continue
            for test, record in results.items():
                for ts in record["samples_ts"]:
                    self.samples.append({
                        "program": program.name, "shape": model["shape"],
                        "format": model["format"], "n_threads": n_threads, "test": test,
                        "round": i_round, "ts": float(ts), "load_before": load, "record": record})


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def prepare(args):
    workshop = peers_build.Workshop(args.build)
    llama_bin = args.llama_bin or workshop.llama_bin()
    for name in ("llama-bench", "llama-quantize"):
        if not (llama_bin / name).is_file():
            raise Missing(f"LLAMA_BIN: found no {name} in {llama_bin}, allowed a folder with both")
    programs = [Axiom(args.build)]
    if not args.only_peer:
        programs.append(LlamaBench("llama.cpp", llama_bin / "llama-bench"))
    if args.peer:
        if not os.access(args.peer, os.X_OK):
            raise Missing(f"PEER: found {args.peer}, allowed a program that can be run")
        programs.append(LlamaBench(args.peer_name, args.peer, shlex.split(args.peer_args)))
    models = []
    for shape in args.shapes:
        for format_name in args.formats:
            gguf, axm, facts = workshop.models(shape, format_name, llama_bin)
            models.append({"name": f"{shape} {format_name}", "shape": shape, "format": format_name,
                           "gguf": gguf, "axm": axm, "facts": facts})
    return programs, models


def main():
    args = arguments()
    try:
        programs, models = prepare(args)
    except Missing as error:
        say(f"peers: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        say(f"peers: the machine is not idle (load {load:.2f}): figures will be noisy")
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    run = Run(args, programs, models)
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
    report = peers_report.make(
        samples=run.samples, peaks=run.peaks, failures=run.failures, models=models,
        programs=[p.name for p in programs],
        facts={"cpu": cpu_name(), "system": f"{platform.system()} {platform.release()}",
               "begun": begun, "status": "interrupted" if interrupted else "ok",
               "load_at_start": load, "rounds": args.rounds[0],
               "peer_args": args.peer_args if args.peer else None})
    folder = args.build / "peers"
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.html").write_text(peers_report.html(report))
    print(peers_report.text(report))
    say(f"peers: {folder / 'report.json'}, {folder / 'report.html'}")
    return 130 if interrupted else 1 if failure or run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
