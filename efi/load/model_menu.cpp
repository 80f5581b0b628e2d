// SPDX-License-Identifier: MIT
#include "efi/load/model_menu.h"

#include <algorithm>

#include "efi/cpu/crash.h"
#include "efi/dev/text.h"

namespace axiom::efi {
namespace {

constexpr size_t kMaxName = 255;  // of FAT

// FAT's names are the same in capitals. `small` has none.
bool is_same(std::string_view name, std::string_view small) {
    const auto same = [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b;
    };
    return std::equal(name.begin(), name.end(), small.begin(), small.end(), same);
}

bool is_model_name(std::string_view name) {
    constexpr std::string_view kEnd = ".axm";
    return name.size() > kEnd.size() && !name.starts_with('.') &&
           is_same(name.substr(name.size() - kEnd.size()), kEnd);
}

void add(const EFI_FILE_INFO& info, ModelFiles* out) {
    char name[3 * kMaxName + 1];
    const auto* const units = reinterpret_cast<const uint16_t*>(info.FileName);
    const Result<size_t> n = utf16_to_utf8("file name", {units, kMaxName}, name);
    if (!n.ok() || (info.Attribute & EFI_FILE_DIRECTORY) != 0) return;
    ModelFile file{Text<128>("\\axiom\\", std::string_view(name, n.value())), info.FileSize};
    if (is_same(file.path.view(), kModelPath)) file.path = Text<128>(kModelPath);
    const size_t n_path = sizeof "\\axiom\\" - 1 + n.value();
    if (!is_model_name({name, n.value()}) || file.path.view().size() != n_path) return;
    // Sorted in; the last one goes where there are too many.
    for (ModelFile& other : std::span(out->files, out->n))
        if (file.path.view() < other.path.view()) std::swap(file, other);
    if (out->n < ModelFiles::kMax) out->files[out->n++] = file;
}

// What a key chooses: a file, or none of them.
size_t chosen(const EFI_INPUT_KEY& key, size_t preset, size_t n_files) {
    if (key.UnicodeChar == '\r') return preset;
    const size_t digit = size_t(key.UnicodeChar) - '1';  // of other keys, large
    return digit < n_files ? digit : n_files;
}

}  // namespace

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

size_t choose_model_file(const Firmware& firmware, std::span<const ModelFile> files, size_t preset,
                         uint32_t seconds) {
    constexpr uint32_t kPollsPerSecond = 20;
    for (size_t i = 0; i < files.size(); i++) {
        say(i == 0 ? "models    " : "          ", i + 1, "  ", files[i].path.view(), ", ",
            Bytes{files[i].bytes}, i == preset ? ", unless another is chosen" : "");
    }
    auto* const keys = firmware.system->ConIn;
    if (keys == nullptr) return preset;
    crash.console.write(Text<64>("which     1..", files.size(), " in ", seconds, " s: "));
    size_t choice = files.size();
    bool is_waited_for = false;  // a key came that chooses nothing: somebody is there
    for (uint32_t i = 0; choice == files.size(); i++) {
        EFI_INPUT_KEY key{};
        if (!EFI_ERROR(keys->ReadKeyStroke(keys, &key))) {
            choice = chosen(key, preset, files.size());
            is_waited_for = true;
            continue;
        }
        if (!is_waited_for && i == seconds * kPollsPerSecond) choice = preset;
        if (!is_waited_for && i % kPollsPerSecond == 0) crash.console.write(".");
        firmware.boot->Stall(1000000 / kPollsPerSecond);
    }
    say(" ", choice + 1);
    return choice;
}

}  // namespace axiom::efi
