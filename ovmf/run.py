# SPDX-License-Identifier: MIT
# `make run`: boots build/axiom.img in QEMU and shows AXIOM's console. Status 0 only when QEMU ended
# by itself after a record whose status is "ok". The first Ctrl-C goes to the guest, the second ends
# QEMU. Raw serial bytes are kept in build/run/serial.log, the record in build/run/record.json.
import argparse
import contextlib
import json
import os
import pathlib
import select
import signal
import sys
import termios
import time

import console
import qemu

END_KEY = b"\x1d"  # Ctrl-], as telnet has it
POWER_OFF_SECONDS = 30  # from the record to the end of QEMU


def say(text):
    print(f"[{text}]", file=sys.stderr, flush=True)


@contextlib.contextmanager
def keys_as_bytes():
    """On a terminal: keys come at once and Ctrl-C as a byte, so that it reaches neither make nor
    QEMU. The terminal is as before afterwards, whatever happens."""
    if not sys.stdin.isatty():
        yield None
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    mode = termios.tcgetattr(handle)
    mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
    try:
        termios.tcsetattr(handle, termios.TCSANOW, mode)
        yield handle
    finally:
        termios.tcsetattr(handle, termios.TCSANOW, before)


class Run:
    def __init__(self, machine, folder, timeout_s, chat):
        self.machine = machine
        self.chat = chat
        self.timeout_s = timeout_s
        self.log = open(folder / "serial.log", "wb", buffering=0)
        # A line that is edited needs the escape sequences: then bytes are shown as they are.
        self.console = console.Console((lambda data: None) if chat else self.show)
        self.n_interrupts = 0
        self.failure = None

    def show(self, data):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def interrupt(self, *_):
        self.n_interrupts += 1
        if self.n_interrupts == 1:
            say("Ctrl-C: the guest is asked to stop; once more ends QEMU")
            self.machine.send(b"\x03")

    def step(self, keyboard):
        """Waits for bytes and handles them. False when the run is over."""
        sources = [self.machine.serial_out] + ([keyboard] if keyboard is not None else [])
        ready, _, _ = select.select(sources, [], [], 0.25)
        if keyboard in ready:
            keys = os.read(keyboard, 64)
            if self.chat:
                self.machine.send(keys.replace(END_KEY, b""))
                self.failure = "ended by Ctrl-]" if END_KEY in keys else None
                return self.failure is None
            for _ in range(keys.count(b"\x03")):
                self.interrupt()
        if self.n_interrupts >= 2:
            self.failure = "ended by Ctrl-C"
            return False
        now = time.monotonic()
        if self.machine.serial_out in ready:
            data = os.read(self.machine.serial_out, 65536)
            if not data:
                return False
            self.log.write(data)
            if self.chat and self.console.started:
                self.show(data)
            self.console.feed(data)
            self.last_output = now
            if self.console.returned:
                self.failure = "AXIOM gave control back to the firmware"
                return False
        # After a test of --bench another one may come.
        ended = bool(self.console.records) and b'"test":null' in self.console.records[-1]
        limit = POWER_OFF_SECONDS if ended else self.timeout_s
        is_silent = now - self.last_output > limit
        if is_silent and (ended or not self.chat):  # a person may think for as long as they like
            self.failure = (
                f"the record came but the machine did not power off within {limit} s"
                if ended
                else f"no serial output for {limit} s (make run TIMEOUT={limit * 4} waits longer)"
            )
            return False
        return True

    def loop(self):
        self.last_output = time.monotonic()
        handlers = {s: signal.signal(s, self.interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            with keys_as_bytes() as keyboard:
                while self.step(keyboard):
                    pass
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            if self.failure is None:
                with contextlib.suppress(Exception):
                    self.machine.process.wait(timeout=10)
            self.status = self.machine.end()
            self.console.finish()
            self.log.close()


def judge(run, folder):
    """Prints the records, one a line, says what went wrong. Returns the exit status."""
    record = None
    if run.console.records:
        lines = b"".join(line + b"\n" for line in run.console.records)
        try:
            for line in run.console.records:
                found = json.loads(line)
                record = found if "status" in found else record  # a trace's head has none
            (folder / "record.json").write_bytes(lines)
        except ValueError as error:
            run.failure = run.failure or f"the record is not JSON: {error}"
        if not run.chat:
            run.show(lines)
    if run.failure is None and run.status != 0:
        run.failure = f"QEMU ended with status {run.status}: {run.machine.errors()}"
    if run.failure is None and record is None:
        run.failure = "the machine went off without a record"
    if run.failure is None and record.get("status") != "ok":
        run.failure = f"the record says {record.get('status')}"
        if record.get("error"):
            run.failure += f": {record['error']}"
    if run.failure is None:
        return 0
    if run.console.errors:
        run.failure += ": " + run.console.errors[-1].decode(errors="replace")
    elif not run.console.started:
        for line in [l for l in run.console.firmware if l.strip()][-10:]:
            print(line.decode(errors="replace"), file=sys.stderr)
        errors = run.machine.errors()
        if errors:
            print(errors, file=sys.stderr)
    say(f"failed: {run.failure}; raw serial output: {folder / 'serial.log'}")
    return 130 if run.n_interrupts else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", required=True)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    for name in ("machine", "cpu", "disk", "smp", "mem", "accel", "timeout"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--secure", action="store_true", help="firmware with Secure Boot, Debian's test keys")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "record.json").unlink(missing_ok=True)
    try:
        accel, why = qemu.choose_accelerator(options.accel)
        # Emulated, a long prompt may compute for minutes between two bytes.
        timeout = options.timeout or ("120" if accel == "kvm" else "600")
        if not timeout.isdigit() or int(timeout) < 1:
            raise qemu.MachineError(f'TIMEOUT: found "{timeout}", allowed seconds from 1')
        say(
            f"QEMU: {accel} ({why}), {options.machine}, {options.smp} CPU {options.cpu}, "
            f"{options.mem} MiB, {options.disk} disk"
        )
        machine = qemu.Machine(
            options.folder,
            options.image,
            accel=accel,
            machine=options.machine,
            memory_mib=options.mem,
            cpus=options.smp,
            cpu=options.cpu,
            disk=options.disk,
            secure=options.secure,
        )
    except (qemu.MachineError, OSError) as error:
        print(f"make run: error: {error}", file=sys.stderr)
        return 1
    try:
        run = Run(machine, options.folder, int(timeout), options.chat)
        run.loop()
    finally:
        machine.end()
    return judge(run, options.folder)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before the machine was there to be asked
        sys.exit(130)
