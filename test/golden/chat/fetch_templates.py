#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetches the chat templates that llama.cpp ships: fetch_templates.py FOLDER CACHE writes FOLDER/NAME.jinja
from vendor/llama.cpp/models/templates of llama-cpp-python's source package, which stays in CACHE. The
package's SHA-256 decides; FOLDER appears whole or not at all."""
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE, VERSION, MEGABYTES = "llama-cpp-python", "0.3.36", 77
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"

# pip asks a source package for its metadata, which would fetch and run a build system. This answers.
BACKEND = f"""import os

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name = "{PACKAGE.replace('-', '_')}-{VERSION}.dist-info"
    os.mkdir(os.path.join(folder, name))
    with open(os.path.join(folder, name, "METADATA"), "w") as f:
        f.write("Metadata-Version: 2.1\\nName: {PACKAGE}\\nVersion: {VERSION}\\n")
    return name

def build_wheel(*arguments):
    raise RuntimeError("only the source is wanted")
"""


def fail(text):
    sys.exit(f"chat templates: {text}")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def archive_in(cache):
    """The source package in `cache`, downloaded once."""
    archive = cache / f"{PACKAGE.replace('-', '_')}-{VERSION}.tar.gz"
    if archive.exists() and digest(archive) == SHA256:
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    print(f"chat templates: downloading the source of {PACKAGE} {VERSION} from PyPI ({MEGABYTES} MB, once)", flush=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        folder = Path(temporary)
        backend = folder / "backend" / "scikit_build_core"
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build.py").write_text(BACKEND)
        run = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--no-binary", PACKAGE, "--no-build-isolation", "--dest", str(folder), f"{PACKAGE}=={VERSION}"],
            env=dict(os.environ, PYTHONPATH=str(folder / "backend")), capture_output=True, text=True)
        if run.returncode != 0:
            fail(f"{run.stderr[-600:]}\npip could not download {PACKAGE}=={VERSION} (no network, or PyPI does not have "
                 "it); all but the golden tests of chat templates run without it")
        found = digest(folder / archive.name)
        if found != SHA256:
            fail(f"wrong SHA-256 of {archive.name}: found {found}, allowed {SHA256}")
        os.replace(folder / archive.name, archive)
    return archive


def main():
    folder, cache = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    archive = archive_in(cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        with tarfile.open(archive) as t:
            for member in t:
                path = Path(member.name)
                if member.isfile() and path.parent.match("vendor/llama.cpp/models/templates") and path.suffix == ".jinja":
                    (new / path.name).write_bytes(t.extractfile(member).read())
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(new, folder)
    print(f"chat templates: {len(list(folder.iterdir()))} in {folder}")


if __name__ == "__main__":
    main()
