# SPDX-License-Identifier: MIT
"""The systems that `make bench-linux` boots in the same virtual machine: AXIOM, Linux tuned for
undisturbed cores, and Linux as Debian boots it. What "tuned" means stands here and nowhere else.
Must not know: how a machine is booted, or what is measured."""
import dataclasses

# Both get the serial port as console; `quiet` is Debian's default.
CONSOLE = "console=ttyS0 quiet"
CPUFREQ = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage"


@dataclasses.dataclass(frozen=True)
class System:
    name: str
    title: str
    command_line: str = ""  # of the kernel; AXIOM has none
    settings: tuple = ()    # (pattern of files, value) written before axiom-host starts
    options: tuple = ()     # of axiom-host

    @property
    def is_linux(self):
        return bool(self.command_line)


def tuned(n_cpus):
    """Core 0 keeps the kernel's own work. With one core there is nothing to isolate it from."""
    words = [CONSOLE, "mitigations=off", "nowatchdog", "nosoftlockup", "audit=0", "tsc=reliable"]
    options = ["--cpu-range", f"0-{n_cpus - 1}"]
    if n_cpus > 1:
        others = "1" if n_cpus == 2 else f"1-{n_cpus - 1}"
        words += [f"isolcpus=managed_irq,domain,{others}", f"nohz_full={others}", f"rcu_nocbs={others}",
                  "rcu_nocb_poll", "irqaffinity=0", "skew_tick=1"]
    settings = ((CPUFREQ, "performance"), (f"{HUGE_PAGES}/enabled", "always"), (f"{HUGE_PAGES}/defrag", "always"),
                ("/sys/devices/virtual/workqueue/cpumask", "1"), ("/proc/sys/vm/stat_interval", "120"),
                ("/proc/sys/kernel/numa_balancing", "0"))
    return System("tuned-linux", "Linux, tuned", " ".join(words), settings, tuple(options))


def all_of(n_cpus):
    return [System("axiom", "AXIOM"), tuned(n_cpus), System("default-linux", "Linux, Debian's defaults", CONSOLE)]
