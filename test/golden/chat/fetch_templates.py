#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes the chat templates that llama.cpp ships out of llama-cpp-python's source package:
fetch_templates.py FOLDER writes FOLDER/NAME.jinja, which appears whole or not at all."""
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from make_vocabs import LLAMA_CPP, fetch  # noqa: E402


def main():
    folder = Path(sys.argv[1]).resolve()
    archive = fetch(LLAMA_CPP, folder.parent / "download")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="make.") as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        with tarfile.open(archive) as t:
            for member in t:
                path = Path(member.name)
                if member.isfile() and path.parent.match("vendor/llama.cpp/models/templates") and path.suffix == ".jinja":
                    (new / path.name).write_bytes(t.extractfile(member).read())
        n = len(list(new.iterdir()))
        shutil.rmtree(folder, ignore_errors=True)
        new.replace(folder)
    print(f"test data: {n} chat templates in {folder}")


if __name__ == "__main__":
    main()
