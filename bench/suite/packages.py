# SPDX-License-Identifier: MIT
"""Debian packages fetched by apt-get and unpacked into a folder, without root and without installing
them. Needs apt's lists (`apt-get update`).
Must not know: what the files are for."""
import pathlib
import re
import shutil
import subprocess


class PackageError(Exception):
    pass


def run(command, folder=None):
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", check=False)
    except OSError as error:
        raise PackageError(f"{command[0]}: {error}; this needs Debian or Ubuntu") from error
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise PackageError(f"{' '.join(command)}: exit status {done.returncode}: {last[0]}")
    return done.stdout


def candidate(name):
    """The fields of the version that apt would install."""
    try:
        text = run(["apt-cache", "show", "--no-all-versions", name])
    except PackageError as error:
        raise PackageError(f"package {name}: apt does not know it (apt-get update, as root, reads its lists; "
                           f"Debian's kernels are not in Ubuntu): {error}") from error
    return dict(line.split(": ", 1) for line in text.splitlines() if re.match(r"[A-Z][A-Za-z-]*: ", line))


def kernel_of(name, show=candidate):
    """(package, version) of the kernel itself: linux-image-cloud-amd64 only depends on it."""
    fields = show(name)
    needs = re.match(r"(linux-image-\S+) \(= (\S+)\)", fields.get("Depends", ""))
    return (needs[1], needs[2]) if needs else (name, fields["Version"])


def unpacked(package, version, folder):
    """The folder that holds the files of this version, fetched unless they are there."""
    target = pathlib.Path(folder) / f"{package}_{version.replace(':', '%3a')}"
    if target.is_dir():
        return target
    work = target.with_name(target.name + ".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print(f"fetching {package} {version} by apt-get download", flush=True)
    run(["apt-get", "download", f"{package}={version}"], folder=work)
    found = list(work.glob("*.deb"))
    if len(found) != 1:
        raise PackageError(f"package {package}: found {len(found)} files after apt-get download, allowed one")
    run(["dpkg-deb", "-x", str(found[0]), str(work)])
    found[0].unlink()
    work.rename(target)  # whole or not at all
    return target
