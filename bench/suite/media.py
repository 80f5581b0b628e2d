# SPDX-License-Identifier: MIT
"""What every run of a comparison has in common: model, prompt and options, and the disk image of a boot
that carries them. The texts come by environment, as for `make run`.
Must not know: which systems boot, or what is measured."""
import dataclasses
import os
import pathlib
import shlex

import machine

import conf  # of ovmf/, which machine puts on the path
import image
import model

FAILURES = (image.ImageError, model.ModelError, machine.qemu.MachineError, OSError, ValueError)


NOISE_SECONDS = 4
TRACED = "pp=0 tg=16 reps=1 warmup=0"


@dataclasses.dataclass(frozen=True)
class Work:
    """What one boot or process does, beside the options that all have."""
    name: str
    words: str = ""       # options of the engine
    plan: str = ""        # of --bench, which the words do not have
    once: bool = False    # not in every round
    traced: bool = False  # its records are no measurement of speed, its trace is

    def options(self, trace_file=""):
        bench = f" --bench {shlex.quote(self.plan)}" if self.plan else ""
        trace = f" --trace {shlex.quote(str(trace_file)) if trace_file else ''}" if self.traced else ""
        return f"--quiet {self.words}{trace}{bench}"


ANSWER = Work("answer")
NOISE = Work("noise", f"--noise {NOISE_SECONDS}")
TRACE = Work("trace", plan=TRACED, once=True, traced=True)


def tests(plan):
    return Work(f"tests {plan}", plan=plan)


class Media:
    def __init__(self, build, folder):
        self.build, self.folder = pathlib.Path(build), pathlib.Path(folder)
        env = {name: os.environ.get("AXIOM_" + name, "") for name in ("PROMPT", "N", "MODEL", "ARGS", "STREAM")}
        if env["STREAM"] not in ("", "0"):
            raise ValueError(f'STREAM: found "{env["STREAM"]}", allowed nothing: the model is a file of the ESP here')
        self.prompt, self.n, self.args = env["PROMPT"], env["N"], env["ARGS"]
        self.gguf = env["MODEL"] or str(self.build / "models" / "default.gguf")
        self.model = model.packed(env["MODEL"], self.build, str(self.build / "axiom-pack"))
        self.folder.mkdir(parents=True, exist_ok=True)

    def host_words(self, model_path, words):
        """axiom-host's arguments; `words`: further options, as one text."""
        return ["-m", str(model_path), "-p", self.prompt, "-n", self.n, *shlex.split(f"{words} {self.args}")]

    def disk(self, program, words, linux_words=None):
        """An image whose ESP has this program, the model, and the options as the program reads them: AXIOM's
        in axiom.conf, for Linux (linux_words is no None) axiom-host's arguments."""
        options = self.folder / "options"
        files = {"EFI/BOOT/BOOTX64.EFI": program, "axiom/model.axm": self.model}
        if linux_words is None:
            options.write_bytes(conf.text(self.prompt, self.n, f"{words} {self.args}"))
            files["axiom/axiom.conf"] = options
        else:
            arguments = self.host_words("/esp/axiom/model.axm", words) + list(linux_words)
            options.write_bytes(b"".join(os.fsencode(word) + b"\0" for word in arguments))
            files["axiom/axiom-host.args"] = options
        out = self.folder / "disk.img"
        image.make(out, files)
        return out
