# SPDX-License-Identifier: MIT
# Boots with keyboards on USB, some of them behind a hub, on the controller of the disk, or plugged in late: what
# is typed there arrives, and nowhere does it take a serial port or a PS/2 keyboard.
import re
import time

import judge
import screen
import talk

# Not on any USB keyboard's way: without it, what is typed can only have come by USB.
NO_PS2 = ["-machine", "i8042=off"]
XHCI, NEC = ["-device", "qemu-xhci"], ["-device", "nec-usb-xhci"]
KEYBOARD = ["-device", "usb-kbd,id=keyboard"]
BEHIND_HUB = ["-device", "usb-hub,port=1", "-device", "usb-kbd,port=1.3"]
BEHIND_TWO = ["-device", "usb-hub,port=1", "-device", "usb-hub,port=1.2", "-device", "usb-kbd,port=1.2.1"]
LINES = ["hello, you", "what did i say?", "/exit"]
OPTIONS = "n 10\nignore-eos\nc 400\n"
READY, FIRST, SECOND = r"/exit ends", r"\[1: \d+ tokens", r"\[2: \d+ tokens"


class Usb:
    def __init__(self, suite):
        self.suite = suite
        self.watched = screen.Watched(suite)

    def talking(self, label, extra, **machine):
        """A conversation waits for lines."""
        files = {
            "EFI/BOOT/BOOTX64.EFI": self.suite.efi,
            "axiom/model.axm": self.suite.tiny,
            "axiom/axiom.conf": self.suite.source(label + ".conf", OPTIONS),
        }
        image = self.suite.image(label, files)
        extra = [*screen.card(800, 600), *extra]
        machine = {"memory_mib": 512, **machine}
        return screen.Seat(
            self.suite.folder / label, image, self.watched.reader, extra=extra, **machine
        )

    def wait_for_keyboard(self, seat, look):
        """A prompt is there before a keyboard has got its address: until one letter is seen, which then goes."""
        seat.wait(READY, look)
        deadline = time.monotonic() + 20
        while not re.search(r"> x", look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no key arrives:\n{look()}")
            seat.control.press("x")
            time.sleep(0.5)
        seat.control.press("ctrl-u")

    def types(self, label, devices, **machine):
        """Two questions, and /exit, on the screen alone."""

        def run(results, name):
            with self.talking(label, devices, serial="none", **machine) as seat:
                self.wait_for_keyboard(seat, seat.screen)
                for line, answer in zip(LINES, (FIRST, SECOND)):
                    seat.control.type(line + "\n")
                    text = seat.wait(answer, seat.screen)
                failure = screen.lacks(text, *LINES[:2])
                seat.control.type(LINES[2] + "\n")
                results.result(name, failure or seat.power_off())

        return run

    def hears(self, label, devices, **machine):
        """The same, and the record on the serial port is axiom-host's for the same lines."""

        def run(results, name):
            with self.talking(label, devices, **machine) as seat:
                look = lambda: seat.serial
                self.wait_for_keyboard(seat, look)
                for line, answer in zip(LINES, (FIRST, SECOND, None)):
                    seat.control.type(line + "\n")
                    if answer is not None:
                        seat.wait(answer, look)
                outcome = seat.outcome()
            expected = talk.host_record(self.suite, LINES)
            results.result(name, judge.judge_run(outcome, expected["logits_hash"]))

        return run

    def hot_plug(self, results, name):
        with self.talking("usb-hot-plug", [*NO_PS2, "-device", "qemu-xhci,id=xhci"]) as seat:
            seat.wait(READY, lambda: seat.serial)
            for i, (line, answer) in enumerate(zip(LINES, (FIRST, SECOND, None))):
                seat.control.do("device_add", driver="usb-kbd", id=f"keyboard{i}", bus="xhci.0")
                time.sleep(1)  # what a hand takes from the plug to the keys
                seat.control.type(line + "\n")
                if answer is None:
                    break
                seat.wait(answer, lambda: seat.serial)
                seat.control.do("device_del", id=f"keyboard{i}")
            failure = seat.power_off()
            results.result(name, failure or screen.lacks(seat.serial, *LINES[:2]))

    def press_a_key(self, label, efi, text, wanted):
        def run(results, name):
            extra = [*screen.card(800, 600), *NO_PS2, *XHCI, *KEYBOARD]
            with self.watched.seat(label, efi, text, serial="none", extra=extra) as seat:
                shown = seat.wait(screen.PRESS, seat.screen)
                failure = screen.lacks(shown, wanted)
                if seat.guest.process.poll() is not None:
                    failure = failure or "the machine went off before a key was pressed"
                seat.control.press("spc")
                results.result(name, failure or seat.power_off())

        return run

    def crash_in_poll(self, results, name):
        """A key breaks the image in the middle of a poll, and the next one is still seen."""
        extra = [*screen.card(800, 600), *NO_PS2, *XHCI, *KEYBOARD]
        with self.watched.seat(
            "usb-poll", self.suite.fault_efi, "key", serial="none", extra=extra
        ) as seat:
            seat.wait("waits for a key", seat.screen)
            deadline = time.monotonic() + 30
            while "exception" not in seat.screen() and time.monotonic() < deadline:
                seat.control.press("a")
            shown = seat.wait(screen.PRESS, seat.screen)
            failure = screen.lacks(shown, "exception: #PF page fault")
            seat.control.press("spc")
            results.result(name, failure or seat.power_off())

    def interrupt(self, results, name):
        options = '--bench "pp=0 tg=60 reps=1000 warmup=0"'
        extra = [*NO_PS2, *XHCI, *KEYBOARD]
        with self.watched.seat(
            "usb-interrupt", self.suite.efi, screen.TEXT, options, extra=extra
        ) as seat:
            seat.wait(r"usb       xhci [0-9a-f:.]+, \d+ ports", lambda: seat.serial)
            time.sleep(2)
            seat.control.press("ctrl-c")
            results.result(name, judge.judge_run(seat.outcome(), None, status="interrupted"))

    def iommu(self, results, name):
        extra = ["-device", "intel-iommu", *XHCI, *KEYBOARD]
        with self.watched.seat(
            "usb-iommu", self.suite.fault_efi, "iommu", "--on-exit shutdown", extra=extra
        ) as seat:
            outcome = seat.outcome(90)
        failure = judge.judge_run(outcome, None)
        note = r"note      USB keyboards are left alone: IOMMU at 0x[0-9a-f]+: found in force"
        if failure is None and not re.search(note, outcome.text):
            failure = f"found no {note!r} in\n{outcome.tail(30)}"
        results.result(name, failure)


def scenarios(suite):
    u = Usb(suite)
    yield (
        "a person with a USB keyboard, a screen and nothing else talks, and powers off with /exit",
        u.types("usb-alone", [*NO_PS2, *XHCI, *KEYBOARD]),
    )
    yield (
        "a USB keyboard on the controller of the disk is heard, on pc",
        u.hears("usb-disk", KEYBOARD, machine="pc", disk="usb"),
    )
    yield (
        "a USB keyboard behind a hub is heard, on q35 with a PS/2 controller",
        u.hears("usb-hub", [*XHCI, *BEHIND_HUB]),
    )
    yield (
        "a USB keyboard behind two hubs of an NEC controller is heard, on pc",
        u.hears("usb-hubs", [*NO_PS2, *NEC, *BEHIND_TWO], machine="pc"),
    )
    yield "USB keyboards come and go while the machine talks", u.hot_plug
    yield (
        "a key of a USB keyboard powers off after a run",
        u.press_a_key("usb-key", suite.efi, screen.TEXT, "logits hash"),
    )
    yield (
        "a key of a USB keyboard powers off after a crash",
        u.press_a_key("usb-crash", suite.fault_efi, "null", "exception: #PF page fault"),
    )
    yield "a crash in the middle of a USB poll still waits for a key there", u.crash_in_poll
    yield "Ctrl-C on a USB keyboard ends a run with a record that says so", u.interrupt
    yield "an IOMMU in force costs USB keyboards, and a note, not the run", u.iommu
