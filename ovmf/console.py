# SPDX-License-Identifier: MIT
# What a person sees of a guest's serial port: the firmware's lines and every escape sequence are
# taken out, AXIOM's text passes at once, record lines are collected. Works on bytes as they come.
import re

RECORD_START = b'{"axiom":'
RETURNED = re.compile(
    rb"(BdsDxe: (loading|starting|failed to \w+) Boot[0-9A-F]{4} |" rb"UEFI Interactive Shell)"
)
# Lines that are shown, or not, only when they have ended.
HELD = (RECORD_START, b"BdsDxe: ")
# The first line of ours: nothing that OVMF prints starts so.
BANNER = re.compile(rb"axiom\b", re.IGNORECASE)


class EscapeFilter:
    """Removes ECMA-48 escape sequences and control bytes other than tab, newline and a carriage
    return that overwrites its line."""

    def __init__(self):
        self.state = "text"
        self.pending_return = False

    def feed(self, data):
        out = bytearray()
        for byte in data:
            if self.state == "text":
                if byte == 0x1B:
                    self.state = "escape"
                elif byte == 0x0D:
                    self.pending_return = True
                elif byte == 0x0A:
                    self.pending_return = False
                    out.append(byte)
                elif byte == 0x09 or (byte >= 0x20 and byte != 0x7F):
                    if self.pending_return:
                        self.pending_return = False
                        out.append(0x0D)
                    out.append(byte)
            elif self.state == "escape":
                self.state = "sequence" if byte == ord("[") else "text"
            elif 0x40 <= byte <= 0x7E:  # the final byte of a control sequence
                self.state = "text"
        return bytes(out)


class Console:
    def __init__(self, write):
        self.write = write  # bytes for the person
        self.escapes = EscapeFilter()
        self.started = False  # AXIOM's banner has come
        self.returned = False  # control went back to the firmware afterwards
        self.records = []  # record lines, bytes without newline
        self.errors = []  # AXIOM's "axiom: error:" lines
        self.firmware = []  # what was hidden, for when nothing else explains a failure
        self.line = bytearray()  # the current line so far
        self.shown = 0  # how much of it the person has seen

    def feed(self, data):
        for part in re.split(rb"(\n)", self.escapes.feed(data)):
            if part == b"\n":
                self.end_line()
            else:
                self.line += part
                self.show_partial()

    def show_partial(self):
        if not self.started or self.returned:
            return
        may_be_held = any(self.line[: len(s)] == s[: len(self.line)] for s in HELD)
        if self.shown == 0 and may_be_held:
            return
        self.write(bytes(self.line[self.shown :]))
        self.shown = len(self.line)

    def end_line(self):
        line = bytes(self.line).split(b"\r")[-1]
        if not self.started and BANNER.match(line):
            self.started = True
        elif not self.started and line.startswith(RECORD_START):
            self.started = True
            self.show_quiet_run()
        if not self.started or self.returned:
            self.firmware.append(line)
        elif not self.records and RETURNED.match(line):
            self.returned = True
        elif line.startswith(RECORD_START) and self.shown == 0:
            self.records.append(line)
        else:
            if line.startswith(b"axiom: error:"):
                self.errors.append(line)
            self.write(bytes(self.line[self.shown :]) + b"\n")
        self.line.clear()
        self.shown = 0

    def show_quiet_run(self):
        """With --quiet there is no banner: what came since firmware started us was ours."""
        starts = [i for i, line in enumerate(self.firmware) if line.startswith(b"BdsDxe: starting ")]
        begin = starts[-1] + 1 if starts else len(self.firmware)
        self.write(b"".join(line + b"\n" for line in self.firmware[begin:]))

    def finish(self):
        if self.line:
            self.end_line()
