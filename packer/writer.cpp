// SPDX-License-Identifier: MIT
#include "packer/writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <thread>

#include "core/hash.h"
#include "core/round.h"
#include "packer/files.h"

namespace axiom::packer {
namespace {

using format::Extent;
using format::ExtentKind;
using format::FileHeader;
using format::TensorEntry;

constexpr uint64_t kPieceBytes = 8 << 20;  // filled, hashed and written at a time

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

// Writes one file front to back: the metadata extents last, because they hold what was measured.
class PackedWriter {
  public:
    PackedWriter(const Plan& plan, const WriteOptions& options, AtomicFile& file, Layout& layout)
        : plan_(plan), options_(options), file_(file), layout_(layout) {
        for (const TensorEntry& entry : layout.entries) total_bytes_ += entry.bytes;
    }

    Status write() {
        if (Status s = file_.resize(layout_.file_bytes); !s.ok()) return s;
        for (size_t i = 0; i < plan_.tensors.size(); i++) {
            if (Status s = write_tensor(plan_.tensors[i], layout_.entries[i]); !s.ok()) return s;
        }
        finish_extent();
        return write_metadata();
    }

  private:
    // The gap before a tensor is part of its extent's bytes; the file already has zeros there.
    void hash_gap(const TensorEntry& entry) {
        static constexpr uint8_t kZeros[format::kTensorAlignment] = {};
        hash_.update(kZeros, size_t(entry.offset - hashed_bytes_));
        hashed_bytes_ = entry.offset;
    }

    void finish_extent() {
        if (hashed_bytes_ != 0) layout_.extents[i_extent_].checksum = hash_.digest();
        hash_.reset();
        hashed_bytes_ = 0;
    }

    Status write_tensor(const PlannedTensor& tensor, TensorEntry& entry) {
        if (entry.extent != i_extent_) {
            finish_extent();
            i_extent_ = entry.extent;
        }
        hash_gap(entry);
        const uint64_t base = layout_.extents[entry.extent].offset + entry.offset;
        const uint64_t step = group_bytes(tensor), groups = n_groups(tensor);
        const uint64_t groups_per_piece = std::max<uint64_t>(1, kPieceBytes / step);
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
            hash_.update(piece_.data(), piece_.size());
            hashed_bytes_ += piece_.size();
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
        Extent& extent = layout_.extents[uint32_t(kind)];
        extent.checksum = Xxh64::of(data, size_t(extent.bytes));
        return file_.write_at(extent.offset, data, size_t(extent.bytes));
    }

    Status write_metadata() {
        if (Status s = write_extent(ExtentKind::config, &plan_.config); !s.ok()) return s;
        if (Status s = write_extent(ExtentKind::tokenizer, plan_.tokenizer.data()); !s.ok())
            return s;
        if (Status s = write_extent(ExtentKind::chat, plan_.chat.data()); !s.ok()) return s;
        if (Status s = write_extent(ExtentKind::tensors, layout_.entries.data()); !s.ok()) return s;

        FileHeader header{};
        memcpy(header.magic, format::kMagic, sizeof header.magic);
        header.version = format::kVersion;
        header.n_extents = uint32_t(layout_.extents.size());
        header.file_bytes = layout_.file_bytes;
        const size_t table_bytes = layout_.extents.size() * sizeof(Extent);
        Xxh64 hash;
        hash.update(&header, sizeof header);
        hash.update(layout_.extents.data(), table_bytes);
        header.head_checksum = hash.digest();
        if (Status s = file_.write_at(0, &header, sizeof header); !s.ok()) return s;
        return file_.write_at(sizeof header, layout_.extents.data(), table_bytes);
    }

    const Plan& plan_;
    const WriteOptions& options_;
    AtomicFile& file_;
    Layout& layout_;
    uint64_t total_bytes_ = 0, done_bytes_ = 0;
    uint32_t i_extent_ = uint32_t(ExtentKind::embedding);
    uint64_t hashed_bytes_ = 0;  // of the extent at work
    Xxh64 hash_;
    std::vector<uint8_t> piece_;
    std::vector<ErrorStats> errors_;
};

}  // namespace

Layout lay_out(const Plan& plan) {
    Layout layout;
    const uint32_t n_layer = plan.config.n_layer;
    layout.extents.resize(format::kNFixedExtents + n_layer);
    for (uint32_t i = 0; i < layout.extents.size(); i++) {
        Extent& extent = layout.extents[i];
        extent.kind = i <= 4                           ? ExtentKind(i)
                      : i + 1 == layout.extents.size() ? ExtentKind::output
                                                       : ExtentKind::layer;
        extent.layer = extent.kind == ExtentKind::layer ? i - uint32_t(ExtentKind::layer) : 0;
    }
    for (const PlannedTensor& tensor : plan.tensors) {
        TensorEntry entry{};
        entry.role = tensor.role;
        entry.extent = extent_of(tensor, n_layer);
        entry.type = tensor.type;
        entry.source_type = tensor.source_type;
        entry.n_rows = tensor.n_rows;
        entry.n_cols = tensor.n_cols;
        entry.bytes = n_groups(tensor) * group_bytes(tensor);
        Extent& extent = layout.extents[entry.extent];
        entry.offset = round_up(extent.bytes, format::kTensorAlignment);
        extent.bytes = entry.offset + entry.bytes;
        layout.entries.push_back(entry);
    }
    layout.extents[uint32_t(ExtentKind::config)].bytes = sizeof plan.config;
    layout.extents[uint32_t(ExtentKind::tokenizer)].bytes = plan.tokenizer.size();
    layout.extents[uint32_t(ExtentKind::chat)].bytes = plan.chat.size();
    layout.extents[uint32_t(ExtentKind::tensors)].bytes =
        layout.entries.size() * sizeof(TensorEntry);

    uint64_t end = sizeof(FileHeader) + layout.extents.size() * sizeof(Extent);
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
