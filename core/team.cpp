// SPDX-License-Identifier: MIT
#include "core/team.h"

#include "core/status.h"

namespace axiom {
namespace {

void pause(uint32_t) {
    asm volatile("pause");
}

}  // namespace

void Team::init(size_t n_workers, Relax relax) {
    AXIOM_CHECK(n_workers >= 1 && n_workers <= kMaxWorkers);
    count_ = n_workers;
    relax_ = relax != nullptr ? relax : pause;
    generation_.value = arrived_.value = epoch_.value = stop_.value = 0;
}

// Central counter, one epoch word to spin on: the last to arrive resets the counter and bumps the
// epoch. The acq_rel increment orders everybody's earlier writes before everybody's later reads.
void Team::wait_at_barrier() {
    if (count_ == 1) return;
    const uint32_t epoch = epoch_.value.load(std::memory_order_relaxed);
    if (arrived_.value.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
        arrived_.value.store(0, std::memory_order_relaxed);
        epoch_.value.store(epoch + 1, std::memory_order_release);
        return;
    }
    for (uint32_t spins = 0; epoch_.value.load(std::memory_order_acquire) == epoch; spins++) {
        relax_(spins);
    }
}

void Worker::barrier() const {
    team->wait_at_barrier();
}

void Team::run(Job job, void* context) {
    job_ = job;
    context_ = context;
    generation_.value.fetch_add(1, std::memory_order_release);
    job(Worker{0, count_, this}, context);
    wait_at_barrier();
}

void Team::serve(size_t rank) {
    AXIOM_CHECK(rank >= 1 && rank < count_);
    for (uint32_t seen = 0;;) {
        for (uint32_t spins = 0; generation_.value.load(std::memory_order_acquire) == seen;
             spins++) {
            if (stop_.value.load(std::memory_order_acquire) != 0) return;
            relax_(spins);
        }
        seen++;
        job_(Worker{rank, count_, this}, context_);
        wait_at_barrier();
    }
}

void Team::stop() {
    stop_.value.store(1, std::memory_order_release);
}

}  // namespace axiom
