# SPDX-License-Identifier: MIT
# What an error message about a bad packed file must hold, for the programs that print one.
import re

FORM = re.compile(
    r"axiom(-pack|(-host)?: error): (?P<file>.*?): (?P<field>\S.*?) at offset "
    r"(?P<offset>0x[0-9a-f]+): found (?P<found>.+), allowed (?P<allowed>.+)$"
)


def problem(message, bad, file_name):
    """None when `message` names file, field, offset, found and allowed as `bad` demands."""
    match = FORM.match(message)
    if match is None:
        return f"found {message!r}\nallowed 'FILE: FIELD at offset 0x..: found .., allowed ..'"
    for what, found, allowed, good in (
        ("file", match["file"], file_name, re.split(r"[/\\]", match["file"])[-1] == file_name),
        ("field", match["field"], bad.field, bad.field in match["field"]),
        ("what is allowed", match["allowed"], bad.allowed, bad.allowed in match["allowed"]),
        ("offset", match["offset"], hex(bad.offset), int(match["offset"], 16) == bad.offset),
    ):
        if not good:
            return f"{what} of the message: found {found!r}, allowed {allowed!r}\nin: {message}"
    return None


def without_program(message):
    """For comparing the two programs' messages: the same file has the same text."""
    match = FORM.match(message)
    return None if match is None else message[match.end("file") :]
