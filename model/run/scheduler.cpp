// SPDX-License-Identifier: MIT
#include "model/run/scheduler.h"

#include <algorithm>

namespace axiom {
namespace {

// What a sequence needs beyond what it has to read, before it begins: to generate without dropping
// somebody at once.
constexpr size_t kMargin = kKvPositions;

size_t n_alike(std::span<const TokenId> a, std::span<const TokenId> b) {
    const size_t most = std::min(a.size(), b.size());
    size_t n = 0;
    while (n < most && a[n] == b[n]) n++;
    return n;
}

}  // namespace

Scheduler::Scheduler(std::span<Slot> slots, KvPool& pool, size_t n_batch)
    : slots_(slots), pool_(pool), n_batch_(n_batch) {
    AXIOM_CHECK(slots.size() <= kMaxParallel);
}

Slot& Scheduler::best_slot(std::span<const TokenId> tokens) {
    AXIOM_CHECK(has_free_slot());
    Slot* best = nullptr;
    size_t best_common = 0;
    for (Slot& slot : slots_) {
        if (std::find(order_, order_ + n_live_, &slot) != order_ + n_live_) continue;
        const size_t n = slot.session.n_common(tokens);
        const bool is_better = best == nullptr || n > best_common ||
                               (n == best_common && slot.left_at < best->left_at);
        if (!is_better) continue;
        best = &slot;
        best_common = n;
    }
    return *best;
}

void Scheduler::enter(Slot& slot) {
    slot.begun = slot.told_shared = false;
    slot.n_rows = 0;
    order_[n_live_++] = &slot;
}

void Scheduler::leave(Slot& slot) {
    Slot** const end = std::remove(order_, order_ + n_live_, &slot);
    AXIOM_CHECK(end + 1 == order_ + n_live_);
    n_live_--;
    slot.begun = false;
    slot.left_at = n_passes_;
}

std::span<const Row> Scheduler::compose(std::span<Row> rows) {
    n_passes_++;
    const auto generates = [](const Slot& s) { return s.begun && s.session.pending().size() == 1; };
    size_t n_generate = 0;
    for (Slot* slot : live()) {
        slot->n_rows = 0;
        n_generate += generates(*slot);
    }
    size_t n_prompt_rows = n_batch_ > n_generate ? n_batch_ - n_generate : 1;
    size_t n = 0;
    for (size_t i = 0; i < n_live_; i++) {
        Slot& slot = *order_[i];
        if (!slot.begun && (n_prompt_rows == 0 || !begin(i))) break;
        const bool is_single = generates(slot);
        const size_t most = is_single ? 1 : n_prompt_rows;
        const size_t added =
            slot.session.add_rows(rows.subspan(n, std::min(most, rows.size() - n)));
        if (added == 0) continue;
        if (!make_room(i, *rows[n].sequence, added)) break;
        if (!is_single) n_prompt_rows -= added;
        slot.n_rows = added;
        n += added;
    }
    return rows.first(n);
}

// Whether the slot at this place of the order may read. With blocks for it, it may; the oldest may in
// any case, as the pool holds one sequence of any length.
bool Scheduler::begin(size_t place) {
    Slot& slot = *order_[place];
    if (waits_for_older(place)) return false;
    for (;;) {
        size_t n_common = 0;
        const Slot* const source = best_source(slot, &n_common);
        const size_t n_needed = slot.session.tokens().size() - n_common + kMargin;
        if (place == 0 || pool_.has_room(n_needed)) {
            if (source != nullptr) slot.session.share(source->session);
            break;
        }
        if (!drop_kept(source != nullptr ? source : &slot)) return false;
    }
    if (!slot.told_shared) slot.n_shared = slot.session.sequence().length();
    slot.begun = slot.told_shared = true;
    return true;
}

// While an older one reads what both begin with, there is more to gain by waiting than by reading it
// as well. Windows leave behind what could be shared.
bool Scheduler::waits_for_older(size_t place) const {
    if (pool_.has_windows()) return false;
    const Slot& slot = *order_[place];
    const std::span<const TokenId> tokens = slot.session.tokens();
    size_t n_common = 0;
    best_source(slot, &n_common);
    for (size_t i = 0; i < place; i++) {
        const Session& older = order_[i]->session;
        if (older.pending().size() <= 1) continue;
        const size_t n = std::min(n_alike(older.tokens(), tokens), tokens.size() - 1);
        if (n >= n_common + kKvPositions) return true;
    }
    return false;
}

// Who has read most of what the slot begins with; nullptr if that is the slot itself.
const Slot* Scheduler::best_source(const Slot& slot, size_t* n_common) const {
    const Slot* best = nullptr;
    *n_common = slot.session.sequence().length();
    for (const Slot& other : slots_) {
        const size_t n = &other == &slot ? 0 : other.session.n_common(slot.session.tokens());
        if (n <= *n_common) continue;
        best = &other;
        *n_common = n;
    }
    return best;
}

// Blocks for n more positions of the slot at this place. False when there are none, and then it has
// lost its own: all who still have some are older.
bool Scheduler::make_room(size_t place, Sequence& sequence, size_t n) {
    const auto drop = [&](Slot& slot) {
        slot.session.forget();
        slot.begun = false;
        n_preempted_++;
    };
    while (!sequence.reserve(n).ok()) {
        sequence.truncate(sequence.length());
        if (drop_kept(nullptr)) continue;
        size_t youngest = n_live_ - 1;
        while (!order_[youngest]->begun) youngest--;
        AXIOM_CHECK(youngest != 0);  // the pool holds one sequence of any length
        drop(*order_[youngest]);
        if (youngest == place) return false;
    }
    return true;
}

// Gives back what a slot has kept that has no right to blocks; the one that was left first, and the
// spared one last.
bool Scheduler::drop_kept(const Slot* spared) {
    Slot* first = nullptr;
    for (Slot& slot : slots_) {
        if (slot.begun || slot.session.sequence().length() == 0) continue;
        if (first == nullptr || first == spared ||
            (&slot != spared && slot.left_at < first->left_at)) {
            first = &slot;
        }
    }
    if (first == nullptr) return false;
    first->session.forget();
    return true;
}

}  // namespace axiom
