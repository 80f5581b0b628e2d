// SPDX-License-Identifier: MIT
// Matmul of several tokens by panels: up to kPanelGroups row groups x 256 columns are unpacked once,
// into the first-level cache, and all tokens go past, a few at a time. The sums of a tile, of blocks
// and of rows, stay in registers meanwhile; a load of weights serves every token of the tile, a load
// of activations every group.
// Source of the scheme: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
// ACM TOMS 34 (2008).
#pragma once

#include <iterator>

#include "core/kernels/matmul.h"

namespace axiom::kernels {

// 3 groups x 4 tokens: 12 sums of a block, 12 of rows, 3 weights and the activations.
inline constexpr size_t kPanelGroups = 3;
inline constexpr size_t kPanelBlocks = kSuperBlocks;
// q6k has a third set of sums: the scaled ones of a block's first half.
[[gnu::always_inline]] constexpr size_t panel_tokens(StoredType t) {
    return t == StoredType::q6k ? 2 : 4;
}
// Rows that take turns before the next columns do: their sums and the activations of these columns
// share the second-level cache, whoever else needs it.
inline constexpr size_t kRunRows = 480;
// Tokens that share one reading of the weights.
inline constexpr size_t kPassTokens = 128;

template <PanelLanes V, StoredType type, size_t R>
struct Panel {
    Rows<V, type> rows[kPanelBlocks][R];

    [[gnu::always_inline]] void unpack(const uint8_t* block, size_t group_stride, size_t n_blocks) {
        for (size_t i = 0; i < R; i++, block += group_stride) {
            const uint8_t* p = block;
            SuperScale<V> super = {};
            if constexpr (is_k_quant(type)) {
                super = read_super_scale<V, type>(p, 0);
                p += super_scale_bytes(type);
            }
            for (size_t b = 0; b < n_blocks; b++, p += block_bytes(type))
                rows[b][i].read(p, 0, super);
        }
    }
};

// The weights of the panel that follows, fetched line by line while one is multiplied.
struct Upcoming {
    const uint8_t* block = nullptr;
    size_t group_stride = 0;
    size_t n_bytes = 0;  // of each group
    size_t n_groups = 0;
    size_t offset = 0;

