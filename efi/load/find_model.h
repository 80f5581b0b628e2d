// SPDX-License-Identifier: MIT
// Which models there are, and where they stand: files of volumes, or raw in a partition of a disk.
// Must not know: how one is read, or how a person chooses among them.
#pragma once

#include <string_view>

#include "core/gpt.h"
#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/load/model_files.h"

namespace axiom::efi {

// -m partition:ID, the first hexadecimal digits of a file's id, or none where there is one partition.
inline constexpr char kPartitionPrefix[] = "partition:";

struct ModelPlace {
    Text<200> name{""};           // for messages and the record
    uint64_t bytes = 0;           // of the packed file; 0: there is none
    EFI_HANDLE volume = nullptr;  // of a file
    std::string_view asked_path;  // on it, as -m has it
    Text<128> found_path{""};     // or as it was found
    EFI_HANDLE disk = nullptr;    // of a partition; a whole disk
    Partition partition;
    Text<40> id{""};  // of what is in the partition

    std::string_view path() const { return asked_path.empty() ? found_path.view() : asked_path; }
    bool in_partition() const { return disk != nullptr; }
};

// The first ones, where there are more.
struct ModelList {
    static constexpr size_t kMax = ModelFiles::kMax;
    ModelPlace places[kMax];
    size_t n = 0;           // at least 1
    size_t preset = 0;      // which is meant, if nobody chooses
    bool is_asked = false;  // -m names it

    std::span<const ModelPlace> all() const { return {places, n}; }
};

// `asked` as -m has it, and outliving the list: that one is meant, among the files in \axiom of the volume we
// came from; partition:ID must name exactly one. Nothing: one of these files, or where there are none, one of
// those in \axiom of any volume and of what stands in partitions of AXIOM's type; a model.axm, if there is
// one, or the first. not_found where there is nothing.
Result<ModelList> find_models(const Firmware& firmware, std::string_view asked);

}  // namespace axiom::efi
