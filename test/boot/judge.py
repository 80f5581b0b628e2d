# SPDX-License-Identifier: MIT
# Whether a boot that should have given a record gave the right one.


def judge_run(outcome, expected_hash, status="ok", n_threads=None, n_cpus=None, backend="uefi"):
    """None, or what was wrong with a run that should have given a record. What is None may be
    anything."""
    if outcome.failure is not None:
        return f"{outcome.failure}; {outcome.log} ends with\n{outcome.tail()}"
    if outcome.record is None:
        return f"no record; {outcome.log} ends with\n{outcome.tail()}"
    for field, found, allowed in (
        ("status", outcome.record.get("status"), status),
        ("backend", outcome.record.get("backend"), backend),
        ("logits_hash", outcome.record.get("logits_hash"), expected_hash),
        ("n_threads", outcome.record.get("n_threads"), n_threads),
        ("n_cpus", outcome.record.get("n_cpus"), n_cpus),
    ):
        if allowed is not None and found != allowed:
            return f"{field} in the record: found {found!r}, allowed {allowed!r}; {outcome.log}"
    return judge_phases(outcome.record)


# What no start is without; under Linux the program's own begins after the firmware's and the kernel's.
PHASES = {"uefi": {"firmware", "load", "exit", "paging", "prefill"}, "linux": {"load", "prefill"}}


def judge_phases(record):
    """The phases of the start are all of the time from power-on, or the program's start, to the first
    token. Each is rounded down to a nanosecond."""
    phases, first_token_ns = record.get("boot_phases"), record.get("phase_first_token_ns")
    if phases is None or first_token_ns is None:
        return None
    missing = PHASES[record["backend"]] - {phase["name"] for phase in phases}
    if missing:
        return f"boot_phases: found none of {', '.join(sorted(missing))}"
    total = sum(phase["ns"] for phase in phases)
    whole = (record["phase_entry_ns"] or 0) + first_token_ns
    if not 0 <= whole - total <= len(phases) + 2:
        return f"boot_phases: found {total} ns in all, allowed {whole}, the time to the first token"
    return None