    [[gnu::always_inline]] size_t n_lines() const { return n_groups * (n_bytes / 64 + 1); }
    [[gnu::always_inline]] void fetch(size_t n_lines) {
        for (; n_lines != 0 && n_groups != 0; n_lines--) {
            __builtin_prefetch(block + offset, 0, 2);
            offset += 64;
            if (offset < n_bytes) continue;
            offset = 0;
            block += group_stride;
            n_groups--;
        }
    }
};

// Adds the products of columns [4 first, 4 (first + n)) of a block; between() once every 4 columns.
template <PanelLanes V, size_t first, size_t n, class Row, size_t R, size_t T, class F>
[[gnu::always_inline]] inline void multiply_columns(const Row (&rows)[R], const uint8_t* q,
                                                    Ints<V> (&sums)[R][T], F between) {
#pragma GCC unroll 8
    for (size_t k = first; k < first + n; k++) {
        between();
#pragma GCC unroll 16
        for (size_t t = 0; t < T; t++) {
            const uint8_t* const x = q + QuantizedActs::q_at(t) + 4 * k;
            if constexpr (R == 1) {
                sums[0][t] = dot4_at<V>(sums[0][t], rows[0].w[k], x);
            } else {
                const Ints<V> columns = V::broadcast4(x);
#pragma GCC unroll 4
                for (size_t i = 0; i < R; i++)
                    sums[i][t] = V::dot4(sums[i][t], rows[i].w[k], columns);
            }
        }
    }
}

// Adds one block of R groups times T tokens to acc, all of them at once: so many sums are under way
// that none waits for the one before it. between(): 8 times, spread over them.
template <PanelLanes V, StoredType type, size_t R, size_t T, class F>
[[gnu::always_inline]] inline void add_tile(const Rows<V, type> (&rows)[R],
                                            const Acts<QuantizedActs::kTileWidth>& x,
                                            Reg<V> (&acc)[R][T], F between) {
    using A = QuantizedActs;
    Ints<V> sums[R][T];
    Reg<V> products[R][T];  // whole numbers
    if constexpr (type == StoredType::q6k) {
        for_tile<R, T>([&](size_t i, size_t t) {
            sums[i][t] = V::set1_ints(x.int_field(A::minus_32_low_sum, t));
        });
        multiply_columns<V, 0, 4>(rows, x.q, sums, between);
        for_tile<R, T>([&](size_t i, size_t t) {
            products[i][t] = V::mul(V::to_floats(sums[i][t]), rows[i].scale_low);
            sums[i][t] = V::set1_ints(x.int_field(A::minus_32_high_sum, t));
        });
        multiply_columns<V, 4, 4>(rows, x.q, sums, between);
        for_tile<R, T>([&](size_t i, size_t t) {
            products[i][t] =
                V::add(products[i][t], V::mul(V::to_floats(sums[i][t]), rows[i].scale_high));
        });
    } else {
        for_tile<R, T>([&](size_t i, size_t t) { sums[i][t] = start<V, type>(x, t); });
        multiply_columns<V, 0, 8>(rows, x.q, sums, between);
        for_tile<R, T>([&](size_t i, size_t t) { products[i][t] = V::to_floats(sums[i][t]); });
    }
    for_tile<R, T>([&](size_t i, size_t t) {
        acc[i][t] = add_scaled_products<V, type>(acc[i][t], products[i][t], rows[i], x, t);
    });
}

// y[t, rows] += panel x, or = panel x if it is the row's first. x: of the tile's first token, in the
// panel's first block.
template <PanelLanes V, StoredType type, size_t R, size_t T>
[[gnu::noinline]] void multiply_panel(const Panel<V, type, R>& panel, size_t n_blocks,
                                      bool is_first, Acts<QuantizedActs::kTileWidth> x, float* y,
                                      size_t y_stride) {
    Reg<V> acc[R][T];
    for_tile<R, T>([&](size_t i, size_t t) {
        acc[i][t] = is_first ? V::set1(0) : V::load(y + t * y_stride + i * V::kWidth);
    });
    for (size_t b = 0; b < n_blocks; b++) {
        add_tile<V, type>(panel.rows[b], x, acc, [] {});
        x.to_next_block();
    }
    for_tile<R, T>(
        [&](size_t i, size_t t) { V::store(y + t * y_stride + i * V::kWidth, acc[i][t]); });
}

// What all panels of a matmul share.
struct PanelJob {
    const uint8_t* weights;
    const QuantizedActs& x;
    float* y;
    size_t y_stride;
    size_t n_blocks;
    size_t token_begin, token_end;
};

// R groups from `row` on, columns of blocks [b, b + kPanelBlocks), all tokens.
template <PanelLanes V, StoredType type, size_t R>
[[gnu::noinline]] void multiply_tokens(const PanelJob& job, size_t row, size_t b,
                                       Upcoming upcoming) {
    constexpr size_t T = panel_tokens(type);
    const size_t n_blocks = least(kPanelBlocks, job.n_blocks - b);
    const size_t group_stride = group_bytes(type, job.n_blocks);
    alignas(64) Panel<V, type, R> panel;
    panel.unpack(job.weights + row / kGroupRows * group_stride + super_block_offset(type, b),
                 group_stride, n_blocks);
    const size_t lines_a_token = upcoming.n_lines() / (job.token_end - job.token_begin) + 1;
    for (size_t t = job.token_begin; t < job.token_end;) {
        const auto x = Acts<QuantizedActs::kTileWidth>::of(job.x, t, b);
        float* const y = job.y + t * job.y_stride + row;
        if (t + T <= job.token_end) {
            multiply_panel<V, type, R, T>(panel, n_blocks, b == 0, x, y, job.y_stride);
            upcoming.fetch(T * lines_a_token);
            t += T;
        } else {
            multiply_panel<V, type, R, 1>(panel, n_blocks, b == 0, x, y, job.y_stride);
            upcoming.fetch(lines_a_token);
            t++;
        }
    }
}

// Rows [begin, end): panel after panel down the rows, then the next columns.
template <PanelLanes V, StoredType type>
void multiply_run(const PanelJob& job, size_t begin, size_t end) {
    const size_t group_stride = group_bytes(type, job.n_blocks);
    const auto groups_at = [&](size_t row) {
        return least(kPanelGroups, (end - row) / kGroupRows);
    };
    for (size_t b = 0; b < job.n_blocks; b += kPanelBlocks) {
        for (size_t row = begin; row < end;) {
            const size_t n_groups = groups_at(row), row_after = row + n_groups * kGroupRows;
            const size_t next_row = row_after < end ? row_after : begin;
            const size_t next_b = row_after < end ? b : b + kPanelBlocks;
            Upcoming next;
            if (next_b < job.n_blocks) {
                next = {job.weights + next_row / kGroupRows * group_stride +
                            super_block_offset(type, next_b),
                        group_stride, group_bytes(type, least(kPanelBlocks, job.n_blocks - next_b)),
                        groups_at(next_row)};
            }
            if (n_groups == 3)
                multiply_tokens<V, type, 3>(job, row, b, next);
            else if (n_groups == 2)
                multiply_tokens<V, type, 2>(job, row, b, next);
            else
                multiply_tokens<V, type, 1>(job, row, b, next);
            row = row_after;
        }
    }
}

// --- a few tokens: weights go by once, from memory, a row group after the other

// Up to so many tokens it is faster than panels are.
inline constexpr size_t kFewTokens = 24;
// Tokens whose sums one pass over a group adds up, at most: two registers of sums each, of the block
// and of the row, beside those of the weights. q6k has a third.
[[gnu::always_inline]] constexpr size_t pass_tokens(StoredType t) {
    return t == StoredType::q6k ? 4 : 12;
}

// y[t, rows] = the group at p times T tokens. Meanwhile `ahead` is fetched, ahead_bytes a block: a line at a
// time, as all of a block's at once would take the buffers that its own lines come through.
template <PanelLanes V, StoredType type, size_t T>
[[gnu::noinline]] void multiply_few(const uint8_t* p, size_t n_blocks,
                                    Acts<QuantizedActs::kTileWidth> x, const uint8_t* ahead,
                                    size_t ahead_bytes, float* y, size_t y_stride) {
    Reg<V> acc[1][T];
    for_tile<1, T>([&](size_t, size_t t) { acc[0][t] = V::set1(0); });
    SuperScale<V> super = {};
    for (size_t b = 0; b < n_blocks; b++) {
        if constexpr (is_k_quant(type)) {
            if (b % kSuperBlocks == 0) {
                super = read_super_scale<V, type>(p, 0);
                p += super_scale_bytes(type);
            }
        }
        Rows<V, type> rows[1];
        rows[0].read(p, 0, super);
        const uint8_t* const end = ahead + ahead_bytes;
        add_tile<V, type>(rows, x, acc, [&] {
            if (ahead < end) __builtin_prefetch(ahead, 0, 2);
            ahead += 64;
        });
        for (; ahead < end; ahead += 64) __builtin_prefetch(ahead, 0, 2);
        ahead = end;
        p += block_bytes(type);
        x.to_next_block();
    }
    for_tile<1, T>([&](size_t, size_t t) { V::store(y + t * y_stride, acc[0][t]); });
}

// multiply_few<V, type, n_tokens>
using Few = void (*)(const uint8_t* p, size_t n_blocks, Acts<QuantizedActs::kTileWidth> x,
                     const uint8_t* ahead, size_t ahead_bytes, float* y, size_t y_stride);
template <PanelLanes V, StoredType type, size_t... i>
Few few_of(size_t n_tokens, std::index_sequence<i...>) {
    static constexpr Few kFew[] = {multiply_few<V, type, i + 1>...};
    return kFew[n_tokens - 1];
}

template <PanelLanes V, StoredType type>
void multiply_groups(const uint8_t* weights, const QuantizedActs& x, size_t n_tokens, float* y,
                     size_t y_stride, size_t row_begin, size_t row_end) {
    constexpr size_t kMost = pass_tokens(type);
    const size_t n_blocks = x.n_cols / kBlockCols, group_stride = group_bytes(type, n_blocks);
    // Passes over a group find it in the cache after the first, and share the fetching of the group that
    // follows.
    constexpr size_t kHalf =
        QuantizedActs::kTileWidth / 2;  // no pass reaches across interleaved tokens
    const size_t most = n_tokens > QuantizedActs::kTileWidth ? least(kMost, kHalf) : kMost;
    const size_t n_passes = (n_tokens + most - 1) / most;
    const size_t n_each = most <= kHalf ? most : (n_tokens + n_passes - 1) / n_passes;
    const size_t ahead_bytes = (group_stride / n_blocks + n_passes) / n_passes;
    for (size_t row = row_begin; row < row_end; row += kGroupRows) {
        const uint8_t* const group = weights + row / kGroupRows * group_stride;
        const uint8_t* ahead = group + group_stride;
        for (size_t t = 0; t < n_tokens; t += n_each, ahead += n_blocks * ahead_bytes) {
            few_of<V, type>(least(n_each, n_tokens - t), std::make_index_sequence<kMost>())(
                group, n_blocks, Acts<QuantizedActs::kTileWidth>::of(x, t), ahead, ahead_bytes,
                y + t * y_stride + row, y_stride);
        }
    }
}

// As few tokens as read the way that one does: their sums of up to four row groups fit the registers.
template <PanelLanes V, StoredType type>
void multiply_streams_of(size_t n_tokens, const uint8_t* weights, const QuantizedActs& x, float* y,
                         size_t y_stride, size_t row_begin, size_t row_end,
                         const Reading& reading) {
    constexpr size_t W = QuantizedActs::kTileWidth;
    constexpr decltype(&multiply_streams<V, type, 1, W>) kStreams[] = {
        multiply_streams<V, type, 1, W>, multiply_streams<V, type, 2, W>,
        multiply_streams<V, type, 3, W>, multiply_streams<V, type, 4, W>};
    static_assert(std::size(kStreams) == Reading::kMostTokens);
    kStreams[n_tokens - 1](weights, x, y, y_stride, row_begin, row_end, reading);
}

template <PanelLanes V>
struct Panels {
    static constexpr bool kReadsFewAlike = true;

    template <StoredType type>
    static void matmul(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y,
                       size_t y_stride, size_t row_begin, size_t row_end, const Reading& reading) {
        const uint8_t* const w = static_cast<const uint8_t*>(weights);
        if (x.width == 1) return multiply_one<V, type>(w, x, y, row_begin, row_end, reading);
        if (n_tokens <= reading.n_tokens) {
            return multiply_streams_of<V, type>(n_tokens, w, x, y, y_stride, row_begin, row_end,
                                                reading);
        }
        if (n_tokens <= kFewTokens)
            return multiply_groups<V, type>(w, x, n_tokens, y, y_stride, row_begin, row_end);
        for (size_t t = 0; t < n_tokens; t += kPassTokens) {
            const PanelJob job = {
                w, x, y, y_stride, x.n_cols / kBlockCols, t, least(t + kPassTokens, n_tokens)};
            for (size_t row = row_begin; row < row_end; row += kRunRows)
                multiply_run<V, type>(job, row, least(row + kRunRows, row_end));
        }
    }
};

}  // namespace axiom::kernels
