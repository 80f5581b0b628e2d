# SPDX-License-Identifier: MIT
# Boots that are watched as a person watches them: what the screen shows, read from its pixels, and keys
# pressed on the emulated PS/2 keyboard.
import os
import re
import threading
import time

import guest  # finds conf
import judge
import panel

import conf  # noqa: E402

TEXT = "Hello from the keyboard"
N_TOKENS = 8
BEGUN = re.compile(r"checksums right\s+\S")
RECORD = re.compile(r'^\{"axiom":.*\n', re.M)
PRESS = "Press a key to power off."


class Seat:
    """A machine of which the screen is watched. What came from its serial port, if it has one, is
    `serial`. A machine that has no end is ended."""

    def __init__(self, folder, image, reader, **machine):
        self.reader = reader
        self.control = panel.Control(folder)
        extra = [*machine.pop("extra", ()), *self.control.arguments]
        self.guest = guest.qemu.Machine(folder, image, extra=extra, **machine)
        self.raw = bytearray()
        self.drain = threading.Thread(target=self.read_serial, daemon=True)
        self.drain.start()

    def __enter__(self):
        self.control.connect()
        return self

    def __exit__(self, *_):
        self.guest.end()
        self.drain.join()

    def read_serial(self):
        while data := os.read(self.guest.serial_out, 65536):
            self.raw += data

    @property
    def serial(self):
        return guest.console.EscapeFilter().feed(bytes(self.raw)).decode(errors="replace")

    def wait(self, wanted, look, timeout_s=90):
        """look() until it has `wanted`, and that text."""
        deadline = time.monotonic() + timeout_s
        text = ""
        while time.monotonic() < deadline and self.guest.process.poll() is None:
            text = look()
            if re.search(wanted, text):
                return text
            time.sleep(0.2)
        raise TimeoutError(f"found no {wanted!r} in\n{text}")

    def screen(self):
        return self.reader.text(self.control.dump())

    def power_off(self, timeout_s=20):
        """None once QEMU has ended in good order, or what was wrong."""
        status = self.guest.process.wait(timeout=timeout_s)
        return None if status == 0 else f"QEMU ended with status {status}: {self.guest.errors()}"

    def outcome(self, timeout_s=20):
        """The same, with all that came over the serial port."""
        failure = self.power_off(timeout_s)
        self.drain.join()
        return guest.outcome_of(bytes(self.raw), failure, self.control.folder)


def card(width, height):
    """At 30 Hz, since a higher rate of 3840x2160 has no room where OVMF reads a panel's size."""
    panel_size = f"xres={width},yres={height},refresh_rate=30000"
    return ["-vga", "none", "-device", f"VGA,vgamem_mb=64,{panel_size}"]


def lacks(text, *parts):
    missing = [part for part in parts if part not in text]
    return f"found no {missing} in\n{text}" if missing else None


def wrapped(text, n_columns):
    """Lines as a screen has them."""
    return [
        line[i : i + n_columns].rstrip()
        for line in text.splitlines()
        for i in range(0, max(len(line), 1), n_columns)
    ]


