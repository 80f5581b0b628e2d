// SPDX-License-Identifier: MIT
// The first program of the Linux guest of `make bench-linux`: loads the modules it was given, mounts the
// ESP that firmware booted from, applies the settings, runs axiom-host once on the serial port, says in
// a record of kind "linux" what was on and what Linux did meanwhile, and switches the machine off.
// Must not know: which settings there are, or what axiom-host computes.
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/clock.h"
#include "model/report/json_writer.h"

namespace axiom {

void panic_handler(const char* file, int line, const char* what) {
    fprintf(stderr, "axiom: error: init: panic: %s (%s:%d)\n", what, file, line);
    abort();
}

}  // namespace axiom

namespace {

using axiom::JsonWriter;
using axiom::ticks_now;

constexpr const char* kPartition = "PARTNAME=AXIOM";  // of the ESP (ovmf/image.py)
constexpr const char* kEsp = "/esp";
constexpr const char* kSerial = "/dev/ttyS0";
constexpr const char* kArguments = "/esp/axiom/axiom-host.args";  // each ends with a zero byte
constexpr int kDiskTries = 1000;                                  // of 10 ms

std::string first_error;

void fail(const std::string& what) {
    const std::string message = what + ": " + strerror(errno);
    printf("axiom: error: init: %s\n", message.c_str());
    if (first_error.empty()) first_error = message;
}

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::vector<std::string> pieces_of(const std::string& text, char end) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string piece; std::getline(in, piece, end);) out.push_back(piece);
    return out;
}

// Empty where there is no such file, and for what a kernel says of an empty list.
std::string line_of(const std::string& path) {
    const std::vector<std::string> lines = pieces_of(text_of(path), '\n');
    return lines.empty() || lines[0] == "(null)" ? "" : lines[0];
}

void mount_at(const char* source, const char* target, const char* type, unsigned long flags,
              const char* options) {
    mkdir(target, 0755);
    if (mount(source, target, type, flags, options) != 0) fail(std::string("mount ") + target);
}

void load_modules() {
    for (const std::string& path : pieces_of(text_of("/modules/order"), '\n')) {
        const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) fail(path);
        if (fd >= 0) close(fd);
    }
}

// "/dev/vda1"; empty: no such partition has come.
std::string find_esp() {
    for (int i = 0; i < kDiskTries; i++) {
        glob_t found{};
        glob("/sys/class/block/*/uevent", 0, nullptr, &found);
        std::string name;
        for (size_t k = 0; k < found.gl_pathc; k++) {
            const std::vector<std::string> lines = pieces_of(text_of(found.gl_pathv[k]), '\n');
            if (std::find(lines.begin(), lines.end(), kPartition) == lines.end()) continue;
            for (const std::string& line : lines)
                if (line.starts_with("DEVNAME=")) name = "/dev/" + line.substr(8);
        }
        globfree(&found);
        if (!name.empty()) return name;
        usleep(10000);
    }
    return {};
}

struct Setting {
    std::string path, value;  // the path may be a pattern
    uint64_t n_set = 0;       // files that took it
};

// Lines of a path, a blank and a value. What this kernel or machine does not have stays as it is.
std::vector<Setting> apply_settings() {
    std::vector<Setting> out;
    for (const std::string& line : pieces_of(text_of("/settings"), '\n')) {
        const size_t blank = line.find(' ');
        if (blank == line.npos) continue;
        Setting setting{line.substr(0, blank), line.substr(blank + 1)};
        glob_t found{};
        glob(setting.path.c_str(), 0, nullptr, &found);
        for (size_t k = 0; k < found.gl_pathc; k++) {
            std::ofstream file(found.gl_pathv[k]);
            file << setting.value;
            file.close();
            setting.n_set += file ? 1 : 0;
        }
        globfree(&found);
        out.push_back(setting);
    }
    return out;
}

