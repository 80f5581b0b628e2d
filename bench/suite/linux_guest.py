# SPDX-License-Identifier: MIT
"""A Linux that boots from the same ESP as AXIOM and runs axiom-host as all of its user space: Debian's kernel,
an initramfs of ours, as one EFI program.
Must not know: what the systems differ in, or what is measured."""
import pathlib

import initramfs
import packages
import uki

KERNEL = "linux-image-cloud-amd64"
STUB = "systemd-boot-efi", "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
# What the guest needs of the kernel's modules: the disk, the ESP's file system, and counters of SMIs.
DISKS = {"virtio": ["virtio_pci", "virtio_blk"], "nvme": ["nvme"]}
ALWAYS = ["vfat", "nls_cp437", "nls_ascii", "msr"]
FAILURES = (initramfs.GuestError, packages.PackageError)


class Guest:
    def __init__(self, folder, disk, kernel=KERNEL):
        """`folder` has our programs, init and axiom-host; packages are unpacked in it."""
        if disk not in DISKS:
            raise initramfs.GuestError(f'DISK: found "{disk}", allowed {" or ".join(DISKS)}: what the guest has '
                                       "drivers for")
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        name, version = packages.kernel_of(kernel)
        package = packages.unpacked(name, version, self.folder)
        stub_version = packages.candidate(STUB[0])["Version"]
        self.kernel = initramfs.one(package, "boot/vmlinuz-*")
        self.stub = packages.unpacked(STUB[0], stub_version, self.folder) / STUB[1]
        self.modules = initramfs.modules(package, DISKS[disk] + ALWAYS)
        self.facts = f"{name} {version} (GPL-2.0), {STUB[0]} {stub_version} (LGPL-2.1+)"

    def program(self, system):
        """The EFI program of this system (systems.System)."""
        programs = {name: self.folder / name for name in ("init", "axiom-host")}
        initrd = initramfs.make(programs, system.settings, self.modules)
        return uki.make(self.folder / f"{system.name}.efi", self.stub, self.kernel, initrd, system.command_line)
