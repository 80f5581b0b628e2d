#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what drafts gain: tasks that rewrite a given text, and free prose, each with
`--draft off` and with the default, taking turns. Text and logits hash must be the same in all
runs. `make bench-drafts`; every sample in build/drafts/report.json."""
import argparse
import difflib
import json
import os
import pathlib
import statistics
import subprocess
import sys

TASKS = pathlib.Path(__file__).resolve().parent / "draft_tasks"
RUN_SECONDS = 600  # no single run takes so long
LEAST_REPRODUCED = 0.8  # of the given text's tokens, in order, for a rewrite to count
N_GRAM = 32  # output that has one of its own twice does not count
MOST_GAIN = 1.1  # times tokens a pass; a higher ratio was measured beside other programs' work
BUSY_LOAD = 0.5  # runnable threads besides ours, at the start
LEAST_RATIO = {"rewrite": 1.7, "prose": 0.98}
WAYS = {"off": ["--draft", "off"], "default": []}


class Failed(Exception):
    """What was found and what is allowed."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--models", nargs="+", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--args", default="", help="more options of axiom-host, e.g. '-t 1'")
    parser.add_argument("--tasks", nargs="+", help="only these, by name")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds: found {args.rounds}, allowed at least 1")
    return args


def tasks(wanted):
    """(kind, name, prompt, given text), the given text without its instruction; prose has none."""
    found = []
    for kind in LEAST_RATIO:
        for path in sorted((TASKS / kind).glob("*.txt")):
            prompt = path.read_text().strip()
            given = prompt.partition("\n\n")[2] if kind == "rewrite" else ""
            found.append((kind, path.stem, prompt, given))
    unknown = set(wanted or ()) - {name for _, name, _, _ in found}
    if unknown:
        raise Failed(f"--tasks: found {' '.join(sorted(unknown))}, "
                     f"allowed {' '.join(name for _, name, _, _ in found)}")
    return [task for task in found if not wanted or task[1] in wanted]


def checked(command):
    done = subprocess.run(command, capture_output=True, timeout=RUN_SECONDS)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: exit status {done.returncode}, allowed 0\n"
                     + done.stderr.decode(errors="replace"))
    return done.stdout


def run(args, model, prompt, way):
    """(text, record) of one run."""
    out = args.build / "drafts" / "run.json"
    text = checked([str(args.build / "axiom-host"), "-m", str(model), "-p", prompt, "--quiet",
                    "--json", str(out), *WAYS[way], *args.args.split()])
    record = json.loads(out.read_text())
    if record["status"] != "ok":
        raise Failed(f"status in the record: found {record['status']}, allowed ok")
    return text, record


def token_ids(args, model, data):
    path = args.build / "drafts" / "text"
    path.write_bytes(data)
    return json.loads(checked([str(args.build / "axiom-host"), "-m", str(model),
                               "--tokenize-file", str(path)]))


def reproduced(given, output):
    """The share of the given tokens that are in the output, in order."""
    matcher = difflib.SequenceMatcher(None, given, output, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(given)


def repeats_itself(output):
    grams = [tuple(output[i:i + N_GRAM]) for i in range(len(output) - N_GRAM + 1)]
    return len(set(grams)) != len(grams)


def measure(args, model, task):
    kind, name, prompt, given = task
    speeds = {way: [] for way in WAYS}
    first = records = None
    for i_round in range(args.rounds):
        order = list(WAYS) if i_round % 2 == 0 else list(WAYS)[::-1]
        records = {}
        for way in order:
            text, record = run(args, model, prompt, way)
            outcome = (text, record["logits_hash"], record["n_gen"])
            first = first or outcome
            if outcome != first:
                raise Failed(f"{model.name}, {name}, {way}: found hash {outcome[1]} and text\n"
                             f"{text.decode(errors='replace')}\nallowed {first[1]} and\n"
                             f"{first[0].decode(errors='replace')}")
            speeds[way].append(record["decode_ts"])
            records[way] = record
    result = {"model": model.name, "kind": kind, "task": name, "n_gen": first[2],
              "logits_hash": first[1], "samples_ts": speeds}
    medians = {way: statistics.median(samples) for way, samples in speeds.items()}
    result |= {"off_ts": medians["off"], "default_ts": medians["default"],
               "ratio": medians["default"] / medians["off"],
               "best_ratio": max(speeds["default"]) / max(speeds["off"])}
    result |= {key: records["default"][key]
               for key in ("n_drafted", "n_accepted", "tokens_per_pass")}
    output = token_ids(args, model, first[0])
    result["repeats_itself"] = repeats_itself(output)
    result["reproduced"] = (
        reproduced(token_ids(args, model, given.encode()), output) if given else None)
    result["counts"] = not result["repeats_itself"] and (
        not given or result["reproduced"] >= LEAST_REPRODUCED)
    # A pass with drafts does not take less than one without: more is the work of something else.
    result["disturbed"] = result["ratio"] > MOST_GAIN * result["tokens_per_pass"]
    return result


def line(r):
    share = "" if r["reproduced"] is None else f"{r['reproduced']:.0%}"
    why = "" if r["counts"] else "does not count: " + (
        "repeats itself" if r["repeats_itself"] else f"less than {LEAST_REPRODUCED:.0%} reproduced")
    if r["disturbed"]:
        why += ("; " if why else "") + "disturbed: more than tokens a pass allow"
    return (f"{r['kind']:8}{r['task']:20}{r['n_gen']:5}{r['off_ts']:9.1f}{r['default_ts']:9.1f}"
            f"{r['ratio']:7.2f}{r['best_ratio']:7.2f}{r['n_accepted']:6} of {r['n_drafted']:4}"
            f"{r['tokens_per_pass']:7.2f}{share:>6}  {why}").rstrip()


def summary(results):
    """For each kind: how many count, how many of those reach what is asked, and the extremes."""
    for kind, least in LEAST_RATIO.items():
        of_kind = [r for r in results if r["kind"] == kind]
        if not of_kind:
            continue
        ratios = [r["ratio"] for r in of_kind if r["counts"] and not r["disturbed"]]
        text = (f"{kind}: {sum(r['counts'] for r in of_kind)} of {len(of_kind)} count, "
                f"{sum(r['counts'] and r['disturbed'] for r in of_kind)} of them disturbed")
        if ratios:
            text += (f"; of the others {sum(x >= least for x in ratios)} reach {least}, ratios "
                     f"{min(ratios):.2f} to {max(ratios):.2f}, "
                     f"median {statistics.median(ratios):.2f}")
        yield text


def main():
    args = arguments()
    folder = args.build / "drafts"
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.json"
    results = []
    try:
        chosen = tasks(args.tasks)
        if os.getloadavg()[0] > BUSY_LOAD:
            print(f"load {os.getloadavg()[0]:.1f}: other programs are at work, and no figure here "
                  "is good for more than a guess", file=sys.stderr)
        for model in args.models:
            print(f"{model.name}: tokens/s of decoding, medians of {args.rounds}; best: the "
                  f"fastest runs' ratio; load {os.getloadavg()[0]:.1f} at the start\n"
                  f"{'':28}{'n':>5}{'off':>9}{'default':>9}{'ratio':>7}{'best':>7}{'accepted':>14}"
                  f"{'/pass':>7}{'same':>6}")
            of_model = []
            for task in chosen:
                of_model.append(measure(args, model, task))
                print(line(of_model[-1]), flush=True)
                report.write_text(json.dumps(results + of_model, indent=1) + "\n")
            print(*summary(of_model), sep="\n", end="\n\n")
            results += of_model
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    print(f"text and hash are the same in all runs; samples in {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
