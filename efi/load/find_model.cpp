// SPDX-License-Identifier: MIT
#include "efi/load/find_model.h"

#include <cstring>

#include "efi/boot/files.h"
#include "efi/boot/pages.h"
#include "efi/cpu/crash.h"
#include "efi/load/disks.h"
#include "model/format/format.h"

namespace axiom::efi {
namespace {

constexpr size_t kIdDigits = 2 * format::kIdBytes;

Text<40> id_text(std::span<const uint8_t> id) {
    char digits[kIdDigits];
    Writer w(digits, sizeof digits);
    for (const uint8_t byte : id) w.put(HexDigits{byte, 2});
    return Text<40>(w.view());
}

// What a search finds.
class Found {
  public:
    static constexpr size_t kMaxNamed = 2;

    void add(const ModelPlace& place, std::string_view id) {
        if (n_ == 0) first_ = place;
        if (n_ < kMaxNamed) {
            names_[n_] = Text<160>(place.name.view(), id.empty() ? "" : " with id ", id);
        }
        n_++;
    }
    size_t n() const { return n_; }
    const ModelPlace& first() const { return first_; }
    std::string_view name(size_t i) const { return names_[i].view(); }

    size_t n_empty = 0;  // partitions of our type that hold no packed file
    Status trouble;      // the first disk whose partition table could not be used

  private:
    ModelPlace first_;
    Text<160> names_[kMaxNamed] = {Text<160>(""), Text<160>("")};
    size_t n_ = 0;
};

class Search {
  public:
    Search(const Firmware& firmware, std::span<uint8_t> page) : firmware_(firmware), page_(page) {}

    void partitions(std::string_view id, Found* found);
    void volumes(Found* found);

  private:
    void partitions_of(FirmwareDisk& disk, std::string_view id, Found* found);

    const Firmware& firmware_;
    std::span<uint8_t> page_;
};

void Search::partitions(std::string_view id, Found* found) {
    const Handles handles(firmware_, EFI_BLOCK_IO_PROTOCOL_GUID);
    for (const EFI_HANDLE handle : handles.all()) {
        FirmwareDisk disk;
        if (disk.open(firmware_, handle)) partitions_of(disk, id, found);
    }
}

void Search::partitions_of(FirmwareDisk& disk, std::string_view id, Found* found) {
    constexpr size_t kMax = 16;
    Partition partitions[kMax];
    const Result<size_t> n = find_partitions(disk, format::kPartitionType, page_, partitions);
    if (!n.ok()) {
        if (found->trouble.ok()) found->trouble = n.status();
        return;
    }
    for (const Partition& p : std::span(partitions, n.value())) {
        Status status = disk.read_blocks(p.first_lba, page_.first(disk.block_bytes()));
        if (!status.ok()) {
            if (found->trouble.ok()) found->trouble = status;
            continue;
        }
        format::FileHeader header;
        memcpy(&header, page_.data(), sizeof header);
        if (memcmp(header.magic, format::kMagic, sizeof header.magic) != 0) {
            found->n_empty++;
            continue;
        }
        const Text<40> own_id = id_text({header.root, format::kIdBytes});
        if (!own_id.view().starts_with(id)) continue;
        ModelPlace place;
        place.name = Text<200>("partition ", p.number, " of ", disk.name());
        place.disk = disk.handle();
        place.partition = p;
        found->add(place, own_id.view());
    }
}

void Search::volumes(Found* found) {
    const Handles handles(firmware_, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID);
    for (const EFI_HANDLE handle : handles.all()) {
        File file;
        if (!file.open(firmware_, handle, kModelPath).ok()) continue;
        ModelPlace place;
        place.name = Text<200>(kModelPath, " of ", device_name(firmware_, handle).view());
        place.volume = handle;
        place.found_path = Text<128>(kModelPath);
        found->add(place, "");
    }
}

// Firmware that boots fast knows only the disk it boots from; this makes it look at all.
void connect_everything(const Firmware& firmware) {
    const Handles handles(firmware);
    for (const EFI_HANDLE handle : handles.all())
        firmware.boot->ConnectController(handle, nullptr, nullptr, TRUE);
}

bool is_id(std::string_view text) {
    for (const char c : text) {
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    return text.size() <= kIdDigits;
}

// What one would have to do: where nothing was found, or too much.
Status not_one(std::string_view what, const Found& found, const Found& others) {
    if (found.n() > 1) {
        return error(Code::bad_option, what, ": found ", found.n(), ": ", found.name(0), ", and ",
                     found.name(1), "; allowed one: -m partition:ID or -m FILE says which");
    }
    if (!found.trouble.ok()) return found.trouble;
    if (others.n() > 0) {
        return error(Code::not_found, what, ": found none, but ", others.name(0),
                     others.n() > 1 ? ", " : "", others.n() > 1 ? others.name(1) : "");
    }
    return error(Code::not_found, what, ": found none, ", found.n_empty,
                 " partitions of AXIOM's type without a packed file");
}

size_t choose(const Firmware& firmware, std::span<const ModelFile> files, uint32_t menu_seconds) {
    size_t preset = 0;
    for (size_t i = 0; i < files.size(); i++)
        if (files[i].path.view() == kModelPath) preset = i;
    if (files.size() == 1 || menu_seconds == 0) return preset;
    return choose_model_file(firmware, files, preset, menu_seconds);
}

}  // namespace

Result<ModelPlace> find_model(const Firmware& firmware, std::string_view asked,
                              const ModelFiles& files, uint32_t menu_seconds) {
    const bool by_id = asked.starts_with(kPartitionPrefix);
    ModelPlace place;
    if (!by_id && (!asked.empty() || files.n != 0)) {
        place.asked_path = asked;
        if (asked.empty())
            place.found_path = files.all()[choose(firmware, files.all(), menu_seconds)].path;
        place.name = Text<200>(place.path());
        place.volume = firmware.loaded->DeviceHandle;
        return place;
    }
    const std::string_view id =
        by_id ? asked.substr(sizeof kPartitionPrefix - 1) : std::string_view();
    if (!is_id(id)) {
        return error(Code::bad_option, "option -m: found ", Quoted{asked},
                     ", allowed partition: and up to 32 digits 0-9 a-f");
    }
    OwnedPages pages(firmware);
    const Result<uint64_t> page = pages.take({.what = "disk block", .bytes = kPageBytes});
    if (!page.ok()) return page.status();
    Search search(firmware, {reinterpret_cast<uint8_t*>(page.value()), kPageBytes});
    for (const bool again : {false, true}) {
        if (again) connect_everything(firmware);
        Found found;
        search.partitions(id, &found);
        if (!by_id) search.volumes(&found);
        if (found.n() == 1) {
            if (!found.trouble.ok()) say("note      ", found.trouble.text());
            return found.first();
        }
        if (found.n() == 0 && !again) continue;
        Found others;
        if (!id.empty()) search.partitions("", &others);
        const std::string_view what =
            by_id ? asked : "\\axiom\\model.axm, or a partition of weights";
        return not_one(what, found, others);
    }
    AXIOM_PANIC("search");
}

}  // namespace axiom::efi
