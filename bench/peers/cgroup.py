# SPDX-License-Identifier: MIT
"""A memory cgroup of our own, of version 1 or 2, in which programs are run.
Must not know: which programs."""
import os
import pathlib
import shutil

from workshop import Missing

ROOT = pathlib.Path("/sys/fs/cgroup")
NEEDED = ("needs to make a memory cgroup: run it as root, and with version 2 the controller has to be on for "
          "what is below the root (echo +memory > /sys/fs/cgroup/cgroup.subtree_control); in a container, with "
          "/sys/fs/cgroup writable")


class MemoryCgroup:
    """Context manager. Nobody may be inside any more when it ends."""

    def __init__(self, limit_bytes):
        is_second = (ROOT / "cgroup.controllers").exists()
        parent = ROOT if is_second else ROOT / "memory"
        self.folder = parent / f"axiom-{os.getpid()}"
        self.limit_bytes = limit_bytes
        self.limit_file, self.peak_file = (("memory.max", "memory.peak") if is_second else
                                           ("memory.limit_in_bytes", "memory.max_usage_in_bytes"))

    def __enter__(self):
        try:
            self.folder.mkdir()
        except OSError as error:
            raise Missing(f"{self.folder}: {error.strerror}: {NEEDED}") from error
        try:
            (self.folder / self.limit_file).write_text(str(self.limit_bytes))
            swap = self.folder / "memory.swap.max"  # what is read from a swap is not from the model
            if swap.exists():
                swap.write_text("0")
        except OSError as error:
            self.folder.rmdir()
            raise Missing(f"{self.folder / self.limit_file}: {error.strerror}: {NEEDED}") from error
        return self

    def __exit__(self, *_):
        self.folder.rmdir()

    def inside(self, command):
        """The command, of a program that begins in it."""
        shell = shutil.which("sh")
        return [shell, "-c", 'echo $$ > "$0" && exec "$@"', self.folder / "cgroup.procs", *command]
