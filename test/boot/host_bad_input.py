# SPDX-License-Identifier: MIT
# Runs every bad packed file and bad options through axiom-host: an error that names file, field,
# offset, found and allowed, exit status 1 (2 for options), nothing on standard output, never a signal.
import json
import os
import re
import signal
import subprocess
import sys

import badfiles
import messages
import tally


def run(host, path, *options):
    return subprocess.run(
        [host, "-m", str(path), "-p", "x", "-n", "1", "-t", "1", "--quiet", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )


def problem(host, path, bad):
    try:
        done = run(host, path)
    except subprocess.TimeoutExpired:
        return "no end within 60 s"
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    if done.returncode != 1:
        return f"exit status: found {done.returncode}, allowed 1"
    if done.stdout:
        return f"standard output: found {done.stdout[:80]!r}, allowed nothing"
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if "error:" in line]
    if len(lines) != 1:
        return f"error lines: found {len(lines)}, allowed 1\n" + "\n".join(lines)
    return messages.problem(lines[0], bad, path.name)


def forged_problem(pack, path, bad):
    path.write_bytes(bad.data)
    done = subprocess.run([pack, "--verify", str(path)], capture_output=True, timeout=60)
    if done.returncode != 1:
        return f"exit status: found {done.returncode}, allowed 1"
    return messages.problem(done.stderr.decode(errors="replace").strip(), bad, path.name)


def missing_problem(host, folder):
    done = run(host, folder / "missing.axm")
    text = done.stderr.decode(errors="replace")
    if done.returncode == 1 and "missing.axm" in text:
        return None
    return f"exit status {done.returncode}, message: {text}"


def too_large_problem(host, valid, path):
    """A sparse file larger than any memory: refused by its size, before anything is read."""
    head, total = badfiles.larger_than(valid, 1 << 42)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(total)
    try:
        done = run(host, path, "--stream", "off")
    finally:
        path.unlink()
    text = done.stderr.decode(errors="replace")
    if done.returncode == 1 and path.name in text and f"{total} bytes" in text:
        return None
    return f"exit status {done.returncode}, message: {text}"


# One that this program may use, as a range.
CPU = "{0}-{0}".format(min(os.sched_getaffinity(0)))

# Options, what the message must hold.
BAD_OPTIONS = [
    (["--tmep", "1"], ["--tmep", "--temp"]),
    (["--temp", "hot"], ["--temp", '"hot"', "allowed"]),
    (["--top-p", "1.5"], ["--top-p", "1.5", "allowed"]),
    (["-n"], ["-n"]),
    (["-c", "99999999"], ["-c", "99999999", "allowed"]),
    (["--isa", "avx9"], ["--isa", "avx9", "allowed"]),
    (["--on-exit", "halt"], ["--on-exit"]),
    (["--pages", "1g"], ["--pages", '"1g"', "4k or 2m"]),
    (["--cpu-range", "1-0"], ["--cpu-range", '"1-0"', "allowed FIRST-LAST"]),
    (["--cpu-range", "1023-1023"], ["--cpu-range", "1023-1023", "may run on"]),
    (["--bench", "pp=x"], ["--bench", "pp", '"x"', "allowed"]),
    (["--bench", "ngl=1"], ["--bench", "ngl=1", "allowed pp, tg, reps"]),
    (["--bench", "threads=2"], ["--bench", "threads=2", "allowed 1 as -t says"]),
    (["--bench", "pp=1025"], ["--bench", "1025", "allowed at most 1024"]),
    (["-c", "4", "-p", "a prompt that is longer than four positions"], ["prompt has", "allowed at most 3"]),
]


# --bench on the tiny model: options, exit status, tests in the records.
BENCHES = [
    (["--bench", "pp=8 tg=4 reps=2"], 0, ["pp8", "tg4"]),
    (["--bench", "pp=0 tg=4 d=6 reps=1 warmup=0"], 0, ["tg4 @ d6"]),
    (["--bench=tg=0,pp=70,reps=1", "-b", "7", "--pages", "4k"], 0, ["pp70"]),
    (["--bench", "pp=8 tg=0 reps=1", "--cpu-range", CPU], 0, ["pp8"]),
]


