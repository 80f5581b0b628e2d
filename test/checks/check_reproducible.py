#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same source in another folder gives the same bytes: some objects of the image, compiled in a copy of the
tree, beside those in the build folder; and finish_pe.py, run twice. Debug information, which names folders, is not in
the image. Ends with `N passed, N failed`."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of every room, with messages, tables, inlined library code and a kernel; none that carries the commit's name.
OBJECTS = ["core/slab", "core/kernels/sse", "model/weights/layout", "model/report/record", "efi/cpu/crash",
           "efi/load/find_model", "efi/screen/grid", "efi/usb/bus", "efi/dev/acpi"]


def code_of(path, folder):
    stripped = folder / "stripped.o"
    subprocess.run(["objcopy", "--strip-debug", str(path), str(stripped)], check=True)
    return stripped.read_bytes()


def check_objects(build, folder):
    copy = folder / "a folder of another name and length"
    ignore = shutil.ignore_patterns("build", ".git")
    shutil.copytree(ROOT, copy, ignore=ignore)
    targets = [f"build/efi/{name}.o" for name in OBJECTS]
    subprocess.run(["make", "-s", "-j2", "COMMIT=another", f"CXX={os.environ.get('CXX', 'g++')}", *targets],
                   cwd=copy, check=True)
    return [name for name, target in zip(OBJECTS, targets)
            if code_of(copy / target, folder) != code_of(build / "efi" / f"{name}.o", folder)]


def check_finish(build, folder):
    outputs = []
    for name in ("first.efi", "second.efi"):
        command = [sys.executable, "-B", str(ROOT / "efi" / "finish_pe.py"), str(build / "axiom.efi"),
                   "-o", str(folder / name), "--section", f".policy={ROOT / 'efi' / 'sbat.csv'}"]
        subprocess.run(command, check=True)
        outputs.append((folder / name).read_bytes())
    return outputs[0] == outputs[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    build = parser.parse_args().build.resolve()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="axiom-reproducible-") as folder:
        folder = pathlib.Path(folder)
        differing = check_objects(build, folder)
        print("ok - objects of the image are the same from another folder" if not differing else
              f"not ok - objects of the image are the same from another folder\n    differ: {', '.join(differing)}")
        failed += bool(differing)
        same = check_finish(build, folder)
        print(("ok" if same else "not ok") + " - the same image and sections give the same file")
        failed += not same
    print(f"{2 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
