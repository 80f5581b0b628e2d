// SPDX-License-Identifier: MIT
// SPMD workers: every worker runs the same function over its own rows and meets the others at spin
// barriers. The team does not start cores or threads: efi/smp and bench/ do, and each calls
// serve(). Must not know: what a thread or an APIC is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace axiom {

class Team;

// One worker's identity inside a job.
struct Worker {
    size_t rank = 0;
    size_t count = 1;
    Team* team = nullptr;

    // All `count` workers; release/acquire for everything before it. Rank 0 runs `action`, if any,
    // after the last has arrived and before anyone goes on.
    using Action = void (*)(void* context);
    void barrier(Action action = nullptr, void* context = nullptr) const;

    // While waiting for what another worker does, outside of barriers.
    void relax(uint32_t n_spins) const;

    // This worker's half-open share of [0, n_units). Shares are contiguous and ordered by rank;
    // they are in proportion to the speeds the team was given, equal to within one unit by default.
    struct Range {
        size_t begin, end;
    };
    Range split(size_t n_units) const;

    // Takes units of [0, n_units) that nobody has taken since the last barrier: in order, most of a
    // fair share (by the speeds) first, then less and less, so that all are done at about the same
    // time however they are disturbed; at least `least` >= 1 while there are so many. Those of its
    // memory node come first, see set_nodes(). Empty when all are taken. Between two barriers every
    // claim is of the same n_units, from one loop.
    // Source: guided self-scheduling, Polychronopoulos and Kuck, IEEE Trans. Computers C-36 (1987).
    Range claim(size_t n_units, size_t least) const;
};

using Job = void (*)(const Worker& worker, void* context);

class Team {
  public:
    static constexpr size_t kMaxWorkers = 1024;
    static constexpr size_t kGroupSize = 16;
    static constexpr size_t kMaxNodes = 64;

    // Called with the number of fruitless spins so far; the platform may yield. Default: pause.
    using Relax = void (*)(uint32_t n_spins);

    // `rest`: the same for workers that run no jobs, which should leave the machine to the others.
    void init(size_t n_workers, Relax relax = nullptr, Relax rest = nullptr);
    size_t size() const { return count_; }           // that run jobs
    size_t n_started() const { return n_started_; }  // that serve
    // Rank 0 only, between jobs: the first n of those that serve run jobs from here on, at equal
    // speeds; the others rest until they are used again.
    void use(size_t n);

    // Rank 0 only: runs `job` on every worker and returns when all have finished.
    void run(Job job, void* context);
    // Every other rank, on its own core: runs jobs until stop().
    void serve(size_t rank);
    // Rank 0 only, between jobs: relative speeds of the workers, each at least 1. Results never
    // depend on them (law 2), only who computes which rows.
    void set_speeds(std::span<const uint32_t> speeds);

    // Rank 0 only, between jobs: how many workers each memory node has, in the order of their ranks; all of
    // them together. A node's workers claim the units of their contiguous part of all first, then what
    // others have left. One node by default.
    void set_nodes(std::span<const uint32_t> workers);

    // Rank 0 only, between jobs: at every barrier rank 0 calls this too, before the barrier's own action.
    void at_barriers(Worker::Action action, void* context) {
        at_barriers_ = action;
        at_barriers_context_ = context;
    }

    // Rank 0 only: makes every serve() return. Waits for none of them.
    void stop();

  private:
    friend struct Worker;
    void wait_at_barrier(size_t rank, Worker::Action action, void* context);
    void wait_for_release(size_t rank);
    size_t group_members(size_t group) const;
    uint64_t speed_before_node(size_t node) const;
    size_t n_arrivals() const;

    struct alignas(64) Line {
        std::atomic<uint32_t> value{0};
    };

    size_t count_ = 1, n_started_ = 1;
    Relax relax_ = nullptr, rest_ = nullptr;
    Worker::Action at_barriers_ = nullptr;
    void* at_barriers_context_ = nullptr;
    Job job_ = nullptr;
    void* context_ = nullptr;
    Line generation_;  // bumped to release a job
    Line roster_;      // bumped when other workers run jobs than before
    Line arrived_;     // barrier: workers but rank 0, or groups of them, that have arrived
    Line epoch_;       // barrier: bumped by rank 0 when all have
    // Of more workers than kGroupSize each group has lines of its own, so that no line is fought for by more
    // than that: its members count themselves in, the last of them counts the group in; its first one watches
    // epoch_ and tells the others.
    struct Group {
        Line arrived, epoch;
    };
    Group groups_[kMaxWorkers / kGroupSize];
    // Units taken since the last barrier, of each node's part.
    Line claimed_[kMaxNodes];
    size_t n_nodes_ = 1;
    size_t node_begin_[kMaxNodes + 1] = {};  // ranks
    uint8_t node_of_[kMaxWorkers] = {};      // by rank
    Line stop_;
    uint64_t speed_before_[kMaxWorkers + 1] = {};  // sum of the speeds of lower ranks
};

}  // namespace axiom