def bench_problem(host, path, folder, options, status, tests):
    """Records on standard output, one a line, and the same in --json."""
    out = folder / "bench.json"
    done = run(host, path, *options, "--json", str(out))
    if done.returncode != status:
        return f"exit status: found {done.returncode}, allowed {status}; {done.stderr.decode()}"
    if done.stdout != out.read_bytes():
        return f"--json: found {out.read_bytes()[:200]!r}, allowed what stands on standard output"
    found = [json.loads(line)["test"] for line in done.stdout.splitlines()]
    return None if found == tests else f"tests in the records: found {found}, allowed {tests}"


def interrupted_problem(host, path):
    """Ctrl-C once the first test's record is out, in a second test that would take minutes."""
    command = [host, "-m", str(path), "-t", "1", "--quiet"]
    command += ["--bench", "pp=8 tg=1000 reps=1000 warmup=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    if process.returncode != 130:
        return f"exit status: found {process.returncode}, allowed 130; {errors.decode()}"
    second = json.loads(rest)
    found = [(r["test"], r["status"]) for r in (first, second)]
    allowed = [("pp8", "ok"), ("tg1000", "interrupted")]
    return None if found == allowed else f"records: found {found}, allowed {allowed}"


def option_problem(host, path, options, parts):
    done = run(host, path, *options)
    text = done.stderr.decode(errors="replace")
    if done.returncode != 2:
        return f"exit status: found {done.returncode}, allowed 2; {text}"
    missing = [part for part in parts if part not in text]
    return f"the message lacks {missing}: {text}" if missing else None


def main():
    arguments = tally.arguments()
    results = tally.Tally()
    folder = arguments.build / "boot-tests" / "bad"
    folder.mkdir(parents=True, exist_ok=True)
    host = str(arguments.build / "axiom-host")
    tiny = tally.tiny_model(arguments.build)

    def check(name, test):
        if re.search(arguments.filter, name):
            results.result(name, test())

    def valid_problem():
        done = run(host, tiny)
        return None if done.returncode == 0 else done.stderr.decode(errors="replace")

    def written_problem():
        valid = badfiles.Packed(tiny.read_bytes())
        again = badfiles.build([valid.part(i) for i in range(valid.n_extents)])
        return None if again.data == valid.data else "found other bytes"

    check("axiom-host accepts the file that the bad ones are made from", valid_problem)
    check("that file's own parts give its bytes again, checksums and root", written_problem)
    for bad in badfiles.all_files(tiny.read_bytes()):
        path = folder / (bad.name + ".axm")
        path.write_bytes(bad.data)
        check(f"axiom-host refuses {bad.title}", lambda: problem(host, path, bad))
    pack = str(arguments.build / "axiom-pack")
    for bad in badfiles.forged_files(tiny.read_bytes()):
        path = folder / (bad.name + ".axm")
        check(f"axiom-pack --verify refuses {bad.title}", lambda: forged_problem(pack, path, bad))
    check("axiom-host names a model that is not there", lambda: missing_problem(host, folder))
    check(
        "axiom-host refuses a model larger than memory that must not be streamed",
        lambda: too_large_problem(host, tiny.read_bytes(), folder / "too-large.axm"),
    )
    for options, status, tests in BENCHES:
        check(
            f"axiom-host {' '.join(options)} gives the records of {', '.join(tests)}",
            lambda: bench_problem(host, tiny, folder, options, status, tests),
        )
    check(
        "axiom-host interrupted in a bench keeps what was measured and exits with 130",
        lambda: interrupted_problem(host, tiny),
    )
    for options, parts in BAD_OPTIONS:
        check(
            f"axiom-host refuses {' '.join(options)}",
            lambda: option_problem(host, tiny, options, parts),
        )
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
