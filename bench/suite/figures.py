# SPDX-License-Identifier: MIT
"""The figures of `make bench-linux` that are no speeds: times of the boot, tails, what memory is left,
what interrupted the run. Read from records, medians over rounds, one table.
Must not know: how anything was measured."""
import statistics


def ticks_s(ticks, record):
    return ticks / record["tsc_hz"]


class Answer:
    """One boot that answered the default prompt: the run's record and, of Linux, that of its init."""

    def __init__(self, run, guest):
        self.run, self.guest = run, guest

    @property
    def start_s(self):
        """From power-on to the program: the TSC begins there."""
        if self.guest is None:
            return self.run["phase_entry_ns"] * 1e-9
        return ticks_s(self.guest["start_ticks"], self.run)

    @property
    def first_token_s(self):
        return self.start_s + self.run["phase_first_token_ns"] * 1e-9

    @property
    def kernel_s(self):
        """The kernel's own clock begins when it does; None: there is no kernel."""
        return None if self.guest is None else self.guest["kernel_ns"] * 1e-9

    @property
    def user_s(self):
        """From init's first instruction to the program: modules, mounts, settings."""
        return None if self.guest is None else ticks_s(self.guest["start_ticks"] - self.guest["init_ticks"], self.run)

    @property
    def firmware_s(self):
        if self.guest is None:
            return self.start_s
        return ticks_s(self.guest["init_ticks"], self.run) - self.kernel_s

    @property
    def memory_bytes(self):
        """For weights and all else of a run: of AXIOM what it loaded and what its slab was given; of Linux
        MemAvailable before the program started."""
        if self.guest is None:
            return self.run["load_bytes"] + self.run["memory_bytes"]
        return self.guest["memory_available_bytes"]


def seconds(value):
    return f"{value:.3f} s" if value < 10 else f"{value:.2f} s"


def nanoseconds(value):
    for limit, factor, unit in ((1e3, 1, "ns"), (1e6, 1e-3, "us"), (1e9, 1e-6, "ms")):
        if value < limit:
            return f"{value * factor:.4g} {unit}"
    return f"{value * 1e-9:.4g} s"


def megabytes(value):
    return f"{value / 2**20:.1f} MiB"


def rate(value):
    return f"{value:.1f} MB/s"


def plain(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def share(value):
    return f"{value * 100:.4f} %"


def of_record(name):
    return lambda record: record.get(name)


def of_guest(name):
    return lambda answer: None if answer.guest is None else answer.guest.get(name)


ANSWER_ROWS = (
    ("boot to first token", lambda a: a.first_token_s, seconds),
    ("  firmware", lambda a: a.firmware_s, seconds),
    ("  kernel", lambda a: a.kernel_s, seconds),
    ("  init", lambda a: a.user_s, seconds),
    ("  program to first token", lambda a: a.run["phase_first_token_ns"] * 1e-9, seconds),
    ("model read and checked", lambda a: a.run["load_bytes"] * 1e3 / a.run["phase_load_ns"], rate),
    ("memory for weights and runs", lambda a: a.memory_bytes, megabytes),
    ("interrupts, all cores", of_guest("n_interrupts"), plain),
    ("  of timers", of_guest("n_timer_interrupts"), plain),
    ("switches, all cores", of_guest("n_switches"), plain),
    ("  of the program, forced", of_guest("n_involuntary_switches"), plain),
    ("page faults", of_guest("n_minor_faults"), plain),
)

# Of each test of --bench.
QUANTILES = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
TEST_ROWS = tuple((f"{part} {shown}", of_record(f"{part}_{field}_ns"), nanoseconds)
                  for part in ("token", "layer", "boundary") for shown, field in QUANTILES)

# Of each core's noise; gaps are times longer than the threshold in which the loop did not run.
NOISE_ROWS = (
    ("gaps a second", lambda r: r["n_gaps"] * 1e9 / r["duration_ns"], plain),
    ("time in gaps", lambda r: r["gap_ns"] / r["duration_ns"], share),
    *((f"gap {shown}", of_record(f"gap_{field}_ns"), nanoseconds) for shown, field in QUANTILES),
    *((f"fixed work {shown}", of_record(f"fwq_{field}_ns"), nanoseconds) for shown, field in QUANTILES),
    ("SMIs", of_record("smi_count"), plain),
)


def cell(values, show):
    """Median, and the range where it is one; "-": not measured."""
    values = [v for v in values if v is not None]
    if not values:
        return "-"
    middle = show(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({show(min(values))}..{show(max(values))})"


def rows_of(table, groups, prefix=""):
    """groups: of each system a list of what the table's functions take. A row without a figure is none."""
    for name, value, show in table:
        cells = [cell([value(item) for item in items], show) for items in groups]
        if any(c != "-" for c in cells):
            yield [prefix + name, *cells]


def table(header, rows):
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines)
