# SPDX-License-Identifier: MIT
# Boots that stream layers from a partition on an NVMe disk: on every kind of it the hash is that of a
# model in memory, and each thing that can be wrong with a disk is said by name, without wrong text.
import json
import re
import struct
import subprocess
import uuid

import conf
import guest
import image
import judge
import model

PLAN = "pp=20 tg=3 reps=1 warmup=0"
STREAM = f"--stream on --resident-mib 0 --bench '{PLAN}'"
SECTOR = 512
SHAPE = "256,8,4,2,640,512"
NAME = r"partition 1 of \S+"


def option(path):
    return str(path).replace(",", ",,")


class Streams:
    def __init__(self, suite):
        self.suite = suite
        self.folder = suite.folder / "stream"
        self.folder.mkdir(parents=True, exist_ok=True)

    def packed(self, name, shape=SHAPE, seed=1):
        """A model without a vocabulary, larger than its two buffers."""
        path = self.folder / name
        command = [str(self.suite.build / "axiom-pack"), "--synthetic", shape, "--seed", str(seed)]
        subprocess.run([*command, "-o", str(path)], check=True, capture_output=True)
        return path

    def host_hashes(self, axm):
        command = [str(self.suite.build / "axiom-host"), "-m", str(axm), "--bench", PLAN, "--quiet"]
        done = subprocess.run(command, check=True, capture_output=True, timeout=120)
        return [json.loads(line)["logits_hash"] for line in done.stdout.splitlines()]

    def layer_offset(self, axm, i_layer):
        """Where an extent of a layer begins in the file (model/format/format.h)."""
        with open(axm, "rb") as file:
            file.seek(128 + 32 * (5 + i_layer))
            return struct.unpack("<Q", file.read(8))[0]

    def drive(self, path, i=0, extra=""):
        """QEMU's words for a disk of weights; blkdebug and the like are in `extra`."""
        where = f"file={option(path)}" if "driver=blkdebug" not in extra else ""
        return ["-drive", ",".join(filter(None, [f"if=none,id=w{i},format=raw,snapshot=on", where, extra]))]

    def blkdebug(self, path, sector, once):
        """Reads of a sector fail."""
        rule = "file.inject-error.0"
        return (
            f"file.driver=blkdebug,file.image.filename={option(path)},{rule}.event=read_aio,"
            f"{rule}.sector={sector},{rule}.errno=5,{rule}.once={'on' if once else 'off'}"
        )

    def boot(self, label, axm, options, weights, text="", efi=None, timeout_s=120, **machine):
        """`weights`: QEMU's words for the disks beside the one that is booted from. The id of `axm`
        is asked for, or nothing."""
        config = conf.text(text, "4", options, partition_id=axm and model.file_id(axm))
        files = {
            "EFI/BOOT/BOOTX64.EFI": efi or self.suite.efi,
            "axiom/axiom.conf": self.suite.source(f"stream-{label}.conf", config),
            # Where the image returns, the firmware starts its shell.
            "startup.nsh": self.suite.source("stream.nsh", "reset -s\r\n"),
        }
        disk = self.suite.image(f"stream-{label}", files)
        machine = {"memory_mib": 512, **machine}
        folder = self.suite.folder / f"stream-{label}"
        return guest.boot(folder, disk, timeout_s, extra=weights, **machine)

    def weights_disk(self, name, axm, sector=SECTOR, n=1):
        path = self.folder / f"{name}.img"
        image.make_weights_disk(path, [(axm, uuid.UUID(int=i + 7)) for i in range(n)], sector)
        return path

    def good(self, label, device="nvme,serial=w,drive=w0", sector=SECTOR, before=(), options=STREAM,
             extra="", retries=0, pattern=None, shape=SHAPE, **machine):
        """A run whose hashes are axiom-host's."""

        def run(results, name):
            axm = self.packed(f"{label}.axm", shape)
            disk = self.weights_disk(label, axm, sector)
            drive_extra = extra(disk, axm) if callable(extra) else extra
            words = [*before, *self.drive(disk, extra=drive_extra), "-device", device]
            outcome = self.boot(label, axm, options, words, **machine)
            failure = judge.judge_run(outcome, None)
            found = [r.get("logits_hash") for r in outcome.records]
            expected = self.host_hashes(axm)
            if failure is None and found != expected:
                failure = f"logits_hash in the records: found {found}, axiom-host's {expected}"
            counts = [r.get("disk_retries") for r in outcome.records]
            if failure is None and retries is not None and counts[-1] != retries:
                failure = f"disk_retries in the records: found {counts}, allowed {retries}"
            if failure is None and pattern and not re.search(pattern, outcome.text):
                failure = f"found no {pattern!r} in\n{outcome.tail(25)}"
            results.result(name, failure)

        return run

    def refused(self, label, pattern, words, options=STREAM, ask=True, memory_mib=512, text="",
                efi=None, record=False):
        """A run that ends with one error, `pattern`. `words(axm)` gives the disks."""

        def run(results, name):
            axm = self.packed(f"{label}.axm")
            outcome = self.boot(label, axm if ask else None, options, words(axm), text=text, efi=efi,
                                memory_mib=memory_mib)
            failure = outcome.failure
            errors = re.findall(r"axiom: error: .*", outcome.text)
            if failure is None and (len(errors) != 1 or not re.search(pattern, errors[0])):
                failure = f"errors: found {errors}, allowed one with {pattern!r}\n{outcome.tail()}"
            if failure is None and record != bool(outcome.records):
                failure = f"records: found {len(outcome.records)}, allowed {'one' if record else 'none'}"
            if failure is None and any(r.get("status") == "ok" for r in outcome.records):
                failure = f"status in the record: found ok, allowed error\n{outcome.tail()}"
            results.result(name, failure)

        return run


