// SPDX-License-Identifier: MIT
// Files of the volumes that the firmware can read.
// Must not know: what is in them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/boot/pages.h"
#include "model/weights/layout.h"

namespace axiom::efi {

// An open file; closed with the object.
class File final : public ByteSource {
  public:
    // append: it may be written to, at its end, and is created where there is none.
    enum class Mode : uint8_t { read, append };

    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File();

    // `path`: UTF-8, which outlives the file; either slash separates. `volume`: a handle with a file
    // system. not_found when there is no such file.
    Status open(const Firmware& firmware, EFI_HANDLE volume, std::string_view path,
                Mode mode = Mode::read);
    uint64_t size() const { return size_; }
    Status read(uint64_t offset, std::span<uint8_t> bytes) override;
    Status append(std::string_view text);
    Status flush();  // to the disk

  private:
    Status move_to(uint64_t offset);

    std::string_view path_;
    EFI_FILE_PROTOCOL* root_ = nullptr;
    EFI_FILE_PROTOCOL* file_ = nullptr;
    uint64_t size_ = 0;
    uint64_t position_ = 0;
};

// The two below are of the volume our image came from.

// A whole text file, in pages that it takes; it may be written to. no_memory when it is larger.
Result<std::span<char>> read_text_file(const Firmware& firmware, std::string_view path,
                                       uint64_t max_bytes, OwnedPages* pages);

// A whole small file; bytes read. not_found when there is none, no_memory when it does not fit.
Result<size_t> read_small_file(const Firmware& firmware, std::string_view path,
                               std::span<char> out);

}  // namespace axiom::efi
