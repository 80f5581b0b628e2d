# SPDX-License-Identifier: MIT
# Boots with more than one core: all of them compute and the hash stays, some do not come, some are
# too many, some break. In QEMU, and in Bochs for what its emulation has and QEMU's has not: x2APIC
# and AVX-512.
import re

import bochs
import conf
import guest
import judge

TEXT = "Hello from every core"
N_TOKENS = 8
STARTED = "cores     {} of {} started, {},"


def needs(outcome, *patterns):
    """None, or the first of the patterns that the serial text lacks."""
    for pattern in patterns:
        if not re.search(pattern, outcome.text):
            return f"found no {pattern!r} in\n{outcome.tail(25)}"
    return None


class Boots:
    def __init__(self, suite):
        self.suite = suite

    def image(self, label, efi, text, options, model=None):
        files = {
            "EFI/BOOT/BOOTX64.EFI": efi,
            "axiom/model.axm": model or self.suite.tiny,
            "axiom/axiom.conf": self.suite.source(
                label + ".conf", conf.text(text, str(N_TOKENS), "--ignore-eos " + options)
            ),
        }
        return self.suite.image(label, files)

    def qemu(self, label, efi, text=TEXT, options="", **machine):
        image = self.image(label, efi, text, options)
        machine = {"memory_mib": 512, **machine}
        return guest.boot(self.suite.folder / label, image, 120, **machine)

    def hash_of(self, text):
        return self.suite.host_hash(self.suite.tiny, text, N_TOKENS)

    def computing(self, n_cpus, n_threads, options="", **machine):
        label = f"cores-{n_threads}-of-{n_cpus}"

        def run(results, name):
            outcome = self.qemu(label, self.suite.efi, options=options, cpus=n_cpus, **machine)
            failure = judge.judge_run(
                outcome, self.hash_of(TEXT), n_threads=n_threads, n_cpus=n_cpus
            )
            line = STARTED.format(n_threads, n_cpus, "xAPIC")
            results.result(name, failure or needs(outcome, line))

        return run

    def missing(self, kind, n_cpus, *patterns):
        """The last core does not come, or too late: the rest answers as ever."""

        def run(results, name):
            label = f"cores-{kind}"
            outcome = self.qemu(label, self.suite.fault_efi, text=kind, cpus=n_cpus)
            failure = judge.judge_run(
                outcome, self.hash_of(kind), n_threads=n_cpus - 1, n_cpus=n_cpus
            )
            last = rf"note      cpu {n_cpus - 1} \(apic 238\) did not answer in \d+ ms"
            results.result(name, failure or needs(outcome, last, *patterns))

        return run

    def too_many(self, results, name):
        outcome = self.qemu("cores-two", self.suite.two_efi, cpus=4)
        failure = judge.judge_run(outcome, self.hash_of(TEXT), n_threads=2, n_cpus=4)
        note = "note      CPUs: found 4, allowed 2 in this image; the rest is not used"
        results.result(name, failure or needs(outcome, note))

    def threads(self, label, options, n_threads, n_siblings):
        """Two cores of two threads each."""

        def run(results, name):
            outcome = self.qemu(
                label, self.suite.efi, options=options, extra=["-smp", "4,cores=2,threads=2"]
            )
            failure = judge.judge_run(
                outcome, self.hash_of(TEXT), n_threads=n_threads, n_cpus=4
            )
            found = (outcome.record or {}).get("n_siblings")
            if failure is None and found != n_siblings:
                failure = f"n_siblings in the record: found {found}, allowed {n_siblings}"
            results.result(name, failure)

        return run

    def two_nodes(self, n_cpus):
        """Of half of the CPUs and 512 MiB each."""
        half = n_cpus // 2
        return [
            argument
            for i in (0, 1)
            for argument in (
                "-object",
                f"memory-backend-ram,id=m{i},size=512M",
                "-numa",
                f"node,nodeid={i},cpus={half * i}-{half * i + half - 1},memdev=m{i}",
            )
        ]

    def placed(self, n_threads, least_shares):
        """least_shares: of the model that each node has in the end, at least."""
        label = f"cores-placed-{n_threads}"

        def run(results, name):
            model = self.suite.default
            image = self.image(label, self.suite.efi, TEXT, f"--raw -t {n_threads}", model)
            outcome = guest.boot(
                self.suite.folder / label,
                image,
                300,
                memory_mib=1024,
                extra=["-smp", "4,sockets=2,cores=2", *self.two_nodes(4)],
            )
            expected = self.suite.host_hash(model, TEXT, N_TOKENS, options="--raw --ignore-eos")
            failure = judge.judge_run(outcome, expected, n_threads=n_threads, n_cpus=4)
            if failure is None:
                record = outcome.record
                shares = [n["model_bytes"] / record["model_size"] for n in record["nodes"]]
                is_placed = all(share >= least for share, least in zip(shares, least_shares))
                if record["rows_near"] != 1 or not is_placed:
                    failure = f"rows_near {record['rows_near']}, parts of the model {shares}"
            all_near = r"rows      (\d+) of \1 pages .*; [1-9]\d* were moved"
            results.result(name, failure or needs(outcome, all_near))

        return run

    def nodes(self, results, name):
        image = self.image("cores-nodes", self.suite.efi, TEXT, "")
        outcome = guest.boot(
            self.suite.folder / "cores-nodes",
            image,
            300,
            memory_mib=1024,
            extra=["-smp", "64,sockets=2,cores=16,threads=2", *self.two_nodes(64)],
        )
        failure = judge.judge_run(outcome, self.hash_of(TEXT), n_threads=32, n_cpus=64)
        record = outcome.record or {}
        found = [(n["domain"], n["n_cpus"]) for n in record.get("nodes") or []]
        if failure is None and (record["n_siblings"], found) != (32, [(0, 32), (1, 32)]):
            failure = f"the record: found {record['n_siblings']} siblings, nodes {found}"
        if failure is None:
            model = sum(n["model_bytes"] for n in record["nodes"])
            memory = sum(n["memory_bytes"] for n in record["nodes"])
            if not 0 < model <= memory <= 1 << 30:
                failure = f"nodes: found {record['nodes']}"
        results.result(name, failure or needs(outcome, "32 threads left out"))

    def late_pages(self, results, name):
        outcome = self.qemu("cores-no-low", self.suite.fault_efi, text="no-low", cpus=3)
        failure = judge.judge_run(outcome, self.hash_of("no-low"), n_threads=3, n_cpus=3)
        results.result(name, failure)

    def breaking(self, kind, *patterns):
        def run(results, name):
            outcome = self.qemu(f"cores-{kind}", self.suite.fault_efi, text=kind, cpus=3)
            failure = outcome.failure or needs(outcome, *patterns)
            if failure is None and outcome.record is not None:
                failure = f"another core went on to a record:\n{outcome.tail()}"
            results.result(name, failure)

        return run

    def emulated(self, label, efi, text, n_cpus, *patterns, options=""):
        def run(results, name):
            why = bochs.why_not()
            if why is not None:
                results.skip(name, why)
                return
            image = self.image(label, efi, text, options)
            outcome = bochs.boot(self.suite.folder / label, image, 240, n_cpus=n_cpus)
            failure = judge.judge_run(outcome, self.hash_of(text), n_threads=n_cpus)
            kernel_set = (outcome.record or {}).get("kernel_set")
            if failure is None and kernel_set != "avx512":
                failure = f"kernel_set in the record: found {kernel_set}, allowed avx512"
            n_ticks = (outcome.record or {}).get("n_disturb_ticks")
            if failure is None and bool(options) != bool(n_ticks):
                failure = f"n_disturb_ticks in the record: found {n_ticks} with options {options!r}"
            results.result(name, failure or needs(outcome, *patterns))

        return run


