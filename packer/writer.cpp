// SPDX-License-Identifier: MIT
#include "packer/writer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <span>
#include <thread>

#include "core/hash.h"
#include "core/sha256.h"
#include "model/weights/layout.h"
#include "packer/files.h"

namespace axiom::packer {
namespace {

using format::Extent;
using format::ExtentKind;
using format::FileHeader;
using format::TensorEntry;

constexpr uint64_t kFillBytes = 8 << 20;  // filled and written at a time

std::vector<uint8_t> config_bytes(const Plan& plan) {
    std::vector<uint8_t> bytes(sizeof plan.config + plan.layers.size() * sizeof(LayerConfig));
    memcpy(bytes.data(), &plan.config, sizeof plan.config);
    memcpy(bytes.data() + sizeof plan.config, plan.layers.data(),
           plan.layers.size() * sizeof(LayerConfig));
    return bytes;
}

// Fills groups [begin, end) of a tensor, split over threads. The error of the lowest groups wins,
// so that a message does not depend on timing.
Status fill_piece(const Plan& plan, const PlannedTensor& tensor, uint64_t begin, uint64_t end,
                  unsigned n_threads, std::span<uint8_t> out, std::span<ErrorStats> errors) {
    const uint64_t n = end - begin;
    const uint64_t n_shares = std::clamp<uint64_t>(n_threads, 1, n);
    std::vector<Status> results(n_shares);
    const auto share = [&](uint64_t i) {
        const uint64_t first = n * i / n_shares, last = n * (i + 1) / n_shares;
        results[i] = plan.fill(tensor, begin + first, begin + last,
                               out.data() + first * group_bytes(tensor), errors.data() + first);
    };
    std::vector<std::thread> threads;
    for (uint64_t i = 1; i < n_shares; i++) threads.emplace_back(share, i);
    share(0);
    for (std::thread& thread : threads) thread.join();
    for (const Status& result : results) {
        if (!result.ok()) return result;
    }
    return {};
}

// The checksums of an extent's pieces, from its bytes in order; several pieces at a time, since a
// SHA-256 is slower than a disk.
class PieceHasher {
  public:
    PieceHasher(uint64_t n_pieces, unsigned n_threads)
        : sums_(n_pieces), digests_(n_pieces), n_threads_(n_threads) {}

    void begin(const Extent& extent) { i_piece_ = extent.first_piece; }
    void update(const void* data, size_t n_bytes) {
        const auto* bytes = static_cast<const uint8_t*>(data);
        waiting_.insert(waiting_.end(), bytes, bytes + n_bytes);
        if (waiting_.size() >= n_threads_ * format::kPieceBytes) hash(format::kPieceBytes);
    }
    void end() { hash(1); }

    std::span<const uint64_t> sums() const { return sums_; }
    std::span<const Sha256Digest> digests() const { return digests_; }

  private:
    // Hashes all whole pieces, and a shorter one if it has `least` bytes.
    void hash(size_t least) {
        const size_t n_whole = waiting_.size() / format::kPieceBytes;
        const size_t n = n_whole + (waiting_.size() % format::kPieceBytes >= least ? 1 : 0);
        std::atomic<size_t> next{0};
        const auto work = [&] {
            for (size_t i; (i = next++) < n;) {
                const uint8_t* const piece = waiting_.data() + i * format::kPieceBytes;
                const size_t n_bytes = std::min<size_t>(format::kPieceBytes,
                                                        waiting_.size() - i * format::kPieceBytes);
                sums_[i_piece_ + i] = Xxh64::of(piece, n_bytes);
                MerkleLeaf leaf;
                leaf.update(piece, n_bytes);
                digests_[i_piece_ + i] = leaf.digest();
            }
        };
        std::vector<std::thread> threads;
        for (size_t i = 1; i < std::min<size_t>(n_threads_, n); i++) threads.emplace_back(work);
        work();
        for (std::thread& thread : threads) thread.join();
        i_piece_ += n;
        const size_t n_done = std::min(n * format::kPieceBytes, waiting_.size());
        waiting_.erase(waiting_.begin(), waiting_.begin() + ptrdiff_t(n_done));
    }

