# SPDX-License-Identifier: MIT
# A conversation as a person at the machine has it: no serial port, questions typed on a keyboard, answers
# read from the screen's pixels, and the record in the variable store after the power is off.
import json
import re
import subprocess

import screen
import variables

# QEMU's words for what is beside the PS/2 keyboard, which every machine has. Keys go to the one that was
# set up last.
KEYBOARDS = {"PS/2": (), "USB": ("-device", "qemu-xhci", "-device", "usb-kbd")}
# The second one means nothing without the first.
QUESTIONS = ["What is the capital of France?", "And of Italy?"]
OPTIONS = "n 24\n"
STATUS = re.compile(r"\d+ tokens, \d+\.\d\d t/s, context \d+ of \d+")
TIMEOUT_S = 300  # a turn takes some 15 s of an emulated machine that has the host for itself


def host_chat(suite, label, questions):
    """axiom-host's answers to these lines, and its record. `label`: of files that nobody else writes."""
    out = suite.folder / (label + "-host.json")
    command = [str(suite.build / "axiom-host"), "-m", str(suite.default), "--chat", "--quiet"]
    command += ["-n", "24", "--json", str(out)]
    said = ""
    answers = []
    for n in range(1, len(questions) + 1):  # an answer is what one question more brings
        text = "".join(line + "\n" for line in questions[:n]).encode()
        done = subprocess.run(command, input=text, check=True, capture_output=True, timeout=100)
        answers.append(done.stdout.decode()[len(said) :].strip())
        said = done.stdout.decode()
    return answers, json.loads(out.read_text().splitlines()[-1])


def answer_on(text, question, i_turn):
    """The lines between a question and what its turn cost, without the progress of reading it."""
    lines = text.splitlines()
    begin = max(i for i, line in enumerate(lines) if line == "> " + question)
    end = min(i for i, line in enumerate(lines) if line.startswith(f"[{i_turn}: "))
    return [line for line in lines[begin + 1 : end] if not line.startswith("reading the prompt ")]


class Conversation:
    def __init__(self, suite, name, words):
        self.suite = suite
        self.label = "conversation-" + re.sub(r"\W", "", name)
        self.words = words

    def turn(self, seat, question, i_turn):
        """The lines of the answer, and whether its speed was seen while it was written."""
        seat.wait(r"\n>$", seat.screen, TIMEOUT_S)
        seat.control.type(question)
        seat.wait(r"\n> " + re.escape(question) + "$", seat.screen)
        seat.control.press("ret")
        text = seat.wait(STATUS, seat.screen, TIMEOUT_S)
        is_last = STATUS.fullmatch(text.splitlines()[-1].strip())
        text = seat.wait(rf"(?m)^\[{i_turn}: ", seat.screen, TIMEOUT_S)
        return answer_on(text, question, i_turn), is_last is not None

    def run(self, results, name):
        suite = self.suite
        expected, record = host_chat(suite, self.label, QUESTIONS)
        alone, _ = host_chat(suite, self.label, QUESTIONS[1:])
        failure = None
        if alone[0] == expected[1]:
            failure = f"{QUESTIONS[1]!r}: found the same answer without the first turn"
        files = {
            "EFI/BOOT/BOOTX64.EFI": suite.efi,
            "axiom/model.axm": suite.default,
            "axiom/axiom.conf": suite.source(self.label + ".conf", OPTIONS),
        }
        image = suite.image(self.label, files)
        extra = [*screen.card(1024, 768), *self.words]
        machine = {"memory_mib": 1024, "serial": "none", "extra": extra}
        with screen.Seat(suite.folder / self.label, image, screen.panel.Reader(), **machine) as seat:
            for i, question in enumerate(QUESTIONS):
                found, is_last = self.turn(seat, question, i + 1)
                if failure is None and found != screen.wrapped(expected[i], 128):
                    failure = f"{question!r}: on the screen {found}, axiom-host's {expected[i]!r}"
                if failure is None and not is_last:
                    failure = f"{question!r}: the speed is not in the last row"
            text = seat.wait(r"\n>$", seat.screen)
            if failure is None and STATUS.search(text):
                failure = f"a status without an answer under way:\n{text}"
            seat.control.type("/exit")
            seat.control.press("ret")
            failure = failure or seat.power_off(60)
        results.result(name, failure or self.judge_record(record))

    def judge_record(self, expected):
        kept = variables.record(self.suite.folder / self.label / "variables.fd")
        if kept is None:
            return "no record in the variable store"
        found = json.loads(kept)
        for field in ("status", "n_turns", "n_prompt", "n_reused", "n_gen", "logits_hash"):
            if found[field] != expected[field]:
                return f"{field} in the record: found {found[field]!r}, axiom-host's {expected[field]!r}"
        return None if found["n_reused"] > 0 else "n_reused in the record: found 0, allowed what the first turn read"


def scenarios(suite):
    for keyboard, words in KEYBOARDS.items():
        yield (
            f"without a serial port two questions typed on a {keyboard} keyboard are answered on the screen "
            "as by axiom-host, and /exit powers off",
            Conversation(suite, keyboard, words).run,
        )
