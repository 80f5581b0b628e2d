# SPDX-License-Identifier: MIT
# From what MODEL= names to a packed file: an .axm is taken as it is, a .gguf is packed once and
# kept in build/models/ until it or the packer changes.
import hashlib
import pathlib
import subprocess


class ModelError(Exception):
    pass


def packed(model, build, packer):
    """`model` empty: the default model, which make has built. Returns the path of an .axm."""
    models = pathlib.Path(build) / "models"
    if not model:
        return models / "default.axm"
    source = pathlib.Path(model).expanduser()
    if not source.is_file():
        raise ModelError(f'MODEL: found "{model}", allowed an existing .gguf or .axm file')
    with open(source, "rb") as file:
        magic = file.read(8)
    if magic.startswith(b"AXIOMPK"):
        return source
    if not magic.startswith(b"GGUF"):
        raise ModelError(
            f'MODEL: {source}: magic at offset 0x0: found {magic!r}, '
            f'allowed "GGUF" or "AXIOMPK"'
        )
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
    target = models / f"{source.stem}-{digest}.axm"
    newest = max(source.stat().st_mtime, pathlib.Path(packer).stat().st_mtime)
    if not target.is_file() or target.stat().st_mtime < newest:
        models.mkdir(parents=True, exist_ok=True)
        if subprocess.run([packer, str(source), "-o", str(target)]).returncode != 0:
            raise ModelError(f"MODEL: {source} could not be packed (the reason stands above)")
    return target


def merkle_root(axm):
    """Of a packed file, 64 hexadecimal digits (model/format/format.h)."""
    with open(axm, "rb") as file:
        head = file.read(72)
    if head[:8] != b"AXIOMPK\0" or len(head) < 72:
        raise ModelError(f"REQUIRE: {axm}: found no packed model (axiom-pack IN.gguf -o OUT.axm)")
    return head[40:].hex()


def file_id(axm):
    """The first half of the root."""
    return merkle_root(axm)[:32]
