# SPDX-License-Identifier: MIT
# Whether a line of JSON that AXIOM wrote is what bench/record.schema.json says.
# Must not know: what wrote it.
import json
import pathlib

import jsonschema

PATH = pathlib.Path(__file__).resolve().parents[2] / "bench" / "record.schema.json"
SCHEMA = json.loads(PATH.read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
LINE_STARTS = ('{"axiom":', '{"pass":')


def kind_of(line):
    """The part of the schema that is about this line."""
    return "pass" if "pass" in line else line.get("kind", "record")


def failure_of(line):
    """None, or what is wrong with a line, by field."""
    for error in VALIDATOR.iter_errors(line):
        while error.context:
            error = error.context[0]
        where = "/".join(str(part) for part in error.absolute_path) or "the line"
        return f"{kind_of(line)}: {where}: {error.message[:300]}"
    return None


def failure_in(text):
    """None, or the first line of JSON in a text that is not as the schema says."""
    for line in text.splitlines():
        if not line.startswith(LINE_STARTS):
            continue
        try:
            failure = failure_of(json.loads(line))
        except ValueError as error:
            failure = f"not JSON: {error}"
        if failure is not None:
            return f"{failure}: {line[:120]}"
    return None
