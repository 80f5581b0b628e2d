# SPDX-License-Identifier: MIT
"""The programs that are compared. Each runs one test of one model in a process of its own and gives
one sample, in tokens per second, and what else the program said.
Must not know: rounds, or what becomes of samples."""
import hashlib
import json
import pathlib
import re
import signal
import subprocess
import tempfile

import workshop
from workshop import Missing

RUN_SECONDS = 3600  # no single run takes so long


def checked(command, env=None, cwd=None, errors_too=False):
    """Standard output, with errors_too all output; a failure names the program and the end of what it
    said."""
    command = [str(c) for c in command]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", env=env, cwd=cwd, timeout=RUN_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode == 130 or done.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
        how = (f"exit status {done.returncode}" if done.returncode > 0 else
               f"ended by {signal.Signals(-done.returncode).name}")
        raise Missing(f"{' '.join(command)}: {how}: " + " | ".join(tail))
    return done.stdout + done.stderr if errors_too else done.stdout


def fingerprint(*programs):
    """Which build it is: a number of the programs' bytes."""
    digest = hashlib.sha256()
    for program in programs:
        with open(program, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


class Axiom:
    name = "axiom"

    def __init__(self, build):
        self.program = build / "axiom-host"
        self.identity = fingerprint(self.program)

    def run(self, model, n_threads, test):
        counts = (f"pp={test.n_tokens} tg=0" if test.kind == "pp" else
                  f"pp=0 tg={test.n_tokens} d={test.n_depth} npl={test.n_sequences}")
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            checked([self.program, "-m", model["axm"], "--bench",
                     f"{counts} reps=1 warmup=1 threads={n_threads}", "--quiet", "--json", file.name])
            record = json.loads(file.read())
        return float(record["samples_ts"][0]), record


class Llama:
    """A folder with llama-bench, and llama-batched-bench for many sequences."""

    def __init__(self, name, bench, options=(), batched_options=()):
        self.name, self.bench = name, pathlib.Path(bench).resolve()
        self.batched = self.bench.with_name("llama-batched-bench")
        self.options, self.batched_options = options, batched_options
        self.env = workshop.library_path(self.bench.parent)
        usage = checked([self.bench, "--help"], env=self.env)
        self.knows_depth = "--n-depth" in usage
        if not self.knows_depth and "-gp" not in usage:
            raise Missing(f"{self.bench}: found neither -d nor -gp in its --help")
        programs = [self.bench] + ([self.batched] if self.batched.is_file() else [])
        self.identity = " ".join([fingerprint(*programs), *options, *batched_options])

    def run(self, model, n_threads, test):
        if test.n_sequences != 1:
            return self.run_batched(model, n_threads, test)
        # The first of two repetitions is the warm-up: what -w does differs between builds.
        n_reps, counts = 2, ["-p", 0, "-n", test.n_tokens]
        if test.kind == "pp":
            counts = ["-p", test.n_tokens, "-n", 0]
        elif test.n_depth and self.knows_depth:
            counts += ["-d", test.n_depth]
        elif test.n_depth:
            # Older: generation after a prompt, which each repetition reads again. That is the warm-up.
            n_reps, counts = 1, ["-p", 0, "-n", 0, "-gp", f"{test.n_depth},{test.n_tokens}"]
        out = checked([self.bench, "-m", model["gguf"], *counts, "-t", n_threads, "-r", n_reps,
                       "-o", "json", *self.options], env=self.env)
        found = bench_records(out)
        if len(found) != 1 or len(found[0].get("samples_ns", [])) != n_reps:
            raise Missing(f"{self.bench}: {test}: found {len(found)} records, allowed one of "
                          f"{n_reps} samples")
        return test.n_timed * 1e9 / float(found[0]["samples_ns"][-1]), found[0]

    def run_batched(self, model, n_threads, test):
        if not self.batched.is_file():
            raise Missing(f"{self.batched}: not found, needed for {test}")
        # A prompt of one token at least: some builds fail without. The same test twice: the first is
        # the warm-up. Each sequence's share of the context is a multiple of 256.
        n_prompt, n_gen = max(1, test.n_depth), test.n_tokens
        n_ctx = test.n_sequences * ((n_prompt + n_gen + 255) // 256 * 256)
        with tempfile.TemporaryDirectory() as folder:  # for the log that some builds write
            out = checked([self.batched, "-m", model["gguf"].resolve(), "-c", n_ctx, "-b", 2048, "-ub",
                           512, "-npp", n_prompt, "-ntg", f"{n_gen},{n_gen}", "-npl",
                           test.n_sequences, "-t", n_threads, "-tb", n_threads,
                           *self.batched_options], env=self.env, cwd=folder,
                          errors_too=True)
        speeds = [float(row[7]) for row in batched_rows(out)
                  if row[:3] == [str(n_prompt), str(n_gen), str(test.n_sequences)]]
        if len(speeds) != 2:
            raise Missing(f"{self.batched}: {test}: found {len(speeds)} rows of the test, allowed 2")
        return speeds[-1], {"program": "llama-batched-bench", "speed_tg": speeds[-1]}


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


def batched_rows(text):
    """llama-batched-bench's table: PP, TG, B, N_KV, T_PP, S_PP, T_TG, S_TG, T, S."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 10 and cells[0].isdigit():
            yield cells


def measure_peaks(build, n_threads):
    out = checked([build / "axiom-bench-kernels", "--peaks", "--only-threads", n_threads, "--json",
                   "-", "--quiet"])
    return json.loads(out)
