# SPDX-License-Identifier: MIT
"""The samples of one comparison, kept in a file of JSON lines as they are taken, so that a
measurement can be interrupted, go on, and be made in pieces. The first line says what all of them have
in common; what was measured on another CPU, or with another build of a program, does not mix.
Must not know: how samples are taken, or what is made of them."""
import json

from workshop import Missing

FIELDS = {"program", "identity", "shape", "format", "model_facts", "n_threads", "test", "round", "ts",
          "load_before", "record"}


class Samples:
    def __init__(self, path, facts, identities, keep):
        """facts: of the machine. identities: which build each program is, by name. keep: go on with what
        the file has."""
        self.path, self.facts, self.samples, self.peaks = path, facts, [], []
        path.parent.mkdir(parents=True, exist_ok=True)
        if keep and path.exists():
            self.read(facts, identities)
        else:
            path.write_text(json.dumps({"axiom_peer_samples": 1, **facts}) + "\n")
        self.done = {self.key(s) for s in self.samples}
        self.peaks_done = {(p["round"], p["n_threads"]) for p in self.peaks}

    @staticmethod
    def key(sample):
        return tuple(sample[name]
                     for name in ("program", "shape", "format", "n_threads", "test", "round"))

    def read(self, facts, identities):
        text = self.path.read_text(errors="replace")
        lines = text.split("\n")
        if lines[-1]:  # the last write was cut short
            self.path.write_text("\n".join(lines[:-1]) + "\n")
        for number, line in enumerate(lines[:-1], 1):
            try:
                entry = json.loads(line)
                if number == 1:
                    self.check_head(entry, facts)
                elif "peaks" in entry:
                    self.peaks.append(entry["peaks"])
                elif FIELDS <= set(entry):
                    self.samples.append(entry)
                else:
                    raise ValueError("neither peaks nor a sample")
            except (ValueError, TypeError) as error:
                raise Missing(f"INTO: {self.path}:{number}: {error}") from error
        if not lines[:-1]:
            raise Missing(f"INTO: {self.path} is empty, allowed a file of samples or none")
        for sample in self.samples:
            now = identities.get(sample["program"], sample["identity"])
            if sample["identity"] != now:
                raise Missing(f"INTO: {self.path}: {sample['program']}: found samples of build "
                              f"{sample['identity']}, allowed those of {now}; give another file")

    def check_head(self, head, facts):
        if head.get("axiom_peer_samples") != 1:
            raise ValueError("found no axiom_peer_samples, allowed a file of bench-peers")
        for name in ("cpu", "system"):
            if head.get(name) != facts[name]:
                raise Missing(f"INTO: {self.path}: {name}: found {head.get(name)}, allowed "
                              f"{facts[name]}; give another file")
        self.facts = {**facts, "begun": head.get("begun", facts["begun"])}

    def append(self, entry):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def add(self, sample):
        self.samples.append(sample)
        self.done.add(self.key(sample))
        self.append(sample)

    def add_peaks(self, peaks):
        self.peaks.append(peaks)
        self.peaks_done.add((peaks["round"], peaks["n_threads"]))
        self.append({"peaks": peaks})
