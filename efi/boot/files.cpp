// SPDX-License-Identifier: MIT
#include "efi/boot/files.h"

#include "core/round.h"
#include "efi/dev/text.h"

namespace axiom::efi {
namespace {

constexpr size_t kMaxPath = 512;

Status too_large(std::string_view path, uint64_t found, uint64_t allowed) {
    return error(Code::no_memory, path, ": size: found ", found, " bytes, allowed ", allowed);
}

}  // namespace

File::~File() {
    if (file_ != nullptr) file_->Close(file_);
    if (root_ != nullptr) root_->Close(root_);
}

Status File::open(const Firmware& firmware, EFI_HANDLE volume_handle, std::string_view path,
                  Mode mode) {
    path_ = path;
    if (path.find(':') != path.npos) {
        return error(Code::bad_option, path,
                     ": file name: found a volume name, allowed a path on the "
                     "volume axiom.efi was started from, such as \\axiom\\model.axm");
    }
    uint16_t name[kMaxPath];
    const Result<size_t> n = utf8_to_utf16("file name", path, name);
    if (!n.ok()) return n.status();
    for (size_t i = 0; i < n.value(); i++) {
        if (name[i] == '/') name[i] = '\\';
    }

    EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    void* protocol = nullptr;
    EFI_STATUS status = volume_handle == nullptr
                            ? EFI_NOT_FOUND
                            : firmware.boot->HandleProtocol(volume_handle, &guid, &protocol);
    if (EFI_ERROR(status)) {
        return error(Code::not_found, path,
                     ": the device axiom.efi was started from has no file "
                     "system the firmware can read: ",
                     status_name(status).view());
    }
    auto* volume = static_cast<EFI_SIMPLE_FILE_SYSTEM_PROTOCOL*>(protocol);
    status = volume->OpenVolume(volume, &root_);
    if (EFI_ERROR(status)) {
        root_ = nullptr;
        return error(Code::io, path, ": opening the volume: ", status_name(status).view());
    }
    const UINT64 wanted = mode == Mode::append
                              ? EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE | EFI_FILE_MODE_CREATE
                              : EFI_FILE_MODE_READ;
    status = root_->Open(root_, &file_, reinterpret_cast<CHAR16*>(name), wanted, 0);
    if (EFI_ERROR(status)) {
        file_ = nullptr;
        return error(status == EFI_NOT_FOUND ? Code::not_found : Code::io, path,
                     ": opening: ", status_name(status).view(),
                     " on the volume axiom.efi was started from");
    }

    EFI_GUID info_guid = EFI_FILE_INFO_ID;
    alignas(8) uint8_t info[sizeof(EFI_FILE_INFO) + 2 * kMaxPath];
    UINTN info_bytes = sizeof info;
    status = file_->GetInfo(file_, &info_guid, &info_bytes, info);
    if (EFI_ERROR(status)) {
        return error(Code::io, path, ": reading its size: ", status_name(status).view());
    }
    const auto* facts = reinterpret_cast<const EFI_FILE_INFO*>(info);
    if ((facts->Attribute & EFI_FILE_DIRECTORY) != 0) {
        return error(Code::io, path, ": found a directory, allowed a file");
    }
    size_ = facts->FileSize;
    return {};
}

Status File::move_to(uint64_t offset) {
    if (offset == position_) return {};
    if (const EFI_STATUS moved = file_->SetPosition(file_, offset); EFI_ERROR(moved)) {
        return error(Code::io, path_, ": going to offset ", Hex{offset}, ": ",
                     status_name(moved).view());
    }
    position_ = offset;
    return {};
}

Status File::read(uint64_t offset, std::span<uint8_t> bytes) {
    AXIOM_CHECK(file_ != nullptr);
    if (Status s = move_to(offset); !s.ok()) return s;
    UINTN n = bytes.size();
    const EFI_STATUS status = file_->Read(file_, &n, bytes.data());
    if (EFI_ERROR(status)) {
        return error(Code::io, path_, ": reading at offset ", Hex{position_}, ": ",
                     status_name(status).view());
    }
    if (n != bytes.size()) {
        return error(Code::io, path_, ": reading at offset ", Hex{position_}, ": found ", n,
                     " bytes, allowed ", bytes.size());
    }
    position_ += n;
    return {};
}

Status File::append(std::string_view text) {
    if (Status s = move_to(size_); !s.ok()) return s;
    UINTN n = text.size();
    const EFI_STATUS status = file_->Write(file_, &n, const_cast<char*>(text.data()));
    if (EFI_ERROR(status) || n != text.size())
        return error(Code::io, path_, ": writing: ", status_name(status).view());
    position_ = size_ += n;
    return {};
}

Status File::flush() {
    const EFI_STATUS status = file_->Flush(file_);
    if (!EFI_ERROR(status)) return {};
    return error(Code::io, path_, ": writing: ", status_name(status).view());
}

Result<std::span<char>> read_text_file(const Firmware& firmware, std::string_view path,
                                       uint64_t max_bytes, OwnedPages* pages) {
    File file;
    Status status = file.open(firmware, firmware.loaded->DeviceHandle, path);
    if (!status.ok()) return status;
    if (file.size() > max_bytes) return too_large(path, file.size(), max_bytes);
    if (file.size() == 0) return std::span<char>();
    const Result<uint64_t> address =
        pages->take({.what = path, .bytes = round_up(file.size(), kPageBytes)});
    if (!address.ok()) return address.status();
    auto* const bytes = reinterpret_cast<uint8_t*>(address.value());
    status = file.read(0, {bytes, size_t(file.size())});
    if (!status.ok()) return status;
    return std::span(reinterpret_cast<char*>(bytes), size_t(file.size()));
}

Result<size_t> read_small_file(const Firmware& firmware, std::string_view path,
                               std::span<char> out) {
    File file;
    Status status = file.open(firmware, firmware.loaded->DeviceHandle, path);
    if (!status.ok()) return status;
    if (file.size() > out.size()) return too_large(path, file.size(), out.size());
    status = file.read(0, {reinterpret_cast<uint8_t*>(out.data()), file.size()});
    if (!status.ok()) return status;
    return size_t(file.size());
}

}  // namespace axiom::efi
