// SPDX-License-Identifier: MIT
// The packed files in \axiom of a volume.
// Must not know: which of them is meant.
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

// Whether FAT takes both for the same name: capitals are small letters, either slash separates.
bool is_same_path(std::string_view a, std::string_view b);

}  // namespace axiom::efi
