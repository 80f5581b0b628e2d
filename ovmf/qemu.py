# SPDX-License-Identifier: MIT
# Finds OVMF and a usable accelerator, builds the QEMU command line, runs the machine with its first
# serial port on pipes. No window, no network. Must not know: what runs inside.
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess

EMULATOR = "qemu-system-x86_64"
# Code and variable store of one build belong together. Debian 12 and Ubuntu 24.04 have the 4M pair.
FIRMWARE = [
    (f"{folder}/{code}", f"{folder}/{variables}")
    for folder in ("/usr/share/OVMF", "/usr/share/edk2/x64", "/usr/share/edk2/ovmf")
    for code, variables in (
        ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
        ("OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"),
        ("OVMF_CODE.fd", "OVMF_VARS.fd"),
    )
]

# The firmware that checks signatures, and a store with Debian's test keys. It keeps its variables by system
# management mode, which q35 alone has.
SECURE_FIRMWARE = ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd")
SECURE_OPTIONS = ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]

DISKS = {
    "virtio": ["-device", "virtio-blk-pci,drive=disk,bootindex=0"],
    "ahci": ["-device", "ich9-ahci,id=sata", "-device", "ide-hd,bus=sata.0,drive=disk,bootindex=0"],
    "nvme": ["-device", "nvme,serial=axiom,drive=disk,bootindex=0"],
    "usb": ["-device", "qemu-xhci", "-device", "usb-storage,drive=disk,bootindex=0"],
}
MACHINES = ("q35", "pc")
LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may take a lock


class MachineError(Exception):
    pass


def find_firmware(secure=False):
    for code, variables in [SECURE_FIRMWARE] if secure else FIRMWARE:
        if os.path.isfile(code) and os.path.isfile(variables):
            return code, variables
    what = "OVMF with Secure Boot and Debian's test keys" if secure else "OVMF firmware"
    raise MachineError(f"{what}: found none in /usr/share/OVMF; `make deps` installs it")


def why_no_kvm():
    """None when KVM really works here, otherwise the reason."""
    try:
        flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split()
    except (OSError, StopIteration):
        return "/proc/cpuinfo names no CPU flags"
    # A /dev/kvm without these belongs to a nested or emulated KVM that cannot run firmware.
    if "vmx" not in flags and "svm" not in flags:
        return "the CPU shows neither vmx nor svm"
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened (is the user in group kvm?)"
    try:
        probe = subprocess.run(
            [
                EMULATOR,
                "-accel",
                "kvm",
                "-machine",
                "q35",
                "-nodefaults",
                "-display",
                "none",
                "-S",
                "-monitor",
                "stdio",
            ],
            input=b"quit\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a trial start failed: {error}"
    if probe.returncode != 0:
        return "a trial start failed: " + probe.stderr.decode(errors="replace").strip()
    return None


def choose_accelerator(asked):
    """Its name, and why: as asked, or KVM where it works."""
    if asked:
        return asked, "as asked"
    reason = why_no_kvm()
    return ("tcg", f"no KVM: {reason}") if reason else ("kvm", "it works here")


def command(
    image,
    variables,
    *,
    accel="tcg",
    machine="q35",
    memory_mib=1024,
    cpus=1,
    cpu="max",
    disk="virtio",
    serial="stdio",
    snapshot=True,
    secure=False,
    extra=(),
):
    """`variables`: this machine's own copy of the firmware's variable store; `disk` None: none;
    `snapshot`: the image stays as built whatever the firmware writes to it."""
    if machine not in MACHINES:
        raise MachineError(f'MACHINE: found "{machine}", allowed {", ".join(MACHINES)}')
    if disk is not None and disk not in DISKS:
        raise MachineError(f'DISK: found "{disk}", allowed {", ".join(DISKS)}')
    for name, value, least in (("MEM", memory_mib, 128), ("SMP", cpus, 1)):
        if not str(value).isdigit() or int(value) < least:
            raise MachineError(f'{name}: found "{value}", allowed a number from {least}')
    if secure and machine != "q35":
        raise MachineError(f'MACHINE: found "{machine}", allowed q35 with SECURE=1')
    code, _ = find_firmware(secure)
    line = [
        EMULATOR,
        "-accel",
        accel,
        "-machine",
        machine + (",smm=on" if secure else ""),
        "-cpu",
        cpu,
        "-smp",
        str(cpus),
        "-m",
        f"{memory_mib}M",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        serial,
        "-net",
        "none",
        "-no-reboot",
        "-no-user-config",
        "-drive",
        f"if=pflash,unit=0,format=raw,readonly=on,file={quote(code)}",
        "-drive",
        f"if=pflash,unit=1,format=raw,file={quote(variables)}",
    ]
    if disk is not None:
        line += [
            "-drive",
            f"if=none,id=disk,format=raw,snapshot={'on' if snapshot else 'off'},file={quote(image)}",
            *DISKS[disk],
        ]
    return line + (SECURE_OPTIONS if secure else []) + list(extra)


def quote(path):
    return str(path).replace(",", ",,")


def die_with_parent():
    """In the child: no QEMU outlives its launcher (prctl PR_SET_PDEATHSIG), and the terminal's
    signals reach only the launcher."""
    os.setsid()
    LIBC.prctl(1, signal.SIGKILL, 0, 0, 0)


class Machine:
    """A running QEMU; serial_in/serial_out are the file descriptors of the guest's serial port. Its
    variable store is variables.fd of the folder, without `fresh_variables` as it is there."""

    def __init__(self, folder, image, fresh_variables=True, **options):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.which(EMULATOR) is None:
            raise MachineError(f"{EMULATOR}: found none; `make deps` installs it")
        variables = self.folder / "variables.fd"
        if fresh_variables:
            shutil.copyfile(find_firmware(options.get("secure", False))[1], variables)
        self.log_path = self.folder / "qemu.log"
        self.command = command(image, variables, **options)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                preexec_fn=die_with_parent,
            )
        self.serial_in = self.process.stdin.fileno()
        self.serial_out = self.process.stdout.fileno()

    def send(self, data):
        try:
            os.write(self.serial_in, data)
        except BrokenPipeError:
            pass  # QEMU has ended; the reader sees the end of the file

    def end(self):
        """Ends QEMU if it still runs, and waits for it. Returns its status."""
        if self.process.poll() is None:
            self.process.kill()
        status = self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        return status

    def errors(self):
        return self.log_path.read_text(errors="replace").strip()
