# SPDX-License-Identifier: MIT
"""A kernel package's modules with what they depend on, and an initramfs that holds them beside our own
programs: an archive in cpio's "newc" format (the kernel's Documentation/driver-api/early-userspace).
Must not know: where packages come from, or what the programs do."""
import lzma
import pathlib
import re


class GuestError(Exception):
    pass


def one(folder, pattern):
    found = sorted(pathlib.Path(folder).glob(pattern))
    if len(found) != 1:
        raise GuestError(f"{folder}: found {len(found)} files {pattern}, allowed one")
    return found[0]


def read_module(path):
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix != ".ko":
        raise GuestError(f"{path}: allowed a module as .ko or .ko.xz")
    return data


def depends_of(module):
    """Names that modinfo gives; a name's dashes and underscores are one."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name.decode() for name in found[1].split(b",") if name] if found else []


def modules(package, wanted):
    """[(name, bytes)] in loading order. What is built into the kernel is left out."""
    root = one(package, "lib/modules/*" if (pathlib.Path(package) / "lib/modules").is_dir() else "usr/lib/modules/*")
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    listing = root / "modules.builtin"
    builtin = {pathlib.PurePath(line).name.split(".ko")[0].replace("-", "_")
               for line in listing.read_text().splitlines()} if listing.is_file() else set()
    out = {}

    def add(name):
        name = name.replace("-", "_")
        if name in out or name in builtin:
            return
        if name not in files:
            raise GuestError(f"{root}: found no module {name}, nor is it built in")
        module = read_module(files[name])
        for other in depends_of(module):
            add(other)
        out[name] = module

    for name in wanted:
        add(name)
    return list(out.items())


def cpio(files):
    """files: [(path, mode, bytes)], folders before what is in them; the same bytes every time."""
    out = bytearray()

    def entry(number, path, mode, data):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        out.extend(b"\0" * (-len(out) % 4) + data)
        out.extend(b"\0" * (-len(out) % 4))

    for number, (path, mode, data) in enumerate(files, 1):
        entry(number, path, mode, data)
    entry(0, "TRAILER!!!", 0, b"")
    return bytes(out)


FOLDER, PROGRAM, FILE = 0o040755, 0o100755, 0o100644


def make(programs, settings, loaded):
    """programs: name at the root -> file; settings: [(pattern, value)]; loaded: what modules() gave."""
    files = [("modules", FOLDER, b"")]
    files += [(name, PROGRAM, pathlib.Path(source).read_bytes()) for name, source in programs.items()]
    files += [(f"modules/{name}.ko", FILE, data) for name, data in loaded]
    files.append(("modules/order", FILE, "".join(f"/modules/{name}.ko\n" for name, _ in loaded).encode()))
    files.append(("settings", FILE, "".join(f"{path} {value}\n" for path, value in settings).encode()))
    return cpio(files)
