// SPDX-License-Identifier: MIT
#include "efi/load/model_files.h"

#include <algorithm>

#include "efi/dev/text.h"

namespace axiom::efi {
namespace {

constexpr size_t kMaxName = 255;  // of FAT

bool is_model_name(std::string_view name) {
    constexpr std::string_view kEnd = ".axm";
    return name.size() > kEnd.size() && !name.starts_with('.') &&
           is_same_path(name.substr(name.size() - kEnd.size()), kEnd);
}

void add(const EFI_FILE_INFO& info, ModelFiles* out) {
    char name[3 * kMaxName + 1];
    const auto* const units = reinterpret_cast<const uint16_t*>(info.FileName);
    const Result<size_t> n = utf16_to_utf8("file name", {units, kMaxName}, name);
    if (!n.ok() || (info.Attribute & EFI_FILE_DIRECTORY) != 0) return;
    ModelFile file{Text<128>("\\axiom\\", std::string_view(name, n.value())), info.FileSize};
    if (is_same_path(file.path.view(), kModelPath)) file.path = Text<128>(kModelPath);
    const size_t n_path = sizeof "\\axiom\\" - 1 + n.value();
    if (!is_model_name({name, n.value()}) || file.path.view().size() != n_path) return;
    // Sorted in; the last one goes where there are too many.
    for (ModelFile& other : std::span(out->files, out->n))
        if (file.path.view() < other.path.view()) std::swap(file, other);
    if (out->n < ModelFiles::kMax) out->files[out->n++] = file;
}

}  // namespace

bool is_same_path(std::string_view a, std::string_view b) {
    const auto plain = [](char c) {
        return c == '/' ? '\\' : c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    };
    const auto same = [&](char x, char y) { return plain(x) == plain(y); };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

ModelFiles find_model_files(const Firmware& firmware, EFI_HANDLE volume_handle) {
    ModelFiles found;
    EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    void* protocol = nullptr;
    if (EFI_ERROR(firmware.boot->HandleProtocol(volume_handle, &guid, &protocol))) return found;
    auto* const volume = static_cast<EFI_SIMPLE_FILE_SYSTEM_PROTOCOL*>(protocol);
    EFI_FILE_PROTOCOL *root = nullptr, *folder = nullptr;
    if (EFI_ERROR(volume->OpenVolume(volume, &root))) return found;
    CHAR16 name[] = {'\\', 'a', 'x', 'i', 'o', 'm', 0};
    if (!EFI_ERROR(root->Open(root, &folder, name, EFI_FILE_MODE_READ, 0))) {
        // One entry a read, none at the end (UEFI 2.10 section 13.5).
        for (;;) {
            alignas(8) uint8_t entry[sizeof(EFI_FILE_INFO) + 2 * (kMaxName + 1)] = {};
            UINTN n = sizeof entry;
            if (EFI_ERROR(folder->Read(folder, &n, entry)) || n == 0) break;
            add(*reinterpret_cast<const EFI_FILE_INFO*>(entry), &found);
        }
        folder->Close(folder);
    }
    root->Close(root);
    return found;
}

}  // namespace axiom::efi
