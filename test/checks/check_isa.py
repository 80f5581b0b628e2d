#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves law 6 and law 2 over what the compiler made: outside the objects compiled for a wider
instruction set there is baseline x86-64 code only, those objects export their table and nothing
else (with and without optimization), and no fused multiply-add stands anywhere. Ends with `N passed, N failed`."""
import argparse
import bisect
import os
import re
import subprocess
import sys

FUSED = re.compile(r"^vf[n]?m(add|sub)")
# VEX and EVEX encodings; of the mnemonics with a v the rest are system instructions.
WIDE = re.compile(r"^v(?!er[rw]$|m(call|launch|resume|xo|read|write|func|load|save|run|ptr|clear|mcall))")
WIDE_REGISTER = re.compile(r"%[yz]mm\d|%k[0-7]\b")
# SSE3 to SSE4.2, POPCNT, BMI, FMA4: not in every x86-64 CPU.
BEYOND_BASELINE = re.compile(
    r"^(addsubp|h(add|sub)p|lddqu|mov(s[hl]|d)dup|p?h(add|sub)|pabs|palignr|pmaddubsw|pmulhrsw|pshufb|"
    r"psign|sha(1|256)|blend|pblend|dpp|extractps|insertps|movntdqa|mpsadbw|packusdw|pcmpeqq|pcmpgtq|pcmp[ei]str|"
    r"pextr[bdq]|pinsr[bdq]|phmin|pm(ax|in)(sb|sd|ud|uw)|pmov[sz]x|pmuldq|pmulld|ptest|round[ps][sd]|"
    r"crc32|popcnt|(andn|bextr|bls(r|i|msk)|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)[lq]?$)")
TABLE = re.compile(r"^axiom::k\w+Kernels$")
TOOL_TABLE = re.compile(r"^axiom::peak::k\w+Loops$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
PREFIXES = {"rep", "repz", "repnz", "lock", "data16", "cs", "ds", "es", "fs", "gs", "notrack", "bnd",
            "addr32", "rex.W", "xacquire", "xrelease"}


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def instructions(binary):
    """Yields (address, function, mnemonic, text)."""
    function = "?"
    for line in output("objdump", "-d", "--no-show-raw-insn", binary).splitlines():
        if match := FUNCTION.match(line):
            function = match.group(1)
        elif match := INSTRUCTION.match(line):
            words = match.group(2).split()
            while words and (words[0] in PREFIXES or words[0].startswith("{")):
                words.pop(0)
            if words:
                yield int(match.group(1), 16), function, words[0], match.group(2)


def beyond_baseline(mnemonic, text):
    return bool(WIDE.match(mnemonic) or BEYOND_BASELINE.match(mnemonic) or WIDE_REGISTER.search(text))


def isa_ranges(linked, isa_sources):
    """Address ranges of the functions that came from the sources allowed a wider set. Local symbols
    follow the FILE symbol of their object (System V gABI, symbol table)."""
    ranges = []
    allowed = False
    for line in output("readelf", "-sW", linked).splitlines():
        field = line.split()
        if len(field) < 7 or not field[0].rstrip(":").isdigit():
            continue
        value, size, kind, binding = int(field[1], 16), int(field[2], 0), field[3], field[4]
        if kind == "FILE":
            allowed = (field[7] if len(field) > 7 else "") in isa_sources
        elif kind == "FUNC" and binding == "LOCAL" and allowed and size:
            ranges.append((value, value + size))
    return sorted(ranges)


def inside(ranges, address):
    i = bisect.bisect_right(ranges, (address, float("inf"))) - 1
    return i >= 0 and ranges[i][0] <= address < ranges[i][1]


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, name, problems):
        for problem in problems[:20]:
            print(f"  {problem}")
        if len(problems) > 20:
            print(f"  ... and {len(problems) - 20} more")
        self.passed += not problems
        self.failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} - {name}")


def code_problems(binary, allowed):
    """`allowed(address)`: whether a wider instruction set may stand there."""
    wide, fused = [], []
    for address, function, mnemonic, text in instructions(binary):
        where = f"{binary}: {function} at {address:#x}: found `{' '.join(text.split())}`"
        if FUSED.match(mnemonic):
            fused.append(f"{where}, allowed separate multiply and add")
        if not allowed(address) and beyond_baseline(mnemonic, text):
            wide.append(f"{where}, allowed baseline x86-64 outside the ISA kernels")
    return wide, fused


def export_problems(binary, table=TABLE):
    """What an ISA object defines beyond its table: any of it could be the copy the linker keeps."""
    problems, tables = [], 0
    for line in output("nm", "-C", "--defined-only", "--extern-only", binary).splitlines():
        _, kind, name = line.split(maxsplit=2)
        if kind in "RDB" and table.match(name):
            tables += 1
        else:
            problems.append(f"{binary}: found exported symbol {name} ({kind}), allowed its table only")
    if tables != 1:
        problems.append(f"{binary}: found {tables} exported kernel tables, allowed 1")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--isa-sources", nargs="*", default=[], metavar="FILE",
                        help="sources compiled for a wider set, e.g. core/kernels/avx2.cpp")
    parser.add_argument("--tool-sources", nargs="*", default=[], metavar="FILE",
                        help="the same for sources of measuring tools, e.g. bench/peak_avx2.cpp: their "
                             "objects may be wide, what is given as --linked or --efi may not hold them")
    parser.add_argument("--objects", nargs="+", action="append", default=[], metavar="FOLDER",
                        help="folders whose objects are one program's, e.g. build/host/core")
    parser.add_argument("--linked", nargs="*", default=[], help="linked ELF files with symbols")
    parser.add_argument("--efi", nargs=2, metavar=("ELF", "PE"), help="the image and the ELF it came from")
    args = parser.parse_args()
    isa_objects = tuple(f"/{os.path.splitext(s)[0]}.o" for s in args.isa_sources)
    tool_objects = tuple(f"/{os.path.splitext(s)[0]}.o" for s in args.tool_sources)
    isa_names = {os.path.basename(s) for s in args.isa_sources}
    report = Report()

    for folders in args.objects:
        binaries = [os.path.join(path, name) for folder in folders
                    for path, _, names in sorted(os.walk(folder))
                    for name in sorted(names) if name.endswith(".o")]
        wide, fused, exported, n_isa = [], [], [], 0
        for binary in binaries:
            is_isa = binary.endswith(isa_objects) if isa_objects else False
            is_tool = binary.endswith(tool_objects) if tool_objects else False
            n_isa += is_isa
            may_be_wide = is_isa or is_tool
            new_wide, new_fused = code_problems(binary, lambda _, allowed=may_be_wide: allowed)
            wide += new_wide
            fused += new_fused
            exported += export_problems(binary) if is_isa else []
            exported += export_problems(binary, TOOL_TABLE) if is_tool else []
        where = " ".join(folders)
        if not binaries or n_isa != len(isa_objects):
            wide.append(f"{where}: found {len(binaries)} objects, {n_isa} of ISA kernels, allowed "
                        f"{len(isa_objects)} of those and some others")
        report.add(f"{where}: objects outside the ISA kernels are baseline x86-64", wide)
        report.add(f"{where}: no object has a fused multiply-add", fused)
        report.add(f"{where}: ISA kernel objects export their table only", exported)

    linked = [(elf, elf) for elf in args.linked] + ([tuple(args.efi)] if args.efi else [])
    for elf, binary in linked:
        ranges = isa_ranges(elf, isa_names)
        wide, fused = code_problems(binary, lambda address: inside(ranges, address))
        if not ranges and isa_names:
            wide.append(f"{elf}: found no function of {', '.join(sorted(isa_names))}, allowed all of them")
        report.add(f"{binary}: wider instructions stand in the ISA kernels only", wide)
        report.add(f"{binary}: no fused multiply-add", fused)

    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError) as e:
        print(f"check-isa: {e}")
        print("0 passed, 1 failed")
        sys.exit(1)