    std::vector<uint64_t> sums_;
    std::vector<Sha256Digest> digests_;
    unsigned n_threads_;
    std::vector<uint8_t> waiting_;
    uint64_t i_piece_ = 0;
};

// Writes one file front to back: the metadata extents last, because they hold what was measured.
class PackedWriter {
  public:
    PackedWriter(const Plan& plan, const WriteOptions& options, AtomicFile& file, Layout& layout)
        : plan_(plan),
          options_(options),
          file_(file),
          layout_(layout),
          hasher_(layout.n_pieces, std::max(1u, options.n_threads)) {
        for (const TensorEntry& entry : layout.entries) total_bytes_ += entry.bytes;
    }

    Status write() {
        if (Status s = file_.resize(layout_.file_bytes); !s.ok()) return s;
        for (size_t i = 0; i < plan_.tensors.size(); i++) {
            if (Status s = write_tensor(plan_.tensors[i], layout_.entries[i]); !s.ok()) return s;
        }
        hasher_.end();
        return write_metadata();
    }

  private:
    // The gap before a tensor is part of its extent's bytes; the file already has zeros there.
    void hash_gap(const TensorEntry& entry) {
        static constexpr uint8_t kZeros[format::kTensorAlignment] = {};
        if (entry.extent != i_extent_) {
            if (i_extent_ != format::kNone) hasher_.end();
            i_extent_ = entry.extent;
            hashed_bytes_ = 0;
            hasher_.begin(layout_.extents[i_extent_]);
        }
        hasher_.update(kZeros, size_t(entry.offset - hashed_bytes_));
        hashed_bytes_ = entry.offset + entry.bytes;
    }

    Status write_tensor(const PlannedTensor& tensor, TensorEntry& entry) {
        hash_gap(entry);
        const uint64_t base = layout_.extents[entry.extent].offset + entry.offset;
        const uint64_t step = group_bytes(tensor), groups = n_groups(tensor);
        const uint64_t groups_per_piece = std::max<uint64_t>(1, kFillBytes / step);
        ErrorStats all;
        for (uint64_t begin = 0; begin < groups; begin += groups_per_piece) {
            if (options_.stop && options_.stop->load()) {
                return error(Code::interrupted, "stopped while packing ", tensor.name);
            }
            const uint64_t end = std::min(groups, begin + groups_per_piece);
            piece_.resize(size_t((end - begin) * step));
            errors_.assign(size_t(end - begin), {});
            if (Status s =
                    fill_piece(plan_, tensor, begin, end, options_.n_threads, piece_, errors_);
                !s.ok()) {
                return s;
            }
            for (const ErrorStats& group : errors_) {
                all.max = std::max(all.max, group.max);
                all.sum_of_squares += group.sum_of_squares;
            }
            hasher_.update(piece_.data(), piece_.size());
            if (Status s = file_.write_at(base + begin * step, piece_.data(), piece_.size());
                !s.ok()) {
                return s;
            }
            done_bytes_ += piece_.size();
            if (options_.progress) options_.progress(done_bytes_, total_bytes_, tensor);
        }
        entry.max_error = float(all.max);
        entry.rms_error =
            float(std::sqrt(all.sum_of_squares / (double(tensor.n_rows) * double(tensor.n_cols))));
        return {};
    }

    Status write_extent(ExtentKind kind, const void* data) {
        const Extent& extent = layout_.extents[uint32_t(kind)];
        hasher_.begin(extent);
        hasher_.update(data, size_t(extent.bytes));
        hasher_.end();
        return file_.write_at(extent.offset, data, size_t(extent.bytes));
    }

    Status write_metadata() {
        const std::vector<uint8_t> config = config_bytes(plan_);
        if (Status s = write_extent(ExtentKind::config, config.data()); !s.ok()) return s;
        if (Status s = write_extent(ExtentKind::tokenizer, plan_.tokenizer.data()); !s.ok())
            return s;
        if (Status s = write_extent(ExtentKind::chat, plan_.chat.data()); !s.ok()) return s;
        if (Status s = write_extent(ExtentKind::tensors, layout_.entries.data()); !s.ok()) return s;
        return write_head();
    }

