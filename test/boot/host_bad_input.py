# SPDX-License-Identifier: MIT
# Runs every bad packed file and bad options through axiom-host: an error that names file, field,
# offset, found and allowed, exit status 1 (2 for options), nothing on standard output, never a signal.
import re
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
        done = run(host, path)
    finally:
        path.unlink()
    text = done.stderr.decode(errors="replace")
    if done.returncode == 1 and path.name in text and f"{total} bytes" in text:
        return None
    return f"exit status {done.returncode}, message: {text}"


# Options, what the message must hold.
BAD_OPTIONS = [
    (["--tmep", "1"], ["--tmep", "--temp"]),
    (["--temp", "hot"], ["--temp", '"hot"', "allowed"]),
    (["--top-p", "1.5"], ["--top-p", "1.5", "allowed"]),
    (["-n"], ["-n"]),
    (["-c", "99999999"], ["-c", "99999999", "allowed"]),
    (["--isa", "avx9"], ["--isa", "avx9", "allowed"]),
    (["--on-exit", "halt"], ["--on-exit"]),
    (["-c", "4", "-p", "a prompt that is longer than four positions"], ["prompt has", "allowed at most 3"]),
]


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

    check("axiom-host accepts the file that the bad ones are made from", valid_problem)
    for bad in badfiles.all_files(tiny.read_bytes()):
        path = folder / (bad.name + ".axm")
        path.write_bytes(bad.data)
        check(f"axiom-host refuses {bad.title}", lambda: problem(host, path, bad))
    check("axiom-host names a model that is not there", lambda: missing_problem(host, folder))
    check(
        "axiom-host refuses a model larger than memory",
        lambda: too_large_problem(host, tiny.read_bytes(), folder / "too-large.axm"),
    )
    for options, parts in BAD_OPTIONS:
        check(
            f"axiom-host refuses {' '.join(options)}",
            lambda: option_problem(host, tiny, options, parts),
        )
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
