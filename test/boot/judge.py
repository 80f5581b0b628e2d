# SPDX-License-Identifier: MIT
# Whether a boot that should have given a record gave the right one.


def judge_run(outcome, expected_hash, status="ok", n_threads=None, n_cpus=None):
    """None, or what was wrong with a run that should have given a record. What is None may be
    anything."""
    if outcome.failure is not None:
        return f"{outcome.failure}; {outcome.log} ends with\n{outcome.tail()}"
    if outcome.record is None:
        return f"no record; {outcome.log} ends with\n{outcome.tail()}"
    for field, found, allowed in (
        ("status", outcome.record.get("status"), status),
        ("backend", outcome.record.get("backend"), "uefi"),
        ("logits_hash", outcome.record.get("logits_hash"), expected_hash),
        ("n_threads", outcome.record.get("n_threads"), n_threads),
        ("n_cpus", outcome.record.get("n_cpus"), n_cpus),
    ):
        if allowed is not None and found != allowed:
            return f"{field} in the record: found {found!r}, allowed {allowed!r}; {outcome.log}"
    return None
