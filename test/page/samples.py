# SPDX-License-Identifier: MIT
"""Measurements made up for the tests of the page: every kind that it draws, as programs write them.
The numbers are the same in every run."""
import json
import random

N_LAYER = 6
CPU = "Made-up CPU </script><i>9</i><img src=x>"
BOOT = ("firmware", "console", "find", "load", "verify", "exit", "paging", "cores", "choice", "slab",
        "prefill")


def histogram(rng, middle_ns, n, tail=0):
    counts = [0] * 24
    for _ in range(n):
        counts[min(23, max(0, int(rng.gauss(8, 2))))] += 1
    for _ in range(tail):
        counts[rng.randrange(16, 24)] += 1
    while not counts[-1]:
        counts.pop()
    return {"from_ns": middle_ns / 4, "per_doubling": 4, "counts": counts}


def record(rng, test, ts, **more):
    speeds = [round(ts * rng.uniform(0.98, 1.02), 3) for _ in range(3)]
    out = {"axiom": 1, "status": "ok", "build_commit": "aaaaaaaaaaaa", "backend": "linux",
           "cpu_info": CPU, "kernel_set": "avx2", "test_time": "2026-11-26T12:00:00Z",
           "model_filename": "models/small-Q4_0.axm", "model_type": "llama 135M Q4_0",
           "axm_checksum": "0123456789abcdef", "model_n_params": 134515008, "n_threads": 2, "test": test,
           "avg_ts": ts, "samples_ts": speeds, "logits_hash": "ebdf0e79379eae6d"}
    if test.startswith("tg"):
        out["gb_per_s"] = round(ts * 0.09, 3)
    for name, middle in (("token", 1e9 / ts), ("layer", 3e5), ("boundary", 500)):
        out[name + "_n"] = 900
        out[name + "_histogram"] = histogram(rng, middle, 896, 4)
        out[name + "_p50_ns"], out[name + "_p99_ns"] = middle, middle * 2
        out[name + "_max_ns"] = middle * 9
    out["command"] = f"axiom-host --bench {test}"
    out.update(more)
    return out


def noise(rng, core):
    return {"axiom": 1, "kind": "noise", "backend": "linux", "build_commit": "aaaaaaaaaaaa", "core": core,
            "threshold_ns": 1000, "duration_ns": 2000000000, "n_gaps": 510, "gap_ns": 4000000,
            "gap_p50_ns": 3000, "gap_p99_ns": 30000, "gap_max_ns": 90000,
            "gap_histogram": histogram(rng, 4000, 500, 10), "fwq_work": 4096,
            "fwq_histogram": histogram(rng, 50000, 1000, 3), "smi_count": 0, "steal_ns": 1234}


def trace(rng, backend, slow_layer=None):
    lines = [{"axiom": 1, "kind": "trace", "model_filename": "models/small-Q4_0.axm",
              "axm_checksum": "0123456789abcdef", "test": "tg32", "backend": backend,
              "kernel_set": "avx2", "n_threads": 2, "n_layer": N_LAYER, "tsc_hz": 2000000000}]
    for i in range(12):
        layers = []
        for layer in range(N_LAYER):
            factor = 1.5 if layer == slow_layer else 1
            layers.append([round(rng.uniform(90e3, 110e3)), round(rng.uniform(190e3, 210e3) * factor),
                           round(rng.uniform(400, 600)), 0])
        lines.append({"pass": i, "stage": "decode", "rows": 1,
                      "ns": sum(map(sum, layers)) + 50000, "layers": layers})
    return lines


def write(path, objects):
    path.write_text("".join(json.dumps(o) + "\n" for o in objects))
    return path


def make(folder):
    """{name: (file, its objects)}, the baseline first."""
    rng = random.Random(10)
    base = [record(rng, test, ts * rng.uniform(0.97, 1.03))
            for _ in range(6) for test, ts in (("pp64", 900.0), ("tg32", 200.0))]
    base += [record(rng, "tg32", 185 * rng.uniform(0.97, 1.03), disturb="tick=1000",
                    n_disturb_ticks=160) for _ in range(6)]
    base += [noise(rng, core) for core in (0, 1)]
    other = [record(rng, test, ts * rng.uniform(0.97, 1.03), build_commit="bbbbbbbbbbbb", backend="uefi",
                    boot_phases=[{"name": name, "ns": 1000000 * (3 + i)} for i, name in enumerate(BOOT)])
             for _ in range(6) for test, ts in (("pp64", 880.0), ("tg32", 230.0))]
    peaks = [{"axiom_bench_kernels": 1, "cpu_info": CPU, "dot": [],
              "read": [{"n_threads": 2, "gb_per_s": 25.5}]}]
    files = {"first.jsonl": base, "second.jsonl": other, "first.trace": trace(rng, "linux"),
             "second.trace": trace(rng, "uefi", slow_layer=4), "peaks.json": peaks}
    return {name: (write(folder / name, objects), objects) for name, objects in files.items()}
