# SPDX-License-Identifier: MIT
# One boot for a test: image in, serial text and records out, bounded in time, nothing left behind.
# Must not know: what is being tested.
import dataclasses
import json
import os
import pathlib
import re
import select
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "ovmf"), str(ROOT / "test" / "checks")]
import console  # noqa: E402
import qemu  # noqa: E402
import record_schema  # noqa: E402

# The firmware's own shell waits some seconds before startup.nsh unless a key comes.
SHELL_PROMPT = (re.compile(rb"Press ESC in"), b"\r")


@dataclasses.dataclass
class Outcome:
    text: str  # serial output without escape sequences
    record: dict | None  # the last record line
    records: list  # all of them, in order
    failure: str | None  # why the boot as such failed: time, QEMU's status
    log: pathlib.Path

    def tail(self, n_lines=15):
        return "\n".join(line[:200] for line in self.text.splitlines()[-n_lines:])


def boot(folder, image, timeout_s, reactions=(), end_at=None, **machine):
    """Boots until QEMU ends by itself. reactions: (pattern to wait for, bytes to send or a
    function to call), each once, in any order. `end_at`: a pattern after which nothing more is awaited. `machine` as qemu.command takes it."""
    folder = pathlib.Path(folder)
    guest = qemu.Machine(folder, image, **machine)
    raw = bytearray()
    failure = None
    waiting = [SHELL_PROMPT, *reactions]
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            ready, _, _ = select.select(
                [guest.serial_out], [], [], max(0, deadline - time.monotonic())
            )
            if not ready:
                failure = f"no end within {timeout_s} s"
                break
            data = os.read(guest.serial_out, 65536)
            if not data:
                break
            raw += data
            for reaction in [r for r in waiting if r[0].search(raw)]:
                waiting.remove(reaction)
                if callable(reaction[1]):
                    reaction[1]()
                else:
                    guest.send(reaction[1])
            if end_at is not None and end_at.search(raw):
                guest.process.kill()
                log = folder / "serial.log"
                log.write_bytes(raw)
                return outcome_of(bytes(raw), None, log)
        if failure is None:
            guest.process.wait(timeout=20)
    finally:
        status = guest.end()
        log = folder / "serial.log"
        log.write_bytes(raw)
    if failure is None and status != 0:
        failure = f"QEMU ended with status {status}: {guest.errors()}"
    return outcome_of(bytes(raw), failure, log)


def outcome_of(raw, failure, log):
    """What the serial bytes of a boot say, whose lines of JSON must be as their schema says. `failure` as in
    Outcome."""
    text = console.EscapeFilter().feed(raw).decode(errors="replace")
    records = []
    for line in text.splitlines():
        if line.startswith(console.RECORD_START.decode()):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                failure = failure or f"a record line is not JSON: {error}: {line[:200]}"
    failure = failure or record_schema.failure_in(text)
    return Outcome(text, records[-1] if records else None, records, failure, log)
