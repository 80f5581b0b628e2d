// SPDX-License-Identifier: MIT
#include "bench/peaks.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "core/team.h"

namespace axiom::peak {
namespace {

constexpr size_t kStreamCounts[] = {1, 2, 4};
constexpr size_t kPrefetchBytes[] = {0, 512, 1024, 2048, 4096};
constexpr int kTrialPasses = 2;  // to find the fastest loop
constexpr int kPasses = 9;       // of the fastest
constexpr int kDotPasses = 9;
constexpr double kDotSeconds = 0.02;  // of one pass
constexpr size_t kPartBytes = 16384;  // a worker's share is a multiple of it

double seconds_now() {
    using Clock = std::chrono::steady_clock;
    return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// The same function on n_threads threads at once, again and again.
class Threads {
  public:
    explicit Threads(size_t n) {
        team_.init(n);
        for (size_t rank = 1; rank < n; rank++)
            threads_.emplace_back([this, rank] { team_.serve(rank); });
    }
    ~Threads() {
        team_.stop();
        for (std::thread& t : threads_) t.join();
    }
    // Seconds from when all have arrived until the last is done.
    double time(const std::function<void(const Worker&)>& work) {
        struct Timed {
            const std::function<void(const Worker&)>& work;
            double seconds = 0;
        } timed{work};
        team_.run(
            [](const Worker& worker, void* context) {
                Timed& t = *static_cast<Timed*>(context);
                worker.barrier();
                const double begin = seconds_now();
                t.work(worker);
                worker.barrier();
                if (worker.rank == 0) t.seconds = seconds_now() - begin;
            },
            &timed);
        return timed.seconds;
    }

  private:
    Team team_;
    std::vector<std::thread> threads_;
};

// Best and median of amount/seconds over passes.
struct Rates {
    double best = 0, median = 0;
};
Rates rates_of(std::vector<double> seconds, double amount) {
    std::sort(seconds.begin(), seconds.end());
    return {amount / seconds.front(), amount / seconds[seconds.size() / 2]};
}

std::vector<const Loops*> usable_loops(const CpuFeatures& features) {
    std::vector<const Loops*> loops = {&kSseLoops};
    if (features.avx2) loops.push_back(&kAvx2Loops);
    if (features.avx_vnni) loops.push_back(&kAvxVnniLoops);
    if (features.avx512_vnni) loops.push_back(&kAvx512Loops);
    return loops;
}

}  // namespace

const char* page_name(host::PageSize pages) {
    return pages == host::PageSize::huge ? "2m" : "4k";
}

std::vector<Dot> measure_dots(const CpuFeatures& features, size_t n_threads) {
    Threads threads(n_threads);
    std::vector<Dot> out;
    for (const Loops* loops : usable_loops(features)) {
        for (const DotLoop& dot : loops->dots) {
            if (dot.name == nullptr) continue;
            const auto run = [&](uint64_t n_rounds) {
                return threads.time([&](const Worker&) { dot.run(n_rounds); });
            };
            // Also the time in which a core gets its wide units going.
            uint64_t n_rounds = 10000;
            while (n_rounds < (uint64_t{1} << 32) && run(n_rounds) < kDotSeconds) n_rounds *= 2;
            std::vector<double> seconds(kDotPasses);
            for (double& s : seconds) s = run(n_rounds);
            const Rates r = rates_of(
                seconds, double(n_rounds) * double(dot.macs_per_round) * double(n_threads) * 1e-9);
            out.push_back({dot.name, n_threads, r.best, r.median});
        }
    }
    return out;
}

Result<Read> measure_read(const CpuFeatures& features, size_t n_threads, host::PageSize pages,
                          uint64_t n_bytes) {
    n_bytes -= n_bytes % (kPartBytes * n_threads);
    const uint64_t huge_before = host::huge_page_bytes();
    Result<host::Memory> memory = host::Memory::map(n_bytes, "read buffer", pages);
    if (!memory.ok()) return memory.status();
    uint8_t* const data = memory.value().data();
    memset(data, 0x5a, n_bytes);  // untouched pages would all be one page of zeros

    Read read;
    read.n_threads = n_threads;
    read.pages = pages;
    read.n_bytes = n_bytes;
    const uint64_t huge_now = host::huge_page_bytes();
    read.n_huge_bytes = huge_now > huge_before ? std::min(huge_now - huge_before, n_bytes) : 0;

    Threads threads(n_threads);
    const auto pass = [&](const Loops& loops, size_t n_streams, size_t prefetch_bytes) {
        return threads.time([&](const Worker& worker) {
            const Worker::Range share = worker.split(n_bytes / kPartBytes);
            loops.read(data + share.begin * kPartBytes, (share.end - share.begin) * kPartBytes,
                       n_streams, prefetch_bytes);
        });
    };
    const Loops* loops = &kSseLoops;
    size_t n_streams = 0, prefetch_bytes = 0;
    double fastest = std::numeric_limits<double>::infinity();
    for (const Loops* l : usable_loops(features)) {
        if (l->read == nullptr) continue;
        for (const size_t n : kStreamCounts) {
            for (const size_t distance : kPrefetchBytes) {
                for (int i = 0; i < kTrialPasses; i++) {
                    const double seconds = pass(*l, n, distance);
                    if (seconds >= fastest) continue;
                    loops = l, n_streams = n, prefetch_bytes = distance, fastest = seconds;
                }
            }
        }
    }
    std::vector<double> seconds(kPasses);
    for (double& s : seconds) s = pass(*loops, n_streams, prefetch_bytes);
    const Rates r = rates_of(seconds, double(n_bytes) * 1e-9);
    read.best_gb_per_s = std::max(r.best, double(n_bytes) * 1e-9 / fastest);
    read.median_gb_per_s = r.median;
    read.loop = std::string(loops->name) + ", " + std::to_string(n_streams) +
                (n_streams == 1 ? " stream" : " streams") +
                (prefetch_bytes != 0 ? ", prefetch " + std::to_string(prefetch_bytes) : "");
    return read;
}

}  // namespace axiom::peak