def scenarios(suite):
    boots = Boots(suite)
    yield "in Bochs with AVX-512 VNNI the widest kernels give axiom-host's hash", boots.emulated(
        "bochs-avx512", suite.efi, TEXT, 1
    )
    yield "in Bochs two cores start, tick and stop by x2APIC and give axiom-host's hash", boots.emulated(
        "bochs-x2apic",
        suite.fault_efi,
        "x2apic",
        2,
        STARTED.format(2, 2, "x2APIC"),
        options="--disturb tick=10000",
    )
    yield "64 threads of 32 cores on two nodes: one of each core computes, with axiom-host's hash", boots.nodes
    yield "rows of the weights go to the memory of the node whose cores read them", boots.placed(4, [0.4, 0.4])
    yield "where cores of one node compute, rows go to its memory", boots.placed(2, [0.9, 0])
    yield "one thread of each core computes", boots.threads("cores-siblings", "", 2, 2)
    yield "--smt computes on every thread", boots.threads("cores-smt", "--smt", 4, 0)
    yield "where firmware has all low memory, cores start in what it leaves", boots.late_pages
    yield "8 cores on q35 give axiom-host's hash", boots.computing(8, 8)
    yield "4 cores on pc without x2APIC give axiom-host's hash", boots.computing(
        4, 4, machine="pc", cpu="qemu64,-x2apic"
    )
    yield "2 cores on q35 give axiom-host's hash", boots.computing(2, 2)
    yield "-t 2 uses two cores of four, in 6 GiB of memory", boots.computing(
        4, 2, "-t 2", memory_mib=6144
    )
    yield "a core that never answers is named and the rest goes on", boots.missing("silent", 4)
    yield "a core that comes too late halts and disturbs nobody", boots.missing(
        "late", 3, r"fault     the late core has come, tickets 0x8\d+ then 0x8\d+"
    )
    yield "more cores than the image has room for are noted and left out", boots.too_many
    yield "an exception on another core names it and stops all", boots.breaking(
        "ap-null",
        r"exception: #PF page fault \(vector 14\), error code 0x0, at axiom\.efi\+0x[0-9a-f]+, "
        r"cpu 2 \(apic 2\) \(2 others stopped\)",
        r"page fault: read at 0x0{14}10, not mapped \(null page\)",
        r"rcx 1122334455667788\b",
    )
    yield "a stack overflow on another core hits its own guard page", boots.breaking(
        "ap-stack",
        r"exception: #PF .* cpu 2 \(apic 2\) \(2 others stopped\)",
        r"page fault: write at 0x[0-9a-f]{13}ff8, not mapped \(stack guard: stack overflow\)",
        r"callers, newest first, some may be stale:",
    )
    yield "a broken invariant on another core names it and stops all", boots.breaking(
        "ap-panic", r"panic: efi/fault\.cpp:\d+: provoked, cpu 2 \(apic 2\) \(2 others stopped\)"
    )
