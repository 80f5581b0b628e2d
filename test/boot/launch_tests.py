# SPDX-License-Identifier: MIT
# What stands between a person and the guest, tested without booting: options into axiom.conf, the
# disk image, copying onto an ESP, and the filter on the serial port.
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ovmf"))
import conf  # noqa: E402
import console  # noqa: E402
import image  # noqa: E402


def equal(found, allowed):
    return None if found == allowed else f"found {found!r}\nallowed {allowed!r}"


def fails_with(error_type, parts, call):
    try:
        call()
    except error_type as error:
        missing = [part for part in parts if part not in str(error)]
        return f"found {error}, allowed a message with {missing}" if missing else None
    return f"no {error_type.__name__}"


def shown(chunks):
    """What a person sees of these serial bytes, and the console that showed it."""
    out = bytearray()
    filtered = console.Console(out.extend)
    for chunk in chunks:
        filtered.feed(chunk)
    filtered.finish()
    return bytes(out), filtered


SERIAL = (
    b'\x1b[2J\x1b[01;01HBdsDxe: loading Boot0001 "disk" from PciRoot(0x0)\r\n\x1b[0mAXIOM 1\r\n'
    b'load 50%\rload 100%\r\nh\xc3\xa9 {"axiom": no\r\n{"axiom\r\n'
    b'\x1b[31mBdsDxe: is no firmware\x07\r\n'
    b'{"axiom":1,"status":"ok"}\r\n'
)
SEEN = b'AXIOM 1\nload 50%\rload 100%\nh\xc3\xa9 {"axiom": no\n{"axiom\nBdsDxe: is no firmware\n'


def same_when_split():
    for size in range(1, len(SERIAL)):
        out, filtered = shown(SERIAL[i : i + size] for i in range(0, len(SERIAL), size))
        if out != SEEN or filtered.records != [b'{"axiom":1,"status":"ok"}']:
            return f"in pieces of {size}: found {out!r}, {filtered.records!r}\nallowed {SEEN!r}"
    return None


def returned_to_firmware():
    line = b'BdsDxe: failed to start Boot0001 "disk" from PciRoot(0x0): Invalid Parameter\r\n'
    before, _ = shown([line])
    out, filtered = shown([b"AXIOM 1\r\naxiom: error: no\r\n", line])
    return equal(
        (before, out, filtered.returned, filtered.errors),
        (b"", b"AXIOM 1\naxiom: error: no\n", True, [b"axiom: error: no"]),
    )


def quiet_run():
    record = b'{"axiom":1,"status":"ok"}'
    starting = b'BdsDxe: starting Boot0001 "disk" from PciRoot(0x0)\r\n'
    out, filtered = shown([b"old text\r\n" + starting + b"\x1b[0mParis.\r\n" + record + b"\r\n"])
    return equal((out, filtered.records, filtered.returned), (b"Paris.\n", [record], False))


def image_problem(folder):
    """Two images of the same files: equal bytes, and a partition table that sgdisk finds right."""
    small = folder / "small.txt"
    small.write_bytes(b"hello")
    files = {"EFI/BOOT/BOOTX64.EFI": small, "axiom/a long name with blanks.axm": small}
    images = [folder / "one.img", folder / "two.img"]
    for path in images:
        image.make(path, files)
    if images[0].read_bytes() != images[1].read_bytes():
        return "the same files gave two different images"
    checked = subprocess.run(
        ["/usr/sbin/sgdisk", "-v", str(images[0])], capture_output=True, text=True
    )
    if "No problems found" not in checked.stdout:
        return checked.stdout + checked.stderr
    volume = f"{images[0]}@@{image.ALIGNMENT}"
    typed = subprocess.run(
        ["mtype", "-i", volume, "::/axiom/a long name with blanks.axm"], capture_output=True
    )
    return equal(typed.stdout, b"hello")


def too_large(folder):
    path = folder / "large.axm"
    with open(path, "wb") as file:
        file.truncate(1 << 32)
    target = folder / "large.img"
    failure = fails_with(
        image.ImageError,
        ["large.axm", "4294967296", "4294967295", "FAT32"],
        lambda: image.make(target, {"axiom/model.axm": path}),
    )
    path.unlink()
    return failure or (f"{target} was left behind" if target.exists() else None)


def tests(folder):
    folder.mkdir(parents=True, exist_ok=True)
    yield "a prompt's backslashes, line ends, tabs and outer blanks become escapes", lambda: equal(
        conf.text(' a\\n "b"\r\n$c\t`é` ', "4").decode().splitlines()[1:],
        ['prompt \\sa\\\\n "b"\\r\\n$c\\t`é`\\s', "n-predict 4"],
    )
    yield "a model's path keeps its backslashes", lambda: equal(
        conf.text("p", "4", "-m '\\axiom\\new.axm'").decode().splitlines()[3:],
        ["m \\axiom\\new.axm"],
    )
    yield "a file of many prompts is named in axiom.conf where it stands on the volume", lambda: equal(
        conf.text("p", "4", has_prompts=True).decode().splitlines()[3:],
        ["prompts \\axiom\\prompts.jsonl"],
    )
    yield "ARGS become key value lines, flags and negative numbers included", lambda: equal(
        conf.from_arguments("--temp 0.7 --raw --seed=3 -n -1 -sys 'be short'"),
        [("temp", "0.7"), ("raw", None), ("seed", "3"), ("n", "-1"), ("sys", "be short")],
    )
    yield "ARGS with a word that belongs to no option are refused", lambda: fails_with(
        ValueError, ["ARGS", '"x"', "allowed"], lambda: conf.from_arguments("x --raw")
    )
    yield "the console shows AXIOM's text alone, however the bytes are cut", same_when_split
    yield "the console notices when AXIOM gives control back to the firmware", returned_to_firmware
    yield "the console shows the text and finds the record of a run with --quiet, which has no banner", quiet_run
    yield "an image is reproducible and its partition table valid", lambda: image_problem(folder)
    yield "a model above FAT32's limit is refused with both sizes", lambda: too_large(folder)
    yield "an ESP that is no directory is refused", lambda: fails_with(
        image.ImageError,
        ["DEST", "nowhere", "directory"],
        lambda: image.copy_to_esp(folder / "nowhere", {}),
    )


def run(results, folder, wanted):
    """`wanted`: whether a test of this name is to run."""
    for name, test in tests(folder):
        if wanted(name):
            results.result(name, test())
