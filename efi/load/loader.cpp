// SPDX-License-Identifier: MIT
#include "efi/load/loader.h"

#include <algorithm>

#include "core/round.h"
#include "efi/boot/files.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"
#include "efi/load/disks.h"
#include "efi/load/low_bytes.h"
#include "model/weights/layout.h"

namespace axiom::efi {
namespace {

constexpr uint64_t kLowEnd = uint64_t{4} << 30;
constexpr uint64_t kLowBufferBytes = 1 << 20;

// One line that is drawn over itself, but only when loading takes long enough to wonder.
class Progress {
  public:
    Progress(const Clock& clock, std::string_view path, bool quiet)
        : clock_(clock), path_(path), quiet_(quiet) {}

    void begin(uint64_t total) {
        total_ = total;
        begin_ = ticks_now();
    }
    void update(uint64_t done) {
        if (quiet_) return;
        const uint64_t now = ticks_now();
        if (clock_.seconds(now - begin_) < 1.0 || clock_.seconds(now - last_) < 0.25) return;
        last_ = now;
        draw(done, now);
    }
    void finish() {
        if (last_ != 0) draw(total_, ticks_now()), crash.console.write("\n");
    }
    void abandon() {
        if (last_ != 0) crash.console.write("\n");
    }

  private:
    void draw(uint64_t done, uint64_t now) {
        constexpr size_t kWidth = 30;
        char bar[kWidth];
        const size_t filled = total_ == 0 ? kWidth : size_t(done * kWidth / total_);
        for (size_t i = 0; i < kWidth; i++) bar[i] = i < filled ? '#' : '.';
        crash.console.write(
            Text<200>("\r", path_, " [", std::string_view(bar, kWidth), "] ",
                      PadLeft{Text<24>(total_ == 0 ? 100 : done * 100 / total_), 3}, "% ",
                      Fixed{double(done) / 1e6 / clock_.seconds(now - begin_), 0}, " MB/s "));
    }

    const Clock& clock_;
    std::string_view path_;
    bool quiet_;
    uint64_t total_ = 0, begin_ = 0, last_ = 0;
};

// For the largest pages that the CPU has and the model fills, if memory has room to align for them.
Result<uint64_t> take_model_pages(OwnedPages* pages, std::string_view path, uint64_t bytes) {
    if (bytes >= kHugePageBytes && bytes < kMaxPhysicalAddress && paging_features().gib_pages) {
        const Result<uint64_t> aligned =
            pages->take({.what = path, .bytes = bytes, .alignment = kHugePageBytes});
        if (aligned.ok()) return aligned;
    }
    return pages->take({.what = path, .bytes = bytes, .alignment = kLargePageBytes});
}

Result<LoadedModel> load_from(const Firmware& firmware, std::string_view name, uint64_t file_bytes,
                              ByteSource& bytes, bool streamed, RootCheck root, Progress progress,
                              OwnedPages* pages) {
    const uint64_t begin = ticks_now();
    TimedBytes source(bytes);
    if (file_bytes == 0) return FileLayout::head_bytes(name, {}, 0).status();
    LoadedModel m;
    m.n_bytes = m.file_bytes = file_bytes;
    if (streamed) {
        const Result<uint64_t> n_bytes = frame_bytes(name, file_bytes, source);
        if (!n_bytes.ok()) return n_bytes.status();
        m.n_bytes = n_bytes.value();
    }
    m.reserved_bytes =
        m.n_bytes > kMaxPhysicalAddress ? m.n_bytes : round_up(m.n_bytes, kLargePageBytes);
    const Result<uint64_t> address = take_model_pages(pages, name, m.reserved_bytes);
    if (!address.ok()) return address.status();
    m.address = address.value();
    const std::span to(reinterpret_cast<uint8_t*>(m.address), size_t(m.n_bytes));
    const auto update = [](void* context, uint64_t done) {
        static_cast<Progress*>(context)->update(done);
    };
    const uint64_t begin_both = ticks_now() - source.ticks();
    progress.begin(m.n_bytes);
    const auto load = [&](ByteSource& from) {
        return streamed ? load_frame(name, file_bytes, from, to, update, &progress, root)
                        : load_packed(name, file_bytes, from, to, update, &progress, root);
    };
    Status status = load(source);
    if (!status.ok() && m.address + m.reserved_bytes > kLowEnd) {
        OwnedPages scratch(firmware);
        const Result<uint64_t> buffer =
            scratch.take({.what = "disk buffer", .bytes = kLowBufferBytes, .below = kLowEnd});
        LowBytes low(source, {reinterpret_cast<uint8_t*>(buffer.value()), kLowBufferBytes});
        if (buffer.ok()) {
            say("note      ", status.text(), "; it is read again by way of memory below 4 GiB");
            status = load(low);
        }
    }
    if (!status.ok()) {
        progress.abandon();
        return status;
    }
    progress.finish();
    m.load_ticks = ticks_now() - begin;
    m.verify_ticks = ticks_now() - begin_both - source.ticks();
    return m;
}

// What a partition holds of a file: its header says how long the file is.
Result<uint64_t> packed_bytes(std::string_view name, PartitionBytes& partition) {
    format::FileHeader header;
    Status status = partition.read(0, {reinterpret_cast<uint8_t*>(&header), sizeof header});
    if (!status.ok()) return status;
    if (header.file_bytes <= partition.size()) return header.file_bytes;
    return field_error(name, "header.file_bytes", offsetof(format::FileHeader, file_bytes),
                       header.file_bytes,
                       Text<64>("at most ", partition.size(), " (the partition)").view());
}

}  // namespace

Result<LoadedModel> load_model(const Firmware& firmware, const Clock& clock,
                               const ModelPlace& place, Stream stream, uint64_t free_bytes,
                               RootCheck root, bool quiet, OwnedPages* pages) {
    const std::string_view name = place.name.view();
    if (!place.in_partition()) {
        File file;
        Status status = file.open(firmware, place.volume, place.path());
        if (!status.ok()) return status;
        return load_from(firmware, name, file.size(), file,
                         is_streamed(stream, file.size(), free_bytes, kBesideWeights), root,
                         Progress(clock, name, quiet), pages);
    }
    OwnedPages scratch(firmware);
    const Result<uint64_t> page = scratch.take({.what = "disk block", .bytes = kPageBytes});
    if (!page.ok()) return page.status();
    FirmwareDisk disk;
    if (!disk.open(firmware, place.disk)) {
        return error(Code::io, name, ": the disk is gone");
    }
    PartitionBytes partition(disk, place.partition,
                             {reinterpret_cast<uint8_t*>(page.value()), kPageBytes});
    const Result<uint64_t> n_bytes = packed_bytes(name, partition);
    if (!n_bytes.ok()) return n_bytes.status();
    return load_from(firmware, name, n_bytes.value(), partition,
                     is_streamed(stream, n_bytes.value(), free_bytes, kBesideWeights), root,
                     Progress(clock, name, quiet), pages);
}

}  // namespace axiom::efi
