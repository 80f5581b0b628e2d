// SPDX-License-Identifier: MIT
// The record in a variable of the firmware's, which outlives the power: runtime services are there after
// the exit, files are not. One variable, written once a run; the next start moves it into a file.
// Must not know: what files there are.
#pragma once

#include <efi.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/report/record.h"

namespace axiom::efi {

class RecordVariable {
  public:
    static constexpr size_t kMaxBytes = 4096;

    explicit RecordVariable(EFI_RUNTIME_SERVICES* runtime) : runtime_(runtime) {}

    // As much of it as fits in kMaxBytes. no_memory: the firmware's store has no room; io: it refuses.
    // Either leaves what was there. On the boot processor.
    Status write(const Record& record);

    // Bytes; not_found when there is none, no_memory when it is none of ours.
    Result<size_t> read(std::span<char> out) const;
    Status remove();

  private:
    Status set(std::string_view text);
    Status check_room(size_t n_bytes) const;

    EFI_RUNTIME_SERVICES* runtime_;
};

}  // namespace axiom::efi
