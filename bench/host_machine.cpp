// SPDX-License-Identifier: MIT
#include "bench/host_machine.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include "bench/memory_limit.h"
#include "core/clock.h"
#include "core/round.h"

namespace axiom {

void panic_handler(const char* file, int line, const char* what) {
    fprintf(stderr, "axiom-host: panic: %s (%s:%d)\n", what, file, line);
    abort();
}

}  // namespace axiom

namespace axiom::host {
namespace {

constexpr size_t kHugePage = 2 << 20;
constexpr size_t kRingBytes = 64 * 1024;
// Left for what a run needs beside its weights, when it is decided whether they fit.
constexpr uint64_t kBesideWeights = 512u << 20;
// A cgroup is also charged for what Linux keeps for its programs: page tables, stacks, queues.
constexpr uint64_t kBesideMapped = 16u << 20;

std::atomic<bool> g_interrupted{false};

// The first Ctrl-C ends generation at the next boundary; a second one ends the program.
void on_interrupt(int) {
    if (g_interrupted.exchange(true)) _exit(130);
}

uint64_t monotonic_raw_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

// TSC ticks per second over a window of 20 ms, the middle one of five.
uint64_t calibrate_tsc() {
    std::vector<uint64_t> rates;
    for (int i = 0; i < 5; i++) {
        const uint64_t ns_begin = monotonic_raw_ns(), ticks_begin = ticks_now();
        uint64_t ns = 0;
        while (ns < 20000000) ns = monotonic_raw_ns() - ns_begin;
        const uint64_t ticks = ticks_now() - ticks_begin;
        rates.push_back(uint64_t(double(ticks) * 1e9 / double(ns)));
    }
    std::sort(rates.begin(), rates.end());
    return rates[2];
}

// More workers than cores must not spin a whole time slice away.
void relax(uint32_t n_spins) {
    asm volatile("pause");
    if (n_spins % 1024 == 1023) sched_yield();
}

void rest(uint32_t) {
    const timespec pause{.tv_sec = 0, .tv_nsec = 500000};
    nanosleep(&pause, nullptr);
}

// The value of a "Name: 123 kB" line of a file in /proc, in bytes; `unknown` where there is none.
uint64_t proc_bytes(const char* path, const char* format, uint64_t unknown) {
    FILE* const file = fopen(path, "r");
    if (file == nullptr) return unknown;
    char line[128];
    unsigned long long kib = 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != nullptr)
        found = sscanf(line, format, &kib) == 1;
    fclose(file);
    return found ? uint64_t{kib} << 10 : unknown;
}

void write_all(int fd, const char* data, size_t n) {
    while (n > 0) {
        const ssize_t written = ::write(fd, data, n);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;  // stdout is gone: generation goes on, the record still counts
        data += written;
        n -= size_t(written);
    }
}

struct File {
    int fd = -1;
    ~File() {
        if (fd >= 0) close(fd);
    }
};

Status system_error(std::string_view path, std::string_view what) {
    return error(errno == ENOENT ? Code::not_found : Code::io, path, ": ", what, ": ",
                 strerror(errno));
}

// A page of memory is chosen when it is first written. Linux hands pages out mostly one after another,
// so neighbours end up apart.
void touch_in_no_order(std::span<uint8_t> memory) {
    constexpr size_t kPage = 4096;
    std::vector<uint32_t> pages(memory.size() / kPage);
    std::iota(pages.begin(), pages.end(), 0u);
    std::shuffle(pages.begin(), pages.end(), std::mt19937());
    for (const uint32_t page : pages) memory[page * kPage] = 0;
}

}  // namespace

uint64_t available_bytes() {
    const uint64_t of_machine = proc_bytes("/proc/meminfo", "MemAvailable: %llu", ~uint64_t{0});
    const uint64_t of_cgroup = cgroup_available_bytes([](const std::string& path) {
        const Result<std::string> text = read_text(path);
        return text.ok() ? text.value() : std::string();
    });
    return std::min(of_machine, of_cgroup - std::min(of_cgroup, kBesideMapped));
}

