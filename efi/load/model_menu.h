// SPDX-License-Identifier: MIT
// The packed files in \axiom, and a person's choice among them, on the firmware's console.
// Must not know: what is done with the one that is chosen.
#pragma once

#include <cstdint>
#include <span>

#include "core/fmt.h"
#include "efi/boot/firmware.h"

namespace axiom::efi {

inline constexpr char kModelPath[] = "\\axiom\\model.axm";  // what is taken without a choice

struct ModelFile {
    Text<128> path{""};
    uint64_t bytes = 0;
};

// By name; the first ones, where there are more.
struct ModelFiles {
    static constexpr size_t kMax = 9;  // a digit each
    ModelFile files[kMax];
    size_t n = 0;
    std::span<const ModelFile> all() const { return {files, n}; }
};

// \axiom\*.axm of a volume. Names that are too long, or begin with a dot, are left out.
ModelFiles find_model_files(const Firmware& firmware, EFI_HANDLE volume);

// Asks which; the preset one when nobody presses a key within these seconds.
size_t choose_model_file(const Firmware& firmware, std::span<const ModelFile> files, size_t preset,
                         uint32_t seconds);

}  // namespace axiom::efi
