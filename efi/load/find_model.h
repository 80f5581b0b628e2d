// SPDX-License-Identifier: MIT
// Which model is meant, and where it stands: a file of a volume, or raw in a partition of a disk.
// Must not know: how it is read.
#pragma once

#include <string_view>

#include "core/gpt.h"
#include "core/status.h"
#include "efi/boot/firmware.h"

namespace axiom::efi {

inline constexpr char kModelPath[] = "\\axiom\\model.axm";
// -m partition:ID, the first hexadecimal digits of a file's id, or none where there is one partition.
inline constexpr char kPartitionPrefix[] = "partition:";

struct ModelPlace {
    Text<200> name{""};           // for messages and the record
    EFI_HANDLE volume = nullptr;  // of a file
    std::string_view path;        // on it
    EFI_HANDLE disk = nullptr;    // of a partition; a whole disk
    Partition partition;

    bool in_partition() const { return disk != nullptr; }
};

// `asked` as -m has it, and outliving the place. Nothing: \axiom\model.axm of the volume we came
// from, or else the only one on any volume or in any partition of AXIOM's type; more than one is an
// error that names them.
Result<ModelPlace> find_model(const Firmware& firmware, std::string_view asked);

}  // namespace axiom::efi
