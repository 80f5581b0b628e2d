#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# bench/RECORD.md from bench/record.schema.json, which describes every line of JSON for programs:
# bench/record_doc.py > bench/RECORD.md. Must not know: what any field means.
import json
import pathlib

SCHEMA = pathlib.Path(__file__).with_name("record.schema.json")
KINDS = {"record": "", "result": '`"kind":"result"`', "trace": '`"kind":"trace"`', "noise": '`"kind":"noise"`',
         "linux": '`"kind":"linux"`'}


def type_of(prop):
    """In a word or two; null is said where it may be."""
    if "$ref" in prop:
        return f"[{prop['$ref'].split('/')[-1]}](#{prop['$ref'].split('/')[-1]}), null"
    if "const" in prop:
        return f"`{json.dumps(prop['const'])}`"
    if "enum" in prop:
        return ", ".join(f"`{v}`" if v is not None else "null" for v in prop["enum"])
    kinds = prop["type"] if isinstance(prop["type"], list) else [prop["type"]]
    names = ["text" if kind == "string" else kind for kind in kinds]
    items = prop.get("items", {})
    if "$ref" in items:
        name = items["$ref"].split("/")[-1]
        names[0] = f"array of [{name}](#{name})"
    elif items:
        names[0] = "array of arrays of 4 integers" if items["type"] == "array" else f"array of {items['type']}s"
    return ", ".join(names)


def document(schema):
    yield "# Records, field by field\n"
    yield "Made by `bench/record_doc.py` from `bench/record.schema.json`, a JSON Schema; change that file.\n"
    yield schema["description"] + "\n"
    for name, part in schema["$defs"].items():
        yield f"## {name}\n"
        kind = KINDS.get(name)
        yield part["description"] + (f" It says {kind}." if kind else "") + "\n"
        yield "| field | type | unit | meaning |\n|---|---|---|---|"
        for field, prop in part["properties"].items():
            text = prop["description"] if "description" in prop else part["description"]
            yield f"| `{field}` | {type_of(prop)} | {prop.get('unit', '')} | {text} |"
        yield ""


def text():
    return "\n".join(document(json.loads(SCHEMA.read_text()))).rstrip() + "\n"


if __name__ == "__main__":
    print(text(), end="")
