// SPDX-License-Identifier: MIT
// SPMD workers: every worker runs the same function over its own rows and meets the others at spin
// barriers. The team does not start cores or threads: efi/smp and bench/ do, and each calls
// serve(). Must not know: what a thread or an APIC is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace axiom {

class Team;

// One worker's identity inside a job.
struct Worker {
    size_t rank = 0;
    size_t count = 1;
    Team* team = nullptr;

    void barrier() const;  // all `count` workers; release/acquire for everything before it
    // This worker's half-open share of [0, n_units). Shares are contiguous, ordered by rank and
    // differ by at most one unit.
    struct Range {
        size_t begin, end;
    };
    Range split(size_t n_units) const {
        return {n_units * rank / count, n_units * (rank + 1) / count};
    }
};

using Job = void (*)(const Worker& worker, void* context);

class Team {
  public:
    static constexpr size_t kMaxWorkers = 256;

    // Called with the number of fruitless spins so far; the platform may yield. Default: pause.
    using Relax = void (*)(uint32_t n_spins);

    void init(size_t n_workers, Relax relax = nullptr);
    size_t size() const { return count_; }

    // Rank 0 only: runs `job` on every worker and returns when all have finished.
    void run(Job job, void* context);
    // Every other rank, on its own core: runs jobs until stop().
    void serve(size_t rank);
    // Rank 0 only: makes every serve() return. Waits for none of them.
    void stop();

  private:
    friend struct Worker;
    void wait_at_barrier();

    struct alignas(64) Line {
        std::atomic<uint32_t> value{0};
    };

    size_t count_ = 1;
    Relax relax_ = nullptr;
    Job job_ = nullptr;
    void* context_ = nullptr;
    Line generation_;  // bumped to release a job
    Line arrived_;     // barrier: workers that have arrived
    Line epoch_;       // barrier: bumped by the last to arrive
    Line stop_;
};

}  // namespace axiom
