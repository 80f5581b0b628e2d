# SPDX-License-Identifier: MIT
# Boots that talk: lines typed on the serial port get answers, with axiom-host's hash for the same lines;
# and a digit chooses a model.
import json
import re
import subprocess

import guest
import judge

OPTIONS = "-n 10 --ignore-eos -c 400"
LINES = ["Hello, you", "And what did III\x7f\x7f say?", "/exit"]
# What was typed, once Backspace has taken two characters back.
HEARD = ["Hello, you", "And what did I say?", "/exit"]


def host_record(suite, lines, options=OPTIONS):
    """axiom-host's record of the same conversation."""
    out = suite.folder / "host-chat.json"
    command = [str(suite.build / "axiom-host"), "-m", str(suite.tiny), "--chat", "--isa", "scalar"]
    command += [*options.split(), "--json", str(out), "--quiet"]
    text = "".join(line + "\n" for line in lines).encode()
    subprocess.run(command, input=text, check=True, capture_output=True, timeout=100)
    return json.loads(out.read_text().splitlines()[-1])


def other_model(suite):
    path = suite.folder / "files" / "another.axm"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [str(suite.build / "axiom-pack"), "--synthetic", "64,2,4,2,160,300", "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def conversation(suite):
    def run(results, name):
        # Nobody chooses a model here, so the preset one is taken.
        conf = "".join(f"{word}\n" for word in ("n 10", "ignore-eos", "c 400", "menu 1"))
        image_path = suite.image(
            "talk",
            {
                "EFI/BOOT/BOOTX64.EFI": suite.efi,
                "axiom/another.axm": other_model(suite),
                "axiom/model.axm": suite.tiny,
                "axiom/axiom.conf": suite.source("talk.conf", conf),
            },
        )
        waits = [rb"/exit ends", rb"\[1: \d+ tokens", rb"\[2: \d+ tokens"]
        reactions = [
            (re.compile(wait), line.encode() + b"\r") for wait, line in zip(waits, LINES)
        ]
        outcome = guest.boot(suite.folder / "talk", image_path, 90, reactions, memory_mib=512)
        expected = host_record(suite, HEARD)
        failure = judge.judge_run(outcome, expected["logits_hash"])
        for field in ("n_turns", "n_prompt", "n_reused", "n_gen"):
            found = (outcome.record or {}).get(field)
            if failure is None and found != expected[field]:
                failure = f"{field}: found {found}, axiom-host's {expected[field]}"
        if failure is None and not expected["turns"][1]["n_reused"] > 20:
            failure = f"the second turn: found {expected['turns'][1]}, allowed one that knows the first"
        results.result(name, failure)
        listed = r"\axiom\another.axm" in outcome.text and outcome.record is not None
        results.result(
            "nobody's choice among several models is model.axm",
            None if listed else f"no list of models, or no run:\n{outcome.tail(30)}",
        )

    return run


def choice(suite):
    def run(results, name):
        model = other_model(suite)
        image_path = suite.image(
            "choice",
            {
                "EFI/BOOT/BOOTX64.EFI": suite.efi,
                "axiom/another.axm": model,
                "axiom/model.axm": suite.tiny,
                "axiom/axiom.conf": suite.source("choice.conf", "prompt x\nn 4\nmenu 60\n"),
            },
        )
        reactions = [(re.compile(rb"which     1\.\.2"), b"1")]
        outcome = guest.boot(suite.folder / "choice", image_path, 90, reactions, memory_mib=512)
        failure = judge.judge_run(outcome, suite.host_hash(model, "x", 4))
        for line in (r"models    1  \\axiom\\another\.axm, \d", r"2  \\axiom\\model\.axm, .* unless"):
            if failure is None and not re.search(line, outcome.text):
                failure = f"found no {line!r} in\n{outcome.tail(30)}"
        results.result(name, failure)

    return run


class Elsewhere:
    """Boots from a volume that has no model, beside two disks that have one each."""

    def __init__(self, suite):
        self.suite = suite
        self.models = [suite.tiny, other_model(suite)]

    def boot(self, label, options, reactions=()):
        suite = self.suite
        config = suite.source(label + ".conf", "prompt x\nn 4\n" + options)
        files = {"EFI/BOOT/BOOTX64.EFI": suite.efi, "axiom/axiom.conf": config}
        words = []
        for i, model in enumerate(self.models):
            path = suite.image(f"{label}-{i}", {"axiom/model.axm": model})
            drive = f"if=none,id=m{i},format=raw,snapshot=on,file={guest.qemu.quote(path)}"
            words += ["-drive", drive, "-device", f"virtio-blk-pci,drive=m{i}"]
        image_path = suite.image(label, files)
        return guest.boot(suite.folder / label, image_path, 90, reactions, memory_mib=512, extra=words)

    def judge(self, outcome, i_model):
        failure = judge.judge_run(outcome, self.suite.host_hash(self.models[i_model], "x", 4))
        for i, unless in enumerate((", unless another is chosen", "")):
            line = rf"{i + 1}  \\axiom\\model\.axm of \S+, \d\S* [KM]iB{unless}\s"
            if failure is None and not re.search(line, outcome.text):
                failure = f"found no {line!r} in\n{outcome.tail(30)}"
        return failure

    def preset(self, results, name):
        outcome = self.boot("elsewhere", "menu 2\n")
        failure = self.judge(outcome, 0)
        for seconds in (2, 1):
            if failure is None and f"1..2, 1 in {seconds} s" not in outcome.text:
                failure = f"no countdown at {seconds} in\n{outcome.tail(30)}"
        results.result(name, failure)

    def chosen(self, results, name):
        # A key that chooses nothing ends the countdown.
        reactions = [(re.compile(rb"in 2 s"), b"x"), (re.compile(rb"1\.\.2: "), b"2")]
        outcome = self.boot("elsewhere-chosen", "menu 2\n", reactions)
        results.result(name, self.judge(outcome, 1))


def configured(suite):
    def run(results, name):
        model = other_model(suite)
        config = "prompt x\nn 4\nmodel \\AXIOM\\another.axm\nmenu 1\n"
        image_path = suite.image(
            "configured",
            {
                "EFI/BOOT/BOOTX64.EFI": suite.efi,
                "axiom/another.axm": model,
                "axiom/model.axm": suite.tiny,
                "axiom/axiom.conf": suite.source("configured.conf", config),
            },
        )
        outcome = guest.boot(suite.folder / "configured", image_path, 90, memory_mib=512)
        failure = judge.judge_run(outcome, suite.host_hash(model, "x", 4))
        for part in (r"1  \AXIOM\another.axm", "unless another is chosen", "1..2, 1 in 1 s"):
            if failure is None and part not in outcome.text:
                failure = f"found no {part!r} in\n{outcome.tail(30)}"
        results.result(name, failure)

    return run


def scenarios(suite):
    elsewhere = Elsewhere(suite)
    yield "nobody's choice among the models of other volumes is the first, after a countdown", elsewhere.preset
    yield "a digit chooses among the models of other volumes, for as long as it takes", elsewhere.chosen
    yield "the configured model is preset in a menu that is configured, too", configured(suite)
    yield "a digit chooses among several models before the firmware is left", choice(suite)
    yield (
        "without a prompt in axiom.conf, lines typed on the serial port are answered as by axiom-host",
        conversation(suite),
    )