// "always [madvise] never" says madvise.
std::string chosen_of(const std::string& path) {
    const std::string line = line_of(path);
    const size_t begin = line.find('['), end = line.find(']');
    return begin == line.npos || end == line.npos ? line : line.substr(begin + 1, end - begin - 1);
}

uint64_t memory_bytes(const std::string& name) {
    for (const std::string& line : pieces_of(text_of("/proc/meminfo"), '\n'))
        if (line.starts_with(name + ":"))
            return strtoull(line.c_str() + name.size() + 1, nullptr, 10) << 10;
    return 0;
}

// Interrupts of each kind that all cores have taken.
uint64_t n_interrupts(const std::string& kind) {
    for (const std::string& line : pieces_of(text_of("/proc/interrupts"), '\n')) {
        const size_t colon = line.find(':');
        if (colon == line.npos || line.substr(0, colon).find(kind) == line.npos) continue;
        std::istringstream counts(line.substr(colon + 1));
        uint64_t sum = 0;
        for (uint64_t n; counts >> n;) sum += n;
        return sum;
    }
    return 0;
}

// The first number of /proc/stat's "intr" line is the sum of all.
uint64_t stat_number(const std::string& name, size_t column) {
    for (const std::string& line : pieces_of(text_of("/proc/stat"), '\n')) {
        const std::vector<std::string> words = pieces_of(line, ' ');
        if (words.empty() || words[0] != name) continue;
        size_t k = 0;
        for (const std::string& word : words)
            if (!word.empty() && k++ == column) return strtoull(word.c_str(), nullptr, 10);
    }
    return 0;
}

struct Counts {
    uint64_t interrupts = stat_number("intr", 1);
    uint64_t timer = n_interrupts("LOC");
    uint64_t reschedule = n_interrupts("RES");
    uint64_t switches = stat_number("ctxt", 1);
    uint64_t steal_ns = stat_number("cpu", 8) * 10'000'000;  // in USER_HZ, which is 100
};

// On every core: isolated ones are left out unless a program asks for them.
[[noreturn]] void become_axiom_host(const std::vector<std::string>& arguments) {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int cpu = 0; cpu < int(sysconf(_SC_NPROCESSORS_ONLN)); cpu++) CPU_SET(cpu, &all);
    sched_setaffinity(0, sizeof all, &all);
    std::vector<char*> argv;
    std::string name = "axiom-host";
    argv.push_back(name.data());
    std::vector<std::string> copies = arguments;
    for (std::string& argument : copies) argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv("/axiom-host", argv.data());
    printf("axiom: error: init: /axiom-host: %s\n", strerror(errno));
    fflush(stdout);
    _exit(127);
}

class Report {
  public:
    Report() : out_(to_stdout, nullptr) {
        out_.open("{");
        out_.name("axiom");
        out_.put("1");
    }
    ~Report() { out_.close("}\n"); }
    void text(std::string_view name, const std::string& value) {
        out_.name(name);
        value.empty() ? out_.put("null") : out_.string(value);
    }
    void number(std::string_view name, uint64_t value) {
        out_.name(name);
        out_.number(value);
    }
    void settings(const std::vector<Setting>& settings) {
        out_.name("settings");
        out_.open("[");
        for (size_t i = 0; i < settings.size(); i++) {
            out_.put(i == 0 ? "" : ",");
            out_.open("{");
            text("path", settings[i].path);
            text("value", settings[i].value);
            number("n_set", settings[i].n_set);
            out_.close("}");
        }
        out_.close("]");
    }

  private:
    static void to_stdout(void*, std::string_view text) {
        fwrite(text.data(), 1, text.size(), stdout);
    }
    JsonWriter out_;
};

uint64_t boot_clock_ns() {
    timespec t{};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
}

// As the terminal of this session, so that the byte of Ctrl-C is a signal to axiom-host (to this program too,
// but the kernel gives the first process none that it does not handle). The session must be ours: when
// the leader of one ends, what its terminal has not yet sent is lost.
void open_terminal() {
    setsid();
    const int terminal = open(kSerial, O_RDWR);
    if (terminal < 0) return fail(kSerial);
    ioctl(terminal, TIOCSCTTY, 0);
    for (int fd = 0; fd < 3; fd++) dup2(terminal, fd);
    if (terminal > 2) close(terminal);
}

