# SPDX-License-Identifier: MIT
# What `make bench` and `make bench-linux` are made of (bench/suite), tested without a boot; and one boot of
# the Linux guest, whose record has to be axiom-host's.
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "suite"))
import collection  # noqa: E402
import figures  # noqa: E402
import initramfs  # noqa: E402
import linux_guest  # noqa: E402
import media  # noqa: E402
import packages  # noqa: E402
import systems  # noqa: E402
import uki  # noqa: E402

import guest  # noqa: E402
import judge  # noqa: E402
from launch_tests import equal, fails_with  # noqa: E402


def a_module(depends):
    return b"\x7fELF\0license=GPL\0depends=" + depends + b"\0retpoline=Y\0"


def a_package(folder):
    """Modules as a kernel package has them: "top" needs "low-er" and "built_in"."""
    root = folder / "package" / "lib" / "modules" / "6.1"
    (root / "kernel").mkdir(parents=True, exist_ok=True)
    for name, depends in (("top", b"low_er,built-in"), ("low-er", b""), ("other", b"")):
        (root / "kernel" / f"{name}.ko").write_bytes(a_module(depends))
    (root / "modules.builtin").write_text("kernel/lib/built-in.ko\n")
    return folder / "package"


def entries_of(archive):
    """[(path, mode, data)] of a cpio archive in the newc format, its trailer checked."""
    out, at = [], 0
    while True:
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        begin = at + 110
        name = archive[begin : begin + fields[11] - 1].decode()
        data = (begin + fields[11] + 3) // 4 * 4
        at = (data + fields[6] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return out
        out.append((name, fields[1], archive[data : data + fields[6]]))


def whole_initramfs(folder):
    program = folder / "program"
    program.write_bytes(b"12345")
    loaded = initramfs.modules(a_package(folder), ["top"])
    archive = initramfs.make({"init": program}, [("/sys/a", "on"), ("/sys/b*", "1 2")], loaded)
    return equal(
        [(name, oct(mode), data) for name, mode, data in entries_of(archive)],
        [
            ("modules", "0o40755", b""),
            ("init", "0o100755", b"12345"),
            ("modules/low_er.ko", "0o100644", a_module(b"")),
            ("modules/top.ko", "0o100644", a_module(b"low_er,built-in")),
            ("modules/order", "0o100644", b"/modules/low_er.ko\n/modules/top.ko\n"),
            ("settings", "0o100644", b"/sys/a on\n/sys/b* 1 2\n"),
        ],
    )


def no_overlap():
    sizes = [1, 65536, 65537, 0, 5]
    places = uki.addresses(1234, sizes)
    ends = [place + size for place, size in zip(places, sizes)]
    good = places[0] >= 1234 and all(a <= b for a, b in zip(ends, places[1:])) and not any(p % 4096 for p in places)
    return None if good else f"found {places} for sizes {sizes}"


def what_is_isolated():
    words = {n: systems.tuned(n).command_line.split() for n in (1, 2, 4)}
    found = {n: [w for w in words[n] if w.startswith(("isolcpus", "nohz_full", "rcu_nocbs="))] for n in words}
    return equal(
        found,
        {
            1: [],
            2: ["isolcpus=managed_irq,domain,1", "nohz_full=1", "rcu_nocbs=1"],
            4: ["isolcpus=managed_irq,domain,1-3", "nohz_full=1-3", "rcu_nocbs=1-3"],
        },
    )


def default_is_untouched():
    system = next(s for s in systems.all_of(4) if s.name == "default-linux")
    return equal((system.command_line, system.settings, system.options), (systems.CONSOLE, (), ()))


def kernel_behind_a_name():
    known = {
        "linux-image-cloud-amd64": {"Version": "6.1.5-1", "Depends": "linux-image-6.1.0-5-cloud-amd64 (= 6.1.5-1)"},
        "linux-image-own": {"Version": "1:7", "Depends": "kmod, linux-base (>= 4.3)"},
    }
    return equal(
        [packages.kernel_of(name, known.get) for name in known],
        [("linux-image-6.1.0-5-cloud-amd64", "6.1.5-1"), ("linux-image-own", "1:7")],
    )


def same_options(folder):
    """What a Linux guest is given are axiom-host's arguments, whatever characters stand in them."""
    (folder / "models").mkdir(exist_ok=True)
    model = folder / "model.axm"
    model.write_bytes(b"AXIOMPK0")
    before = dict(os.environ)
    os.environ.update(AXIOM_PROMPT='say "a\nb"', AXIOM_N="4", AXIOM_MODEL=str(model), AXIOM_ARGS="--temp 0.5", AXIOM_STREAM="")
    try:
        common = media.Media(folder, folder / "media")
    finally:
        os.environ.clear()
        os.environ.update(before)
    image = common.disk(model, "--isa sse", ["--json", "-"])
    volume = f"{image}@@{1 << 20}"
    typed = subprocess.run(["mtype", "-i", volume, "::/axiom/axiom-host.args"], capture_output=True, check=False)
    return equal(
        typed.stdout.split(b"\0"),
        [b"-m", b"/esp/axiom/model.axm", b"-p", b'say "a\nb"', b"-n", b"4", b"--isa", b"sse", b"--temp", b"0.5",
         b"--json", b"-", b""],
    )


def other_logits(folder):
    both = collection.Collection(folder / "collection", ["one", "two"], 2)
    both.add("one", [{"test": "pp16", "logits_hash": "aa"}, {"test": None, "logits_hash": "bb"}])
    both.add("two", [{"test": None, "logits_hash": "bb"}, {"kind": "linux", "status": "ok"}])
    return fails_with(
        collection.Wrong,
        ["pp16", "DIFFER", "one", "aa", "two", "cc"],
        lambda: both.add("two", [{"test": "pp16", "logits_hash": "cc"}]),
    ) or equal(len((folder / "collection" / "two.jsonl").read_text().splitlines()), 3)


RUN = {"tsc_hz": 1e9, "phase_first_token_ns": 2e9, "phase_entry_ns": 3e9, "load_bytes": 10, "memory_bytes": 30}
GUEST = {"init_ticks": 5e9, "start_ticks": 6e9, "kernel_ns": 1.5e9, "memory_available_bytes": 25}


def boot_times():
    linux, axiom = figures.Answer(RUN, GUEST), figures.Answer(RUN, None)
    return equal(
        [(a.first_token_s, a.firmware_s, a.kernel_s, a.user_s, a.memory_bytes) for a in (linux, axiom)],
        [(8.0, 3.5, 1.5, 1.0, 25), (5.0, 3.0, None, None, 40)],
    )


def tests(folder):
    folder.mkdir(parents=True, exist_ok=True)
    yield "an initramfs has the modules that are wanted, in loading order, without what is built in", (
        lambda: whole_initramfs(folder)
    )
    yield "a module that a kernel package lacks is named", lambda: fails_with(
        initramfs.GuestError, ["6.1", "nowhere"], lambda: initramfs.modules(a_package(folder), ["nowhere"])
    )
    yield "parts of a unified kernel image have addresses of their own", no_overlap
    yield "the tuned Linux isolates all cores but the first, and none of one", what_is_isolated
    yield "the untuned Linux has Debian's command line, no settings and no options", default_is_untouched
    yield "a package that only depends on a kernel leads to it", kernel_behind_a_name
    yield "a Linux guest's options are those of AXIOM's boot, byte for byte", lambda: same_options(folder)
    yield "other logits of one test end a comparison, with both sides named", lambda: other_logits(folder)
    yield "parts of the time to the first token sum to it, with Linux and without", boot_times


def run(results, folder, wanted):
    """`wanted`: whether a test of this name is to run."""
    for name, test in tests(folder):
        if wanted(name):
            results.result(name, test())


N_TOKENS = 8


def linux_answers(suite):
    """The whole path of a Linux guest, with a small model."""

    def run(results, name):
        try:
            parts = linux_guest.Guest(suite.build / "bench" / "guest", "virtio")
        except packages.PackageError as error:
            return results.skip(name, str(error))
        system = systems.tuned(2)
        text = "Hello from Linux"
        arguments = ["-m", "/esp/axiom/model.axm", "-p", text, "-n", str(N_TOKENS), "--ignore-eos", "--quiet",
                     "--isa", "scalar", "--json", "-", *system.options]
        files = {
            "EFI/BOOT/BOOTX64.EFI": parts.program(system),
            "axiom/model.axm": suite.tiny,
            "axiom/axiom-host.args": suite.source("linux.args", "".join(a + "\0" for a in arguments)),
        }
        outcome = guest.boot(suite.folder / "linux", suite.image("linux", files), 120, memory_mib=512, cpus=2)
        about = outcome.records[-1] if outcome.records else {}
        outcome.record = next((r for r in outcome.records if r.get("kind") is None), None)
        failure = judge.judge_run(
            outcome, suite.host_hash(suite.tiny, text, N_TOKENS, options="--ignore-eos"), n_threads=2,
            backend="linux"
        )
        found = [about.get(field) for field in ("kind", "status", "isolated", "nohz_full", "n_cpus")]
        results.result(name, failure or equal(found, ["linux", "ok", "1", "1", 2]))

    return run
