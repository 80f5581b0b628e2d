# SPDX-License-Identifier: MIT
# Makes a bootable GPT disk image with a FAT32 EFI system partition and, if wanted, one that holds
# weights raw, without root or loop devices; copies the same files onto a mounted ESP. Same files in,
# same bytes out: GUIDs, serial number and times are fixed. Must not know: what the files mean.
import os
import pathlib
import shutil
import subprocess
import tempfile
import uuid

import gpt

SECTOR = 512
ALIGNMENT = 1 << 20  # of partitions; the GPT's copies fit into as much at either end
FAT32_MAX_FILE = (1 << 32) - 1
FAT32_MIN_CLUSTERS = 65525  # below this a driver must take the volume for FAT16
DISK_GUID = uuid.UUID("4158494F-4D00-4000-8000-000000000001")
ESP_GUID = uuid.UUID("4158494F-4D00-4000-8000-000000000002")
WEIGHTS_GUID = uuid.UUID("4158494F-4D00-4000-8000-000000000003")
EPOCH = "1704067200"  # 2024-01-01, the time of every file in the image


class ImageError(Exception):
    pass


def check_sizes(files):
    for name, source in files.items():
        size = os.path.getsize(source)
        if size > FAT32_MAX_FILE:
            raise ImageError(
                f"{source}: size: found {size} bytes, allowed at most "
                f"{FAT32_MAX_FILE} ({name} stands on FAT32)"
            )


def layout(files):
    """Cluster bytes and partition bytes. Clusters of 4 KiB and more keep the firmware's walk
    along a model's cluster chain short; small images take 512 bytes to stay small."""
    content = sum(os.path.getsize(source) + ALIGNMENT // 8 for source in files.values())
    content += content // 16 + (4 << 20)
    cluster = 512 if content < 32 << 20 else 4096
    while cluster < 32768 and content // (2 * cluster) > FAT32_MIN_CLUSTERS * 2:
        cluster *= 2
    n_clusters = max(content // cluster, FAT32_MIN_CLUSTERS + 1024)
    # 4 bytes a cluster in each of two FATs, and the reserved sectors.
    partition = n_clusters * (cluster + 8) + (1 << 20)
    return cluster, (partition + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def run(*command):
    env = dict(
        os.environ,
        SOURCE_DATE_EPOCH=EPOCH,
        TZ="UTC",
        MTOOLS_SKIP_CHECK="1",
        MTOOLSRC="/dev/null",
        LC_ALL="C.UTF-8",
        PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
    )
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace").strip()
        raise ImageError(f"{command[0]} failed with status {done.returncode}: {output}")


def aligned(n_bytes):
    return (n_bytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def write_weights(disk, begin, weights):
    """Raw, at `begin` of the open image."""
    with open(weights, "rb") as source:
        disk.seek(begin)
        shutil.copyfileobj(source, disk, 1 << 22)


def make_weights_disk(out, partitions, sector=SECTOR):
    """A disk without a file system. `partitions`: pairs of a packed file and the GUID of the partition
    that it gets."""
    end = ALIGNMENT
    layout = []
    for weights, guid in partitions:
        begin, end = end, end + aligned(os.path.getsize(weights))
        layout.append(gpt.Partition(gpt.WEIGHTS, guid, "AXIOM weights", begin, end))
    with open(out, "wb") as disk:
        disk.truncate(end + ALIGNMENT)
        gpt.write(disk, end + ALIGNMENT, DISK_GUID, layout, sector)
        for (weights, _), partition in zip(partitions, layout):
            write_weights(disk, partition.begin, weights)


def make(out, files, weights=None):
    """files: path in the image ("EFI/BOOT/BOOTX64.EFI") -> source file. `weights`: a packed file that
    gets a partition of its own. `out` is replaced at the end, whole or not at all."""
    check_sizes(files)
    cluster, partition = layout(files)
    first = ALIGNMENT // SECTOR
    esp_end = ALIGNMENT + partition
    parts = [gpt.Partition(gpt.ESP, ESP_GUID, "AXIOM", ALIGNMENT, esp_end)]
    end = esp_end
    if weights is not None:
        end += aligned(os.path.getsize(weights))
        parts.append(gpt.Partition(gpt.WEIGHTS, WEIGHTS_GUID, "AXIOM weights", esp_end, end))
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, temp = tempfile.mkstemp(dir=out.parent, prefix=out.name + ".")
    try:
        with os.fdopen(handle, "r+b") as disk:
            disk.truncate(end + ALIGNMENT)
            gpt.write(disk, end + ALIGNMENT, DISK_GUID, parts)
            if weights is not None:
                write_weights(disk, esp_end, weights)
        volume = f"{temp}@@{ALIGNMENT}"
        run(
            "mformat",
            "-i",
            volume,
            "-F",
            "-T",
            str(partition // SECTOR),
            "-h",
            "255",
            "-s",
            "63",
            "-H",
            str(first),
            "-c",
            str(cluster // SECTOR),
            "-N",
            "4158494F",
            "-v",
            "AXIOM",
            "::",
        )
        folders = set()
        for name in files:
            folders.update(str(p) for p in pathlib.PurePosixPath(name).parents if str(p) != ".")
        for folder in sorted(folders):
            run("mmd", "-i", volume, "::/" + folder)
        for name, source in files.items():
            run("mcopy", "-i", volume, os.path.abspath(source), "::/" + name)
        os.chmod(temp, 0o644)
        os.rename(temp, out)
    except BaseException:
        pathlib.Path(temp).unlink(missing_ok=True)
        raise


def copy_to_esp(destination, files):
    """Copies onto a mounted ESP; says what it needs when there is too little room."""
    destination = pathlib.Path(destination)
    if not destination.is_dir():
        raise ImageError(
            f'DEST: found "{destination}", ' "allowed a directory: where the ESP is mounted"
        )
    check_sizes(files)
    need = sum(os.path.getsize(source) for source in files.values())
    free = shutil.disk_usage(destination).free
    for name in files:
        old = destination / name
        free += old.stat().st_size if old.is_file() else 0
    if need > free:
        raise ImageError(f"{destination}: free space: found {free} bytes, needed {need}")
    for name, source in files.items():
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        print(f"{target}: {os.path.getsize(source)} bytes")
    os.sync()
