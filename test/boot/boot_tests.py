# SPDX-License-Identifier: MIT
# Boots build/axiom.efi in QEMU: from every kind of disk, from the shell and by the firmware, with
# bad input, with Ctrl-C; its logits hash must be axiom-host's. Each scenario is one boot and gives
# one or more named results; two boots run at a time. Before them, the launch tools without a boot.
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import threading
import sys

import badfiles
import conversation
import cores
import disturb
import guest
import judge
import launch_tests
import messages
import metal
import records
import screen
import stream
import suite_tests
import talk
import tally
import trust
import usb

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ovmf"))
import conf  # noqa: E402
import image  # noqa: E402

SHELL_TEXT = "Hello from the shell"
# Keys and values in 8 bits; boots by the firmware have them in f16.
SHELL_OPTIONS = "-ctk q8_0 -ctv q8_0"
# Everything that make, a shell or a config file could have an opinion on.
FILE_TEXT = ' \tSay "hi" & <é\U0001f600> $HOME `x` %d;\n# two\\nlines\\\r\n '
QUESTION = "What is the capital of France?"
N_TINY, N_REAL, N_INTERRUPTED = 8, 24, 400
# The model is there, the firmware is not, and the first text of the run has come.
BEGUN = re.compile(rb"checksums right\s+\S")
ERROR_LINE = re.compile(r"axiom: error: .*")


