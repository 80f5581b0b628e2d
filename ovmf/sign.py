# SPDX-License-Identifier: MIT
# `make signed`: build/axiom.efi under a signature that Secure Boot asks for, with the policy that the signature
# covers. Paths and options come by environment, as they may hold any character.
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import conf
import model

# Debian's key for tests: everybody has it. Its variable store is OVMF_VARS_4M.snakeoil.fd.
SNAKEOIL = pathlib.Path("/usr/share/ovmf/PkKek-1-snakeoil.key")
SNAKEOIL_PASSPHRASE = "snakeoil"
FINISH_PE = pathlib.Path(__file__).resolve().parents[1] / "efi" / "finish_pe.py"


class SignError(Exception):
    pass


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SignError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")


def policy(require, arguments):
    """Lines as in axiom.conf; empty where nothing is fixed."""
    pairs = [("require", model.merkle_root(require))] if require else []
    pairs += conf.from_arguments(arguments)
    return b"".join(conf.line(name, value).encode(errors="surrogateescape") + b"\n" for name, value in pairs)


def with_policy(image, text, folder):
    if not text:
        return image
    source, output = folder / "policy", folder / "policy.efi"
    source.write_bytes(text)
    run(sys.executable, "-B", FINISH_PE, image, "-o", output, "--section", f".policy={source}")
    return output


def keys(key, cert, secure, folder):
    """(key, certificate), of Debian's tests where a test machine is asked for and nothing is given."""
    if bool(key) != bool(cert) or not (key or secure):
        raise SignError("KEY, CERT: found one or none, allowed the key and the certificate to sign with, PEM")
    if key:
        return key, cert
    plain = folder / "snakeoil.key"
    run("openssl", "rsa", "-in", SNAKEOIL, "-passin", "pass:" + SNAKEOIL_PASSPHRASE, "-out", plain)
    return plain, SNAKEOIL.with_suffix(".pem")


def sign(image, output, key="", cert="", secure=False, require="", arguments=""):
    if shutil.which("sbsign") is None:
        raise SignError("sbsign: found none (Debian: apt install sbsigntool)")
    with tempfile.TemporaryDirectory(prefix="axiom-sign-") as folder:
        folder = pathlib.Path(folder)
        text = policy(require, arguments)
        chosen = keys(key, cert, secure, folder)
        unsigned = with_policy(image, text, folder)
        run("sbsign", "--key", chosen[0], "--cert", chosen[1], "--output", output, unsigned)
        run("sbverify", "--cert", chosen[1], output)
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    env = {name: os.environ.get("AXIOM_" + name, "") for name in ("KEY", "CERT", "SECURE", "REQUIRE", "ARGS")}
    is_policy = env["SECURE"] != "1"  # of make run, ARGS go into axiom.conf
    try:
        text = sign(arguments.image, arguments.output, env["KEY"], env["CERT"], env["SECURE"] == "1",
                    env["REQUIRE"], env["ARGS"] if is_policy else "")
    except (SignError, model.ModelError, OSError, ValueError) as error:
        print(f"make signed: error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.output}: signed" + (", with the policy" if text else ""))
    sys.stdout.write(text.decode(errors="replace"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
