// SPDX-License-Identifier: MIT
#include "model/weights/weight_pool.h"

#include <algorithm>
#include <new>

#include "core/clock.h"
#include "core/round.h"

namespace axiom {

using format::Extent;
using format::ExtentKind;
using format::kNone;
using format::kPieceBytes;

namespace {

// What any disk's block divides, and every extent begins at a multiple of.
constexpr uint64_t kBlock = format::kExtentAlignment;
// Reads that are asked for at a barrier between two stages, as an operating system takes some 10 us for each; and more as
// long as that takes no more than this part of a layer. What is asked for late comes too late to be
// checked before the boundary.
constexpr size_t kReadsABarrier = 4, kAll = ~size_t{0};
constexpr uint64_t kAskingPart = 64;
// Passes after which uses of experts count half.
constexpr uint64_t kHalfLife = 256;

// Layers of the first `i_layer` that are streamed, where n_streamed of n are: evenly spread.
size_t streamed_before(size_t i_layer, size_t n_streamed, size_t n) {
    return i_layer * n_streamed / n;
}

bool is_streamed(size_t i_layer, size_t n_streamed, size_t n) {
    return streamed_before(i_layer, n_streamed, n) != streamed_before(i_layer + 1, n_streamed, n);
}

uint64_t slot_bytes(const Weights& weights, ExtentKind kind) {
    uint64_t most = 0;
    for (const Extent& e : weights.layout.extents)
        if (e.kind == kind) most = std::max(most, e.bytes);
    return round_up(most, kBlock);
}

uint64_t n_experts(const ModelConfig& config) {
    uint64_t n = 0;
    for (const LayerConfig& layer : config.layers) n += layer.n_expert;
    return n;
}

}  // namespace

PoolShape PoolShape::at(const ModelConfig& config, uint64_t i) {
    const uint64_t n_layers = config.n_layer, least_layers = std::min<uint64_t>(kBuffers, n_layers);
    const uint64_t least_experts = config.most([](const LayerConfig& l) { return l.n_expert; });
    const uint64_t more_layers = std::min(i, n_layers - least_layers);
    const uint64_t more_experts = std::min(i - more_layers, n_experts(config) - least_experts);
    return {uint32_t(least_layers + more_layers), uint32_t(least_experts + more_experts)};
}

uint64_t PoolShape::last(const ModelConfig& config) {
    const PoolShape least = at(config, 0);
    return config.n_layer - least.n_layer_slots + n_experts(config) - least.n_expert_slots;
}

uint64_t PoolShape::resident_bytes(const Weights& weights) const {
    const size_t n = weights.config.n_layer, streamed = n_streamed(n);
    uint64_t bytes = weights.layout.frame_bytes();
    for (size_t i = 0; i < n; i++) {
        if (!is_streamed(i, streamed, n))
            bytes += weights.layout.extents[weights.layout.find(ExtentKind::layer, i)].bytes;
    }
    return bytes + n_expert_slots * slot_bytes(weights, ExtentKind::expert);
}

void WeightPool::plan(const Weights& weights, const PoolShape& shape, SlabPlan& plan) {
    weights_ = &weights;
    shape_ = shape;
    n_layers_ = weights.config.n_layer;
    n_streamed_ = shape.n_streamed(n_layers_);
    has_all_ = n_streamed_ == 0 && shape.n_expert_slots == 0;
    const uint64_t layer_bytes = slot_bytes(weights, ExtentKind::layer);
    const uint64_t expert_bytes = slot_bytes(weights, ExtentKind::expert);
    const uint64_t n_pieces = shape.n_layer_slots * format::n_pieces_of(layer_bytes) +
                              shape.n_expert_slots * format::n_pieces_of(expert_bytes);
    plan.add_class("weights", layer_bytes, shape.n_layer_slots, &layer_class_, kBlock);
    plan.add_array("slots", uint64_t{shape.n_layer_slots} + shape.n_expert_slots, &slots_);
    plan.add_array("views", shape.n_layer_slots, &views_);
    plan.add_array("pieces", n_pieces, &reads_left_);
    plan.add_array("arrivals", n_pieces, &arrivals_);
    plan.add_array("traffic", n_layers_, &traffic_of_);
    if (shape.n_expert_slots == 0) return;
    plan.add_class("experts", expert_bytes, shape.n_expert_slots, &expert_class_, kBlock);
    plan.add_array("expert slots", weights.layout.extents.size(), &slot_of_expert_);
    plan.add_array("expert uses", weights.layout.extents.size(), &n_uses_);
}

Status WeightPool::start(const Weights& weights, DiskReader& disk, Slab& slab, Team& team,
                         LoadProgress progress, void* context) {
    const DiskReader::Limits limits = disk.limits();
    AXIOM_CHECK(limits.depth != 0 && limits.alignment != 0 && kBlock % limits.alignment == 0);
    weights_ = &weights;
    disk_ = &disk;
    read_bytes_ = size_t(std::min<uint64_t>(limits.max_read_bytes, kPieceBytes));
    AXIOM_CHECK(read_bytes_ != 0 && read_bytes_ % limits.alignment == 0);

    std::fill(slot_of_expert_.begin(), slot_of_expert_.end(), kNone);
    std::fill(n_uses_.begin(), n_uses_.end(), 0);
    const size_t pieces_of_layer = format::n_pieces_of(slot_bytes(weights, ExtentKind::layer));
    const size_t pieces_of_expert = format::n_pieces_of(slot_bytes(weights, ExtentKind::expert));
    uint16_t* reads_left = reads_left_.data();
    for (size_t i = 0; i < slots_.size(); i++) {
        const bool is_layer = i < shape_.n_layer_slots;
        Slot* const slot = new (&slots_[i]) Slot;
        slot->data = static_cast<uint8_t*>(slab.allocate(is_layer ? layer_class_ : expert_class_));
        slot->n_reads_left = reads_left;
        reads_left += is_layer ? pieces_of_layer : pieces_of_expert;
    }

    struct Load {
        WeightPool& pool;
        LoadProgress progress;
        void* context;
        std::atomic<bool> is_done{false};
    } load{*this, progress, context};
    team.run(
        [](const Worker& worker, void* of_load) {
            auto& [pool, tell, told, is_done] = *static_cast<Load*>(of_load);
            pool.touch(worker);
            worker.barrier([](void* p) { static_cast<WeightPool*>(p)->count_anew(); }, &pool);
            for (uint32_t spins = 0; !is_done.load(std::memory_order_relaxed);) {
                if (worker.rank == 0) {
                    pool.collect();
                    pool.ask_ahead(kAll);
                    tell(told, pool.traffic_.n_bytes);
                    if (pool.n_under_way_ == 0) is_done.store(true, std::memory_order_relaxed);
                }
                if (!pool.check_one()) worker.relax(spins++);
            }
            while (pool.check_one()) continue;
        },
        &load);
    const DiskTraffic start = traffic();
    traffic_.start_bytes = start.n_bytes;
    traffic_.start_ticks = start.busy_ticks;
    count_anew();
    return checked();
}

// An operating system makes pages when they are first written to, which is not the disk's time.
void WeightPool::touch(const Worker& worker) {
    const auto [begin, end] = worker.split(slots_.size());
    const uint64_t layer_bytes = slot_bytes(*weights_, ExtentKind::layer);
    const uint64_t expert_bytes = slot_bytes(*weights_, ExtentKind::expert);
    for (size_t i = begin; i < end; i++) {
        const uint64_t n_bytes = i < shape_.n_layer_slots ? layer_bytes : expert_bytes;
        for (uint64_t at = 0; at < n_bytes; at += kBlock) slots_[i].data[at] = 0;
    }
}

void WeightPool::stop() {
    while (n_under_way_ != 0) collect();
}

void WeightPool::count_anew() {
    traffic_.n_layers = traffic_.n_bytes = traffic_.busy_ticks = 0;
    waited_before_ = wait_ticks_;
    check_ticks_.store(0, std::memory_order_relaxed);
    std::fill(traffic_of_.begin(), traffic_of_.end(), DiskTraffic::Layer());
    begin_ticks_ = busy_since_ = ticks_now();
}

DiskTraffic WeightPool::traffic() const {
    DiskTraffic t = traffic_;
    const uint64_t now = ticks_now();
    t.ticks = now - begin_ticks_;
    t.wait_ticks = wait_ticks_ - waited_before_;
    if (n_under_way_ != 0) t.busy_ticks += now - busy_since_;
    t.check_ticks = check_ticks_.load(std::memory_order_relaxed);
    t.layers = traffic_of_;
    t.n_retries = disk_->n_retries();
    return t;
}

size_t WeightPool::present(std::span<const LayerWeights*> out) {
    size_t n = 0;
    for (uint64_t turn = turn_; turn < turn_ + n_layers_ && n < out.size(); turn++) {
        const size_t i_slot = slot_of(turn);
        if (slots_[i_slot].holds(extent_of(turn))) out[n++] = &views_[i_slot];
    }
    return n;
}

// ---- what the forward pass asks for ---------------------------------------------------------

Status WeightPool::acquire(size_t i_layer, const LayerWeights** layer) {
    AXIOM_CHECK(i_layer < n_layers_);
    // A pass ended early: what was read ahead is not what comes next.
    if (layer_of(turn_) != i_layer) begin_at((turn_ / n_layers_ + 1) * n_layers_ + i_layer);
    const size_t i_slot = slot_of(turn_);
    const Slot& slot = slots_[i_slot];
    const uint32_t extent = extent_of(turn_);
    const uint64_t begin = ticks_now();
    collect();
    while (is_fine() && !slot.holds(extent)) {
        collect();
        ask_ahead(kAll);
        check_one();
    }
    wait_ticks_ += ticks_now() - begin;
    if (!is_fine()) return failure();
    check_to_ = slot.arrived_by;
    *layer = &views_[i_slot];
    return {};
}

void WeightPool::release(size_t i_layer) {
    AXIOM_CHECK(layer_of(turn_) == i_layer);
    turn_++;
    traffic_.n_layers++;
    const uint64_t now = ticks_now();
    layer_ticks_ = now - released_ticks_;
    released_ticks_ = now;
    if (layer_of(turn_) == 0) {  // no barrier until the next pass
        collect();
        ask_ahead(kAll);
    }
    if (turn_ % (kHalfLife * n_layers_) == 0)
        for (uint32_t& n : n_uses_) n /= 2;
}

// Whoever is needed stays; the others are read over those that are used least. What was asked for
// ahead goes on meanwhile, but nothing is added to it.
Status WeightPool::acquire_experts(size_t i_layer, std::span<const uint32_t> experts,
                                   ExpertWeights* out) {
    const uint32_t first = weights_->layout.find(ExtentKind::layer, i_layer) + 1;
    expert_turn_++;
    for (const uint32_t expert : experts) {
        n_uses_[first + expert]++;
        const uint32_t i_slot = slot_of_expert_[first + expert];
        if (i_slot != kNone) slots_[i_slot].turn = expert_turn_;
    }
    for (const uint32_t expert : experts) {
        const uint32_t extent = first + expert;
        if (slot_of_expert_[extent] != kNone) continue;
        const size_t i_slot = slot_for_expert();
        if (slots_[i_slot].extent != kNone) slot_of_expert_[slots_[i_slot].extent] = kNone;
        slot_of_expert_[extent] = uint32_t(i_slot);
        put(i_slot, extent, expert_turn_);
    }
    check_to_ = 0;
    const uint64_t begin = ticks_now();
    for (size_t j = 0; j < experts.size(); j++) {  // all are asked for before one is waited for
        size_t n_left = kAll;
        while (is_fine() && !ask(slot_of_expert_[first + experts[j]], &n_left)) collect();
    }
    for (size_t j = 0; j < experts.size(); j++) {
        const uint32_t extent = first + experts[j];
        const Slot& slot = slots_[slot_of_expert_[extent]];
        while (is_fine() && !slot.holds(extent)) {
            collect();
            check_one();
        }
        if (!is_fine()) return failure();
        check_to_ = std::max(check_to_, slot.arrived_by);
        out[j] = weights_->expert(i_layer, experts[j], slot.data);
    }
    wait_ticks_ += ticks_now() - begin;
    return {};
}

bool WeightPool::to_check() const {
    return n_claimed_.load(std::memory_order_relaxed) < check_to_;
}

void WeightPool::check(const Worker&) {
    while (to_check() && check_one()) continue;
}

Status WeightPool::checked() {
    return is_fine() ? Status() : failure();
}

void WeightPool::before_barrier(const Worker& worker) {
    if (worker.rank == 0) collect();
}

// What has come when the last stage but one ends is checked there: only what comes during the last one is left
// for the boundary.
void WeightPool::at_barrier(const Worker& worker) {
    const uint64_t n_claimed = n_claimed_.load(std::memory_order_relaxed);
    const uint64_t n_to_check = n_arrived_.load(std::memory_order_acquire) - n_claimed;
    if (worker.rank == 0) {
        const uint64_t begin = ticks_now();
        size_t n_before = 0;
        do {
            n_before = n_under_way_;
            ask_ahead(kReadsABarrier);
        } while (n_under_way_ != n_before && ticks_now() - begin < layer_ticks_ / kAskingPart);
    }
    const uint64_t share = (n_to_check + worker.count - 1) / worker.count;
    for (uint64_t i = 0; i < share && check_one(); i++) continue;
}

// ---- reading --------------------------------------------------------------------------------

// Streamed layers, numbered through all passes, take the buffers in turns; they come first.
size_t WeightPool::slot_of(uint64_t turn) const {
    const size_t i_layer = layer_of(turn);
    if (n_streamed_ == 0) return i_layer;
    const size_t before = streamed_before(i_layer, n_streamed_, n_layers_);
    if (!is_streamed(i_layer, n_streamed_, n_layers_))
        return PoolShape::kBuffers + i_layer - before;
    return size_t((turn / n_layers_ * n_streamed_ + before) % PoolShape::kBuffers);
}

void WeightPool::put(size_t i_slot, uint32_t extent, uint64_t turn) {
    Slot& slot = slots_[i_slot];
    const Extent& e = weights_->layout.extents[extent];
    slot.extent = extent;
    slot.n_pieces = uint32_t(format::n_pieces_of(e.bytes));
    slot.n_arrived = 0;
    slot.n_asked_bytes = 0;
    slot.turn = turn;
    for (uint32_t i = 0; i < slot.n_pieces; i++) {
        const uint64_t n = std::min(kPieceBytes, round_up(e.bytes, kBlock) - i * kPieceBytes);
        slot.n_reads_left[i] = uint16_t((n + read_bytes_ - 1) / read_bytes_);
    }
    if (e.kind == ExtentKind::layer) views_[i_slot] = weights_->layer(e.layer, slot.data);
}

// Asks for what is still missing, in *n_left reads at most; false when there is more, and those are
// used up or the disk takes no more now.
bool WeightPool::ask(size_t i_slot, size_t* n_left) {
    Slot& slot = slots_[i_slot];
    const Extent& e = weights_->layout.extents[slot.extent];
    const uint64_t end = round_up(e.bytes, kBlock);
    while (slot.n_asked_bytes < end) {
        const uint64_t at = slot.n_asked_bytes, piece = at / kPieceBytes;
        const uint64_t piece_end = std::min(end, (piece + 1) * kPieceBytes);
        const size_t n = size_t(std::min<uint64_t>(read_bytes_, piece_end - at));
        if (*n_left == 0) return false;
        if (!disk_->read(uint64_t(i_slot) << 32 | piece, e.offset + at, n, slot.data + at))
            return false;
        --*n_left;
        if (at == 0) slot.asked_ticks = ticks_now();
        if (n_under_way_ == 0) busy_since_ = ticks_now();
        slot.n_asked_bytes += n;
        n_under_way_++;
    }
    return true;
}

// What stays, once; then streamed layers in the order of their turns, as far as buffers are free.
void WeightPool::ask_ahead(size_t most) {
    if (!read_error_.ok()) return;
    const auto streamed = [&](uint64_t turn) {
        return is_streamed(layer_of(turn), n_streamed_, n_layers_);
    };
    for (; next_resident_ < n_layers_; next_resident_++) {
        if (!streamed(next_resident_) && !ask_for(next_resident_, &most)) return;
    }
    for (; next_ < turn_ + n_layers_; next_++) {
        if (!streamed(next_)) continue;
        // A buffer is free once its layer has had its turn; after a failure that may be before the
        // layer has arrived.
        const Slot& slot = slots_[slot_of(next_)];
        const bool is_other = slot.extent != kNone && slot.turn != next_;
        if (is_other && (slot.turn >= turn_ || !slot.holds(slot.extent))) return;
        if (!ask_for(next_, &most)) return;
    }
}

bool WeightPool::ask_for(uint64_t turn, size_t* n_left) {
    const size_t i_slot = slot_of(turn);
    const uint32_t extent = extent_of(turn);
    if (slots_[i_slot].extent != extent) put(i_slot, extent, turn);
    return ask(i_slot, n_left);
}

void WeightPool::collect() {
    for (size_t n = std::size(done_); n == std::size(done_);) {
        n = disk_->poll(done_);
        for (const DiskReader::Done& done : std::span(done_, n)) arrive(done);
    }
}

void WeightPool::arrive(const DiskReader::Done& done) {
    const uint32_t i_slot = uint32_t(done.tag >> 32), piece = uint32_t(done.tag);
    Slot& slot = slots_[i_slot];
    AXIOM_CHECK(n_under_way_ != 0 && piece < slot.n_pieces && slot.n_reads_left[piece] != 0);
    n_under_way_--;
    const uint64_t now = ticks_now();
    if (n_under_way_ == 0) traffic_.busy_ticks += now - busy_since_;
    if (!done.status.ok()) {
        if (!read_error_.ok()) return;
        read_error_ = error(done.status.code(), weights_->file, ": reading ",
                            weights_->layout.name(slot.extent).view(), " at offset ",
                            Hex{weights_->layout.extents[slot.extent].offset + piece * kPieceBytes},
                            ": ", done.status.text());
        return;
    }
    if (--slot.n_reads_left[piece] != 0) return;
    const uint64_t n = n_arrived_.load(std::memory_order_relaxed);
    arrivals_[n % arrivals_.size()] = {i_slot, piece};
    slot.n_arrived++;
    slot.arrived_by = n + 1;
    n_arrived_.store(n + 1, std::memory_order_release);
    if (slot.n_arrived != slot.n_pieces) return;
    const Extent& e = weights_->layout.extents[slot.extent];
    DiskTraffic::Layer& layer = traffic_of_[e.layer];
    traffic_.n_bytes += e.bytes;
    layer.n_bytes += e.bytes;
    layer.read_ticks += now - std::max(slot.asked_ticks, last_arrival_);
    last_arrival_ = now;
}

Status WeightPool::check_in(const Slot& slot, uint32_t piece) const {
    const FileLayout& layout = weights_->layout;
    return check_piece(weights_->file, layout, slot.extent, piece,
                       layout.piece(slot.extent, piece, slot.data));
}

// Checks a piece that has arrived; false when there is none. On any worker.
bool WeightPool::check_one() {
    uint64_t i = n_claimed_.load(std::memory_order_relaxed);
    do {
        if (i == n_arrived_.load(std::memory_order_acquire)) return false;
    } while (!n_claimed_.compare_exchange_weak(i, i + 1, std::memory_order_relaxed));
    const auto [i_slot, piece] = arrivals_[i % arrivals_.size()];
    Slot& slot = slots_[i_slot];
    const uint64_t begin = ticks_now();
    const bool is_right = check_in(slot, piece).ok();
    check_ticks_.fetch_add(ticks_now() - begin, std::memory_order_relaxed);
    if (is_right) return true;
    slot.wrong.store(true, std::memory_order_relaxed);
    uint64_t nothing = kNothing;
    wrong_.compare_exchange_strong(nothing, i, std::memory_order_relaxed);
    return true;
}

// The slot of the expert that is used least and not now, or a free one.
size_t WeightPool::slot_for_expert() const {
    size_t best = kNone;
    for (size_t i = shape_.n_layer_slots; i < slots_.size(); i++) {
        if (slots_[i].extent == kNone) return i;
        if (slots_[i].turn == expert_turn_) continue;
        if (best == kNone || n_uses_[slots_[i].extent] < n_uses_[slots_[best].extent]) best = i;
    }
    AXIOM_CHECK(best != kNone);
    return best;
}

// ---- when something went wrong --------------------------------------------------------------

bool WeightPool::is_fine() const {
    return read_error_.ok() && wrong_.load(std::memory_order_relaxed) == kNothing;
}

// What it was. Afterwards nothing is under way, and what is not right is read again if it is needed.
Status WeightPool::failure() {
    Status status = read_error_;
    const uint64_t wrong = wrong_.load(std::memory_order_relaxed);
    if (status.ok()) {
        const auto [i_slot, piece] = arrivals_[wrong % arrivals_.size()];
        const Slot& slot = slots_[i_slot];
        status = check_in(slot, piece);
        if (status.ok()) {
            status = error(Code::io, weights_->file, ": ",
                           weights_->layout.name(slot.extent).view(), " piece ", uint64_t{piece},
                           ": wrong when it had arrived, right when looked at again");
        }
    }
    begin_at(turn_);
    return status;
}

// On worker 0, while nobody else checks: the layer of this turn comes next, and nothing is known of
// what follows.
void WeightPool::begin_at(uint64_t turn) {
    stop();
    while (check_one()) continue;
    for (size_t i = 0; i < slots_.size(); i++) {
        Slot& slot = slots_[i];
        if (slot.extent == kNone) continue;
        const bool is_right =
            slot.holds(slot.extent) && !slot.wrong.load(std::memory_order_relaxed);
        const bool is_buffer = n_streamed_ != 0 && i < PoolShape::kBuffers;
        if (is_right && (!is_buffer || slot.turn == turn)) continue;
        if (i >= shape_.n_layer_slots) slot_of_expert_[slot.extent] = kNone;
        slot.extent = kNone;
        slot.wrong.store(false, std::memory_order_relaxed);
    }
    read_error_ = {};
    wrong_.store(kNothing, std::memory_order_relaxed);
    turn_ = next_ = turn;
    next_resident_ = 0;
}

}  // namespace axiom
