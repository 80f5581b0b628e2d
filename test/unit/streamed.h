// SPDX-License-Identifier: MIT
// A packed file on a disk that tests control, and the weights that stream from it.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "core/disk_reader.h"
#include "model/weights/weight_pool.h"
#include "test/unit/engine.h"

namespace axiom::test {

// Reads are over when polls have made them so. Until then their memory holds garbage.
class FakeDisk final : public DiskReader {
  public:
    explicit FakeDisk(std::span<const uint8_t> file) : file_(file) {}

    Limits allowed = {4096, 8192, 4};
    size_t n_polls_a_read = 1;             // a slow disk: more
    bool last_first = false;               // the order in which reads end
    uint64_t bad_offset = ~uint64_t{0};    // of a byte that cannot be read ...
    size_t n_bad_reads = ~size_t{0};       // ... so many times
    uint64_t wrong_offset = ~uint64_t{0};  // of a byte that comes with a bit flipped
    size_t n_reads = 0;                    // that were asked for
    uint64_t n_bytes = 0;

    size_t n_under_way() const { return reads_.size(); }

    Limits limits() const override { return allowed; }
    bool read(uint64_t tag, uint64_t offset, size_t n, void* to) override {
        if (reads_.size() == allowed.depth) return false;
        REQUIRE((n != 0 && n <= allowed.max_read_bytes));
        REQUIRE((offset | n | reinterpret_cast<uintptr_t>(to)) % allowed.alignment == 0);
        REQUIRE((offset <= file_.size() && n <= file_.size() - offset));
        auto* const begin = static_cast<uint8_t*>(to);
        for (const Read& r : reads_) REQUIRE((begin + n <= r.to || r.to + r.n <= begin));
        memset(to, 0xe5, n);
        reads_.push_back({tag, offset, n, begin, n_polls_a_read});
        n_reads++;
        n_bytes += n;
        return true;
    }
    size_t poll(std::span<Done> done) override {
        for (Read& r : reads_) r.n_polls_left -= r.n_polls_left != 0;
        size_t n = 0;
        while (n < done.size()) {
            const auto is_over = [](const Read& r) { return r.n_polls_left == 0; };
            auto r = std::find_if(reads_.begin(), reads_.end(), is_over);
            if (last_first) {
                const auto last = std::find_if(reads_.rbegin(), reads_.rend(), is_over);
                r = last == reads_.rend() ? reads_.end() : std::prev(last.base());
            }
            if (r == reads_.end()) break;
            done[n++] = finish(*r);
            reads_.erase(r);
        }
        return n;
    }
    uint64_t n_retries() const override { return 0; }

  private:
    struct Read {
        uint64_t tag, offset;
        size_t n;
        uint8_t* to;
        size_t n_polls_left;
        bool covers(uint64_t place) const { return place >= offset && place - offset < n; }
    };
    Done finish(const Read& r) {
        if (r.covers(bad_offset) && n_bad_reads != 0) {
            n_bad_reads--;
            return {r.tag, error(Code::io, "LBA 1234, unrecovered read error")};
        }
        std::copy_n(file_.data() + r.offset, r.n, r.to);
        if (r.covers(wrong_offset)) r.to[wrong_offset - r.offset] ^= 0x10;
        return {r.tag, {}};
    }

    std::span<const uint8_t> file_;
    std::vector<Read> reads_;
};

// What a loader keeps of a file whose layers are streamed.
class Frame {
  public:
    explicit Frame(std::span<const uint8_t> file) {
        struct Bytes final : ByteSource {
            explicit Bytes(std::span<const uint8_t> b) : bytes(b) {}
            Status read(uint64_t offset, std::span<uint8_t> out) override {
                std::copy_n(bytes.data() + offset, out.size(), out.data());
                return {};
            }
            std::span<const uint8_t> bytes;
        } source(file);
        const Result<uint64_t> n = frame_bytes("test.axm", file.size(), source);
        INFO(n.status().text());
        REQUIRE(n.ok());
        bytes_ = AlignedBytes(size_t(n.value()));
        const Status loaded = load_frame(
            "test.axm", file.size(), source, bytes_.span(), [](void*, uint64_t) {}, nullptr);
        INFO(loaded.text());
        REQUIRE(loaded.ok());
        const Result<Weights> opened = Weights::open("test.axm", bytes_.span(), file.size());
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        weights = opened.value();
        REQUIRE_FALSE(weights.has_layers());
    }
    Frame(const Frame&) = delete;
    // The extent of a layer, or of an expert of it.
    const format::Extent& layer(size_t i) const {
        return weights.layout.extents[weights.layout.find(format::ExtentKind::layer, i)];
    }
    const format::Extent& expert(size_t i_layer, size_t i) const {
        return weights.layout.extents[weights.layout.find(format::ExtentKind::expert, i_layer, i)];
    }

    Weights weights;

  private:
    AlignedBytes bytes_;
};

// An engine whose layers come from a disk. The pool has exactly the memory that its plan says.
class StreamedEngine {
  public:
    StreamedEngine(const Frame& frame, DiskReader& disk, const PoolShape& shape,
                   const Kernels& kernels, const EngineShape& engine_shape)
        : engine_(frame.weights, kernels, engine_shape, &pool_) {
        SlabPlan plan;
        pool_.plan(frame.weights, shape, plan);
        slab_.create(plan);
        started = pool_.start(
            frame.weights, disk, *slab_, engine_.team(),
            [](void* told, uint64_t n_bytes) { *static_cast<uint64_t*>(told) = n_bytes; },
            &n_told_bytes);
    }
    ~StreamedEngine() { pool_.stop(); }
    Engine* operator->() { return &engine_; }
    WeightPool& pool() { return pool_; }

    Status started;
    uint64_t n_told_bytes = 0;  // by start(), at last

  private:
    PlannedSlab slab_;
    WeightPool pool_;
    Engine engine_;
};

}  // namespace axiom::test
