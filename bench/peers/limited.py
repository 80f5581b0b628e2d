#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A model in a memory cgroup too small for it: llama.cpp, whose mapped file is read again and again, and AXIOM, which
streams it, taking turns. `make bench-stream PEER=...`."""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import workshop
from cgroup import MemoryCgroup
from programs import bench_records, checked
from workshop import Missing, say

MIB = 1 << 20
# What either program has beside weights: buffers, keys and values, activations, its own text.
BESIDE_MIB = 128
SEQUENCES = 8


def drop(path):
    """No page of the file stays in memory, where another cgroup may have it."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def run(command, env=None):
    """What it wrote, seconds, bytes it had read from disks."""
    command = [str(c) for c in command]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=env)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # an interruption: nobody may stay in the cgroup
            child.kill()
            child.wait()
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begin
        if child.returncode != 0:
            errors.seek(0)
            how = "ended by the system, for want of memory?" if child.returncode == -9 else (
                f"exit status {child.returncode}")
            raise Missing(f"{' '.join(command)}: {how}: " + " | ".join(errors.read().splitlines()[-3:]))
        out.seek(0)
        return out.read(), seconds, usage.ru_inblock * 512


class Llama:
    """Weights as the file has them: repacked ones would be memory of the program's own, and not fit."""
    name = "llama.cpp"

    def __init__(self, o):
        self.o, self.model = o, o.gguf
        self.env = workshop.library_path(o.peer.parent)
        usage = checked([o.peer, "--help"], env=self.env)
        self.words = ["-lm", "mmap"] if "--load-mode" in usage else ["-mmp", 1]
        if "--repack" in usage:
            self.words += ["--repack", 0]

    def sample(self, cgroup):
        drop(self.model)
        text, seconds, n_bytes = run(cgroup.inside(
            [self.o.peer, "-m", self.model, "-p", 0, "-n", self.o.tokens, "-t", self.o.threads, "-r", 2,
             *self.words, "-o", "json"]), self.env)
        record = bench_records(text)[0]
        return {"ts": self.o.tokens * 1e9 / record["samples_ns"][-1], "gb_per_s": n_bytes / seconds * 1e-9}


class Axiom:
    def __init__(self, o, n_sequences):
        self.o, self.model, self.n = o, o.axm, n_sequences
        self.name = "AXIOM" if n_sequences == 1 else f"AXIOM x{n_sequences}"

    def sample(self, cgroup):
        drop(self.model)
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            run(cgroup.inside(
                [self.o.build / "axiom-host", "-m", self.model, "-q", "--bench",
                 f"pp=0 tg={self.o.tokens} reps=1 warmup=1 npl={self.n} threads={self.o.threads}",
                 "--json", file.name]))
            r = json.loads(file.read())
        if r["stream"] != "on":
            raise Missing(f"{self.model} was not streamed in {cgroup.limit_bytes // MIB} MiB")
        return {"ts": r["avg_ts"], "gb_per_s": r["disk_gb_per_s"], "hash": r["logits_hash"],
                "streamed": sum(layer["bytes"] for layer in r["layers"]), "layers": r["n_streamed_layers"],
                "start": r["disk_start_gb_per_s"], "hidden": r["disk_hidden"]}


def spread(samples, key, digits=2):
    values = [s[key] for s in samples]
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def median(samples, key):
    return statistics.median([s[key] for s in samples])


def table(o, samples):
    print(f"{o.axm.name}, {o.axm.stat().st_size / 1e6:.0f} MB, {o.threads} threads, {o.tokens} tokens a run, "
          f"median (least..most) of {o.rounds}")
    print("| share | limit, MiB | llama.cpp t/s | GB/s | AXIOM t/s | GB/s | of the start's | streamed | x | 0.9/(1-r) "
          f"| {SEQUENCES} at a time t/s | GB/s | x one |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for share in o.shares:
        llama, one, many = (samples[share, name] for name in ("llama.cpp", "AXIOM", f"AXIOM x{SEQUENCES}"))
        print(f"| {share} % | {o.limit(share) // MIB} | {spread(llama, 'ts')} | {median(llama, 'gb_per_s'):.2f} "
              f"| {spread(one, 'ts')} | {median(one, 'gb_per_s'):.2f} "
              f"| {median(one, 'gb_per_s') / median(one, 'start'):.2f} "
              f"| {one[0]['layers']} layers, {one[0]['streamed'] / 1e6:.0f} MB "
              f"| {median(one, 'ts') / median(llama, 'ts'):.2f} | {0.9 / (1 - share / 100):.2f} "
              f"| {spread(many, 'ts')} | {median(many, 'gb_per_s'):.2f} "
              f"| {median(many, 'ts') / median(one, 'ts'):.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--axm", type=pathlib.Path, required=True, help="the packed model")
    parser.add_argument("--gguf", type=pathlib.Path, required=True, help="the same model for llama.cpp")
    parser.add_argument("--peer", type=pathlib.Path, required=True, help="llama-bench")
    parser.add_argument("--shares", default="75 50 25", help="percents of the file that fit")
    parser.add_argument("--beside-mib", type=int, default=BESIDE_MIB, help="of the limit, for what is not weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    o = parser.parse_args()
    o.shares = [int(word) for word in o.shares.split()]
    o.limit = lambda share: (o.axm.stat().st_size * share // 100) + o.beside_mib * MIB
    kinds = [Llama(o), Axiom(o, 1), Axiom(o, SEQUENCES)]
    samples = {(share, kind.name): [] for share in o.shares for kind in kinds}
    for i in range(o.rounds):
        for share in o.shares:
            with MemoryCgroup(o.limit(share)) as cgroup:
                for kind in kinds[i % len(kinds):] + kinds[:i % len(kinds)]:
                    sample = kind.sample(cgroup)
                    samples[share, kind.name].append(sample)
                    say(f"round {i + 1}, {share} %, {o.limit(share) // MIB} MiB: {kind.name} {sample['ts']:.2f} t/s, "
                        f"{sample['gb_per_s']:.2f} GB/s")
    for n in (1, SEQUENCES):
        hashes = {s["hash"] for (_, name), ss in samples.items() for s in ss if name == Axiom(o, n).name}
        if len(hashes) != 1:
            raise Missing(f"different hashes: {hashes}")
    table(o, samples)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except Missing as error:
        sys.exit(f"bench-stream: {error}")
