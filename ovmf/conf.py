# SPDX-License-Identifier: MIT
# Writes axiom.conf (`key value` lines, model/report/options.h) from what a person gave to make.
# Must not know: which options there are; the image checks them and says what is wrong.
import re
import shlex


# Options whose value is a file's path; the image takes their backslashes as they are.
PATHS = ("m", "model", "prompts")


def escape(value):
    """Text of an option as one line: what the parser would cut or end the line at is escaped."""
    value = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if value.startswith(" "):
        value = "\\s" + value[1:]
    if value.endswith(" "):
        value = value[:-1] + "\\s"
    return value


def from_arguments(arguments):
    """`--temp 0.7 --raw` as [("temp", "0.7"), ("raw", None)]. A word after an option that does not
    start with a dash, or is a negative number, is its value."""
    pairs = []
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        raise ValueError(f'ARGS: found "{arguments}", allowed words with closed quotes') from error
    for word in words:
        is_option = word.startswith("-") and not re.fullmatch(r"-[0-9.]+", word)
        if is_option:
            name, equals, value = word.lstrip("-").partition("=")
            pairs.append((name, value if equals else None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], word)
        else:
            raise ValueError(f'ARGS: found "{word}", allowed --option or --option value')
    return pairs


def line(name, value):
    if value is not None and name not in PATHS:
        value = escape(value)
    return name if value is None else f"{name} {value}"


# Where the file of PROMPTS= stands on the volume.
PROMPTS = "axiom/prompts.jsonl"


def text(prompt, n_predict, arguments="", has_prompts=False, partition_id=None, chat=False):
    """The whole file, UTF-8 bytes. Environment text that is not UTF-8 passes through as bytes.
    `partition_id`: of the packed file where it has its own partition. `chat`: a conversation, so neither
    prompt nor length."""
    lines = ["# Options of axiom.efi, one `key value` a line. \\n is a newline, \\\\ a backslash."]
    pairs = [("chat", None)] if chat else [("prompt", prompt), ("n-predict", n_predict)]
    if partition_id is not None:
        pairs.append(("model", "partition:" + partition_id))
    pairs += from_arguments(arguments)
    if has_prompts:
        pairs.append(("prompts", "\\" + PROMPTS.replace("/", "\\")))
    lines += [line(name, value) for name, value in pairs]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
