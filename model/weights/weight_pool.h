// SPDX-License-Identifier: MIT
// Weights larger than memory: a WeightSource that keeps as many layers as its memory holds and reads
// the others ahead of their turn, into buffers that take turns. Streamed layers alternate with
// resident ones, reading goes on from the last layer to the first of the next pass, and what has
// arrived is checked against the file's sums before anybody uses it.
// Must not know: what kind of disk it is, or what a layer computes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/disk_reader.h"
#include "core/slab_plan.h"
#include "core/team.h"
#include "model/weights/weight_source.h"

namespace axiom {

// How much memory a pool has, in slots. A slot holds one extent: a layer, or an expert of any layer.
struct PoolShape {
    // All layers, each in its own; or fewer, of which kBuffers take turns and the others keep theirs.
    uint32_t n_layer_slots = 0;
    // Enough for all experts of a layer, as a pass of many rows may choose them all. They stay until
    // others need the slot that are used more.
    uint32_t n_expert_slots = 0;

    static constexpr uint32_t kBuffers = 2;

    // Shapes by size: 0 is the least that runs, the last one holds everything.
    static PoolShape at(const ModelConfig& config, uint64_t i);
    static uint64_t last(const ModelConfig& config);

    // Layers that do not stay.
    size_t n_streamed(size_t n_layers) const {
        return n_layer_slots < n_layers ? n_layers + kBuffers - n_layer_slots : 0;
    }
    // Bytes of the file that stay in memory, the frame's included. Slots of experts are counted full.
    uint64_t resident_bytes(const Weights& weights) const;
};

// What was read since somebody asked to count anew.
struct DiskTraffic {
    struct Layer {
        uint64_t n_bytes = 0;     // of its extents, experts included
        uint64_t read_ticks = 0;  // until they came, from when they were next on the disk
    };
    uint64_t n_layers = 0;  // that were released
    uint64_t n_bytes = 0;
    uint64_t ticks = 0;        // since then
    uint64_t busy_ticks = 0;   // with reads under way
    uint64_t wait_ticks = 0;   // in which worker 0 waited for them
    uint64_t check_ticks = 0;  // of all workers, comparing sums
    std::span<const Layer> layers;
    // start(), when there was nothing else to do.
    uint64_t start_bytes = 0, start_ticks = 0;
    uint64_t n_retries = 0;  // since start()
};

class WeightPool final : public WeightSource {
  public:
    WeightPool() = default;
    WeightPool(const WeightPool&) = delete;
    WeightPool& operator=(const WeightPool&) = delete;
    ~WeightPool() { stop(); }

    // Adds its memory to a plan; the pool stays where it is until that is created.
    void plan(const Weights& weights, const PoolShape& shape, SlabPlan& plan);
    // Reads what stays, and what comes first of the rest, as fast as the disk can, checked by the
    // whole team. `weights` (without layers), disk and slab outlive the pool. `progress` is called on worker 0,
    // often, with the bytes of extents that have arrived.
    Status start(const Weights& weights, DiskReader& disk, Slab& slab, Team& team,
                 LoadProgress progress, void* context);
    // Waits until no read is under way, so that the memory may be used for something else.
    void stop();

    // The layers that are in memory now, in their order: at most out.size().
    size_t present(std::span<const LayerWeights*> out);

    bool is_started() const { return disk_ != nullptr; }
    void count_anew();
    DiskTraffic traffic() const;

    Status acquire(size_t i_layer, const LayerWeights** layer) override;
    void release(size_t i_layer) override;
    Status acquire_experts(size_t i_layer, std::span<const uint32_t> experts,
                           ExpertWeights* out) override;
    bool works() const override { return !has_all_; }
    uint64_t wait_ticks() const override { return wait_ticks_; }
    bool to_check() const override;
    void check(const Worker& worker) override;
    Status checked() override;
    void before_barrier(const Worker& worker) override;
    void at_barrier(const Worker& worker) override;

