#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian/Ubuntu packages given as arguments, if any is missing; silent otherwise.
# `a|b` means either: satisfied by any of them, installed as the first that apt knows.
set -eu

list=$(mktemp)
trap 'rm -f "$list"' EXIT
# One query for all names; dpkg-query fails when one is unknown, which is not an error here.
# shellcheck disable=SC2046
dpkg-query -W -f='${Package} ${db:Status-Status}\n' $(echo "$*" | tr '|' ' ') \
    2>/dev/null >"$list" || true

missing=
for entry in "$@"; do
    found=
    for name in $(echo "$entry" | tr '|' ' '); do
        grep -qx "$name installed" "$list" && found=1
    done
    [ -n "$found" ] || missing="$missing $entry"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null || {
        echo "make deps: missing packages:$missing; not root and no sudo: install them as root" >&2
        exit 1
    }
fi

echo "make deps: missing packages:$missing"
echo "make deps: $sudo apt-get update"
$sudo apt-get update -q

names=
for entry in $missing; do
    chosen=
    for name in $(echo "$entry" | tr '|' ' '); do
        if [ -z "$chosen" ] && apt-cache show "$name" >/dev/null 2>&1; then chosen=$name; fi
    done
    names="$names ${chosen:-${entry%%|*}}"
done
echo "make deps: $sudo apt-get install --no-install-recommends$names"
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -q -y --no-install-recommends $names