void run() {
    const uint64_t init_ticks = ticks_now(), kernel_ns = boot_clock_ns();
    mount_at("proc", "/proc", "proc", 0, "");
    mount_at("sysfs", "/sys", "sysfs", 0, "");
    mount_at("devtmpfs", "/dev", "devtmpfs", 0, "");
    open_terminal();
    utsname system{};
    uname(&system);
    // ovmf/run.py shows a guest's console from a line on that begins so.
    printf("axiom-host under %s %s, %d CPUs\n", system.sysname, system.release,
           int(sysconf(_SC_NPROCESSORS_ONLN)));
    fflush(stdout);
    load_modules();
    if (const std::string esp = find_esp(); esp.empty()) {
        errno = ENODEV;
        fail("no partition named AXIOM");
    } else {
        mount_at(esp.c_str(), kEsp, "vfat", MS_RDONLY | MS_NOATIME, "iocharset=ascii");
    }
    const std::vector<Setting> settings = apply_settings();
    const std::vector<std::string> arguments = pieces_of(text_of(kArguments), '\0');
    if (arguments.empty() && first_error.empty()) fail(kArguments);

    const uint64_t available = memory_bytes("MemAvailable");
    const Counts before;
    const uint64_t start_ticks = ticks_now();
    int status = 0;
    rusage use{};
    fflush(stdout);
    if (first_error.empty()) {
        const pid_t child = fork();
        if (child == 0) become_axiom_host(arguments);
        while (child > 0 && wait4(child, &status, 0, &use) < 0 && errno == EINTR) {
        }
    }
    const Counts after;
    if (WIFSIGNALED(status)) first_error = "axiom-host ended by a signal";
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        first_error = "axiom-host: exit status " + std::to_string(WEXITSTATUS(status));

    Report r;
    r.text("kind", "linux");
    r.text("status", first_error.empty() ? "ok" : "error");
    r.text("error", first_error);
    r.text("kernel", system.release);
    r.text("command_line", line_of("/proc/cmdline"));
    r.number("n_cpus", uint64_t(sysconf(_SC_NPROCESSORS_ONLN)));
    r.text("isolated", line_of("/sys/devices/system/cpu/isolated"));
    r.text("nohz_full", line_of("/sys/devices/system/cpu/nohz_full"));
    r.text("governor", line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
    r.text("huge_pages", chosen_of("/sys/kernel/mm/transparent_hugepage/enabled"));
    r.text("clocksource",
           line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
    r.settings(settings);
    r.number("init_ticks", init_ticks);
    r.number("kernel_ns", kernel_ns);
    r.number("start_ticks", start_ticks);
    r.number("memory_total_bytes", memory_bytes("MemTotal"));
    r.number("memory_available_bytes", available);
    r.number("n_interrupts", after.interrupts - before.interrupts);
    r.number("n_timer_interrupts", after.timer - before.timer);
    r.number("n_reschedule_interrupts", after.reschedule - before.reschedule);
    r.number("n_switches", after.switches - before.switches);
    r.number("n_voluntary_switches", uint64_t(use.ru_nvcsw));
    r.number("n_involuntary_switches", uint64_t(use.ru_nivcsw));
    r.number("n_minor_faults", uint64_t(use.ru_minflt));
    r.number("n_major_faults", uint64_t(use.ru_majflt));
    r.number("steal_ns", after.steal_ns - before.steal_ns);
}

}  // namespace

int main() {
    if (getpid() != 1) {
        fprintf(stderr, "axiom-init is the first program of a virtual machine, and ends it\n");
        return 2;
    }
    run();
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    umount(kEsp);
    reboot(RB_POWER_OFF);
    return 1;
}
