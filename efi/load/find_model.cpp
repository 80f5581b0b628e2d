// SPDX-License-Identifier: MIT
#include "efi/load/find_model.h"

#include <algorithm>
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

void add(const ModelPlace& place, ModelList* list) {
    if (list->n < ModelList::kMax) list->places[list->n++] = place;
}

void add_files(const Firmware& firmware, EFI_HANDLE volume, std::string_view volume_name,
               ModelList* list) {
    const ModelFiles files = find_model_files(firmware, volume);
    for (const ModelFile& file : files.all()) {
        ModelPlace place;
        place.name = Text<200>(file.path.view(), volume_name.empty() ? "" : " of ", volume_name);
        place.bytes = file.bytes;
        place.volume = volume;
        place.found_path = file.path;
        add(place, list);
    }
}

void prefer_usual_path(ModelList* list) {
    for (size_t i = list->n; i-- > 0;)
        if (list->places[i].path() == kModelPath) list->preset = i;
}

// What a search finds.
struct Found {
    ModelList list;
    size_t n_empty = 0;  // partitions of our type that hold no packed file
    Status trouble;      // the first disk whose partition table could not be used

    Text<240> name(size_t i) const {
        const ModelPlace& place = list.places[i];
        const std::string_view id = place.id.view();
        return Text<240>(place.name.view(), id.empty() ? "" : " with id ", id);
    }
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
        place.bytes = header.file_bytes;
        place.disk = disk.handle();
        place.partition = p;
        place.id = own_id;
        add(place, &found->list);
    }
}

void Search::volumes(Found* found) {
    const Handles handles(firmware_, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID);
    for (const EFI_HANDLE handle : handles.all())
        add_files(firmware_, handle, device_name(firmware_, handle).view(), &found->list);
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
    if (found.list.n > 1) {
        return error(Code::bad_option, what, ": found ", found.list.n, ": ", found.name(0).view(),
                     ", and ", found.name(1).view(), "; allowed one: more digits, or -m FILE");
    }
    if (!found.trouble.ok()) return found.trouble;
    if (others.list.n > 0) {
        return error(Code::not_found, what, ": found none, but ", others.name(0).view(),
                     others.list.n > 1 ? ", " : "",
                     others.list.n > 1 ? others.name(1).view() : std::string_view());
    }
    return error(Code::not_found, what, ": found none, ", found.n_empty,
                 " partitions of AXIOM's type without a packed file");
}

// On all disks: the partitions whose id begins so, or of `by_id` false all, and all volumes.
Result<Found> search_everywhere(const Firmware& firmware, std::string_view id, bool by_id,
                                std::string_view what) {
    OwnedPages pages(firmware);
    const Result<uint64_t> page = pages.take({.what = "disk block", .bytes = kPageBytes});
    if (!page.ok()) return page.status();
    Search search(firmware, {reinterpret_cast<uint8_t*>(page.value()), kPageBytes});
    Found found;
    for (const bool again : {false, true}) {
        if (again) connect_everything(firmware);
        found = {};
        if (!by_id) search.volumes(&found);
        search.partitions(id, &found);
        if (found.list.n != 0) break;
    }
    if (found.list.n == 1 || (found.list.n > 1 && !by_id)) {
        if (!found.trouble.ok()) say("note      ", found.trouble.text());
        return found;
    }
    Found others;
    if (!id.empty()) search.partitions("", &others);
    return not_one(what, found, others);
}

// With one more, which is meant.
ModelList with_asked(ModelList list, const ModelPlace& place) {
    list.n = std::min(list.n, ModelList::kMax - 1);
    list.preset = list.n;
    list.is_asked = true;
    add(place, &list);
    return list;
}

// The volume's own files, of which one may be the one that was asked for.
ModelList with_asked_file(ModelList list, const Firmware& firmware, std::string_view asked) {
    ModelPlace place;
    place.name = Text<200>(asked);
    place.asked_path = asked;
    place.volume = firmware.loaded->DeviceHandle;
    File file;  // what is wrong with it, loading says
    if (file.open(firmware, place.volume, asked).ok()) place.bytes = file.size();
    for (size_t i = 0; i < list.n; i++) {
        if (!is_same_path(list.places[i].path(), asked)) continue;
        list.places[i] = place;
        list.preset = i;
        list.is_asked = true;
        return list;
    }
    return with_asked(list, place);
}

}  // namespace

Result<ModelList> find_models(const Firmware& firmware, std::string_view asked) {
    ModelList own;
    add_files(firmware, firmware.loaded->DeviceHandle, "", &own);
    const bool by_id = asked.starts_with(kPartitionPrefix);
    if (!asked.empty() && !by_id) return with_asked_file(own, firmware, asked);
    if (!by_id && own.n != 0) {
        prefer_usual_path(&own);
        return own;
    }
    const std::string_view id =
        by_id ? asked.substr(sizeof kPartitionPrefix - 1) : std::string_view();
    if (!is_id(id)) {
        return error(Code::bad_option, "option -m: found ", Quoted{asked},
                     ", allowed partition: and up to 32 digits 0-9 a-f");
    }
    Result<Found> found = search_everywhere(
        firmware, id, by_id, by_id ? asked : "\\axiom\\*.axm, or a partition of weights");
    if (!found.ok()) return found.status();
    if (!by_id) {
        prefer_usual_path(&found.value().list);
        return found.value().list;
    }
    return with_asked(own, found.value().list.places[0]);
}

}  // namespace axiom::efi
