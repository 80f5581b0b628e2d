# SPDX-License-Identifier: MIT
"""What bench-peers needs before it can measure: llama.cpp's programs, a Python with gguf, and the
models of every shape and format for both engines. Everything is kept under build/peers/.
Must not know: what is measured."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

# llama.cpp as PyPI's source package of llama-cpp-python carries it.
PACKAGE, VERSION = "llama_cpp_python", "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
REQUIREMENTS = ["numpy", "gguf==0.19.0"]

SHAPES = {
    "smollm2-135m": dict(n_embd=576, n_layer=30, n_head=9, n_head_kv=3, n_ff=1536, n_vocab=49152,
                         tied=True, n_ctx=8192),
    "tinyllama-1.1b": dict(n_embd=2048, n_layer=22, n_head=32, n_head_kv=4, n_ff=5632,
                           n_vocab=32000, tied=False, n_ctx=16384),
}
FORMATS = ("Q4_0", "Q4_1", "Q8_0", "Q4_K_M")


class Missing(Exception):
    """Something that could not be had; the text says what and how to go on without it."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, what, log, **more):
    """Output goes to a log that the error names."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, **more)
    if done.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-5:]
        raise Missing(f"{what}: exit status {done.returncode}; {log} ends with\n" + "\n".join(tail))


def layer_macs(shape):
    """Multiply-adds with weights of one token in all layers, and in the output matrix."""
    n_embd, n_kv = shape["n_embd"], shape["n_embd"] // shape["n_head"] * shape["n_head_kv"]
    layer = 2 * n_embd * n_embd + 2 * n_embd * n_kv + 3 * n_embd * shape["n_ff"]
    return layer * shape["n_layer"], n_embd * shape["n_vocab"]


class Workshop:
    def __init__(self, build):
        self.build = build
        self.folder = build / "peers"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs = self.folder / "logs"

    # ---- programs

    def python(self):
        python = self.folder / "venv" / "bin" / "python"
        ready = self.folder / "venv" / "ready"
        if not ready.exists():
            say("peers: a Python environment with numpy and gguf (once)")
            shutil.rmtree(self.folder / "venv", ignore_errors=True)
            run([sys.executable, "-m", "venv", self.folder / "venv"],
                "python3 -m venv (Debian: apt install python3-venv)", self.logs / "venv.log")
            run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                 *REQUIREMENTS], "pip install " + " ".join(REQUIREMENTS), self.logs / "pip.log")
            ready.touch()
        return python

    def cmake(self):
        found = shutil.which("cmake")
        if found:
            return found
        own = self.folder / "venv" / "bin" / "cmake"
        if not own.exists():
            run([self.python(), "-m", "pip", "install", "--quiet", "cmake<4"], "pip install cmake",
                self.logs / "pip-cmake.log")
        return own

    def tree(self):
        return self.folder / f"{PACKAGE}-{VERSION}" / "vendor" / "llama.cpp" / "build"

    def built_llama_bin(self):
        """The folder of llama-bench, llama-batched-bench and llama-quantize; None: not built here yet."""
        folder = self.tree() / "bin"
        return folder if (folder / "built").exists() and (folder / "llama-batched-bench").exists() else None

    def llama_bin(self):
        """The same, built if need be."""
        if found := self.built_llama_bin():
            return found
        archive = self.folder / f"{PACKAGE}-{VERSION}.tar.gz"
        if not archive.exists():
            say(f"peers: downloading the source of {PACKAGE} {VERSION} from PyPI (77 MB, once)")
            run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                 "--no-deps", "--no-binary", ":all:", "--dest", self.folder,
                 f"{PACKAGE}=={VERSION}"],
                f"pip download {PACKAGE}=={VERSION} (or give LLAMA_BIN=folder of llama-bench)",
                self.logs / "download.log")
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            raise Missing(f"{archive}: SHA-256: found {found}, allowed {SHA256}")
        say("peers: building llama.cpp (once, some minutes; log in build/peers/logs)")
        tree = self.tree()
        folder = tree / "bin"
        shutil.rmtree(self.folder / f"{PACKAGE}-{VERSION}", ignore_errors=True)
        run(["tar", "-xzf", archive, "-C", self.folder], "tar", self.logs / "tar.log")
        fix = pathlib.Path(__file__).with_name("amx_config.h").resolve()
        run([self.cmake(), "-S", tree.parent, "-B", tree, "-DCMAKE_BUILD_TYPE=Release",
             f"-DCMAKE_CXX_FLAGS=-include {fix}", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_BUILD_TESTS=OFF",
             "-DLLAMA_BUILD_SERVER=OFF"], "cmake", self.logs / "cmake.log")
        run([self.cmake(), "--build", tree, "-j", str(os.cpu_count()), "--target", "llama-bench",
             "llama-batched-bench", "llama-quantize"], "building llama.cpp", self.logs / "build.log")
        (folder / "built").touch()
        return folder

    # ---- models

    def models(self, shape_name, format_name, llama_bin):
        """(gguf, axm, facts of the gguf), made if need be."""
        models = self.folder / "models"
        models.mkdir(exist_ok=True)
        self.drop_others(models, shape_name)
        gguf = models / f"{shape_name}-{format_name}.gguf"
        if not gguf.exists():
            source = self.source(shape_name)
            say(f"peers: quantizing {shape_name} to {format_name}")
            temporary = gguf.with_suffix(".part")
            run([llama_bin / "llama-quantize", source, temporary, format_name], "llama-quantize",
                self.logs / f"quantize-{gguf.stem}.log", env=library_path(llama_bin))
            os.replace(temporary, gguf)
        facts = gguf.with_suffix(".json")
        if not facts.exists():
            script = pathlib.Path(__file__).with_name("random_model.py")
            done = subprocess.run([self.python(), "-B", script, "info", gguf], check=True,
                                  stdout=subprocess.PIPE, text=True)
            facts.write_text(done.stdout)
        return gguf, self.packed(gguf), json.loads(facts.read_text())

    def drop_others(self, models, shape_name):
        """Files that were made of the shape before its numbers changed."""
        stamp, numbers = models / f"{shape_name}.shape", json.dumps(SHAPES[shape_name])
        if stamp.exists() and stamp.read_text() == numbers:
            return
        for path in models.glob(f"{shape_name}-*"):
            path.unlink()
        stamp.write_text(numbers)

    def source(self, shape_name):
        path = self.folder / "models" / f"{shape_name}-F16.gguf"
        if not path.exists():
            say(f"peers: random F16 weights of {shape_name}")
            script = pathlib.Path(__file__).with_name("random_model.py")
            shape = json.dumps({"name": shape_name, **SHAPES[shape_name]})
            run([self.python(), "-B", script, "write", shape, path], "random_model.py",
                self.logs / f"write-{shape_name}.log")
        return path

    def packed(self, gguf):
        """Packed again when axiom-pack is newer: it decides what is stored."""
        axm, packer = gguf.with_suffix(".axm"), self.build / "axiom-pack"
        if not axm.exists() or axm.stat().st_mtime < packer.stat().st_mtime:
            say(f"peers: packing {gguf.name}")
            run([packer, gguf, "-o", axm], "axiom-pack", self.logs / f"pack-{gguf.stem}.log")
        return axm


def library_path(folder):
    """A build with shared libraries has them beside its programs."""
    path = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "LD_LIBRARY_PATH": f"{folder}:{path}" if path else str(folder)}