class Suite:
    def __init__(self, build):
        self.build = build
        self.folder = build / "boot-tests"
        self.tiny = tally.tiny_model(build)
        self.default = build / "models" / "default.axm"
        self.efi = build / "axiom.efi"
        self.fault_efi = build / "axiom-fault.efi"
        self.two_efi = build / "axiom-two.efi"
        self.hashes = {}
        self.hashes_lock = threading.Lock()

    def source(self, name, data):
        """A file to go into an image."""
        path = self.folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def image(self, name, files):
        path = self.folder / (name + ".img")
        image.make(path, files)
        return path

    def host_hash(self, model, prompt, n, isa="scalar", options=""):
        """axiom-host's logits hash for the same run."""
        key = (model, prompt, n, isa, options)
        with self.hashes_lock:  # scenarios run side by side and share the results
            return self.host_hash_locked(key)

    def host_hash_locked(self, key):
        model, prompt, n, isa, options = key
        if key not in self.hashes:
            out = self.folder / f"host-{len(self.hashes)}.json"
            command = [
                str(self.build / "axiom-host"),
                "-m",
                str(model),
                "-p",
                prompt,
                "-n",
                str(n),
                "--isa",
                isa,
                "--json",
                str(out),
                "--quiet",
                *options.split(),
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
            self.hashes[key] = json.loads(out.read_text())["logits_hash"]
        return self.hashes[key]

    # Two images for the matrix: one for the shell, one for the firmware's boot manager.
    def prepare(self):
        script = (
            "@echo -off\r\nfs0:\r\n"
            f'\\axiom.efi -m \\axiom\\model.axm -p "{SHELL_TEXT}" -n {N_TINY} --ignore-eos '
            f"{SHELL_OPTIONS}\r\n"
            "reset -s\r\n"
        )
        self.shell_image = self.image(
            "shell",
            {
                "axiom.efi": self.efi,
                "axiom/model.axm": self.tiny,
                "startup.nsh": self.source("shell.nsh", script),
            },
        )
        self.boot_image = self.image(
            "firmware",
            {
                "EFI/BOOT/BOOTX64.EFI": self.efi,
                "axiom/model.axm": self.tiny,
                "axiom/axiom.conf": self.source(
                    "firmware.conf", conf.text(FILE_TEXT, str(N_TINY), "--ignore-eos")
                ),
            },
        )
        self.interrupt_image = self.image(
            "interrupt",
            {
                "EFI/BOOT/BOOTX64.EFI": self.efi,
                "axiom/model.axm": self.default,
                "axiom/axiom.conf": self.source(
                    "interrupt.conf",
                    conf.text(QUESTION, str(N_INTERRUPTED), "--ignore-eos --isa avx2 -t 8"),
                ),
            },
        )
        self.real_image = self.image(
            "real",
            {
                "EFI/BOOT/BOOTX64.EFI": self.efi,
                "axiom/model.axm": self.default,
                "axiom/axiom.conf": self.source("real.conf", conf.text(QUESTION, str(N_REAL))),
            },
        )


def one_boot(suite, entry, disk, machine, memory_mib, cpu):
    def run(results, name):
        shell = entry == "shell"
        outcome = guest.boot(
            suite.folder / re.sub(r"\W+", "-", name),
            suite.shell_image if shell else suite.boot_image,
            90,
            disk=disk,
            machine=machine,
            memory_mib=memory_mib,
            cpu=cpu,
        )
        text, options = (SHELL_TEXT, SHELL_OPTIONS) if shell else (FILE_TEXT, "")
        expected = suite.host_hash(suite.tiny, text, N_TINY, options=options)
        results.result(name, judge.judge_run(outcome, expected, n_threads=1, n_cpus=1))

    return run


ENTRY_NAMES = {
    "shell": f"from the shell with {SHELL_OPTIONS}",
    "firmware": "from BOOTX64.EFI with axiom.conf",
}
MEMORY_NAMES = {512: "512 MiB", 4096: "4 GiB"}


def matrix(suite):
    """Every disk on every machine twice, so that each also meets both memory sizes, both entries
    and both CPUs."""
    scenarios = []
    for i_disk, disk in enumerate(("ahci", "virtio", "nvme", "usb")):
        for i_machine, machine in enumerate(("q35", "pc")):
            for i_memory, memory_mib in enumerate((512, 4096)):
                entry = ("shell", "firmware")[(i_disk + i_machine + i_memory) % 2]
                cpu = ("qemu64", "max")[(i_disk // 2 + i_machine + i_memory) % 2]
                name = (
                    f"boots from a disk on {disk}, {machine}, {MEMORY_NAMES[memory_mib]}, "
                    f"cpu {cpu}, {ENTRY_NAMES[entry]}, with the hash of axiom-host"
                )
                scenarios.append((name, one_boot(suite, entry, disk, machine, memory_mib, cpu)))
    return scenarios


def real_model(suite, cpu):
    def run(results, name):
        outcome = guest.boot(suite.folder / f"real-{cpu}", suite.real_image, 400, cpu=cpu)
        hashes = {
            isa: suite.host_hash(suite.default, QUESTION, N_REAL, isa) for isa in ("scalar", "avx2")
        }
        failure = judge.judge_run(outcome, hashes["scalar"])
        if failure is None and len(set(hashes.values())) != 1:
            failure = f"axiom-host's own hashes differ: {hashes}"
        if failure is None and "Paris" not in outcome.text:
            failure = f"the answer does not name Paris:\n{outcome.tail(40)}"
        results.result(name, failure)
        if outcome.record is not None:  # a figure for people; nothing depends on it
            print(
                f"    {outcome.record.get('kernel_set')}: decode "
                f"{outcome.record.get('decode_mmac_per_s')} million multiply-adds/s"
            )

    return run


def interrupted(suite):
    def run(results, name):
        outcome = guest.boot(
            suite.folder / "interrupted", suite.interrupt_image, 300, reactions=[(BEGUN, b"\x03")]
        )
        failure = judge.judge_run(outcome, None, status="interrupted")
        record = outcome.record or {}
        n_gen = record.get("n_gen")
        if failure is None and not (isinstance(n_gen, int) and n_gen < N_INTERRUPTED):
            failure = f"n_gen in the record: found {n_gen}, allowed below {N_INTERRUPTED}"
        results.result(name, failure)
        kernel_set = record.get("kernel_set")
        results.result(
            "--isa takes a kernel set whose registers the firmware has not turned on",
            None if kernel_set == "avx2" else f"kernel_set: found {kernel_set}, allowed avx2",
        )
        results.result(
            "-t above the number of cores is noted",
            None if "note      -t 8: this machine has 1 CPU" in outcome.text else f"no note in\n{outcome.tail()}",
        )

    return run


def benches(suite):
    """--bench on a model without a vocabulary: the tests' records, with axiom-host's hashes."""
    plan = "pp=70,8,tg=5,d=9,0,npl=3 threads=1,2 reps=2 warmup=1"

    def run(results, name):
        model = suite.folder / "files" / "no-vocabulary.axm"
        model.parent.mkdir(parents=True, exist_ok=True)
        command = [str(suite.build / "axiom-pack"), "--synthetic", "64,2,4,2,160,200", "-o"]
        subprocess.run([*command, str(model)], check=True, capture_output=True)
        image_path = suite.image(
            "bench",
            {
                "EFI/BOOT/BOOTX64.EFI": suite.efi,
                "axiom/model.axm": model,
                "axiom/axiom.conf": suite.source("bench.conf", f"bench {plan}\nb 32\ntrace\n"),
            },
        )
        outcome = guest.boot(suite.folder / "bench", image_path, 120, cpus=2)
        command = [str(suite.build / "axiom-host"), "-m", str(model), "--bench", plan, "--quiet"]
        host = subprocess.run(command, check=True, capture_output=True, timeout=120)
        expected = [json.loads(line) for line in host.stdout.splitlines()]
        traces = [r for r in outcome.records if r.get("kind") == "trace"]
        outcome.records = [r for r in outcome.records if "kind" not in r]
        failure = judge.judge_run(outcome, None)
        for field in ("test", "n_prompt", "n_gen", "n_depth", "n_sequences", "n_warmup", "n_threads", "logits_hash"):
            found = [r.get(field) for r in outcome.records]
            allowed = [r[field] for r in expected]
            if failure is None and found != allowed:
                failure = f"{field} in the records: found {found}, axiom-host's {allowed}"
        n_samples = [len(r.get("samples_ns", [])) for r in outcome.records]
        if failure is None and n_samples != [2] * 8:
            failure = f"samples_ns: found {n_samples} of them, allowed 2 in each of 8 records"
        # Repetitions that were timed: 70 tokens are three passes of at most 32.
        n_passes = [(r.get("test"), r.get("n_passes")) for r in traces]
        allowed = [("pp70", 6), ("pp8", 2), ("tg5 x3 @ d9", 10), ("tg5 x3", 10)] * 2
        if failure is None and n_passes != allowed:
            failure = f"traced passes: found {n_passes}, allowed {allowed}"
        found = sum(line.startswith('{"pass":') for line in outcome.text.splitlines())
        if failure is None and found != 56:
            failure = f"lines of traced passes: found {found}, allowed 56"
        results.result(name, failure)

    return run


def serves(suite):
    """--prompts from the volume: every result line is axiom-host's, byte for byte."""
    name_there = "\\axiom\\prompts.jsonl"
    shared = "All of these begin with the same long sentence, which is read once. "
    lines = [
        "Hello, world",
        "",
        shared + "One",
        '{"prompt":"a \\u00e9 \\ud83d\\ude00","id":"x\\n1","n":3,"temp":0.9,"seed":7}',
        '{"prompt":"no such key","tempo":1}',
        shared + "Two, and more",
        '{"prompt":"long","n":70,"id":12.5}',
        "x" * 500,  # longer than the context
        shared,
        *(f"prompt {i} " * (i % 5) + "?" for i in range(12)),
    ]
    arguments = "--ignore-eos -c 256 -b 16 -np 3 --isa scalar"

    def run(results, name):
        prompts = suite.source(name_there, "\r\n".join(lines))
        image_path = suite.image(
            "serve",
            {
                "EFI/BOOT/BOOTX64.EFI": suite.efi,
                "axiom/model.axm": suite.tiny,
                "axiom/prompts.jsonl": prompts,
                "axiom/axiom.conf": suite.source(
                    "serve.conf", conf.text("", str(N_TINY), f"--prompts '{name_there}' {arguments}")
                ),
            },
        )
        outcome = guest.boot(suite.folder / "serve", image_path, 200, memory_mib=512)
        command = [str((suite.build / "axiom-host").resolve()), "-m", str(suite.tiny.resolve())]
        command += ["--prompts", name_there, "-n", str(N_TINY), *arguments.split(), "--quiet"]
        host = subprocess.run(
            command, check=True, capture_output=True, timeout=120, cwd=prompts.parent
        )
        is_result = lambda line: line.startswith('{"axiom":1,"kind":"result",')
        expected = [line for line in host.stdout.decode().splitlines() if is_result(line)]
        found = [line for line in outcome.text.splitlines() if is_result(line)]
        failure = judge.judge_run(outcome, None)
        if failure is None and len(expected) != len(lines) - 1:
            failure = f"axiom-host: found {len(expected)} result lines, allowed {len(lines) - 1}"
        if failure is None and found != expected:
            i = next((i for i, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), None)
            failure = f"found {len(found)} result lines, axiom-host's are {len(expected)}"
            if i is not None:
                failure = f"result line {i}: found {found[i]}, axiom-host's {expected[i]}"
        counts = {f: outcome.record.get(f) for f in ("n_prompts", "n_ok", "n_failed")} if outcome.record else {}
        if failure is None and counts != {"n_prompts": 20, "n_ok": 18, "n_failed": 2}:
            failure = f"the record: found {counts}"
        results.result(name, failure)

    return run


class BadInput:
    """Many failing starts in one boot through startup.nsh, each with its error and status, and the
    shell in control after each; at the end a good one."""

    def __init__(self, suite):
        self.suite = suite
        self.files = {"axiom.efi": suite.efi, "axiom/model.axm": suite.tiny}
        self.script = ["@echo -off", "fs0:"]
        self.checks = []  # (test name, case label, check of its output)
        valid = suite.tiny.read_bytes()
        self.add(
            "the EFI image names a model that is not there",
            "-m \\bad\\missing.axm -p x",
            self.names("\\bad\\missing.axm"),
        )
        self.large_model(valid)
        self.add("the EFI image names an unknown option", "--tempo 1", self.names("--tempo"))
        self.add(
            "the EFI image names a bad value",
            "--temp hot -p x",
            self.names("--temp", "hot", "allowed"),
        )
        self.add(
            "the EFI image names a kernel set that does not exist",
            "--isa avx9 -p x",
            self.names("--isa", "avx9", "allowed"),
        )
        self.add(
            "the EFI image refuses a kernel set that the CPU lacks before it leaves the firmware",
            "--isa avx512 -p x",
            self.names("--isa", "avx512", "this CPU lacks", "allowed"),
        )
        self.add(
            "the EFI image refuses a context beyond the model's",
            "-c 99999 -p x",
            self.names("-c", "99999", "allowed"),
        )
        self.add(
            "the EFI image names a file of prompts that is not there",
            "--prompts \\bad\\none.jsonl",
            self.names("\\bad\\none.jsonl"),
        )
        self.add(
            "the EFI image refuses an option of axiom-host", "--json x -p x", self.names("--json")
        )
        for label, text, parts in (
            (
                "an unknown key in axiom.conf",
                b"prompt x\ntempo 1\n",
                ("axiom.conf", "line 2", "tempo"),
            ),
            (
                "a bad value in axiom.conf",
                b"prompt x\n\ntemp hot\n",
                ("axiom.conf", "line 3", "temp", "hot", "allowed"),
            ),
            (
                "a number out of range in axiom.conf",
                b"top-p 1.5\n",
                ("axiom.conf", "line 1", "top-p", "1.5", "allowed"),
            ),
            ("an axiom.conf of binary rubbish", bytes(range(256)), ("axiom.conf",)),
        ):
            name = f"{len(self.checks)}.conf"
            self.files["bad/" + name] = suite.source(name, text)
            self.script.append(f"cp -q \\bad\\{name} \\axiom\\axiom.conf")
            self.add(f"the EFI image refuses {label}", "-p x -n 1", self.names(*parts))
        self.script.append("rm -q \\axiom\\axiom.conf")
        for bad in badfiles.all_files(valid):
            file_name = bad.name + ".axm"
            self.files["bad/" + file_name] = suite.source(file_name, bad.data)
            self.add(
                f"the EFI image refuses {bad.title}",
                f"-m \\bad\\{file_name} -p x -n 1",
                lambda text, bad=bad, file_name=file_name: self.bad_file(text, bad, file_name),
            )
        self.script += [f'\\axiom.efi -p "{SHELL_TEXT}" -n {N_TINY} --ignore-eos', "reset -s"]

    def large_model(self, valid):
        # Larger than the machine's 512 MiB by its size alone; the zeros are a hole in the file.
        data, total = badfiles.larger_than(valid, 600 << 20)
        path = self.suite.source("large.axm", data)
        with open(path, "r+b") as file:
            file.truncate(total)
        self.files["bad/large.axm"] = path

        def check(text):
            numbers = [int(n) for n in re.findall(r"\d+", error_of(text) or "")]
            good = (
                "large.axm" in text
                and any(n >= total - 4096 for n in numbers)
                and len(numbers) >= 2
            )
            return (
                None if good else f"found {text!r}, allowed an error with need ({total}) and have"
            )

        self.add(
            "the EFI image refuses a model larger than memory", "-m \\bad\\large.axm -p x", check
        )

    def add(self, name, arguments, check):
        label = f"CASE-{len(self.checks):03}"
        self.script += [f"echo {label}", f"\\axiom.efi {arguments}", f"echo {label} %lasterror%"]
        self.checks.append((name, label, check))

    @staticmethod
    def bad_file(text, bad, file_name):
        return messages.problem(error_of(text) or text, bad, file_name)

    @staticmethod
    def names(*parts):
        def check(text):
            line = error_of(text) or ""
            missing = [part for part in parts if part not in line]
            return (
                f"found {line or text!r}, allowed an error that names {missing}"
                if missing
                else None
            )

        return check

    def run(self, results, name):
        self.files["startup.nsh"] = self.suite.source("bad.nsh", "\r\n".join(self.script) + "\r\n")
        path = self.suite.image("bad", self.files)
        outcome = guest.boot(
            self.suite.folder / "bad-input", path, 400, memory_mib=512, cpu="qemu64"
        )
        lost = None  # the first case after which there was no shell any more
        for test, label, check in self.checks:
            match = re.search(rf"^{label}\s*$(.*?)^{label} (\S+)\s*$", outcome.text, re.M | re.S)
            if match is None and lost is not None:
                failure = f"not reached: the shell did not come back after {lost}"
            elif match is None:
                lost = label
                failure = (
                    f"the shell did not come back: {outcome.failure or 'the machine went off'}; "
                    f"{outcome.log} ends with\n{outcome.tail()}"
                )
            elif int(match[2], 16) == 0:
                failure = f"exit status: found {match[2]}, allowed an error\n{match[1].strip()}"
            else:
                failure = check(match[1])
            results.result(test, failure)
        results.result(
            name, judge.judge_run(outcome, self.suite.host_hash(self.suite.tiny, SHELL_TEXT, N_TINY))
        )


def returns_to_firmware(suite):
    """Started by the firmware with a bad file: the error stays on the console and the next boot
    option (the shell, with our startup.nsh) gets its turn."""
    bad = next(b for b in badfiles.all_files(suite.tiny.read_bytes()) if b.field == "config.layer[0].n_head")
    files = {
        "EFI/BOOT/BOOTX64.EFI": suite.efi,
        "axiom/model.axm": suite.source("n_head.axm", bad.data),
        "axiom/axiom.conf": suite.source("returns.conf", "prompt x\n"),
        "startup.nsh": suite.source(
            "returns.nsh", "@echo -off\r\necho BACK-IN-FIRMWARE\r\nreset -s\r\n"
        ),
    }

    def run(results, name):
        outcome = guest.boot(suite.folder / "returns", suite.image("returns", files), 120)
        failure = outcome.failure
        if failure is None:
            failure = messages.problem(error_of(outcome.text) or outcome.tail(), bad, "model.axm")
        if failure is None and "BACK-IN-FIRMWARE" not in outcome.text:
            failure = f"the firmware did not go on to the shell:\n{outcome.tail()}"
        results.result(name, failure)

    return run


PAGE_FAULT = r"exception: #PF page fault \(vector 14\), error code {}, at axiom\.efi\+0x"
FAULTS = {  # what to break: its title, patterns of the report
    "null": (
        "a read through a null pointer",
        PAGE_FAULT.format("0x0"),
        r"page fault: read at 0x0{14}10, not mapped \(null page\)",
        r"rax 0{14}10\b.* rcx 1122334455667788\b",
        r"code 48 8b 10 ",
    ),
    "stack": (
        "a stack overflow",
        PAGE_FAULT.format("0x2"),
        r"page fault: write at 0x[0-9a-f]{13}ff8, not mapped \(stack guard: stack overflow\)",
        r"rax 1122334455667788\b(.*\n)*.* rsp [0-9a-f]{13}000\b",
        r"code 50 eb fd ",
    ),
    "text": (
        "a write to code",
        PAGE_FAULT.format("0x3"),
        r"page fault: write at 0x([0-9a-f]{16}), protected\n(.*\n)*.*rax \1\b(.*\n)*.*cr2 \1\b",
        r"rcx 1122334455667788\b",
        r"code 89 08 ",
    ),
    "nx": (
        "execution of data",
        PAGE_FAULT.format("0x11"),
        r"page fault: execute at 0x([0-9a-f]{16}), protected\n(.*\n)*.*rip \1\b.*cr2 \1\b",
        r"rcx 1122334455667788\b",
        r"code c3( 90){15}",
    ),
    "panic": ("a broken invariant", r"panic: efi/fault\.cpp:\d+: provoked, cpu 0 .* \(1 other stopped\)"),
}


def breaks(suite, kind):
    """The image breaks on purpose: the report is whole and the machine goes off."""
    title, *patterns = FAULTS[kind]
    if kind != "panic":
        patterns.append(r"callers, newest first, some may be stale:")

    def run(results, name):
        label = f"fault-{kind}"
        files = {
            "EFI/BOOT/BOOTX64.EFI": suite.fault_efi,
            "axiom/model.axm": suite.tiny,
            "axiom/axiom.conf": suite.source(label + ".conf", conf.text(kind, "1")),
        }
        outcome = guest.boot(
            suite.folder / label, suite.image(label, files), 90, memory_mib=512, cpus=2
        )
        failure = outcome.failure
        for pattern in patterns:
            if failure is None and not re.search(pattern, outcome.text):
                failure = f"found no {pattern!r} in\n{outcome.tail(20)}"
        results.result(name, failure)

    return f"{title} is reported on the serial port and the machine goes off", run


def error_of(text):
    match = ERROR_LINE.search(text)
    return match[0].rstrip() if match else None


def scenarios(suite):
    """(name, run) in the order of starting: the long ones first."""
    yield "by BOOTX64.EFI on cpu qemu64 the real model answers with axiom-host's hash", real_model(
        suite, "qemu64"
    )
    yield "by BOOTX64.EFI on cpu max the real model answers with axiom-host's hash", real_model(
        suite, "max"
    )
    yield "after every refused input the shell starts a good run", BadInput(suite).run
    yield "Ctrl-C on the serial port ends generation with a record that says so", interrupted(suite)
    yield "--bench gives a record a test with axiom-host's hashes, without a vocabulary", benches(suite)
    yield "--prompts answers many prompts from a file of the volume as axiom-host does", serves(suite)
    yield "a tuned Linux boots from the same ESP and answers with axiom-host's hash", suite_tests.linux_answers(
        suite
    )
    yield "a refused model gives control back to the next boot option", returns_to_firmware(suite)
    for kind in FAULTS:
        yield breaks(suite, kind)
    yield from cores.scenarios(suite)
    yield from disturb.scenarios(suite)
    yield from metal.scenarios(suite)
    yield from stream.scenarios(suite)
    yield from conversation.scenarios(suite)
    yield from screen.scenarios(suite)
    yield from usb.scenarios(suite)
    yield from talk.scenarios(suite)
    yield from records.scenarios(suite)
    yield from trust.scenarios(suite)
    yield from matrix(suite)


def main():
    arguments = tally.arguments()
    results = tally.Tally()
    suite = Suite(arguments.build)

    def wanted(name):
        return re.search(arguments.filter, name) is not None

    launch_tests.run(results, suite.folder / "launch", wanted)
    suite_tests.run(results, suite.folder / "suite", wanted)
    suite.prepare()

    def guarded(name, run):
        try:
            run(results, name)
        except Exception as error:  # a scenario that cannot run is a failure, and the others go on
            results.result(name, f"{type(error).__name__}: {error}")

    pool = concurrent.futures.ThreadPoolExecutor(max_workers=2)
    futures = [pool.submit(guarded, name, run) for name, run in scenarios(suite) if wanted(name)]
    try:
        concurrent.futures.wait(futures)
    except KeyboardInterrupt:
        os._exit(130)  # without waiting for the boots: QEMU dies with its launcher
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
