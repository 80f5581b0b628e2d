// SPDX-License-Identifier: MIT
#include "efi/load/loader.h"

#include <algorithm>

#include "core/round.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"
#include "efi/dev/text.h"
#include "model/weights/weights.h"

namespace axiom::efi {
namespace {

// One line that is drawn over itself, but only when loading takes long enough to wonder.
class Progress {
  public:
    Progress(const Clock& clock, std::string_view path, uint64_t total, bool quiet)
        : clock_(clock), path_(path), total_(total), quiet_(quiet), begin_(ticks_now()) {}

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
    uint64_t total_;
    bool quiet_;
    uint64_t begin_;
    uint64_t last_ = 0;
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

}  // namespace

Result<LoadedModel> load_model(const Firmware& firmware, const Clock& clock, std::string_view path,
                               bool quiet, OwnedPages* pages) {
    const uint64_t begin = ticks_now();
    File file;
    Status status = file.open(firmware, path);
    if (!status.ok()) return status;
    if (file.size() == 0) return FileLayout::head_bytes(path, {}, 0).status();

    const uint64_t reserved =
        file.size() > kMaxPhysicalAddress ? file.size() : round_up(file.size(), kLargePageBytes);
    const Result<uint64_t> address = take_model_pages(pages, path, reserved);
    if (!address.ok()) return address.status();
    auto* bytes = reinterpret_cast<uint8_t*>(address.value());
    Progress progress(clock, path, file.size(), quiet);
    status = load_packed(
        path, file.size(), file, {bytes, size_t(file.size())},
        [](void* context, uint64_t done) { static_cast<Progress*>(context)->update(done); },
        &progress);
    if (!status.ok()) {
        progress.abandon();
        return status;
    }
    progress.finish();
    return LoadedModel{address.value(), file.size(), reserved, ticks_now() - begin};
}

}  // namespace axiom::efi
