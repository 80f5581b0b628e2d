# SPDX-License-Identifier: MIT
# A GUID partition table (UEFI 2.10, section 5.3) for a disk image with sectors of any size.
# Must not know: what stands in the partitions.
import dataclasses
import struct
import uuid
import zlib

ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
WEIGHTS = uuid.UUID("dddc369f-9090-4995-90cb-c03c27034f7d")  # model/format/format.h
N_ENTRIES, ENTRY_BYTES = 128, 128


@dataclasses.dataclass
class Partition:
    type: uuid.UUID
    id: uuid.UUID
    name: str
    begin: int  # bytes, multiples of the sector
    end: int


def table_bytes(sector):
    """What either end of the disk needs for its copy, the protective MBR included."""
    return 2 * sector + N_ENTRIES * ENTRY_BYTES


def write(file, disk_bytes, disk_id, partitions, sector=512):
    """`file`: open for writing, of disk_bytes bytes."""
    n_sectors = disk_bytes // sector
    table_sectors = N_ENTRIES * ENTRY_BYTES // sector
    entries = b"".join(
        struct.pack(
            "<16s16sQQQ72s",
            p.type.bytes_le,
            p.id.bytes_le,
            p.begin // sector,
            p.end // sector - 1,
            0,
            p.name.encode("utf-16-le"),
        )
        for p in partitions
    ).ljust(N_ENTRIES * ENTRY_BYTES, b"\0")

    def header(own, other, entries_lba):
        def pack(checksum):
            return struct.pack(
                "<8sIIIIQQQQ16sQIII",
                b"EFI PART",
                0x10000,
                92,
                checksum,
                0,
                own,
                other,
                2 + table_sectors,
                n_sectors - 2 - table_sectors,
                disk_id.bytes_le,
                entries_lba,
                N_ENTRIES,
                ENTRY_BYTES,
                zlib.crc32(entries),
            )

        return pack(zlib.crc32(pack(0))).ljust(sector, b"\0")

    # One partition of type 0xEE over the whole disk, so that old tools take it for full.
    whole = struct.pack(
        "<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(n_sectors - 1, 0xFFFFFFFF)
    )
    mbr = (b"\0" * 446 + whole).ljust(510, b"\0") + b"\x55\xaa"
    last = n_sectors - 1
    for at, data in (
        (0, mbr),
        (1, header(1, last, 2)),
        (2, entries),
        (last - table_sectors, entries),
        (last, header(last, 1, last - table_sectors)),
    ):
        file.seek(at * sector)
        file.write(data)
