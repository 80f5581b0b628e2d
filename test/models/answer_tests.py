# SPDX-License-Identifier: MIT
# Qwen2.5-Coder is asked for a Python function. What axiom-host answers is compiled by Python and must
# compute the right values; the EFI image must answer the same, with the same logits hash.
import json
import math
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "boot"), str(HERE.parents[1] / "ovmf")]
import guest  # noqa: E402
import judge  # noqa: E402
import tally  # noqa: E402

import conf  # noqa: E402
import image  # noqa: E402

# The answer is short: emulated, a token of this model takes seconds.
QUESTION = "Write a Python function gcd(a, b). Only the code."
FUNCTION = "gcd"
N_PREDICT = 64
CONTEXT = "512"
CALLS = [(a, b) for a in (1, 7, 12, 36, 97, 360, 1001) for b in (1, 5, 18, 48, 91, 360, 2**40)]
BOOT_SECONDS = 3600
MEMORY_MIB = 2048

# Reads the answer's code and the calls, prints the results: in a process of its own, as the answer
# may hang or raise anything.
RUNNER = """
import json, sys
code, function, calls = json.load(sys.stdin)
names = {}
exec(compile(code, "answer", "exec"), names)
print(json.dumps([names[function](*call) for call in calls]))
"""


def code_of(text):
    """The first fenced block, or None."""
    match = re.search(r"^```(?:python)?[ \t]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return match[1] if match else None


def function_problem(code):
    """None if Python compiles the code and its function computes what math.gcd does."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", RUNNER],
            input=json.dumps([code, FUNCTION, CALLS]),
            capture_output=True,
            text=True,
            timeout=20,
        )
    except subprocess.TimeoutExpired:
        return f"no end within 20 s:\n{code}"
    if done.returncode != 0:
        return f"{done.stderr.strip()}\n{code}"
    found = json.loads(done.stdout.splitlines()[-1])
    for call, value in zip(CALLS, found, strict=True):
        if value != math.gcd(*call):
            return f"{FUNCTION}{call}: found {value}, allowed {math.gcd(*call)}:\n{code}"
    return None


def host_answer(build, model, folder):
    """(text, record) of axiom-host."""
    out = folder / "host.json"
    command = [str(build / "axiom-host"), "-m", str(model), "-p", QUESTION, "-n", str(N_PREDICT)]
    command += ["-c", CONTEXT, "--quiet", "--json", str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return done.stdout, json.loads(out.read_text())


def efi_outcome(build, model, folder):
    conf_path = folder / "axiom.conf"
    conf_path.write_bytes(conf.text(QUESTION, str(N_PREDICT), f"-c {CONTEXT}"))
    image_path = folder / "axiom.img"
    image.make(
        image_path,
        {
            "EFI/BOOT/BOOTX64.EFI": build / "axiom.efi",
            "axiom/axiom.conf": conf_path,
            "axiom/model.axm": model,
        },
    )
    machine = {"memory_mib": MEMORY_MIB, "cpus": min(2, os.cpu_count() or 1)}
    if guest.qemu.why_no_kvm() is None:
        machine["accel"] = "kvm"
    return guest.boot(folder / "boot", image_path, BOOT_SECONDS, **machine)


def main():
    build = tally.arguments().build
    model = build / "models" / "qwen2.5-coder.axm"
    folder = build / "test-models"
    folder.mkdir(parents=True, exist_ok=True)
    results = tally.Tally()

    text, record = host_answer(build, model, folder)
    code = code_of(text)
    failure = f"no fenced code in the answer:\n{text}" if code is None else function_problem(code)
    if failure is None and record["status"] != "ok":
        failure = f"status in the record: found {record['status']}, allowed ok"
    results.result(
        "asked for a Python function, axiom-host answers with one that computes the right values",
        failure,
    )

    outcome = efi_outcome(build, model, folder)
    failure = judge.judge_run(outcome, record["logits_hash"])
    if failure is None and code_of(outcome.text) != code:
        failure = f"the answer: found\n{outcome.tail(60)}\nallowed\n{code}"
    results.result("the EFI image answers the same, with the hash of axiom-host", failure)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