def scenarios(suite):
    s = Streams(suite)
    one = "nvme,serial=w,drive=w0"

    def disk(label, axm, device=one, extra="", n=1):
        return [*s.drive(s.weights_disk(label, axm, n=n), extra=extra), "-device", device]

    yield "streamed on q35 with an IOMMU that is off, layers give axiom-host's hash", s.good(
        "q35", before=["-device", "intel-iommu"]
    )
    yield "streamed on pc by two cores, with blocks of 4096 bytes, layers give axiom-host's hash", s.good(
        "pc", one + ",logical_block_size=4096,physical_block_size=4096", 4096, machine="pc", cpus=2,
        pattern="disk      nvme 0000:00:0.*, blocks of 4096 bytes",
    )
    yield "streamed from namespace 3 in reads of 8 KiB, layers give axiom-host's hash", s.good(
        "namespace", "nvme-ns,drive=w0,nsid=3", before=["-device", "nvme,serial=w,mdts=1"], cpus=2,
        pattern=r"reads of up to 8\.00 KiB",
    )
    yield "streamed where reads may have any length, with some layers resident, the hash stays", s.good(
        "resident", one + ",mdts=0", options=STREAM.replace("mib 0", "mib 2"),
        pattern=r"reads of up to 1\.00 MiB",
    )
    yield "a model that does not fit is streamed without being asked to", s.good(
        "auto", options=f"--bench '{PLAN}'", memory_mib=256, shape="2048,6,16,16,11008,256",
        pattern=r"layers streamed", timeout_s=300,
    )
    yield "streamed from a slow disk, layers give axiom-host's hash", s.good(
        "slow", extra="throttling.bps-read=8000000"
    )
    yield "from a partition on virtio the whole model is loaded without streaming", s.good(
        "virtio", "virtio-blk-pci,drive=w0", options=f"--stream off --bench '{PLAN}'", retries=None
    )

    def sector_of_layer(axm, i):
        return (image.ALIGNMENT + s.layer_offset(axm, i)) // SECTOR

    yield "a read error that passes is tried again and counted", s.good(
        "transient", retries=1,
        extra=lambda path, axm: s.blkdebug(path, sector_of_layer(axm, 3) + 9, once=True),
    )

    def damaged(label, damage):
        """A disk that `damage(bytes of its image, axm)` has changed."""

        def words(axm):
            path = s.weights_disk(label, axm)
            data = bytearray(path.read_bytes())
            damage(data, axm)
            path.write_bytes(data)
            return [*s.drive(path), "-device", one]

        return words

    def permanent(axm):
        path = s.weights_disk("permanent", axm)
        extra = s.blkdebug(path, sector_of_layer(axm, 5) + 9, once=False)
        return [*s.drive(path, extra=extra), "-device", one]

    yield "a read error that stays ends the run with layer, LBA and status code", s.refused(
        "permanent",
        r"layer 5\b.*nvme 0000:\S+: reading LBA \d+, \d+ blocks, 5 times: unrecovered read error "
        r"\(status code type 0x2, code 0x81\)",
        permanent, record=True,
    )

    def flip(data, axm):
        data[image.ALIGNMENT + s.layer_offset(axm, 4) + 1000] ^= 4

    yield "a flipped bit on the disk ends the run with its layer and the checksums", s.refused(
        "flipped", r"\(layer 4 at 0x[0-9a-f]+, \d+ bytes\) piece 0 checksum at offset 0x[0-9a-f]+: found",
        damaged("flipped", flip), record=True,
    )

    def truncate(data, axm):
        data[image.ALIGNMENT + 16 : image.ALIGNMENT + 24] = struct.pack("<Q", len(data))

    yield "a partition that is shorter than its file is refused with both sizes", s.refused(
        "truncated",
        NAME + r": header.file_bytes at offset 0x10: found \d+, allowed at most \d+ \(the partition\)",
        damaged("truncated", truncate),
    )
    yield "the partition of another model is named, not used", s.refused(
        "another", r"partition:[0-9a-f]{32}: found none, but " + NAME + " with id [0-9a-f]{32}",
        lambda axm: disk("another", s.packed("other.axm", seed=2)),
    )
    yield "two partitions of one model are both named", s.refused(
        "two", r": found 2: " + NAME + " with id ([0-9a-f]{32}), and partition 2 of .* with id \\1",
        lambda axm: disk("two", axm, n=2),
    )
    yield "a partition that is not on NVMe is not streamed, and why", s.refused(
        "no-nvme", NAME + r": cannot be streamed: its disk is on a controller of PCI class 0x010000, "
        r"allowed NVMe", lambda axm: disk("no-nvme", axm, "virtio-blk-pci,drive=w0"),
    )
    yield "without any partition of weights the error says so", s.refused(
        "none", r"partition:[0-9a-f]{32}: found none", lambda axm: [],
    )
    yield "memory too small for two buffers is refused with both sizes", s.refused(
        "small", r"the run needs .* bytes\) beside the weights, the machine has",
        lambda axm: disk("small", s.packed("small.axm", "2560,2,20,20,16384,256")), memory_mib=128,
    )
    yield "an IOMMU in force is refused by name", s.refused(
        "iommu", r"IOMMU at 0x[0-9a-f]+: found in force \(GSTS.TES = 1\), allowed off",
        lambda axm: ["-device", "intel-iommu", *disk("iommu", axm)], text="iommu", efi=suite.fault_efi,
    )
    yield "streamed with AMD's IOMMU that is off, layers give axiom-host's hash", s.good(
        "amd-iommu", before=["-device", "amd-iommu"]
    )
    yield "AMD's IOMMU in force is refused by name", s.refused(
        "amd-iommu-on", r"IOMMU at 0x[0-9a-f]+: found in force \(IommuEn = 1\), allowed off",
        lambda axm: ["-device", "amd-iommu", *disk("amd-iommu-on", axm)], text="iommu", efi=suite.fault_efi,
    )
