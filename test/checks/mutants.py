#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation testing: random one-token mutants of core/, model/, packer/ and the tested part of efi/, each
built and given to the unit tests in a copy of the tree. Prints what became of each, then the survivors.

A mutant counts if it compiles and its objects hold other code or data than before. Whether a survivor
changes behaviour is for a person to judge: its line is shown. Exit status 1 if any survived.
(R. DeMillo, R. Lipton, F. Sayward, "Hints on Test Data Selection", Computer 11, 1978.)"""
import argparse
import concurrent.futures
import glob
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

FOLDERS = ("core/*", "core/kernels/*", "model/*/*", "packer/*", "packer/*/*")
LEFT_OUT = ("packer/main.cpp",)  # no part of the unit tests
# What stands for a binary operator has blanks on both sides (the formatter sees to it), so templates,
# references and pointers are not taken for one.
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+", "*": "+",
         "/": "*", "%": "/", "&&": "||", "||": "&&", "&": "|", "|": "&", "<<": ">>", ">>": "<<", "+=": "-=",
         "-=": "+=", "|=": "&=", "&=": "|="}
WORDS = {"true": "false", "false": "true", "continue": "break", "break": "continue"}
TOKEN = re.compile(r"(?<= )(?:" + "|".join(re.escape(s) for s in sorted(SWAPS, key=len, reverse=True)) +
                   r")(?= )|\b(?:true|false|continue|break)\b|(?<![\w.'])(?:0x[0-9a-fA-F]+|\d+)(?![\w.'])|\+\+|--")
# Comments, texts and preprocessor lines are blanked; what they span keeps its length.
HIDDEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#[^\n]*', re.S | re.M)
NOT_CODE = re.compile(r"\bstatic_assert\b|\bAXIOM_CHECK\b|\bAXIOM_PANIC\b")  # broken: it does not build, or stops
# Catch's filters, in this order: tests tagged [sweep] take half a minute each, so they see what the others let pass.
FIRST, LAST = "~[slow]~[sweep]", "[sweep]~[slow]"
FULL_BUILD = 24  # objects: a header that more of them include is left out


def replacement(token):
    if token in SWAPS:
        return SWAPS[token]
    if token in WORDS:
        return WORDS[token]
    if token in ("++", "--"):
        return "--" if token == "++" else "++"
    return hex(int(token, 16) + 1) if token.startswith("0x") else str(int(token) + 1)


def sources(pure):
    found = [f for pattern in FOLDERS for f in glob.glob(pattern) if f.endswith((".cpp", ".h"))]
    return sorted(f for f in set(found) | set(pure) if f not in LEFT_OUT)


def places(file):
    with open(file, encoding="utf-8") as f:
        text = f.read()
    code = HIDDEN.sub(lambda m: re.sub(r"[^\n]", "\x00", m.group()), text)
    for match in TOKEN.finditer(code):
        begin = code.rfind("\n", 0, match.start()) + 1
        line = code[begin:code.find("\n", begin)]
        if not NOT_CODE.search(line):
            yield match.start(), match.group(), text


class Tree:
    """A copy of the tree and what is built in it."""

    def __init__(self, folder, source):
        self.folder = folder
        subprocess.run(["cp", "-a", source, folder], check=True)
        self.objects = {}
        for rule in glob.glob(f"{folder}/build/host/**/*.d", recursive=True):
            if "/host/bench/" in rule:
                continue
            with open(rule) as f:
                for name in re.findall(r"[\w./-]+\.(?:cpp|h|inc)", f.read()):
                    self.objects.setdefault(os.path.normpath(name), []).append(rule[:-2] + ".o")

    def run(self, *command, timeout=900):
        try:
            done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, text=True, errors="replace",
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                                  env=dict(os.environ, AXIOM_BUILD_DIR="build"))
            return done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            return -1, "timeout"

    def code_of(self, objects):
        """What the objects hold without their debugging sections."""
        sums = []
        for name in objects:
            with tempfile.NamedTemporaryFile() as out:
                subprocess.run(["objcopy", "--strip-debug", "--remove-section=.comment", name, out.name],
                               check=True)
                out.seek(0)
                sums.append(hashlib.sha256(out.read()).digest())
        return sums

    def passes(self):
        return all(self.run("build/unit-tests", tests, "-a", timeout=400)[0] == 0 for tests in (FIRST, LAST))

    def judge(self, file, at, token, text):
        path = os.path.join(self.folder, file)
        objects = self.objects.get(file, [])
        before = self.code_of(objects)
        stamps = [os.stat(o).st_mtime_ns for o in objects] + [os.stat(path).st_mtime_ns]
        saved = tempfile.mkdtemp(dir=self.folder)
        for i, name in enumerate(objects):
            shutil.copy2(name, f"{saved}/{i}")
        try:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text[:at] + replacement(token) + text[at + len(token):])
            names = [os.path.relpath(o, self.folder) for o in objects]
            if self.run("make", "-s", "COMMIT=mutant", *names)[0] != 0:
                return "not compiled"
            if self.code_of(objects) == before:
                return "same code"
            if self.run("make", "-s", "COMMIT=mutant", "build/unit-tests")[0] != 0:
                return "not compiled"
            return "survived" if self.passes() else "caught"
        finally:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            for i, name in enumerate(objects):
                shutil.copy2(f"{saved}/{i}", name)
            for name, stamp in zip(objects + [path], stamps):
                os.utime(name, ns=(stamp, stamp))
            shutil.rmtree(saved)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=60, help="mutants that count (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="copies of the tree at work (default 1)")
    parser.add_argument("--pure", nargs="*", default=[], metavar="FILE", help="files of efi/ that unit tests link")
    args = parser.parse_args()
    chosen = random.Random(args.seed)
    counts = dict.fromkeys(("caught", "survived", "same code", "not compiled"), 0)
    survivors = []
    with tempfile.TemporaryDirectory(prefix="axiom-mutants-") as folder:
        trees = [Tree(f"{folder}/{i}", os.getcwd()) for i in range(args.jobs)]
        if not trees[0].passes():  # or every mutant would count as caught
            sys.exit("the unit tests fail, or take more than 400 s, without any mutant")
        candidates = [(f, *p) for f in sources(args.pure) for p in places(f)
                      if 0 < len(trees[0].objects.get(f, [])) <= FULL_BUILD]
        print(f"{len(candidates)} tokens, seed {args.seed}", flush=True)
        chosen.shuffle(candidates)
        queue = iter(candidates)

        def work(tree):
            while counts["caught"] + counts["survived"] < args.n:
                try:
                    file, at, token, text = next(queue)
                except StopIteration:
                    return
                number = text.count("\n", 0, at) + 1
                line = text.split("\n")[number - 1].strip()
                verdict = tree.judge(file, at, token, text)
                counts[verdict] += 1
                what = f"{file}:{number}: `{token}` to `{replacement(token)}` in: {line}"
                print(f"{verdict:<13}{what}", flush=True)
                if verdict == "survived":
                    survivors.append(what)

        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for done in [pool.submit(work, tree) for tree in trees]:
                done.result()
    print("\nsurvivors:", *survivors, sep="\n  ")
    n = counts["caught"] + counts["survived"]
    print(f"{counts['caught']} of {n} mutants that change code were caught; {counts['same code']} changed none, "
          f"{counts['not compiled']} did not compile")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
