#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same source in another folder gives the same bytes: the image, built in a copy of the tree, beside the one in
the build folder; a packed file; and finish_pe.py, run twice. Ends with `N passed, N failed`."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

def check_image(build, folder):
    copy = folder / "a folder of another name and length"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build", ".git"))
    commit = (build / "commit").read_text().strip()
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}", f"COMMIT={commit}", f"CXX={os.environ.get('CXX', 'g++')}",
                    "build/axiom.efi"], cwd=copy, check=True)
    return (copy / "build" / "axiom.efi").read_bytes() == (build / "axiom.efi").read_bytes()


def check_packed(build, folder):
    place = folder / "another"
    place.mkdir()
    shutil.copy(build / "models" / "default.gguf", place / "model.gguf")
    subprocess.run([build / "axiom-pack", "model.gguf", "-o", "model.axm"], cwd=place, check=True, capture_output=True)
    return (place / "model.axm").read_bytes() == (build / "models" / "default.axm").read_bytes()


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
    checks = [("the whole image is the same, built in another folder", check_image),
              ("a packed file is the same, made in another folder", check_packed),
              ("the same image and sections give the same file", check_finish)]
    with tempfile.TemporaryDirectory(prefix="axiom-reproducible-") as folder:
        for name, check in checks:
            same = check(build, pathlib.Path(folder))
            print(("ok" if same else "not ok") + f" - {name}")
            failed += not same
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
