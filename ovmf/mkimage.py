# SPDX-License-Identifier: MIT
# `make image` and `make esp`: the files of a bootable AXIOM medium, as a disk image or on a mounted
# ESP. What may hold any character (prompt, model path) comes by environment, not by shell text.
import argparse
import os
import pathlib
import sys

import conf
import image
import model


def switch(name, value, meaning):
    """Whether NAME=1 was given."""
    if value not in ("", "0", "1"):
        raise image.ImageError(f'{name}: found "{value}", allowed 1: {meaning}')
    return value == "1"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--image", type=pathlib.Path)
    target.add_argument("--esp", action="store_true", help="copy to the directory AXIOM_DEST")
    arguments = parser.parse_args()
    build = arguments.build
    env = {
        name: os.environ.get("AXIOM_" + name, "")
        for name in ("PROMPT", "PROMPTS", "N", "ARGS", "MODEL", "STREAM", "CHAT", "SECURE", "DEST")
    }
    try:
        axm = model.packed(env["MODEL"], build, str(build / "axiom-pack"))
        weights = axm if switch("STREAM", env["STREAM"], "weights in their own partition") else None
        secure = switch("SECURE", env["SECURE"], "the signed image")
        conf_path = build / "axiom.conf"
        conf_path.write_bytes(
            conf.text(
                env["PROMPT"],
                env["N"],
                env["ARGS"],
                has_prompts=bool(env["PROMPTS"]),
                partition_id=model.file_id(weights) if weights else None,
                chat=switch("CHAT", env["CHAT"], "a conversation"),
            )
        )
        files = {
            "EFI/BOOT/BOOTX64.EFI": build / ("axiom-signed.efi" if secure else "axiom.efi"),
            "axiom/axiom.conf": conf_path,
        }
        if weights is None:
            files["axiom/model.axm"] = axm
        if env["PROMPTS"]:
            files[conf.PROMPTS] = env["PROMPTS"]
        if arguments.esp:
            if not env["DEST"]:
                raise image.ImageError(
                    "DEST: found nothing, " "allowed make esp DEST=/where/esp/is/mounted"
                )
            if weights is not None:
                raise image.ImageError(
                    "STREAM: found 1, allowed nothing: an ESP has no room for a partition; "
                    "axiom-pack --to-partition writes the model into one"
                )
            image.copy_to_esp(env["DEST"], files)
        else:
            image.make(arguments.image, files, weights)
            size = os.path.getsize(arguments.image)
            place = "its own partition of a GPT disk" if weights else "a GPT disk"
            print(f"{arguments.image}: {size / 1e6:.0f} MB, boots {axm} from {place}")
    except (image.ImageError, model.ModelError, OSError, ValueError) as error:
        print(f"make {'esp' if arguments.esp else 'image'}: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
