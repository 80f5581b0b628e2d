# SPDX-License-Identifier: MIT
# Who may boot what: under Secure Boot the signed image boots and no other, its policy is the last word on
# model and options, and a TPM says afterwards what was booted.
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import guest
import judge

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ovmf"))
import conf  # noqa: E402
import model  # noqa: E402
import sign  # noqa: E402

PROMPT, N = "Who may boot what?", 5
# What the firmware says of an image that it does not start, and what follows when nothing else boots.
REFUSED = re.compile(rb"Access Denied|Security Violation")
ERROR = re.compile(rb"axiom: error: [^\r\n]*[\r\n]")
SECONDS = 150  # system management mode is slow where it is emulated


class Trust:
    def __init__(self, suite):
        self.suite = suite
        self.folder = suite.folder / "trust"
        self.folder.mkdir(parents=True, exist_ok=True)

    def signed(self, label, require="", arguments=""):
        path = self.folder / (label + ".efi")
        sign.sign(self.suite.efi, path, secure=True, require=require, arguments=arguments)
        return path

    def image(self, label, efi, options="", axm=None):
        text = conf.text(PROMPT, str(N), options)
        files = {
            "EFI/BOOT/BOOTX64.EFI": efi,
            "axiom/model.axm": axm or self.suite.tiny,
            "axiom/axiom.conf": self.suite.source(label + ".conf", text),
        }
        return self.suite.image(label, files), text

    def boot(self, label, efi, options="", axm=None, **more):
        image, _ = self.image(label, efi, options, axm)
        return guest.boot(self.folder / label, image, SECONDS, secure=True, **more)

    def signed_boots(self, results, name):
        outcome = self.boot("signed", self.signed("signed"))
        failure = judge.judge_run(outcome, self.suite.host_hash(self.suite.tiny, PROMPT, N))
        found = (outcome.record or {}).get("secure_boot")
        if failure is None and found != "on":
            failure = f"secure_boot in the record: found {found}, allowed on"
        results.result(name, failure)

    def unsigned_is_refused(self, results, name):
        self.refused_by_firmware(results, name, "unsigned", self.suite.efi)

    def tampered_is_refused(self, results, name):
        path = self.signed("tampered")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        self.refused_by_firmware(results, name, "tampered", path)

    def refused_by_firmware(self, results, name, label, efi):
        outcome = self.boot(label, efi, end_at=REFUSED)
        failure = outcome.failure
        if failure is None and not REFUSED.search(outcome.log.read_bytes()):
            failure = f"found no refusal in\n{outcome.tail()}"
        if failure is None and "AXIOM" in outcome.text:
            failure = f"the image ran:\n{outcome.tail()}"
        results.result(name, failure)

    def policy_holds(self, results, name):
        """The right model by its root; then what the policy fixes given again, and another model."""
        tiny = self.suite.tiny
        efi = self.signed("policy", require=tiny, arguments="--temp 0")
        outcome = self.boot("policy", efi)
        failure = judge.judge_run(outcome, self.suite.host_hash(tiny, PROMPT, N))
        found = (outcome.record or {}).get("model_root")
        if failure is None and found != model.merkle_root(tiny):
            failure = f"model_root in the record: found {found}, allowed {model.merkle_root(tiny)}"
        results.result(name, failure)

        outcome = self.boot("policy-again", efi, "--temp 0.5", end_at=ERROR)
        results.result(
            "an option that the signed policy fixes is refused in axiom.conf",
            judge_error(outcome, "axiom.conf", "temp", "policy fixes it"),
        )
        other = self.folder / "other.axm"
        command = [str(self.suite.build / "axiom-pack"), "--synthetic", "64,2,4,2,160,200", "-o", str(other)]
        subprocess.run(command, check=True, capture_output=True)
        outcome = self.boot("policy-model", efi, axm=other, end_at=ERROR)
        results.result(
            "a model with another root than the signed policy requires is refused",
            judge_error(outcome, "Merkle root", model.merkle_root(tiny) + " (required)"),
        )

    def tpm_measures(self, results, name):
        folder = self.folder / "tpm"
        state = folder / "state"
        state.mkdir(parents=True, exist_ok=True)
        socket = f"/tmp/axiom-tpm-{os.getpid()}"
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,path={socket}"]
        with subprocess.Popen(command + ["--terminate"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as swtpm:
            try:
                deadline = time.monotonic() + 20
                while not os.path.exists(socket) and swtpm.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                extra = ["-chardev", f"socket,id=tpm,path={socket}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
                extra += ["-device", "tpm-tis,tpmdev=tpm0"]
                image, text = self.image("tpm", self.suite.efi)
                outcome = guest.boot(folder, image, SECONDS, extra=extra)
            finally:
                if swtpm.poll() is None:
                    swtpm.send_signal(signal.SIGTERM)
                pathlib.Path(socket).unlink(missing_ok=True)
        failure = judge.judge_run(outcome, self.suite.host_hash(self.suite.tiny, PROMPT, N))
        root = model.merkle_root(self.suite.tiny)
        expected = {
            "tpm_options_pcr": extended(text),
            "tpm_model_pcr": extended(bytes.fromhex(root)),
            "model_root": root,
            "secure_boot": "setup",  # keys are enrolled in no store of the default firmware
        }
        found = {field: (outcome.record or {}).get(field) for field in expected}
        if failure is None and found != expected:
            failure = f"the record: found {found}\nallowed {expected}"
        results.result(name, failure)


def extended(data):
    """A PCR that was zero, extended once."""
    return hashlib.sha256(bytes(32) + hashlib.sha256(data).digest()).hexdigest()


def judge_error(outcome, *parts):
    if outcome.failure is not None:
        return outcome.failure
    match = ERROR.search(outcome.log.read_bytes())
    line = match[0].decode(errors="replace") if match else ""
    missing = [part for part in parts if part not in line]
    return f"found {line!r}, allowed an error with {missing}\n{outcome.tail()}" if missing else None


def scenarios(suite):
    trust = Trust(suite)
    yield "under Secure Boot the signed image boots, with axiom-host's hash", trust.signed_boots
    yield "under Secure Boot the unsigned image is refused by the firmware", trust.unsigned_is_refused
    yield "under Secure Boot an image changed after it was signed is refused", trust.tampered_is_refused
    yield "the signed policy's model is checked by SHA-256 and runs", trust.policy_holds
    yield "what a TPM holds of options and model is what the files say", trust.tpm_measures