class Watched:
    def __init__(self, suite):
        self.suite = suite
        self.reader = panel.Reader()

    def seat(self, label, efi, text, options="", **machine):
        files = {
            "EFI/BOOT/BOOTX64.EFI": efi,
            "axiom/model.axm": self.suite.tiny,
            "axiom/axiom.conf": self.suite.source(
                label + ".conf", conf.text(text, str(N_TOKENS), "--ignore-eos " + options)
            ),
        }
        image = self.suite.image(label, files)
        machine = {"memory_mib": 512, **machine}
        return Seat(self.suite.folder / label, image, self.reader, **machine)

    def no_serial(self, results, name):
        """Only the screen is there: it has everything, and the machine waits for a key."""
        with self.seat(
            "screen-only", self.suite.efi, TEXT, serial="none", extra=card(800, 600)
        ) as seat:
            text = seat.wait(PRESS, seat.screen)
            expected = self.suite.host_hash(self.suite.tiny, TEXT, N_TOKENS)
            failure = lacks(
                text, "AXIOM 0.1.0", "checksums right", "800x600, 100 columns and 37 rows of 8x16",
                f"logits hash {expected}", "bytes, for machines)",
            )
            if failure is None and '{"axiom"' in text:
                failure = f"a record on the screen:\n{text}"
            if seat.guest.process.poll() is not None:
                failure = failure or "the machine went off before a key was pressed"
            seat.control.press("spc")
            results.result(name, failure or seat.power_off())

    def both(self, results, name):
        """Serial port and screen: the same text, but for the record."""
        with self.seat(
            "screen-and-serial", self.suite.efi, "Привет Γειά σου", "--on-exit halt",
            extra=card(1920, 1080),
        ) as seat:
            serial = seat.wait("axiom: halted", lambda: seat.serial)
            shown = seat.wait("axiom: halted", seat.screen).splitlines()
            serial = serial[serial.index("AXIOM 0.1.0") :]
            note = lambda match: f"(a record of {len(match[0]) - 1} bytes, for machines, is on the serial port)\n"
            wide = re.sub(r"[^\x00-\u04ff\u2000-\u2bff\ufffd]", "\ufffd", RECORD.sub(note, serial))
            expected = wrapped(wide, 120)[-len(shown) :]
            failure = None
            if shown != expected:
                i = next(i for i, pair in enumerate(zip(shown, expected)) if pair[0] != pair[1])
                failure = f"line {i}: on the screen {shown[i]!r}, on the serial port {expected[i]!r}"
            results.result(name, failure)

    def crash(self, results, name):
        """A fault report is drawn at once, on a large panel, and stays until a key is pressed."""
        with self.seat(
            "screen-crash", self.suite.fault_efi, "null", serial="none", extra=card(3840, 2160)
        ) as seat:
            text = seat.wait(PRESS, seat.screen)
            failure = lacks(
                text, "3840x2160, 120 columns and 33 rows of 32x64", "exception: #PF page fault",
                "not mapped (null page)", "rcx 1122334455667788", "callers, newest first",
            )
            seat.control.press("ret")
            results.result(name, failure or seat.power_off())

    def interrupt(self, results, name):
        """Ctrl-C on the keyboard ends what would go on for long."""
        with self.seat(
            "screen-interrupt", self.suite.efi, TEXT, '--bench "pp=0 tg=60 reps=1000 warmup=0"'
        ) as seat:
            seat.wait(BEGUN, lambda: seat.serial)
            seat.wait("screen    ", lambda: seat.serial)
            time.sleep(1)
            seat.control.press("ctrl-c")
            results.result(name, judge.judge_run(seat.outcome(), None, status="interrupted"))


    def no_keyboard(self, results, name):
        """Without a keyboard controller, as a laptop whose keyboard is on I2C: a table shows such a device."""
        ssdt = self.suite.source("i2c.aml", b"\x08_CID\x0dPNP0C50\0")
        words = ["-machine", "i8042=off", "-acpitable", f"sig=SSDT,data={ssdt}", *card(800, 600)]
        with self.seat(
            "screen-i2c", self.suite.efi, TEXT, "--on-exit halt", serial="none", extra=words
        ) as seat:
            text = seat.wait("axiom: halted", seat.screen)
            failure = lacks(text.replace("\n", " "), "no keyboard has answered; ACPI shows one or a touchpad on I2C")
            results.result(name, failure)


def scenarios(suite):
    watched = Watched(suite)
    yield (
        "with a screen of 800x600 and no serial port the run is on the screen until a key is pressed",
        watched.no_serial,
    )
    yield (
        "screen, 1920x1080, and serial port say the same, but for the record",
        watched.both,
    )
    yield (
        "a fault is reported on a screen of 3840x2160 until a key is pressed",
        watched.crash,
    )
    yield "a machine whose keyboard is on I2C says so on its screen", watched.no_keyboard
    yield "Ctrl-C on the PS/2 keyboard ends a run with a record that says so", watched.interrupt
