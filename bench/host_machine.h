// SPDX-License-Identifier: MIT
// Linux as a machine for the engine: memory from mmap, workers as threads, the TSC calibrated
// against CLOCK_MONOTONIC_RAW, stdout behind the console ring, SIGINT as the key task's Ctrl-C.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/host_counters.h"
#include "bench/host_ticks.h"
#include "core/layer_loop.h"
#include "core/ring.h"
#include "core/slab.h"
#include "core/status.h"
#include "core/team.h"
#include "model/run/generate.h"
#include "model/run/memory_plan.h"

namespace axiom::host {

// 4 KiB; 2 MiB as far as Linux has them; 4 KiB, taken from Linux in no order, which scatters them over
// memory.
enum class PageSize : uint8_t { small, huge, scattered };

// Anonymous memory, 2 MiB-aligned, unmapped on destruction. `pages` is advice that Linux follows
// where transparent huge pages are not switched off; huge_page_bytes() says what came of it.
class Memory {
  public:
    Memory() = default;
    static Result<Memory> map(uint64_t n_bytes, std::string_view what,
                              PageSize pages = PageSize::huge) {
        return map_some({n_bytes, n_bytes}, what, pages);
    }
    // As much as Linux has now, from the least to what is wanted: what is had a moment later differs.
    static Result<Memory> map_some(const MemoryNeed& need, std::string_view what, PageSize pages);
    Memory(Memory&& other) noexcept;
    Memory& operator=(Memory&& other) noexcept;
    ~Memory();

    uint8_t* data() const { return data_; }
    size_t size() const { return n_bytes_; }
    std::span<uint8_t> first(size_t n) const { return {data_, n}; }

  private:
    uint8_t* data_ = nullptr;
    size_t n_bytes_ = 0;
};

// The packed file, read in large chunks and verified while it is read, as the EFI loader does: the
// whole of it, or only its frame where layers will be streamed.
struct LoadedModel {
    Memory memory;
    uint64_t n_bytes = 0;  // in memory
    uint64_t file_bytes = 0;
    double seconds = 0;
    uint64_t verify_ticks = 0;  // of these, what was not reading
};
Result<LoadedModel> load_model(const std::string& path, Stream stream, PageSize pages,
                               RootCheck root, bool show_progress);

// What Linux says this program can still have without swapping, and without being ended for what its
// cgroups have (bench/memory_limit.h).
uint64_t available_bytes();

// Bytes of this program's anonymous memory that are in huge pages now (/proc/self/smaps_rollup);
// 0 where Linux does not say.
uint64_t huge_page_bytes();

// Reads a whole text file.
Result<std::string> read_text(const std::string& path);

// From now on this program and the threads that it starts run on these CPUs alone.
Status use_cpus(CpuRange cpus);

class HostMachine {
  public:
    // Starts n_workers - 1 threads (0 = one per available core) and maps memory for the slab.
    Status start(size_t n_workers, const MemoryNeed& slab, PageSize pages);
    ~HostMachine();

    Machine machine;  // ready for generate() after start()
    void flush();     // writes what the ring holds to stdout

    static size_t n_cores();
    // Each worker to a core of its own, as far as there are so many; for good.
    void pin_workers();

  private:
    static void drain_task(void* self, uint64_t now_ticks);
    static void write_text(void* self, std::string_view text);

    std::vector<char> ring_storage_;
    Ring ring_;
    LayerLoop loop_;
    Slab slab_;
    Team team_;
    Memory memory_;
    HostCounters counters_;
    HostTicks ticks_;
    std::vector<std::thread> threads_;
};

}  // namespace axiom::host
