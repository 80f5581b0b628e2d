# SPDX-License-Identifier: MIT
# The variables in a copy of OVMF's store: which there are. Layout: UEFI Platform
# Initialization 1.7 volume 3 section 3.2.1 (firmware volume), EDK II's authenticated variable format.
import struct
import uuid

STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
OURS = uuid.UUID("191111af-4567-4b77-892b-9764aae9523b").bytes_le
STORE_HEADER = struct.Struct("<16sIBBHI")
# Start, state, reserved, attributes, count, time, key, bytes of the name, of the value, owner.
HEADER = struct.Struct("<HBBIQ16sIII16s")
START, ADDED = 0x55AA, 0x3F


def find_store(data):
    """Where variables begin, and where the store ends."""
    at = data.index(STORE)
    _, n_bytes, *_ = STORE_HEADER.unpack_from(data, at)
    return at + STORE_HEADER.size, at + n_bytes


def walk(data):
    """(name, owner, value) of each variable that counts."""
    at, end = find_store(data)
    found = []
    while at + HEADER.size <= end:
        start, state, _, _, _, _, _, n_name, n_value, owner = HEADER.unpack_from(data, at)
        if start != START:
            break
        name_at = at + HEADER.size
        value_at = name_at + n_name
        if state == ADDED:
            name = data[name_at:value_at].decode("utf-16-le").rstrip("\0")
            found.append((name, owner, bytes(data[value_at : value_at + n_value])))
        at = (value_at + n_value + 3) & ~3
    return found


def record(path):
    """The record that a run left there; None without one."""
    found = walk(path.read_bytes())
    values = [value for name, owner, value in found if (name, owner) == ("AxiomRecord", OURS)]
    return values[-1] if values else None
