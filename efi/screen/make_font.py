#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the bitmap fonts of xfonts-terminus, in X11's PCF format, into build/generated/font.cpp, which
fills in efi/screen/font.h: `make_font.py -o font.cpp`. Characters are those that all of them have."""
import argparse
import gzip
import pathlib
import struct

# Table types and format bits ("The X Font Library", X11R6, and libXfont's pcf.h).
METRICS, BITMAPS, ENCODINGS, ACCELERATORS = 1 << 2, 1 << 3, 1 << 5, 1 << 8
MSB_BYTES, MSB_BITS, COMPRESSED = 1 << 2, 1 << 3, 1 << 8
NO_GLYPH = 0xFFFF
REPLACEMENT = 0xFFFD
# Drawn as another, because the font lacks them: dashed lines, a narrow blank.
DRAWN_AS = {0x2504 + i: 0x2508 + i for i in range(4)} | {0x254C + i: 0x2508 + i for i in range(4)}
DRAWN_AS[0x202F] = 0x20


class Font:
    """width, height of a cell; glyphs: code point -> its rows as numbers, the leftmost pixel highest."""

    def __init__(self, path):
        self.path = path
        self.data = gzip.decompress(pathlib.Path(path).read_bytes())
        magic, n_tables = struct.unpack_from("<4sI", self.data)
        if magic != b"\1fcp":
            raise ValueError(f"{path}: found {magic!r}, allowed a PCF font")
        entries = (struct.unpack_from("<4I", self.data, 8 + 16 * i) for i in range(n_tables))
        self.offsets = {kind: offset for kind, _, _, offset in entries}
        self.read_size()
        bitmaps = self.bitmaps()
        metrics = self.metrics()
        self.glyphs = {
            point: self.cell(bitmaps[i], *metrics[i]) for point, i in self.encodings().items()
        }
        for point, other in DRAWN_AS.items():
            self.glyphs.setdefault(point, self.glyphs[other])

    def table(self, kind):
        """Its format, where it goes on, and the byte order of what follows."""
        at = self.offsets[kind]
        layout = struct.unpack_from("<I", self.data, at)[0]
        return layout, at + 4, ">" if layout & MSB_BYTES else "<"

    def read_size(self):
        _, at, order = self.table(ACCELERATORS)
        self.ascent, descent, _ = struct.unpack_from(order + "3i", self.data, at + 8)
        self.height = self.ascent + descent

    def metrics(self):
        """(left side, right side, ascent, descent) of each glyph; sets the cell's width."""
        layout, at, order = self.table(METRICS)
        if layout & COMPRESSED:
            n = struct.unpack_from(order + "H", self.data, at)[0]
            raw = [[b - 0x80 for b in self.data[at + 2 + 5 * i : at + 7 + 5 * i]] for i in range(n)]
        else:
            n = struct.unpack_from(order + "I", self.data, at)[0]
            raw = [struct.unpack_from(order + "5h", self.data, at + 4 + 12 * i) for i in range(n)]
        widths = {width for _, _, width, _, _ in raw}
        if len(widths) != 1:
            raise ValueError(f"{self.path}: found widths {sorted(widths)}, allowed one for all")
        self.width = widths.pop()
        return [(left, right, up, down) for left, right, _, up, down in raw]

    def bitmaps(self):
        """(bytes, bytes a row's padding is) of each glyph."""
        layout, at, order = self.table(BITMAPS)
        if not layout & MSB_BITS or (layout & MSB_BYTES == 0 and layout >> 4 & 3):
            raise ValueError(f"{self.path}: bitmaps of format {layout:#x}, allowed the leftmost pixel first")
        n = struct.unpack_from(order + "I", self.data, at)[0]
        starts = struct.unpack_from(f"{order}{n}I", self.data, at + 4)
        begin = at + 4 + 4 * n + 16  # behind the sizes for each padding
        return [(begin + start, 1 << (layout & 3)) for start in starts]

    def encodings(self):
        """Code point -> number of its glyph."""
        _, at, order = self.table(ENCODINGS)
        low, high, first, last, _ = struct.unpack_from(order + "5H", self.data, at)
        n_a_row = high - low + 1
        found = {}
        for row in range(first, last + 1):
            for column in range(n_a_row):
                index = (row - first) * n_a_row + column
                glyph = struct.unpack_from(order + "H", self.data, at + 10 + 2 * index)[0]
                if glyph != NO_GLYPH:
                    found[row << 8 | (low + column)] = glyph
        return found

    def cell(self, bitmap, left, right, up, down):
        """The glyph's rows in a cell."""
        start, padding = bitmap
        n_bytes = -(-(right - left) // 8)
        n_bytes = -(-n_bytes // padding) * padding
        rows = [0] * self.height
        for i in range(up + down):
            bits = int.from_bytes(self.data[start + i * n_bytes : start + (i + 1) * n_bytes], "big")
            shift = self.width - left - 8 * n_bytes
            bits = bits << shift if shift >= 0 else bits >> -shift
            rows[self.ascent - up + i] = bits & ((1 << self.width) - 1)
        return rows


def characters(fonts):
    """What all fonts have, in order: what can be shown. Not control characters, not private ones."""
    shared = set.intersection(*(set(font.glyphs) for font in fonts))
    return sorted(p for p in shared if p >= 0x20 and not 0x7F <= p < 0xA0 and not 0xE000 <= p < 0xF900)


def rows_text(font, points):
    n_bytes = font.width // 8
    for point in points:
        data = b"".join(row.to_bytes(n_bytes, "big") for row in font.glyphs[point])
        yield "    " + "".join(f"{b}," for b in data)


def source(fonts, notice):
    points = characters(fonts)
    for needed in (0x20, REPLACEMENT):
        if needed not in points:
            raise ValueError(f"{fonts[0].path}: found no U+{needed:04X}")
    lines = [
        "// Made by efi/screen/make_font.py; do not edit.",
        '#include "efi/screen/font.h"',
        "",
        "namespace axiom::efi {",
        "namespace {",
        f"constexpr uint16_t kPoints[] = {{{','.join(str(p) for p in points)}}};",
    ]
    for i, font in enumerate(fonts):
        lines.append(f"constexpr uint8_t kRows{i}[] = {{")
        lines += rows_text(font, points)
        lines.append("};")
    lines += [
        "}  // namespace",
        "const Font kFonts[kNFonts] = {",
        *(f"    {{{font.width}, {font.height}, kRows{i}}}," for i, font in enumerate(fonts)),
        "};",
        "const std::span<const uint16_t> kFontPoints(kPoints);",
        f'const char kFontNotice[] = "{notice}";',
        "}  // namespace axiom::efi",
        "",
    ]
    return "\n".join(lines)


# Where Debian's and Ubuntu's xfonts-terminus has them.
FOLDER = pathlib.Path("/usr/share/fonts/X11/misc")
FILES = ("ter-u16n_unicode.pcf.gz", "ter-u32n_unicode.pcf.gz")
NOTICE = (
    "Font: Terminus Font, Copyright (c) 2010-2014 Dimitar Toshkov Zhekov, with Reserved Font Name "
    "\\\"Terminus Font\\\", under the SIL Open Font License, Version 1.1"
)


def load():
    """The fonts of the image, the small one first."""
    return [Font(FOLDER / name) for name in FILES]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        out.write_text(source(load(), NOTICE))
    except (OSError, ValueError) as error:
        raise SystemExit(f"make_font.py: {error}; `make deps` installs xfonts-terminus") from None


if __name__ == "__main__":
    main()
