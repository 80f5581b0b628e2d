// SPDX-License-Identifier: MIT
#include "model/engine/state.h"

#include <algorithm>
#include <cstring>

namespace axiom {
namespace {

// The slab classes: name, bytes of one object, number. Everything is derived from StateShape, so
// that memory_needed() and create() can never disagree.
struct ClassPlan {
    std::string_view name;
    size_t object_bytes;
    size_t count;
};

enum ClassIndex : size_t { kActivation, kQuantized, kOwn, kLogits, kKvTable, kKv, kNClasses };

struct Strides {
    size_t embd, q, kv, ff, vocab, scores, rope;

    explicit Strides(const StateShape& s)
        : embd(round_up(s.config.n_embd, 16)),
          q(round_up(s.layer().n_q(), 16)),
          kv(round_up(s.layer().n_kv(), 16)),
          ff(round_up(s.layer().n_ff, 16)),
          vocab(round_up(s.config.n_vocab, 16)),
          scores(round_up(s.n_ctx, kKvPositions)),
          rope(round_up(2 * s.config.rope_pairs(), 16)) {}

    size_t widest() const {
        size_t w = embd;
        for (const size_t other : {q, kv, ff, rope}) w = other > w ? other : w;
        return w;
    }
};

size_t quantized_cols(size_t n) {
    return round_up(n, kBlockCols);
}

// A worker's own floats: scores and gathered heads of kMaxQueries queries, a normed row.
size_t own_floats(const StateShape& s) {
    const Strides strides(s);
    return kMaxQueries * (strides.scores + s.layer().head_dim_padded()) + strides.embd;
}

// One activation object holds the widest [n_batch, ...] array; ten of them are in use.
constexpr size_t kNActivations = 10;

void plan(const StateShape& s, ClassPlan out[kNClasses]) {
    const Strides strides(s);
    const size_t widest_quantized =
        quantized_cols(std::max({s.config.n_embd, s.layer().n_q(), size_t{s.layer().n_ff}}));
    out[kActivation] = {"activation", s.n_batch * strides.widest() * sizeof(float), kNActivations};
    out[kQuantized] = {"quantized", quantized_acts_bytes(widest_quantized, s.n_batch), 3};
    out[kOwn] = {
        "worker",
        own_floats(s) * sizeof(float) + quantized_acts_bytes(quantized_cols(s.config.n_embd), 1),
        s.n_workers};
    out[kLogits] = {"logits", strides.vocab * sizeof(float), s.n_logit_rows};
    out[kKvTable] = {"kv_table", s.config.n_layer * s.kv_blocks_per_layer() * sizeof(void*), 1};
    out[kKv] = {"kv", s.kv_block_bytes(), s.config.n_layer * s.kv_blocks_per_layer()};
}

}  // namespace

size_t StateShape::kv_block_bytes() const {
    return 2 * layer().n_head_kv * kKvPositions * layer().head_dim_padded() * sizeof(uint16_t);
}

void StateShape::slab_shapes(Slab::Shape (&out)[StateShape::kNClasses]) const {
    static_assert(StateShape::kNClasses == axiom::kNClasses);
    ClassPlan classes[axiom::kNClasses];
    plan(*this, classes);
    for (size_t i = 0; i < axiom::kNClasses; i++)
        out[i] = {classes[i].object_bytes, classes[i].count};
}

bool StateShape::total_bytes(uint64_t* out) const {
    // The limits of model/format/format.h keep each class below 2^63; only the sums can overflow.
    ClassPlan classes[axiom::kNClasses];
    plan(*this, classes);
    uint64_t total = 0;
    for (const ClassPlan& c : classes) {
        uint64_t bytes;
        // The object, its alignment, its bit in the bitmap (rounded up generously).
        if (!checked_mul(round_up(c.object_bytes, Slab::kAlignment) + 1, c.count, &bytes))
            return false;
        if (!checked_add(total, bytes + 4096, &total)) return false;
    }
    *out = total;
    return true;
}

Result<State> State::create(Slab& slab, const StateShape& shape) {
    ClassPlan classes[kNClasses];
    plan(shape, classes);
    Slab::ClassId ids[kNClasses];
    for (size_t i = 0; i < kNClasses; i++) {
        Result<Slab::ClassId> id =
            slab.create_class(classes[i].name, classes[i].object_bytes, classes[i].count);
        if (!id.ok()) return id.status();
        ids[i] = id.value();
    }
    const auto floats = [&](ClassIndex i) { return static_cast<float*>(slab.allocate(ids[i])); };

    State s;
    s.shape = shape;
    s.slab_ = &slab;
    s.kv_class_ = ids[kKv];
    const Strides strides(shape);
    s.embd_stride = strides.embd;
    s.q_stride = strides.q;
    s.kv_stride = strides.kv;
    s.ff_stride = strides.ff;
    s.vocab_stride = strides.vocab;
    s.scores_stride = strides.scores;
    for (float** array : {&s.x, &s.normed, &s.q, &s.k, &s.v, &s.projected, &s.gate, &s.up,
                          &s.rope_cos, &s.rope_sin}) {
        *array = floats(kActivation);
    }
    const auto acts = [&](size_t n_cols) {
        return quantized_acts_in(slab.allocate(ids[kQuantized]), quantized_cols(n_cols),
                                 shape.n_batch);
    };
    s.embd_acts = acts(shape.config.n_embd);
    s.attn_acts = acts(shape.layer().n_q());
    s.ff_acts = acts(shape.layer().n_ff);
    for (size_t i = 0; i < shape.n_workers; i++) {
        State::Own& own = s.own[i];
        own.scores = floats(kOwn);
        own.gathered = own.scores + kMaxQueries * strides.scores;
        own.normed = own.gathered + kMaxQueries * shape.layer().head_dim_padded();
        own.acts =
            quantized_acts_in(own.normed + strides.embd, quantized_cols(shape.config.n_embd), 1);
    }
    // Logit rows are separate objects; a class carved from one range lays them end to end, and
    // State needs no more than that each row can be found.
    for (size_t i = 0; i < shape.n_logit_rows; i++) s.logits[i] = floats(kLogits);
    s.kv_table = static_cast<uint16_t**>(slab.allocate(ids[kKvTable]));
    memset(s.kv_table, 0, classes[kKvTable].object_bytes);
    return s;
}

Status State::grow(size_t n_tokens) {
    const size_t n_layer = shape.config.n_layer;
    const size_t per_layer = shape.kv_blocks_per_layer();
    if (n_past + n_tokens > shape.n_ctx) {
        return error(Code::no_memory, "context full: ", uint64_t(n_past + n_tokens), " positions, ",
                     uint64_t(shape.n_ctx), " allowed");
    }
    const size_t first = (n_past + kKvPositions - 1) / kKvPositions;
    const size_t last = (n_past + n_tokens + kKvPositions - 1) / kKvPositions;
    for (size_t block = first; block < last; block++) {
        for (size_t layer = 0; layer < n_layer; layer++) {
            // A pass that was stopped has taken its blocks already.
            if (kv_table[layer * per_layer + block] != nullptr) continue;
            void* const memory = slab_->allocate(kv_class_);
            AXIOM_CHECK(memory != nullptr);  // the class holds n_ctx positions of every layer
            // The kernels read lanes past head_dim and positions past the sequence: zeros, not
            // NaNs.
            memset(memory, 0, shape.kv_block_bytes());
            kv_table[layer * per_layer + block] = static_cast<uint16_t*>(memory);
        }
    }
    return {};
}

void State::reset() {
    const size_t n = shape.config.n_layer * shape.kv_blocks_per_layer();
    for (size_t i = 0; i < n; i++) {
        if (kv_table[i] != nullptr) slab_->free(kv_class_, kv_table[i]);
        kv_table[i] = nullptr;
    }
    n_past = 0;
}

uint16_t* State::k_block(size_t layer, size_t block, size_t head_kv) const {
    const size_t head_size = kKvPositions * shape.layer().head_dim_padded();
    return kv_table[layer * shape.kv_blocks_per_layer() + block] + head_kv * head_size;
}

uint16_t* State::v_block(size_t layer, size_t block, size_t head_kv) const {
    return k_block(layer, block, shape.layer().n_head_kv + head_kv);
}

}  // namespace axiom
