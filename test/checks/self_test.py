#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that check-layers, check-isa and the tally fail when violated: each test plants one violation
in a temporary copy of the tree, or in freshly compiled objects. Ends with `N passed, N failed`."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CXX = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-O2", "-g", "-ffp-contract=off"]
TESTS = []


def test(name):
    def register(function):
        TESTS.append((name, function))
        return function
    return register


def run(script, *arguments):
    done = subprocess.run([sys.executable, "-B", os.path.join(HERE, script), *arguments],
                          capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def write(folder, file, text):
    path = os.path.join(folder, file)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8") as f:
        f.write(text)


# --- check-layers: a copy of the sources with one line added

def layers_with(tmp, file, text):
    for folder in ("core", "model", "efi", "packer", "bench", "test"):
        shutil.copytree(os.path.join(ROOT, folder), os.path.join(tmp, folder),
                        ignore=shutil.ignore_patterns("golden", "__pycache__"))
    write(tmp, file, text)
    return run("check_layers.py", "--root", tmp)


@test("the sources as they are pass check-layers")
def _(tmp):
    status, text = layers_with(tmp, "core/fmt.cpp", "")
    expect(status == 0 and text.endswith("\n6 passed, 0 failed\n"), text)


LAYER_VIOLATIONS = [
    ("core that includes model", "core/fmt.cpp", '#include "model/format/config.h"\n'),
    ("model that includes packer", "model/format/config.h", '#include "packer/gguf.h"\n'),
    ("model that includes efi, with blanks", "model/text/chat.h", '  #  include   "efi/dev/acpi.h"\n'),
    ("text that includes the engine", "model/text/chat.h", '#include "model/engine/sampler.h"\n'),
    ("the engine that includes a run", "model/engine/sampler.h", '#include "model/run/run.h"\n'),
    ("memory that includes a device", "efi/memory/paging.h", '#include "efi/dev/serial.h"\n'),
    ("a device that includes the CPU", "efi/dev/keys.cpp", '#include "efi/cpu/crash.h"\n'),
    ("the CPU that includes boot services", "efi/cpu/smp.cpp", '#include "efi/boot/firmware.h"\n'),
    ("a room of efi that includes what is above the rooms", "efi/boot/exit.cpp", '#include "efi/fault.h"\n'),
    ("packer that includes bench", "packer/gguf.cpp", '#include "bench/host_machine.h"\n'),
    ("efi that includes packer", "efi/dev/acpi.cpp", '#include "packer/gguf.h"\n'),
    ("core that includes a firmware header", "core/slab.h", "#include <efi.h>\n"),
    ("packer that includes a firmware header", "packer/gguf.h", "#include <efilib.h>\n"),
    ("core that includes a Linux header", "core/team.cpp", "#include <unistd.h>\n"),
    ("core that includes threads", "core/team.h", "#include <thread>\n"),
    ("model that includes std::string", "model/report/record.h", "#include <string>\n"),
    ("model that includes cmath", "model/engine/sampler.cpp", "#include <cmath>\n"),
    ("model that includes intrinsics", "model/engine/sampler.cpp", "#include <immintrin.h>\n"),
    ("core outside kernels that includes AVX intrinsics", "core/mathf.cpp", "#include <immintrin.h>\n"),
    ("efi that includes a Linux header", "efi/dev/acpi.cpp", "#include <cstdio>\n"),
    ("core with a platform conditional", "core/clock.h", "#ifdef __linux__\n#endif\n"),
    ("model with a platform conditional", "model/weights/weights.h", "#if defined(_WIN32)\n#endif\n"),
    ("an include that is not from the top of the tree", "core/fmt.cpp", '#include "fmt.h"\n'),
    ("an include that climbs out of the tree", "core/fmt.cpp", '#include "../core/fmt.h"\n'),
]


def add_layer_test(name, file, line):
    @test(f"check-layers refuses {name}")
    def _(tmp):
        status, text = layers_with(tmp, file, line)
        expect(status == 1 and " 0 failed" not in text, text)
        expect(f"{file}:" in text, f"names no {file}: {text}")


for violation in LAYER_VIOLATIONS:
    add_layer_test(*violation)


@test("check-layers refuses a folder that is no tree")
def _(tmp):
    status, text = run("check_layers.py", "--root", tmp)
    expect(status == 1 and "0 passed" in text, text)


# --- check-isa: small objects, one of them compiled for AVX2 as core/kernels/avx2.cpp is

PLAIN = "float plain(const float* x, int n) { float s = 0; for (int i = 0; i < n; i++) s += x[i]; return s; }\n"
KERNEL = """
#include <immintrin.h>
namespace axiom {
struct Kernels { void (*run)(float*); };
extern const Kernels kAvx2Kernels;
namespace {
void run(float* x) { _mm256_storeu_ps(x, _mm256_add_ps(_mm256_loadu_ps(x), _mm256_set1_ps(1.0f))); }
}  // namespace
const Kernels kAvx2Kernels = {run};
}  // namespace axiom
"""
MAIN = """
namespace axiom { struct Kernels { void (*run)(float*); }; extern const Kernels kAvx2Kernels; }
float plain(const float*, int);
int main() { float x[8] = {}; axiom::kAvx2Kernels.run(x); return int(plain(x, 8)); }
"""
WIDE = "void wide(float* x) { for (int i = 0; i < 8; i++) x[i] += 1; }\n"
FUSED = "float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }\n"
INLINE = "inline int shared(int x) { return x * 3; }\nint (*keep())(int) { return shared; }\n"


def build(tmp, sources):
    """sources: {path: (text, flags)} -> objects under tmp/o and tmp/program linked from them."""
    objects = []
    for path, (text, flags) in sources.items():
        write(tmp, path, text)
        made = os.path.join(tmp, "o", os.path.splitext(path)[0] + ".o")
        os.makedirs(os.path.dirname(made), exist_ok=True)
        subprocess.run([CXX, *FLAGS, *flags, "-c", os.path.join(tmp, path), "-o", made], check=True)
        objects.append(made)
    subprocess.run([CXX, *objects, "-o", os.path.join(tmp, "program")], check=True)


def isa_sources(changes):
    sources = {
        "core/plain.cpp": (PLAIN, []),
        "core/main.cpp": (MAIN, []),
        "core/kernels/avx2.cpp": (KERNEL, ["-mavx2", "-mf16c"]),
    }
    sources.update(changes)
    return sources


def isa_with(tmp, changes):
    build(tmp, isa_sources(changes))
    arguments = ["--isa-sources", "core/kernels/avx2.cpp"]
    objects = run("check_isa.py", *arguments, "--objects", os.path.join(tmp, "o"))
    linked = run("check_isa.py", *arguments, "--linked", os.path.join(tmp, "program"))
    return objects, linked


@test("kernels that keep the rules pass check-isa")
def _(tmp):
    objects, linked = isa_with(tmp, {})
    expect(objects[0] == 0 and objects[1].endswith("\n3 passed, 0 failed\n"), objects[1])
    expect(linked[0] == 0 and linked[1].endswith("\n2 passed, 0 failed\n"), linked[1])


# What a measuring tool of bench/ may have and the engine may not.
TOOL = """#include <immintrin.h>
namespace axiom::peak {
struct Loops { void (*read)(float*, const float*, int); };
extern const Loops kWideLoops;
namespace {
void read(float* x, const float* y, int n) {
    for (int i = 0; i < n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
}
}
const Loops kWideLoops = {read};
}
"""


def tool_with(tmp, text, *arguments):
    build(tmp, isa_sources({"bench/peak_wide.cpp": (text, ["-mavx2"])}))
    given = ["--isa-sources", "core/kernels/avx2.cpp", *arguments]
    return [run("check_isa.py", *given, "--objects", os.path.join(tmp, "o")),
            run("check_isa.py", *given, "--linked", os.path.join(tmp, "program"))]


@test("wide loops of a measuring tool pass check-isa as objects, not in a program of the engine")
def _(tmp):
    objects, linked = tool_with(tmp, TOOL, "--tool-sources", "bench/peak_wide.cpp")
    expect(objects[0] == 0 and objects[1].endswith("\n3 passed, 0 failed\n"), objects[1])
    expect(linked[0] == 1, linked[1])


@test("check-isa refuses a wide tool that is not named")
def _(tmp):
    objects, _ = tool_with(tmp, TOOL)
    expect(objects[0] == 1, objects[1])


@test("check-isa refuses a wide tool that exports more than its table")
def _(tmp):
    more = TOOL + "void axiom_peak_helper() {}\n"
    objects, _ = tool_with(tmp, more, "--tool-sources", "bench/peak_wide.cpp")
    expect(objects[0] == 1 and "axiom_peak_helper" in objects[1], objects[1])


def expect_refused(results, word):
    for status, text in results:
        expect(status == 1 and word in text, text)


@test("check-isa refuses AVX code outside the kernels, in objects and linked")
def _(tmp):
    expect_refused(isa_with(tmp, {"core/wide.cpp": (WIDE, ["-mavx2", "-O3"])}), "ymm")


@test("check-isa refuses VEX code on xmm registers outside the kernels")
def _(tmp):
    expect_refused(isa_with(tmp, {"core/plain.cpp": (PLAIN, ["-mavx"])}), "vadd")


@test("check-isa refuses AVX-512 code outside the kernels")
def _(tmp):
    flags = ["-mavx512f", "-mprefer-vector-width=512", "-O3"]
    text = "void wide(float* x) { for (int i = 0; i < 16; i++) x[i] += 1; }\n"
    expect_refused(isa_with(tmp, {"core/wide.cpp": (text, flags)}), "zmm")


@test("check-isa refuses SSE4 code outside the kernels")
def _(tmp):
    text = "float up(float x) { return __builtin_ceilf(x); }\n"
    expect_refused(isa_with(tmp, {"core/up.cpp": (text, ["-msse4.1", "-fno-trapping-math"])}), "roundss")


@test("check-isa refuses a fused multiply-add, in the kernels as well")
def _(tmp):
    expect_refused(isa_with(tmp, {"core/kernels/avx2.cpp": (KERNEL + FUSED, ["-mavx2", "-mfma"])}), "vfm")


@test("check-isa refuses a shared inline function in a kernel object")
def _(tmp):
    objects, _ = isa_with(tmp, {"core/kernels/avx2.cpp": (KERNEL + INLINE, ["-mavx2"])})
    expect(objects[0] == 1 and "shared(int) (W)" in objects[1], objects[1])


@test("check-isa finds a shared inline function that the optimizer hides, in an object made without it")
def _(tmp):
    called = KERNEL.replace("namespace {", INLINE.splitlines()[0] + "\nnamespace {", 1).replace(
        "void run(float* x) {", "void run(float* x) { x[0] = float(shared(int(x[0])));")
    hidden, _ = isa_with(os.path.join(tmp, "optimized"), {"core/kernels/avx2.cpp": (called, ["-mavx2"])})
    expect(hidden[0] == 0, hidden[1])
    found, _ = isa_with(os.path.join(tmp, "plain"), {"core/kernels/avx2.cpp": (called, ["-mavx2", "-O0"])})
    expect(found[0] == 1 and "shared(int) (W)" in found[1], found[1])


@test("check-isa refuses a kernel object that exports a function")
def _(tmp):
    text = KERNEL + "void helper(float* x) { x[0] = 1; }\n"
    objects, _ = isa_with(tmp, {"core/kernels/avx2.cpp": (text, ["-mavx2"])})
    expect(objects[0] == 1 and "helper(float*)" in objects[1], objects[1])


@test("check-isa refuses a linked program that kept a kernel's copy of a shared inline function")
def _(tmp):
    shared = ("struct S { static inline __attribute__((noinline)) void add(float* x) "
              "{ for (int i = 0; i < 8; i++) x[i] += 1; } };\n")
    changes = {
        # Linked before core/user.cpp, so its copy is the one that stays.
        "core/kernels/avx2.cpp": (shared + KERNEL + "void use(float* x) { S::add(x); }\n", ["-mavx2", "-O3"]),
        "core/user.cpp": (shared + "void user(float* x) { S::add(x); }\n", ["-O3"]),
    }
    _, linked = isa_with(tmp, changes)
    expect(linked[0] == 1 and "S3add" in linked[1], linked[1])


@test("check-isa refuses to pass when there is nothing to check")
def _(tmp):
    status, text = run("check_isa.py", "--isa-sources", "core/kernels/avx2.cpp", "--objects", tmp)
    expect(status == 1, text)
    status, text = run("check_isa.py", "--linked", os.path.join(tmp, "absent"))
    expect(status == 1 and text.endswith("0 passed, 1 failed\n"), text)


# --- the tally

def tally(*parts):
    status, text = run("run_parts.py", *parts)
    return status, text.splitlines()[-1]


@test("the tally sums its parts, Catch2's summaries among them")
def _(tmp):
    expect(tally("a=echo 2 passed, 0 failed", "b=echo '3 passed, 0 failed'") == (0, "5 passed, 0 failed"), "sum")
    summary = "All tests passed (12 assertions in 4 test cases)"
    expect(tally(f"a=echo '{summary}'") == (0, "4 passed, 0 failed"), "Catch2, all passed")
    summary = "test cases:  71 |  70 passed | 1 failed"
    expect(tally(f"a=echo '{summary}'; exit 1") == (1, "70 passed, 1 failed"), "Catch2, one failed")


@test("a part that fails, crashes or says nothing is a failure")
def _(tmp):
    expect(tally("a=echo 2 passed, 0 failed", "b=echo 1 passed, 2 failed; exit 1") == (1, "3 passed, 2 failed"), "1")
    expect(tally("a=echo 2 passed, 0 failed; exit 3") == (1, "2 passed, 1 failed"), "status without a failure")
    expect(tally("a=true") == (1, "0 passed, 1 failed"), "no tally")
    expect(tally("a=kill -SEGV $$") == (1, "0 passed, 1 failed"), "signal")
    expect(tally("a=echo 0 passed, 0 failed") == (1, "0 passed, 1 failed"), "nothing ran")
    expect(tally() == (1, "0 passed, 0 failed"), "no parts")


# --- unit tests, file by file

def units(tmp, listed, **files):
    """A program with so many tests, whose files do what the shell commands say."""
    program = os.path.join(tmp, "program")
    cases = "".join(f"*'[#{name}]') {command} ;;\n" for name, command in files.items())
    pathlib.Path(program).write_text(
        f"#!/bin/sh\n[ $2 = --list-tests ] && echo '{listed} matching test cases' && exit\ncase $2 in\n{cases}esac\n"
    )
    os.chmod(program, 0o755)
    status, text = run("run_units.py", "--program", program, "--files", *files)
    return status, text.splitlines()[-1], text


@test("unit tests are summed over their files, whose failures are shown")
def _(tmp):
    ok = "echo 'All tests passed (12 assertions in 4 test cases)'"
    expect(units(tmp, 4, a=ok, b="echo 'No tests ran'; exit 4")[:2] == (0, "4 passed, 0 failed"), "sum")
    status, tally_line, text = units(tmp, 7, a=ok, b="echo why; echo 'test cases: 3 | 2 passed | 1 failed'; exit 1")
    expect((status, tally_line) == (1, "6 passed, 1 failed") and "why" in text, text)


@test("unit tests that crash, or that do not run, are failures")
def _(tmp):
    ok = "echo 'All tests passed (12 assertions in 4 test cases)'"
    expect(units(tmp, 5, a=ok, b="kill -SEGV $$")[:2] == (1, "4 passed, 1 failed"), "crash")
    expect(units(tmp, 6, a=ok)[:2] == (1, "4 passed, 2 failed"), "two did not run")
    expect(units(tmp, 0, a="echo 'No tests ran'")[:2] == (1, "0 passed, 1 failed"), "none")


def main():
    failed = 0
    for name, function in TESTS:
        with tempfile.TemporaryDirectory(prefix="axiom-check-") as tmp:
            try:
                function(tmp)
                print(f"ok - {name}", flush=True)
            except (AssertionError, subprocess.CalledProcessError) as e:
                failed += 1
                print(f"not ok - {name}\n{e}", flush=True)
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
