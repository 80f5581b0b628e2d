#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What objcopy leaves undone on a PE32+ image (Microsoft PE Format): says that no page is both written and
executed (NX_COMPAT), which it checks, adds sections of data, and sets the checksum. The same input gives the
same bytes."""
import argparse
import pathlib
import struct
import sys

NX_COMPAT = 0x0100
EXECUTE, READ, WRITE, INITIALIZED = 0x20000000, 0x40000000, 0x80000000, 0x00000040
FILE_HEADER_BYTES, SECTION_BYTES = 20, 40


def round_up(value, alignment):
    return (value + alignment - 1) // alignment * alignment


class Image:
    def __init__(self, data):
        self.data = bytearray(data)
        self.file_header = struct.unpack_from("<I", self.data, 0x3C)[0] + 4
        if self.data[self.file_header - 4 : self.file_header] != b"PE\0\0":
            raise ValueError("found no PE signature")
        self.optional = self.file_header + FILE_HEADER_BYTES
        if self.get("H", 0) != 0x20B:
            raise ValueError("found another format than PE32+")
        self.sections = self.optional + struct.unpack_from("<H", self.data, self.file_header + 16)[0]
        if self.n_sections() == 0:
            raise ValueError("found no section")

    def get(self, kind, at):
        """A field of the optional header."""
        return struct.unpack_from("<" + kind, self.data, self.optional + at)[0]

    def put(self, kind, at, value):
        struct.pack_into("<" + kind, self.data, self.optional + at, value)

    def n_sections(self):
        return struct.unpack_from("<H", self.data, self.file_header + 2)[0]

    def check_pages(self):
        for i in range(self.n_sections()):
            at = self.sections + i * SECTION_BYTES
            name = self.data[at : at + 8].rstrip(b"\0").decode()
            flags = struct.unpack_from("<I", self.data, at + 36)[0]
            address = struct.unpack_from("<I", self.data, at + 12)[0]
            if flags & EXECUTE and flags & WRITE:
                raise ValueError(f"section {name}: found writable code, allowed one of the two")
            if address % 4096:
                raise ValueError(f"section {name}: found at {address:#x}, allowed the start of a page")

    def add_section(self, name, content):
        """Read-only data behind everything else."""
        section_alignment, file_alignment = self.get("I", 32), self.get("I", 36)
        n = self.n_sections()
        at = self.sections + n * SECTION_BYTES
        if at + SECTION_BYTES > self.get("I", 60):
            raise ValueError(f"section {name}: found no room in the headers")
        address = self.get("I", 56)
        raw = round_up(len(self.data), file_alignment)
        raw_bytes = round_up(len(content), file_alignment)
        self.data += bytes(raw - len(self.data)) + content + bytes(raw_bytes - len(content))
        header = struct.pack("<8sIIIIIIHHI", name.encode(), len(content), address, raw_bytes, raw, 0, 0, 0, 0,
                             READ | INITIALIZED)
        self.data[at : at + SECTION_BYTES] = header
        struct.pack_into("<H", self.data, self.file_header + 2, n + 1)
        self.put("I", 56, round_up(address + len(content), section_alignment))

    def finish(self):
        self.put("H", 70, self.get("H", 70) | NX_COMPAT)
        self.put("I", 64, 0)
        words = bytes(self.data) + bytes(len(self.data) % 2)
        total = 0
        for (word,) in struct.iter_unpack("<H", words):
            total += word
            total = (total & 0xFFFF) + (total >> 16)
        self.put("I", 64, total + len(self.data))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    parser.add_argument("--section", action="append", default=[], metavar="NAME=FILE", help="to add")
    arguments = parser.parse_args()
    try:
        image = Image(arguments.image.read_bytes())
        for section in arguments.section:
            name, _, path = section.partition("=")
            if not 0 < len(name) <= 8 or not path:
                raise ValueError(f'--section: found "{section}", allowed a name of at most 8 bytes = a file')
            image.add_section(name, pathlib.Path(path).read_bytes())
        image.check_pages()
        image.finish()
        arguments.output.write_bytes(image.data)
    except (OSError, ValueError, struct.error) as error:
        print(f"finish_pe.py: {arguments.image}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
