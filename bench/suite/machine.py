# SPDX-License-Identifier: MIT
"""One boot of the virtual machine of `make run`, through ovmf/run.py, and the records that its serial
port gave.
Must not know: which system boots."""
import dataclasses
import json
import pathlib
import subprocess
import sys

OVMF = pathlib.Path(__file__).resolve().parents[2] / "ovmf"
sys.path.insert(0, str(OVMF))
import qemu  # noqa: E402


@dataclasses.dataclass
class Virtual:
    """What make run's variables of the same names say; `accel` is settled."""
    machine: str
    cpu: str
    disk: str
    smp: str
    mem: str
    accel: str
    timeout: str

    @classmethod
    def add_arguments(cls, parser):
        for field in dataclasses.fields(cls):
            parser.add_argument("--" + field.name, default="")

    @classmethod
    def of(cls, arguments):
        """And why this accelerator."""
        values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(cls)}
        values["accel"], why = qemu.choose_accelerator(values["accel"])
        return cls(**values), why

    @property
    def is_emulated(self):
        return self.accel != "kvm"

    def words(self):
        return [word for field in dataclasses.fields(self)
                for word in ("--" + field.name, getattr(self, field.name))]


@dataclasses.dataclass
class Boot:
    records: list  # objects, in order
    failure: str | None
    log: pathlib.Path  # the serial port's bytes

    def of_kind(self, kind):
        """The last record of this kind; None: none. Runs and tests have none."""
        found = [r for r in self.records if r.get("kind") == kind]
        return found[-1] if found else None


class Interrupted(Exception):
    """Ctrl-C: what was measured before counts."""


def boot(virtual, image, folder):
    """Until the machine switches itself off. The guest's text is in folder/console.txt."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-B", str(OVMF / "run.py"), "--image", str(image), "--folder", str(folder),
               *virtual.words()]
    console = folder / "console.txt"
    with open(console, "wb") as out:
        # Not from the terminal: Ctrl-C then is a signal, to run.py as to this program.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it has had the same signal, and asks the guest to stop
            raise Interrupted from None
    records = []
    path = folder / "record.json"
    if path.is_file():
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
    failure = None
    if status != 0:
        lines = console.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
        failure = f"{lines[0]} (all of it: {console})"
    return Boot(records, failure, folder / "serial.log")
