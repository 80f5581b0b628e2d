# SPDX-License-Identifier: MIT
# Writes axiom.conf (`key value` lines, model/options.h) from what a person gave to make.
# Must not know: which options there are; the image checks them and says what is wrong.
import re
import shlex


def escape(value):
    """Text of an option as one line: backslash and newline are escaped."""
    value = value.replace("\r\n", "\n").replace("\\", "\\\\").replace("\n", "\\n")
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


def text(prompt, n_predict, arguments=""):
    """The whole file, UTF-8 bytes. Environment text that is not UTF-8 passes through as bytes."""
    lines = ["# Options of axiom.efi, one `key value` a line. \\n is a newline, \\\\ a backslash."]
    pairs = [("prompt", prompt), ("n-predict", n_predict), *from_arguments(arguments)]
    for name, value in pairs:
        lines.append(name if value is None else f"{name} {escape(value)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
