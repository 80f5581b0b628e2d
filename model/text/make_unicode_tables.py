#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes unicode_tables.inc: where the classes that the pre-tokenizers' regexes need begin and end.
# Run with Unicode 15.1 data: pip install unicodedata2==15.1.0; python3 make_unicode_tables.py
# (15.1 is what llama.cpp carries, also in llama-cpp-python 0.3.36; every code point was compared.)
import sys
from pathlib import Path

import unicodedata2

VERSION = "15.1.0"
OTHER, LETTER, NUMBER, PUNCTUATION, SPACE, MARK = range(6)  # as CharClass in unicode.h
SPACES = {0x85} | set(range(0x09, 0x0E))  # White_Space beyond general category Z


def char_class(code_point):
    category = unicodedata2.category(chr(code_point))
    if category[0] == "Z" or code_point in SPACES:
        return SPACE
    return {"L": LETTER, "N": NUMBER, "P": PUNCTUATION, "M": MARK}.get(category[0], OTHER)


def main():
    if unicodedata2.unidata_version != VERSION:
        sys.exit(f"unicodedata2 has Unicode {unicodedata2.unidata_version}, wanted {VERSION}")
    starts = []
    previous = None
    for code_point in range(0x110000):
        current = char_class(code_point)
        if current != previous:
            starts.append(code_point << 3 | current)
            previous = current
    lines = ["// SPDX-License-Identifier: MIT",
             f"// Unicode {VERSION}, written by make_unicode_tables.py: first << 3 | CharClass."]
    for i in range(0, len(starts), 8):
        lines.append("    " + " ".join(f"0x{s:06x}," for s in starts[i:i + 8]))
    out = Path(__file__).with_name("unicode_tables.inc")
    out.write_text("\n".join(lines) + "\n")
    print(f"{out}: {len(starts)} ranges")


main()
