// SPDX-License-Identifier: MIT
// Reads files from the volume our image came from, with boot services: the model whole, into
// 2 MiB-aligned pages, its checksums verified while it arrives.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/clock.h"
#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/boot/pages.h"

namespace axiom::efi {

struct LoadedModel {
    uint64_t address = 0;  // 2 MiB-aligned, from 1 GiB up 1 GiB-aligned if it can be
    uint64_t file_bytes = 0;
    uint64_t reserved_bytes = 0;  // whole 2 MiB pages
    uint64_t load_ticks = 0;      // reading and verifying

    std::span<const uint8_t> bytes() const {
        return {reinterpret_cast<const uint8_t*>(address), file_bytes};
    }
    AddressRange range() const { return {address, address + reserved_bytes}; }
};

// Progress goes to the console unless `quiet`.
Result<LoadedModel> load_model(const Firmware& firmware, const Clock& clock, std::string_view path,
                               bool quiet, OwnedPages* pages);

// A whole text file, in pages that it takes; it may be written to. no_memory when it is larger.
Result<std::span<char>> read_text_file(const Firmware& firmware, std::string_view path,
                                       uint64_t max_bytes, OwnedPages* pages);

// A whole small file; bytes read. not_found when there is none, no_memory when it does not fit.
Result<size_t> read_small_file(const Firmware& firmware, std::string_view path,
                               std::span<char> out);

}  // namespace axiom::efi
