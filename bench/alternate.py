#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs several programs by turns and compares them: A B, B A, A B ... for ROUNDS rounds, a line of each
side's file a run, then axiom-compare. With --tries all of it is done so often, and how many tries showed
a difference is said: of builds alike at most 5 % should, of one that is slower nearly all."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile


def run(program, model, bench, record):
    done = subprocess.run([program, "-m", model, "--bench", bench, "--quiet", "--json", record],
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program}: exit status {done.returncode}: {done.stderr.strip()}")
    return pathlib.Path(record).read_text()


def one_try(args, folder):
    names = [f"{chr(ord('a') + i)}-{pathlib.Path(p).name}" for i, p in enumerate(args.programs)]
    files = [folder / f"{name}.jsonl" for name in names]
    for file in files:
        file.write_text("")
    for i in range(args.rounds):
        # Who is first changes, so that nobody always runs on a warm machine.
        order = list(range(len(files)))
        order = order[i % len(order):] + order[:i % len(order)]
        for k in order:
            line = run(args.programs[k], args.model, args.bench, str(folder / "one.json"))
            with open(files[k], "a", encoding="utf-8") as out:
                out.write(line)
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="+", help="axiom-host of several builds, the first is the baseline")
    parser.add_argument("--compare", default="build/axiom-compare")
    parser.add_argument("--model", default="build/models/default.axm")
    parser.add_argument("--bench", default="pp=0 tg=32 reps=3", help="as axiom-host takes it")
    parser.add_argument("--rounds", type=int, default=20, help="runs of each program in a try")
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--into", help="keep the files of the last try in this folder")
    args = parser.parse_args()
    if len(args.programs) < 2:
        parser.error("found one program, allowed two or more")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(args.into or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        n_shown = {}
        for n in range(1, args.tries + 1):
            files = one_try(args, folder)
            text = subprocess.run([args.compare, "--json", *map(str, files)], check=False,
                                  stdout=subprocess.PIPE, text=True).stdout
            for row in json.loads(text)["rows"]:
                if row["pair"] is None:
                    continue
                pair, what = row["pair"], f"{row['side']}, {row['test']}"
                n_shown[what] = n_shown.get(what, 0) + (pair["verdict"] != "~")
                print(f"try {n}: {what}: {pair['ratio']:.3f} ({pair['ratio_low']:.3f}.."
                      f"{pair['ratio_high']:.3f}), p {pair['p']:.4f}, {pair['verdict']}", flush=True)
        for what, count in n_shown.items():
            print(f"{what}: a difference shown in {count} of {args.tries} tries of {args.rounds} runs a side")
        if args.tries == 1:
            return subprocess.run([args.compare, *map(str, files)], check=False).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