    Status write_head() {
        FileHeader header{};
        memcpy(header.magic, format::kMagic, sizeof header.magic);
        header.version = format::kVersion;
        header.n_extents = uint32_t(layout_.extents.size());
        header.file_bytes = layout_.file_bytes;
        header.n_pieces = layout_.n_pieces;
        const Sha256Digest root = merkle_root(header, layout_.extents, hasher_.digests());
        memcpy(header.root, root.data(), root.size());
        header.head_checksum =
            head_checksum(header, layout_.extents, hasher_.sums(), hasher_.digests());
        uint64_t at = 0;
        const auto append = [&](const void* data, size_t n_bytes) -> Status {
            const Status status = file_.write_at(at, data, n_bytes);
            at += n_bytes;
            return status;
        };
        if (Status s = append(&header, sizeof header); !s.ok()) return s;
        const std::span<const Extent> extents = layout_.extents;
        if (Status s = append(extents.data(), extents.size_bytes()); !s.ok()) return s;
        const std::span<const uint64_t> sums = hasher_.sums();
        if (Status s = append(sums.data(), sums.size_bytes()); !s.ok()) return s;
        return append(hasher_.digests().data(), hasher_.digests().size_bytes());
    }

    const Plan& plan_;
    const WriteOptions& options_;
    AtomicFile& file_;
    Layout& layout_;
    PieceHasher hasher_;
    uint64_t total_bytes_ = 0, done_bytes_ = 0;
    uint32_t i_extent_ = format::kNone;
    uint64_t hashed_bytes_ = 0;  // of the extent at work
    std::vector<uint8_t> piece_;
    std::vector<ErrorStats> errors_;
};

}  // namespace

Layout lay_out(const Plan& plan) {
    Layout layout;
    const auto add_extent = [&](ExtentKind kind, uint32_t layer = 0, uint32_t expert = 0) {
        Extent extent{};
        extent.kind = kind;
        extent.layer = layer;
        extent.expert = expert;
        layout.extents.push_back(extent);
    };
    for (uint32_t kind = 0; kind < uint32_t(ExtentKind::embedding); kind++)
        add_extent(ExtentKind(kind));
    for (const PlannedTensor& tensor : plan.tensors) {
        const ExtentKind kind = tensor.spec().kind;
        const Extent& last = layout.extents.back();
        if (last.kind != kind || last.layer != tensor.layer || last.expert != tensor.expert)
            add_extent(kind, tensor.layer, tensor.expert);
        TensorEntry entry{};
        entry.role = tensor.role;
        entry.extent = uint32_t(layout.extents.size() - 1);
        entry.type = tensor.type;
        entry.source_type = tensor.source_type;
        entry.n_rows = tensor.n_rows;
        entry.n_cols = tensor.n_cols;
        entry.bytes = n_groups(tensor) * group_bytes(tensor);
        Extent& extent = layout.extents.back();
        entry.offset = round_up(extent.bytes, format::kTensorAlignment);
        extent.bytes = entry.offset + entry.bytes;
        layout.entries.push_back(entry);
    }
    const auto bytes_of = [&](ExtentKind kind) -> uint64_t& {
        return layout.extents[uint32_t(kind)].bytes;
    };
    bytes_of(ExtentKind::config) = config_bytes(plan).size();
    bytes_of(ExtentKind::tokenizer) = plan.tokenizer.size();
    bytes_of(ExtentKind::chat) = plan.chat.size();
    bytes_of(ExtentKind::tensors) = layout.entries.size() * sizeof(TensorEntry);

    for (Extent& extent : layout.extents) {
        extent.first_piece = uint32_t(layout.n_pieces);
        layout.n_pieces += format::n_pieces_of(extent.bytes);
    }
    uint64_t end = format::head_bytes(layout.extents.size(), layout.n_pieces);
    for (Extent& extent : layout.extents) {
        extent.offset = round_up(end, format::kExtentAlignment);
        end = extent.offset + extent.bytes;
    }
    layout.file_bytes = round_up(end, format::kExtentAlignment);
    return layout;
}

Status write_packed(const Plan& plan, const std::string& path, const WriteOptions& options,
                    Layout* written) {
    Layout layout = lay_out(plan);
    Result<AtomicFile> file = AtomicFile::create(path);
    if (!file.ok()) return file.status();
    if (Status s = PackedWriter(plan, options, file.value(), layout).write(); !s.ok()) return s;
    if (Status s = file.value().commit(); !s.ok()) return s;
    if (written) *written = std::move(layout);
    return {};
}

}  // namespace axiom::packer