Result<Memory> Memory::map_some(const MemoryNeed& need, std::string_view what, PageSize pages) {
    // Linux grants any mapping and ends the program when it is used.
    const uint64_t have = available_bytes();
    if (need.least > have) {
        return error(Code::no_memory, what, ": needs ", Bytes{need.least}, " (", need.least,
                     " bytes) of memory, available are ", Bytes{have}, " (", have, " bytes)");
    }
    const uint64_t n_bytes = std::clamp(have, need.least, need.wanted);
    Memory m;
    const uint64_t padded = round_up(n_bytes, kHugePage) + kHugePage;
    void* const p = padded < n_bytes ? MAP_FAILED
                                     : mmap(nullptr, padded, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return error(Code::no_memory, what, ": cannot map ", Bytes{n_bytes});
    // Trim to a 2 MiB boundary so that every huge page is whole.
    const uintptr_t begin = reinterpret_cast<uintptr_t>(p);
    const uintptr_t aligned = round_up(begin, kHugePage);
    if (aligned > begin) munmap(p, aligned - begin);
    m.data_ = reinterpret_cast<uint8_t*>(aligned);
    m.n_bytes_ = round_up(n_bytes, kHugePage);
    if (const size_t tail = begin + padded - (aligned + m.n_bytes_); tail > 0)
        munmap(m.data_ + m.n_bytes_, tail);
    madvise(m.data_, m.n_bytes_, pages == PageSize::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    if (pages == PageSize::scattered) touch_in_no_order({m.data_, m.n_bytes_});
    return m;
}

Memory::Memory(Memory&& other) noexcept {
    *this = std::move(other);
}

Memory& Memory::operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(n_bytes_, other.n_bytes_);
    return *this;
}

Memory::~Memory() {
    if (data_ != nullptr) munmap(data_, n_bytes_);
}

namespace {

class FileBytes : public ByteSource {
  public:
    FileBytes(int fd, const std::string& path) : fd_(fd), path_(path) {}
    Status read(uint64_t offset, std::span<uint8_t> out) override {
        size_t got = 0;
        while (got < out.size()) {
            const ssize_t n = pread(fd_, out.data() + got, out.size() - got, off_t(offset + got));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return system_error(path_, "cannot read");
            if (n == 0)
                return error(Code::io, path_, ": ended at ", offset + got, " while being read");
            got += size_t(n);
        }
        return {};
    }

  private:
    int fd_;
    const std::string& path_;
};

// Percents on the terminal, once loading has taken two seconds.
struct Progress {
    const std::string& path;
    uint64_t n_bytes;
    uint64_t begin_ns;
    bool enabled;
    uint64_t shown_ns = 0;
    bool shown = false;

    static void update(void* context, uint64_t done_bytes) {
        Progress& p = *static_cast<Progress*>(context);
        const uint64_t now = monotonic_raw_ns();
        if (!p.enabled || now - p.begin_ns < 2000000000u || now - p.shown_ns < 200000000u) return;
        fprintf(stderr, "\rloading %s: %d %%", p.path.c_str(), int(done_bytes * 100 / p.n_bytes));
        p.shown_ns = now;
        p.shown = true;
    }
};

}  // namespace

Result<LoadedModel> load_model(const std::string& path, Stream stream, PageSize pages,
                               RootCheck root, bool show_progress) {
    File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.fd < 0) return system_error(path, "cannot open");
    struct stat info;
    if (fstat(file.fd, &info) != 0) return system_error(path, "cannot stat");
    if (!S_ISREG(info.st_mode)) return error(Code::bad_format, path, ": not a regular file");

    LoadedModel model;
    model.n_bytes = model.file_bytes = uint64_t(info.st_size);
    const uint64_t begin_ns = monotonic_raw_ns();
    FileBytes bytes(file.fd, path);
    TimedBytes source(bytes);
    const bool streamed = is_streamed(stream, model.file_bytes, available_bytes(), kBesideWeights);
    if (streamed) {
        const Result<uint64_t> n_bytes = frame_bytes(path, model.file_bytes, source);
        if (!n_bytes.ok()) return n_bytes.status();
        model.n_bytes = n_bytes.value();
    }
    Result<Memory> memory = Memory::map(std::max<uint64_t>(model.n_bytes, 1), path, pages);
    if (!memory.ok()) return memory.status();
    model.memory = std::move(memory.value());
    const std::span<uint8_t> to = model.memory.first(size_t(model.n_bytes));

    const uint64_t begin_ticks = ticks_now() - source.ticks();
    Progress progress{path, model.n_bytes, begin_ns, show_progress};
    const Status status =
        streamed ? load_frame(path, model.file_bytes, source, to, Progress::update, &progress, root)
                 : load_packed(path, model.n_bytes, source, to, Progress::update, &progress, root);
    if (progress.shown) fprintf(stderr, "\n");
    if (!status.ok()) return status;
    model.verify_ticks = ticks_now() - begin_ticks - source.ticks();
    model.seconds = double(monotonic_raw_ns() - begin_ns) * 1e-9;
    return model;
}

