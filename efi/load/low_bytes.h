// SPDX-License-Identifier: MIT
// A source that reads through a buffer which any device can reach: some firmware's disk drivers cut an address to
// 32 bits and say nothing. Must not know: where the bytes come from, or go.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "core/status.h"
#include "model/weights/layout.h"

namespace axiom::efi {

class LowBytes final : public ByteSource {
  public:
    // `buffer`: below 4 GiB.
    LowBytes(ByteSource& source, std::span<uint8_t> buffer) : source_(source), buffer_(buffer) {}
    Status read(uint64_t offset, std::span<uint8_t> out) override {
        while (!out.empty()) {
            const size_t n = std::min(out.size(), buffer_.size());
            const Status status = source_.read(offset, buffer_.first(n));
            if (!status.ok()) return status;
            std::copy_n(buffer_.begin(), n, out.begin());
            offset += n;
            out = out.subspan(n);
        }
        return {};
    }

  private:
    ByteSource& source_;
    std::span<uint8_t> buffer_;
};

}  // namespace axiom::efi
