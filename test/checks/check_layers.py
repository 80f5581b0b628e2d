#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves ARCHITECTURE's layering over the sources: includes point one way only, core/ and model/
know no platform. Prints each violation as FILE:LINE, then `N passed, N failed` counting rules."""
import argparse
import os
import re
import sys

# A folder may include from these.
MAY_INCLUDE = {
    "core": {"core"},
    "model": {"core", "model"},
    "efi": {"core", "model", "efi"},
    "packer": {"core", "model", "packer"},
    "bench": {"core", "model", "bench"},
    "test": {"core", "model", "efi", "packer", "bench", "test"},
}
# Inside a folder with rooms, a room may include from these and itself. Files above the rooms may
# include from all of them.
ROOM_MAY_INCLUDE = {
    # format <- text <- weights, report <- engine <- run <- chat
    "model": {
        "format": set(),
        "text": {"format"},
        "weights": {"format", "text"},
        "report": {"format"},
        "engine": {"format", "text", "weights", "report"},
        "run": {"format", "text", "weights", "report", "engine"},
        "chat": {"format", "text", "weights", "report", "engine", "run"},
    },
    # memory <- screen <- dev <- pci <- nvme, usb; dev <- platform <- cpu; all of these <- boot <- load <- phases <- main.cpp
    "efi": {
        "memory": set(),
        "screen": {"memory"},
        "dev": {"memory", "screen"},
        "platform": {"memory", "dev"},
        "cpu": {"memory", "dev", "platform"},
        "pci": {"memory", "dev"},
        "nvme": {"memory", "dev", "pci"},
        "usb": {"memory", "dev", "pci"},
        "boot": {"memory", "screen", "dev", "pci", "nvme", "usb", "platform", "cpu"},
        "load": {"memory", "dev", "nvme", "platform", "cpu", "boot"},
        "phases": {"memory", "screen", "dev", "pci", "nvme", "usb", "platform", "cpu", "boot", "load"},
    },
}
# Headers that compile freestanding and call nothing that firmware lacks.
FREESTANDING = {
    "algorithm", "array", "atomic", "bit", "compare", "concepts", "cstddef", "cstdint", "cstring",
    "initializer_list", "iterator", "limits", "new", "numbers", "optional", "span", "string_view",
    "type_traits", "utility",
}
CORE_ONLY = {"cpuid.h", "emmintrin.h"}  # every x86-64 CPU has them
KERNELS_ONLY = re.compile(r"(\w+intrin\.h)$")
EFI_HEADER = re.compile(r"efi\w*\.h$")

RULES = {
    "one-way": "includes point one way: core <- model <- { efi, packer, bench, test }",
    "rooms": "inside model/: format <- text <- weights, report <- engine <- run <- chat; "
             "inside efi/: memory <- screen <- dev <- pci <- nvme, usb; dev <- platform <- cpu; all <- boot <- load <- phases <- main",
    "rooted": "quoted includes are paths from the top of the tree to files that exist",
    "freestanding": "core, model and efi include freestanding headers only",
    "firmware": "firmware headers are included by efi only",
    "no-platform-ifdef": "no conditional compilation in core (except core/kernels) and model",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CONDITIONAL = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|else)\b")


def violations(root):
    for folder in MAY_INCLUDE:
        for path, _, names in sorted(os.walk(os.path.join(root, folder))):
            for name in sorted(names):
                if name.endswith((".cpp", ".h", ".inc", ".S")):
                    file = os.path.relpath(os.path.join(path, name), root)
                    with open(os.path.join(root, file), encoding="utf-8", errors="replace") as f:
                        for number, line in enumerate(f, 1):
                            for rule, what in line_violations(root, folder, file, line):
                                yield rule, f"{file}:{number}: {what}"


def line_violations(root, folder, file, line):
    in_kernels = file.startswith("core/kernels/")
    if folder in ("core", "model") and not in_kernels and CONDITIONAL.match(line):
        yield "no-platform-ifdef", f"found {line.strip()!r}, allowed no conditional compilation here"
    match = INCLUDE.match(line)
    if not match:
        return
    ours, system = match.groups()
    if ours is not None:
        top = ours.split("/")[0]
        if top not in MAY_INCLUDE or not os.path.isfile(os.path.join(root, ours)):
            yield "rooted", f'found "{ours}", allowed an existing file named from the top of the tree'
        elif top not in MAY_INCLUDE[folder]:
            allowed = ", ".join(sorted(MAY_INCLUDE[folder]))
            yield "one-way", f'found "{ours}" in {folder}/, allowed includes from {allowed}'
        elif folder == top and file.count("/") > 1:
            room, other = file.split("/")[1], ours.split("/")[1]
            rooms = ROOM_MAY_INCLUDE.get(folder, {})
            allowed = rooms.get(room, set()) | {room}
            if rooms and other not in allowed:
                names = ", ".join(sorted(allowed))
                yield "rooms", f'found "{ours}" in {folder}/{room}/, allowed includes from {names}'
        return
    if EFI_HEADER.match(system):
        if folder != "efi":
            yield "firmware", f"found <{system}> in {folder}/, allowed in efi/ only"
        return
    if folder not in ("core", "model", "efi") or system in FREESTANDING:
        return
    if in_kernels and KERNELS_ONLY.match(system):
        return
    if folder in ("core", "efi") and system in CORE_ONLY:
        return
    yield "freestanding", f"found <{system}> in {folder}/, allowed freestanding headers only"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=".", help="top of the tree")
    root = parser.parse_args().root
    failed = set()
    if not os.path.isfile(os.path.join(root, "core/status.h")):
        print(f"check-layers: found no core/status.h under {root}, allowed the top of the tree")
        failed = set(RULES)
    for rule, text in violations(root):
        failed.add(rule)
        print(text)
    for rule, meaning in RULES.items():
        print(f"{'not ok' if rule in failed else 'ok'} - {meaning}")
    print(f"{len(RULES) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
