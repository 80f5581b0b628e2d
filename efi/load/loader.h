// SPDX-License-Identifier: MIT
// The model into memory, with boot services, from wherever it was found: whole into 2 MiB-aligned
// pages, or its frame alone where layers will be streamed. Its checksums are verified while it arrives.
#pragma once

#include <cstdint>
#include <span>

#include "core/clock.h"
#include "core/status.h"
#include "efi/boot/pages.h"
#include "efi/load/find_model.h"
#include "model/report/options.h"
#include "model/weights/layout.h"

namespace axiom::efi {

struct LoadedModel {
    uint64_t address = 0;  // 2 MiB-aligned, from 1 GiB up 1 GiB-aligned if it can be
    uint64_t n_bytes = 0;  // that are here: the file, or its frame
    uint64_t file_bytes = 0;
    uint64_t reserved_bytes = 0;  // whole 2 MiB pages
    uint64_t load_ticks = 0;      // reading and verifying
    uint64_t verify_ticks = 0;    // of these, what was not reading

    bool is_whole() const { return n_bytes == file_bytes; }
    std::span<const uint8_t> bytes() const {
        return {reinterpret_cast<const uint8_t*>(address), n_bytes};
    }
    AddressRange range() const { return {address, address + reserved_bytes}; }
};

// The frame alone where `stream` is on, or where it is auto and less than the whole model and
// kBesideWeights is free. `root`: whether, and which, Merkle root vouches for it. `place` outlives the call. Progress goes to the console unless `quiet`.
inline constexpr uint64_t kBesideWeights = 128 << 20;
Result<LoadedModel> load_model(const Firmware& firmware, const Clock& clock,
                               const ModelPlace& place, Stream stream, uint64_t free_bytes,
                               RootCheck root, bool quiet, OwnedPages* pages);

}  // namespace axiom::efi
