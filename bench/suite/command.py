# SPDX-License-Identifier: MIT
"""What the commands of this folder have in common: the virtual machine, who is first, and that what was
measured is reported however the measuring ended.
Must not know: what is measured."""
import sys

import machine
from collection import Wrong, say


def in_turn(sides, i):
    """Who is first changes from round to round."""
    first = i % len(sides)
    return sides[first:] + sides[:first]


def run(name, options, make, failures):
    """make(options, virtual machine): what has headline(), all() and report(). Returns the exit status."""
    try:
        virtual, why = machine.Virtual.of(options)
        comparison = make(options, virtual)
    except failures as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 1
    say(f"QEMU: {virtual.accel} ({why}), {comparison.headline()}")
    status = 0
    try:
        comparison.all()
    except (machine.Interrupted, KeyboardInterrupt):
        say("interrupted; what was measured follows")
        status = 130
    except (Wrong, *failures) as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        status = 1
    comparison.report()
    return status