uint64_t huge_page_bytes() {
    return proc_bytes("/proc/self/smaps_rollup", "AnonHugePages: %llu", 0);
}

Result<std::string> read_text(const std::string& path) {
    FILE* const file = fopen(path.c_str(), "rb");
    if (file == nullptr) return system_error(path, "cannot open");
    std::string text;
    char buffer[65536];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) return system_error(path, "cannot read");
    return text;
}

Status use_cpus(CpuRange cpus) {
    cpu_set_t wanted, got;
    CPU_ZERO(&wanted);
    for (uint32_t i = 0; i < cpus.count; i++) CPU_SET(cpus.first + i, &wanted);
    // Linux takes a set of which some are there.
    if (sched_setaffinity(0, sizeof wanted, &wanted) != 0 ||
        sched_getaffinity(0, sizeof got, &got) != 0 || !CPU_EQUAL(&wanted, &got)) {
        return error(Code::bad_option, "option --cpu-range: found ", cpus.first, "-",
                     cpus.first + cpus.count - 1, ", allowed CPUs that this program may run on");
    }
    return {};
}

size_t HostMachine::n_cores() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return std::clamp<size_t>(size_t(CPU_COUNT(&set)), 1, Team::kMaxWorkers);
}

Status HostMachine::start(size_t n_workers, const MemoryNeed& slab, PageSize pages) {
    if (n_workers == 0) n_workers = n_cores();
    if (n_workers > Team::kMaxWorkers) {
        return error(Code::bad_option, "option -t: found ", uint64_t(n_workers), ", allowed 1..",
                     uint64_t{Team::kMaxWorkers});
    }
    Result<Memory> memory = Memory::map_some(slab, "engine memory", pages);
    if (!memory.ok()) return memory.status();
    memory_ = std::move(memory.value());
    const uintptr_t begin = reinterpret_cast<uintptr_t>(memory_.data());
    const AddressRange range{begin, begin + memory_.size()};
    slab_.init({&range, 1});

    counters_.open();
    ring_storage_.resize(kRingBytes);
    ring_.init(ring_storage_.data(), kRingBytes);
    team_.init(n_workers, relax, rest);
    for (size_t rank = 1; rank < n_workers; rank++)
        threads_.emplace_back([this, rank] { team_.serve(rank); });
    loop_.add({.name = "console", .poll = drain_task, .context = this});

    struct sigaction action = {};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, nullptr);

    machine.clock.ticks_per_second = calibrate_tsc();
    machine.features = decode_features(read_cpu_words());
    machine.team = &team_;
    machine.loop = &loop_;
    machine.slab = &slab_;
    machine.interrupted = &g_interrupted;
    machine.counters = &counters_;
    machine.ticks = &ticks_;
    machine.write = write_text;
    machine.write_context = this;
    return {};
}

HostMachine::~HostMachine() {
    team_.stop();
    for (std::thread& thread : threads_) thread.join();
    flush();
}

void HostMachine::pin_workers() {
    cpu_set_t all;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return;
    team_.run(
        [](const Worker& worker, void* context) {
            const cpu_set_t& cores = *static_cast<const cpu_set_t*>(context);
            size_t n_before = worker.rank % size_t(CPU_COUNT(&cores));
            size_t core = 0;
            while (!CPU_ISSET(core, &cores) || n_before-- != 0) core++;
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(core, &one);
            sched_setaffinity(0, sizeof one, &one);
        },
        &all);
}

void HostMachine::flush() {
    char buffer[4096];
    size_t n = 0;
    for (char c; ring_.pop(&c);) {
        buffer[n++] = c;
        if (n == sizeof buffer) write_all(STDOUT_FILENO, buffer, n), n = 0;
    }
    write_all(STDOUT_FILENO, buffer, n);
}

void HostMachine::drain_task(void* self, uint64_t) {
    static_cast<HostMachine*>(self)->flush();
}

void HostMachine::write_text(void* self, std::string_view text) {
    HostMachine& host = *static_cast<HostMachine*>(self);
    while (!text.empty()) {
        text.remove_prefix(host.ring_.write(text));
        if (!text.empty()) host.flush();
    }
}

}  // namespace axiom::host
