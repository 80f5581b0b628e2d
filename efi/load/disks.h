// SPDX-License-Identifier: MIT
// Disks as the firmware reads them: whole ones in blocks, their partitions in bytes.
// Must not know: what stands on them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/gpt.h"
#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/boot/handles.h"
#include "efi/boot/pages.h"
#include "model/weights/layout.h"

namespace axiom::efi {

// The path to a device as the UEFI shell writes it, cut where it is very long.
Text<128> device_name(const Firmware& firmware, EFI_HANDLE device);

// A disk, UEFI 2.10 section 13.9.
class FirmwareDisk final : public BlockReader {
  public:
    // False where the handle is not of a whole disk that can be read now.
    bool open(const Firmware& firmware, EFI_HANDLE handle);

    EFI_HANDLE handle() const { return handle_; }
    std::string_view name() const override { return name_.view(); }
    uint32_t block_bytes() const override { return io_->Media->BlockSize; }
    uint64_t n_blocks() const override { return io_->Media->LastBlock + 1; }
    // `out` is aligned to a page or lies inside one.
    Status read_blocks(uint64_t lba, std::span<uint8_t> out) override;
    // What addresses that are read to must be multiples of.
    uint64_t alignment() const { return io_->Media->IoAlign > 1 ? io_->Media->IoAlign : 1; }

  private:
    EFI_HANDLE handle_ = nullptr;
    EFI_BLOCK_IO_PROTOCOL* io_ = nullptr;
    Text<128> name_{""};
};

// Bytes of a partition, from anywhere to anywhere; blocks that are not wanted whole go through a page.
class PartitionBytes final : public ByteSource {
  public:
    // `page`: a page, for as long as this is used.
    PartitionBytes(FirmwareDisk& disk, const Partition& partition, std::span<uint8_t> page)
        : disk_(disk), partition_(partition), page_(page) {}

    uint64_t size() const { return partition_.n_blocks * disk_.block_bytes(); }
    Status read(uint64_t offset, std::span<uint8_t> out) override;

  private:
    FirmwareDisk& disk_;
    const Partition& partition_;
    std::span<uint8_t> page_;
};

}  // namespace axiom::efi
