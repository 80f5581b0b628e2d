# SPDX-License-Identifier: MIT
# One boot in Bochs, which emulates AVX-512 and x2APIC: OVMF as its ROM, the disk image on IDE, the
# serial port into a file, its text screen on a pseudo-terminal that nobody looks at.
# Must not know: what is being tested.
import os
import pathlib
import pty
import select
import shutil
import subprocess
import sys
import time

import guest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ovmf"))
import qemu  # noqa: E402

EMULATOR = "bochs"
FIRMWARE = ("/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd")  # code and variables in one
CPU_MODEL = "corei7_icelake_u"
# What a virtual second has of instructions is also the rate of its TSC.
INSTRUCTIONS_PER_SECOND = 400_000_000
# The message of an orderly end; to Bochs it is a panic.
POWERED_OFF = "ACPI control: soft power off"


def firmware():
    return next((path for path in FIRMWARE if os.path.isfile(path)), None)


def why_not():
    """None when it can be used here, otherwise what is missing."""
    if shutil.which(EMULATOR) is None:
        return "bochs is not installed"
    if firmware() is None:
        return f"no firmware image of code and variables in one: found none of {FIRMWARE}"
    models = subprocess.run([EMULATOR, "-help", "cpu"], capture_output=True, text=True)
    if CPU_MODEL not in models.stdout + models.stderr:
        return f"this bochs has no CPU model {CPU_MODEL}"
    return None


def settings(folder, image, n_cpus):
    return "\n".join(
        (
            "display_library: term",
            f"cpu: model={CPU_MODEL}, count={n_cpus}, ips={INSTRUCTIONS_PER_SECOND}, "
            "reset_on_triple_fault=0",
            "memory: guest=512, host=512",
            f'romimage: file="{firmware()}"',
            f'vgaromimage: file="{folder / "vga.rom"}"',
            "boot: disk",
            "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
            f'ata0-master: type=disk, path="{image}", mode=volatile',
            f'com1: enabled=1, mode=file, dev="{folder / "serial.log"}"',
            "pci: enabled=1, chipset=i440fx",
            "clock: sync=none",
            "sound: waveoutdrv=dummy",
            "plugin_ctrl: speaker=0",
            f'log: "{folder / "bochs.log"}"',
            "panic: action=fatal",
            "error: action=report",
            "info: action=ignore",
            "",
        )
    )


def empty_rom():
    """A video BIOS that returns at once: OVMF and AXIOM need none, Bochs wants a file."""
    rom = bytearray(512)
    rom[0:4] = b"\x55\xaa\x01\xcb"
    rom[-1] = -sum(rom) % 256
    return bytes(rom)


def command(folder):
    line = [EMULATOR, "-q", "-f", str(folder / "settings")]
    help_text = subprocess.run([EMULATOR, "--help"], capture_output=True, text=True)
    if "-rc " in help_text.stdout + help_text.stderr:  # built with its debugger, which waits
        (folder / "debugger").write_text("continue\n")
        line += ["-rc", str(folder / "debugger")]
    return line


def boot(folder, image, timeout_s, n_cpus=1):
    """Boots until the machine is switched off. A guest.Outcome, as guest.boot gives."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "serial.log"
    log.unlink(missing_ok=True)
    (folder / "vga.rom").write_bytes(empty_rom())
    (folder / "settings").write_text(settings(folder, pathlib.Path(image).resolve(), n_cpus))
    ours, theirs = pty.openpty()
    with open(folder / "bochs.err", "wb") as errors:
        process = subprocess.Popen(
            command(folder),
            stdin=theirs,
            stdout=theirs,
            stderr=errors,
            env={**os.environ, "TERM": "xterm"},
            preexec_fn=qemu.die_with_parent,
        )
    os.close(theirs)
    deadline = time.monotonic() + timeout_s
    failure = None
    try:
        while True:  # its screen has to be read, or it would wait for us
            ready, _, _ = select.select([ours], [], [], max(0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                failure = f"no end within {timeout_s} s"
                break
            try:
                if ready and not os.read(ours, 65536):
                    break
            except OSError:  # the terminal's other side is closed
                break
    finally:
        if failure is not None:
            process.kill()
        process.wait()
        os.close(ours)
    text = (folder / "bochs.err").read_text(errors="replace")
    text += (folder / "bochs.log").read_text(errors="replace")
    if failure is None and POWERED_OFF not in text:
        failure = f"Bochs ended with status {process.returncode} and no power-off: {text[-1000:]}"
    return guest.outcome_of(log.read_bytes() if log.exists() else b"", failure, log)
