# SPDX-License-Identifier: MIT
"""One EFI program of a kernel, its command line and its initramfs: systemd's stub with more sections
(UAPI.5, unified kernel image), which firmware starts as it starts axiom.efi.
Must not know: where the parts come from."""
import pathlib
import re
import subprocess

from initramfs import GuestError

ALIGNMENT = 1 << 16


def end_of(stub):
    """The first address behind the stub's sections, where more can be."""
    try:
        text = subprocess.run(["objdump", "-h", str(stub)], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise GuestError(f"objdump of {stub}: {error}") from error
    sections = re.findall(r"^\s*\d+ \S+\s+([0-9a-f]+)\s+([0-9a-f]+) ", text, re.MULTILINE)
    if not sections:
        raise GuestError(f"{stub}: found no sections")
    return max(int(size, 16) + int(address, 16) for size, address in sections)


def addresses(begin, sizes):
    """One aligned address for each size, none overlapping."""
    out = []
    for size in sizes:
        begin = (begin + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        out.append(begin)
        begin += size
    return out


def make(out, stub, kernel, initrd, command_line):
    """`initrd`: bytes. Returns `out`."""
    out = pathlib.Path(out)
    parts = {".cmdline": out.with_suffix(".cmdline"), ".linux": pathlib.Path(kernel),
             ".initrd": out.with_suffix(".initrd")}
    parts[".cmdline"].write_text(command_line)
    parts[".initrd"].write_bytes(initrd)
    command = ["objcopy"]
    # The kernel comes last: it is unpacked where it stands, beyond its own size.
    names = [".cmdline", ".initrd", ".linux"]
    places = addresses(end_of(stub), [parts[name].stat().st_size for name in names])
    for name, address in zip(names, places):
        command += ["--add-section", f"{name}={parts[name]}", "--change-section-vma", f"{name}={address:#x}",
                    "--set-section-flags", f"{name}=contents,alloc,load,readonly,data"]
    try:
        subprocess.run([*command, str(stub), str(out)], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise GuestError(f"objcopy: {getattr(error, 'stderr', '') or error}") from error
    return out
