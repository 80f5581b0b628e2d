# SPDX-License-Identifier: MIT
# The variables in a copy of OVMF's store: which there are, and a store without room. Layout: UEFI Platform
# Initialization 1.7 volume 3 section 3.2.1 (firmware volume), EDK II's authenticated variable format.
import struct
import uuid

STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
OURS = uuid.UUID("191111af-4567-4b77-892b-9764aae9523b").bytes_le
STORE_HEADER = struct.Struct("<16sIBBHI")
# Start, state, reserved, attributes, count, time, key, bytes of the name, of the value, owner.
HEADER = struct.Struct("<HBBIQ16sIII16s")
START, ADDED, ATTRIBUTES = 0x55AA, 0x3F, 7


def find_store(data):
    """Where variables begin, and where the store ends."""
    at = data.index(STORE)
    _, n_bytes, *_ = STORE_HEADER.unpack_from(data, at)
    return at + STORE_HEADER.size, at + n_bytes


def walk(data):
    """(name, owner, value) of each variable that counts, and where the next one would begin."""
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
    return found, at, end


def record(path):
    """The record that a run left there; None without one."""
    found, _, _ = walk(path.read_bytes())
    values = [value for name, owner, value in found if (name, owner) == ("AxiomRecord", OURS)]
    return values[-1] if values else None


def fill(path, n_left):
    """Variables that leave n_left bytes."""
    data = bytearray(path.read_bytes())
    _, at, end = walk(data)
    owner = uuid.UUID("00000000-1111-2222-3333-444444444444").bytes_le
    for i in range(1000):
        name = f"Filler{i}\0".encode("utf-16-le")
        n_value = min(30000, (end - at - HEADER.size - len(name) - n_left) & ~3)
        if n_value <= 0:
            break
        head = HEADER.pack(START, ADDED, 0, ATTRIBUTES, 0, bytes(16), 0, len(name), n_value, owner)
        whole = head + name + bytes(n_value)
        data[at : at + len(whole)] = whole
        at = (at + len(whole) + 3) & ~3
    path.write_bytes(data)
