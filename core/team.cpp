// SPDX-License-Identifier: MIT
#include "core/team.h"

#include "core/status.h"

namespace axiom {
namespace {

void pause(uint32_t) {
    asm volatile("pause");
}

// Seldom enough that the other thread of a core hardly notices.
void pause_long(uint32_t) {
    for (int i = 0; i < 256; i++) asm volatile("pause");
}

}  // namespace

void Team::init(size_t n_workers, Relax relax, Relax rest) {
    AXIOM_CHECK(n_workers >= 1 && n_workers <= kMaxWorkers);
    count_ = n_started_ = n_workers;
    relax_ = relax != nullptr ? relax : pause;
    rest_ = rest != nullptr ? rest : pause_long;
    generation_.value = roster_.value = arrived_.value = epoch_.value = stop_.value = 0;
    for (Group& group : groups_) group.arrived.value = group.epoch.value = 0;
    for (size_t i = 0; i <= count_; i++) speed_before_[i] = i;
    const uint32_t all = uint32_t(n_workers);
    set_nodes({&all, 1});
}

// Everybody, at rest or not, takes note before another job can begin, so none can miss it or take part
// in it by mistake.
void Team::use(size_t n) {
    AXIOM_CHECK(n >= 1 && n <= n_started_);
    count_ = n;
    for (size_t i = 0; i <= count_; i++) speed_before_[i] = i;
    roster_.value.fetch_add(1, std::memory_order_release);
    for (uint32_t spins = 0; arrived_.value.load(std::memory_order_acquire) != n_started_ - 1;
         spins++)
        relax_(spins);
    arrived_.value.store(0, std::memory_order_relaxed);
}

void Team::set_speeds(std::span<const uint32_t> speeds) {
    AXIOM_CHECK(speeds.size() == count_);
    for (size_t i = 0; i < count_; i++) {
        AXIOM_CHECK(speeds[i] >= 1);
        speed_before_[i + 1] = speed_before_[i] + speeds[i];
    }
}

void Team::set_nodes(std::span<const uint32_t> workers) {
    AXIOM_CHECK(!workers.empty() && workers.size() <= kMaxNodes);
    n_nodes_ = workers.size();
    for (size_t node = 0, rank = 0; node < n_nodes_; node++) {
        node_begin_[node] = rank;
        AXIOM_CHECK(workers[node] <= n_started_ - rank);
        for (const size_t end = rank + workers[node]; rank < end; rank++)
            node_of_[rank] = uint8_t(node);
        node_begin_[node + 1] = rank;
        claimed_[node].value = 0;
    }
    AXIOM_CHECK(node_begin_[n_nodes_] == n_started_);
}

// Of those that run jobs.
uint64_t Team::speed_before_node(size_t node) const {
    const size_t begin = node_begin_[node];
    return speed_before_[begin < count_ ? begin : count_];
}

// Those of a group that count themselves in: rank 0 waits for all and does not.
size_t Team::group_members(size_t group) const {
    const size_t begin = group * kGroupSize;
    const size_t n = count_ - begin < kGroupSize ? count_ - begin : kGroupSize;
    return group == 0 ? n - 1 : n;
}

size_t Team::n_arrivals() const {
    return count_ <= kGroupSize ? count_ - 1 : (count_ + kGroupSize - 1) / kGroupSize;
}

// Counts this worker in, and waits until rank 0 has let all go on.
void Team::wait_for_release(size_t rank) {
    const auto wait = [&](const Line& line, uint32_t value) {
        for (uint32_t spins = 0; line.value.load(std::memory_order_acquire) == value; spins++)
            relax_(spins);
    };
    const uint32_t epoch = epoch_.value.load(std::memory_order_relaxed);
    if (count_ <= kGroupSize) {
        arrived_.value.fetch_add(1, std::memory_order_release);
        return wait(epoch_, epoch);
    }
    Group& group = groups_[rank / kGroupSize];
    const uint32_t group_epoch = group.epoch.value.load(std::memory_order_relaxed);
    const size_t n_before = group.arrived.value.fetch_add(1, std::memory_order_acq_rel);
    if (n_before + 1 == group_members(rank / kGroupSize)) {
        group.arrived.value.store(0, std::memory_order_relaxed);
        arrived_.value.fetch_add(1, std::memory_order_release);
    }
    if (rank % kGroupSize != 0) return wait(group.epoch, group_epoch);
    wait(epoch_, epoch);
    group.epoch.value.store(group_epoch + 1, std::memory_order_release);
}

// Everybody but rank 0 counts itself in and spins on an epoch; rank 0 waits for the count, acts,
// and bumps the epoch. The release increments and the release stores order everybody's earlier
// writes before everybody's later reads.
void Team::wait_at_barrier(size_t rank, Worker::Action action, void* context) {
    if (rank != 0) return wait_for_release(rank);
    for (uint32_t spins = 0; arrived_.value.load(std::memory_order_acquire) != n_arrivals();
         spins++)
        relax_(spins);
    if (at_barriers_ != nullptr) at_barriers_(at_barriers_context_);
    if (action != nullptr) action(context);
    arrived_.value.store(0, std::memory_order_relaxed);
    for (size_t node = 0; node < n_nodes_; node++)
        claimed_[node].value.store(0, std::memory_order_relaxed);
    const auto bump = [](Line& line) {
        line.value.store(line.value.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    };
    bump(epoch_);
    if (count_ > kGroupSize) bump(groups_[0].epoch);
}

void Worker::barrier(Action action, void* context) const {
    team->wait_at_barrier(rank, action, context);
}

void Worker::relax(uint32_t n_spins) const {
    team->relax_(n_spins);
}

Worker::Range Worker::split(size_t n_units) const {
    if (team == nullptr) return {n_units * rank / count, n_units * (rank + 1) / count};
    const uint64_t* const before = team->speed_before_;
    return {size_t(n_units * before[rank] / before[count]),
            size_t(n_units * before[rank + 1] / before[count])};
}

Worker::Range Worker::claim(size_t n_units, size_t least) const {
    const uint64_t* const before = team->speed_before_;
    const uint64_t speed = before[rank + 1] - before[rank], all = before[count];
    size_t node = team->node_of_[rank];
    for (size_t n_tried = 0; n_tried < team->n_nodes_; n_tried++) {
        const uint64_t before_node = team->speed_before_node(node);
        const uint64_t of_node = team->speed_before_node(node + 1) - before_node;
        const size_t first = n_units * before_node / all;
        const size_t n_of_node = n_units * (before_node + of_node) / all - first;
        std::atomic<uint32_t>& claimed = team->claimed_[node].value;
        // Relaxed: what the units hold is ordered by the barriers around.
        uint32_t begin = claimed.load(std::memory_order_relaxed);
        while (begin < n_of_node) {
            const size_t left = n_of_node - begin;
            const size_t part = count == 1 ? left : size_t(left * speed * 3 / (of_node * 4));
            const size_t wanted = part < least ? least : part, n = wanted < left ? wanted : left;
            if (claimed.compare_exchange_weak(begin, uint32_t(begin + n),
                                              std::memory_order_relaxed))
                return {first + begin, first + begin + n};
        }
        if (++node == team->n_nodes_) node = 0;
    }
    return {n_units, n_units};
}

void Team::run(Job job, void* context) {
    job_ = job;
    context_ = context;
    generation_.value.fetch_add(1, std::memory_order_release);
    job(Worker{0, count_, this}, context);
    wait_at_barrier(0, nullptr, nullptr);
}

void Team::serve(size_t rank) {
    AXIOM_CHECK(rank >= 1 && rank < n_started_);
    bool is_used = true;
    for (uint32_t seen = 0, roster = 0;;) {
        const auto is_new_roster = [&] {
            return roster_.value.load(std::memory_order_acquire) != roster;
        };
        for (uint32_t spins = 0; !is_new_roster(); spins++) {
            if (is_used && generation_.value.load(std::memory_order_acquire) != seen) break;
            if (stop_.value.load(std::memory_order_acquire) != 0) return;
            (is_used ? relax_ : rest_)(spins);
        }
        if (is_new_roster()) {
            roster++;
            is_used = rank < count_;
            seen = generation_.value.load(std::memory_order_relaxed);
            arrived_.value.fetch_add(1, std::memory_order_release);
            continue;
        }
        seen++;
        job_(Worker{rank, count_, this}, context_);
        wait_at_barrier(rank, nullptr, nullptr);
    }
}

void Team::stop() {
    stop_.value.store(1, std::memory_order_release);
}

}  // namespace axiom
