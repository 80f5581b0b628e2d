// SPDX-License-Identifier: MIT
#include "efi/load/disks.h"

#include <algorithm>
#include <cstring>

#include "efi/dev/text.h"

namespace axiom::efi {

Text<128> device_name(const Firmware& firmware, EFI_HANDLE device) {
    EFI_GUID path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
    EFI_GUID text_guid = EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID;
    void *path = nullptr, *protocol = nullptr;
    const EFI_BOOT_SERVICES* boot = firmware.boot;
    if (EFI_ERROR(boot->HandleProtocol(device, &path_guid, &path)) ||
        EFI_ERROR(boot->LocateProtocol(&text_guid, nullptr, &protocol))) {
        return Text<128>("device ", Hex{uint64_t(device)});
    }
    const auto* to_text = static_cast<EFI_DEVICE_PATH_TO_TEXT_PROTOCOL*>(protocol);
    CHAR16* const wide =
        to_text->ConvertDevicePathToText(static_cast<EFI_DEVICE_PATH_PROTOCOL*>(path), TRUE, TRUE);
    if (wide == nullptr) return Text<128>("device ", Hex{uint64_t(device)});
    char name[128];
    size_t n = 0;
    while (n < sizeof name / 4 * 3 && wide[n] != 0) n++;
    const Result<size_t> length =
        utf16_to_utf8("device path", {reinterpret_cast<const uint16_t*>(wide), n}, name);
    boot->FreePool(wide);
    if (!length.ok()) return Text<128>("device ", Hex{uint64_t(device)});
    return Text<128>(std::string_view(name, length.value()));
}

bool FirmwareDisk::open(const Firmware& firmware, EFI_HANDLE handle) {
    EFI_GUID guid = EFI_BLOCK_IO_PROTOCOL_GUID;
    void* protocol = nullptr;
    if (EFI_ERROR(firmware.boot->HandleProtocol(handle, &guid, &protocol))) return false;
    auto* const io = static_cast<EFI_BLOCK_IO_PROTOCOL*>(protocol);
    const EFI_BLOCK_IO_MEDIA* media = io->Media;
    if (media == nullptr || !media->MediaPresent || media->LogicalPartition) return false;
    handle_ = handle;
    io_ = io;
    name_ = device_name(firmware, handle);
    return true;
}

Status FirmwareDisk::read_blocks(uint64_t lba, std::span<uint8_t> out) {
    const EFI_STATUS status =
        io_->ReadBlocks(io_, io_->Media->MediaId, lba, out.size(), out.data());
    if (!EFI_ERROR(status)) return {};
    return error(Code::io, name_.view(), ": reading at LBA ", lba, ": ",
                 status_name(status).view());
}

Status PartitionBytes::read(uint64_t offset, std::span<uint8_t> out) {
    const uint64_t block = disk_.block_bytes();
    if (offset > size() || out.size() > size() - offset) {
        return error(Code::io, disk_.name(), ": partition ", partition_.number, ": reading ",
                     uint64_t(out.size()), " bytes at offset ", Hex{offset},
                     ", allowed up to its end, ", size());
    }
    while (!out.empty()) {
        const uint64_t lba = partition_.first_lba + offset / block, skip = offset % block;
        const bool aligned = reinterpret_cast<uintptr_t>(out.data()) % disk_.alignment() == 0;
        uint64_t n = out.size() / block * block;
        if (skip == 0 && n != 0 && aligned) {
            if (Status s = disk_.read_blocks(lba, out.first(n)); !s.ok()) return s;
        } else {
            if (Status s = disk_.read_blocks(lba, page_.first(block)); !s.ok()) return s;
            n = std::min<uint64_t>(out.size(), block - skip);
            memcpy(out.data(), page_.data() + skip, n);
        }
        offset += n;
        out = out.subspan(n);
    }
    return {};
}

}  // namespace axiom::efi