  private:
    // The place of one extent. Worker 0 writes it, but for `wrong`.
    struct Slot {
        uint8_t* data = nullptr;
        uint32_t extent = format::kNone;  // whose bytes are here or on their way
        uint32_t n_pieces = 0, n_arrived = 0;
        uint64_t n_asked_bytes = 0;  // from the extent's start
        uint64_t arrived_by = 0;     // n_arrived_ of the pool when the last piece had come
        uint64_t turn = 0;           // of the layer it is for, or of the last use of an expert
        uint64_t asked_ticks = 0;    // when the first read was asked for
        uint16_t* n_reads_left = nullptr;  // [n_pieces], until a piece is here
        std::atomic<bool> wrong{false};    // a piece is not what the file says

        bool holds(uint32_t i_extent) const { return extent == i_extent && n_arrived == n_pieces; }
    };
    struct Piece {
        uint32_t slot, piece;
    };

    // A turn is one layer of one pass: turn t is of layer t modulo their number.
    size_t layer_of(uint64_t turn) const { return size_t(turn % n_layers_); }
    uint32_t extent_of(uint64_t turn) const {
        return weights_->layout.find(format::ExtentKind::layer, layer_of(turn));
    }
    size_t slot_of(uint64_t turn) const;

    void touch(const Worker& worker);
    void put(size_t i_slot, uint32_t extent, uint64_t turn);
    bool ask(size_t i_slot, size_t* n_left);
    bool ask_for(uint64_t turn, size_t* n_left);
    void ask_ahead(size_t most);
    void collect();
    void arrive(const DiskReader::Done& done);
    Status check_in(const Slot& slot, uint32_t piece) const;
    bool check_one();
    size_t slot_for_expert() const;
    bool is_fine() const;
    Status failure();
    void begin_at(uint64_t turn);

    const Weights* weights_ = nullptr;
    DiskReader* disk_ = nullptr;
    PoolShape shape_;
    size_t n_layers_ = 0, n_streamed_ = 0;
    bool has_all_ = false;   // nothing will be read any more
    size_t read_bytes_ = 0;  // of a read, at most

    Slab::ClassId layer_class_ = 0, expert_class_ = 0;
    std::span<Slot> slots_;               // of layers, then of experts
    std::span<LayerWeights> views_;       // of each slot of layers
    std::span<uint16_t> reads_left_;      // of all pieces of all slots
    std::span<uint32_t> slot_of_expert_;  // by extent; kNone
    std::span<uint32_t> n_uses_;          // of experts, by extent

    uint64_t turn_ = 0;         // of the layer that is acquired, or will be next
    uint64_t next_ = 0;         // of the streamed layer that is asked for next
    size_t next_resident_ = 0;  // layer that is asked for next of those that stay
    uint64_t expert_turn_ = 0;  // counts acquire_experts()
    size_t n_under_way_ = 0;    // reads
    Status read_error_;         // of the first that failed

    // Pieces in the order in which they came; workers take them from there to check them.
    std::span<Piece> arrivals_;  // a ring, as long as there are pieces in all slots
    std::atomic<uint64_t> n_arrived_{0}, n_claimed_{0};
    uint64_t check_to_ = 0;  // arrivals before this one are of what was acquired last
    static constexpr uint64_t kNothing = ~uint64_t{0};
    std::atomic<uint64_t> wrong_{kNothing};  // the arrival that was found wrong first

    DiskReader::Done done_[16];

    DiskTraffic traffic_;                       // but for what is counted elsewhere
    std::span<DiskTraffic::Layer> traffic_of_;  // [n_layers]
    uint64_t begin_ticks_ = 0, busy_since_ = 0, last_arrival_ = 0;
    uint64_t released_ticks_ = 0, layer_ticks_ = 0;  // between two releases
    uint64_t wait_ticks_ = 0, waited_before_ = 0;    // before it was counted anew
    std::atomic<uint64_t> check_ticks_{0};
};

}  // namespace axiom
