# SPDX-License-Identifier: MIT
"""What each mechanism of an operating system costs, put back one at a time: axiom-host with every --disturb beside
itself undisturbed, taking turns. A sample is one process. Samples are kept as records, a file a disturbance, so that
a run goes on where it was interrupted; the statistics are axiom-compare's. The logits hash must not change."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BASE = "undisturbed"
DISTURBANCES = ["tick=100", "tick=1000", "tick=1000,evict=256", "tick=1000,evict=1024", "pages=4k", "scatter",
                "boundary=stage", "boundary=token"]
# What is compared beside tokens/s: times, of which less is better.
TIMES = [f"{of}_{what}_ns" for of in ("token", "layer") for what in ("p50", "p99", "max")]


def model_of(o, shape):
    path = pathlib.Path(o.build) / "bench" / f"{shape}-q4.axm"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([f"{o.build}/axiom-pack", "--synthetic", shape, "-o", str(path)], check=True,
                       stdout=subprocess.DEVNULL)
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_once(o, model, disturbance, path):
    command = [f"{o.build}/axiom-host", "-m", str(model), "--bench", o.tests, "-q", "--json"]
    if disturbance != BASE:
        command[-1:-1] = ["--disturb", disturbance]
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(command + [out.name] + o.args.split(), check=True, stdout=subprocess.DEVNULL)
        with open(path, "ab") as kept:  # whole records only
            kept.write(out.read())


def measure(o, shape, files, deadline):
    """False when time has run out."""
    model = model_of(o, shape)
    n_tests = None
    for i in range(o.rounds):
        names = list(files)
        for name in names[i % len(names):] + names[:i % len(names)]:
            have = read(files[name])
            n_tests = n_tests or len({r["test"] for r in have})
            if have and len(have) >= (i + 1) * n_tests:
                continue
            if time.monotonic() > deadline:
                return False
            run_once(o, model, name, files[name])
            print(f"\r{shape}: round {i + 1} of {o.rounds}, {name:24}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return True


def compare(o, files, field):
    """{(test, name): pair against BASE} by axiom-compare. A time is given to it as a rate, one over it."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, path in files.items():
            lines = []
            for record in read(path):
                value = record.get(field)
                if not value:
                    continue
                record["avg_ts"] = value if field == "avg_ts" else 1e9 / value
                lines.append(json.dumps({"axiom": 1} | record))
            if not lines:
                return {}
            paths.append(os.path.join(folder, name + ".jsonl"))
            pathlib.Path(paths[-1]).write_text("\n".join(lines) + "\n")
        out = subprocess.run([f"{o.build}/axiom-compare", "--json", "--force", *paths], check=False,
                             capture_output=True, text=True)
        rows = json.loads(out.stdout)["rows"]
    pairs = {}
    for row in rows:
        if row["pair"] is not None:
            pairs[row["test"], row["side"]] = row["pair"]
    return pairs


def cell(pair, is_time):
    if pair is None:
        return "-"
    ratio, low, high = pair["ratio"], pair["ratio_low"], pair["ratio_high"]
    if is_time:
        ratio, low, high = (1 / x if x else None for x in (ratio, high, low))
    shown = "" if pair["verdict"] != "~" else " ~"
    if low is None or high is None:
        return f"{ratio:.3f}{shown}"
    return f"{ratio:.3f} ({low:.3f}..{high:.3f}){shown}"


def duration(ns):
    unit, size = next(u for u in (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1)) if ns >= u[1] or u[1] == 1)
    return f"{ns / size:.3g} {unit}"


def print_tables(o, shape, files):
    records = {name: read(path) for name, path in files.items()}
    tests = list(dict.fromkeys(r["test"] for r in records[BASE]))
    hashes = {(r["test"], r["logits_hash"]) for rs in records.values() for r in rs if r["status"] == "ok"}
    if len(hashes) != len(tests):
        sys.exit(f"{shape}: different hashes: {hashes}")
    pairs = {field: compare(o, files, field) for field in ["avg_ts", *TIMES]}
    first = records[BASE][0]
    print(f"\n{shape}, {first['model_type']}, {first['cpu_info']}, {first['kernel_set']}, {first['n_threads']} threads, "
          f"{len(records[BASE]) // len(tests)} runs each; ratio to undisturbed with its 95 % interval, ~ where no "
          "difference is shown")
    for test in tests:
        shown = ["avg_ts"] + [t for t in TIMES if any(r.get(t) for r in records[BASE] if r["test"] == test)]
        print("\n| " + " | ".join([test] + ["tokens/s" if f == "avg_ts" else f[:-3].replace("_", " ") for f in shown]
                                  + ["cache misses", "ticks"]) + " |")
        print("|" + "---|" * (len(shown) + 3))
        for name, rs in records.items():
            rs = [r for r in rs if r["test"] == test]
            cells = [name]
            for field in shown:
                values = [r[field] for r in rs if r.get(field)]
                if name == BASE or field not in pairs:
                    middle = statistics.median(values) if values else None
                    cells.append("-" if middle is None else f"{middle:.4g}" if field == "avg_ts" else duration(middle))
                else:
                    cells.append(cell(pairs[field].get((test, name)), field != "avg_ts"))
            for field in ("n_cache_misses", "n_disturb_ticks"):
                values = [r[field] for r in rs if r.get(field) is not None]
                cells.append(f"{statistics.median(values):.0f}" if values else "-")
            print("| " + " | ".join(cells) + " |")


def write_page(o, files, path):
    """The chart of what each costs, with every figure."""
    subprocess.run([f"{o.build}/axiom-compare", *map(str, files.values()), "--baseline", BASE, "--html", str(path)],
                   check=False, stdout=subprocess.DEVNULL)
    print(f"\nchart: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shapes", default="smollm2-135m tinyllama-1.1b", help="as axiom-pack --synthetic has them")
    parser.add_argument("--disturb", nargs="*", default=DISTURBANCES, help="values of --disturb")
    parser.add_argument("--tests", default="pp=128 tg=64 reps=2 warmup=1", help="value of --bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", help="folder of the samples; what is there is kept")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no run after so many; 0: only print")
    parser.add_argument("--args", default="", help="further options of axiom-host")
    o = parser.parse_args()
    into = pathlib.Path(o.into or f"{o.build}/bench/ablation")
    deadline = time.monotonic() + o.seconds
    is_whole = True
    for shape in o.shapes.split():
        folder = into / shape
        folder.mkdir(parents=True, exist_ok=True)
        files = {name: folder / f"{name}.jsonl" for name in [BASE, *o.disturb]}
        is_whole = measure(o, shape, files, deadline) and is_whole
        if all(path.exists() for path in files.values()):
            print_tables(o, shape, files)
            write_page(o, files, folder / "report.html")
    if not is_whole:
        print("\nnot all rounds were measured: the same command goes on", file=sys.stderr)


if __name__ == "__main__":
    main()
