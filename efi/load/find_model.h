// SPDX-License-Identifier: MIT
// Which model is meant, and where it stands: a file of a volume, or raw in a partition of a disk.
// Must not know: how it is read.
#pragma once

#include <string_view>

#include "core/gpt.h"
#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/load/model_menu.h"

namespace axiom::efi {

// -m partition:ID, the first hexadecimal digits of a file's id, or none where there is one partition.
inline constexpr char kPartitionPrefix[] = "partition:";

struct ModelPlace {
    Text<200> name{""};           // for messages and the record
    EFI_HANDLE volume = nullptr;  // of a file
    std::string_view asked_path;  // on it, as -m has it
    Text<128> found_path{""};     // or as it was found
    EFI_HANDLE disk = nullptr;    // of a partition; a whole disk
    Partition partition;

    std::string_view path() const { return asked_path.empty() ? found_path.view() : asked_path; }
    bool in_partition() const { return disk != nullptr; }
};

// `asked` as -m has it, and outliving the place. Nothing: of `files`, those in \axiom of the volume we came
// from, the only one, or which a person chooses within these seconds, or else model.axm, or the first. Where
// there are none: the only model.axm on any volume or in any partition of AXIOM's type; more than one is
// an error that names them.
Result<ModelPlace> find_model(const Firmware& firmware, std::string_view asked,
                              const ModelFiles& files, uint32_t menu_seconds);

}  // namespace axiom::efi
