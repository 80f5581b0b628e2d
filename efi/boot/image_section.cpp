// SPDX-License-Identifier: MIT
#include "efi/boot/image_section.h"

#include "efi/dev/bytes.h"

namespace axiom::efi {
namespace {

constexpr size_t kHeaderPlace = 0x3c;  // of the MS-DOS stub: where "PE\0\0" stands
constexpr uint32_t kSignature = 0x4550;
constexpr size_t kFileHeaderBytes = 20, kSectionBytes = 40, kNameBytes = 8;
constexpr uint16_t kPe32Plus = 0x20b;

}  // namespace

std::span<const uint8_t> find_section(std::span<const uint8_t> image, std::string_view name) {
    const auto holds = [&](uint64_t at, uint64_t n) {
        return at <= image.size() && n <= image.size() - at;
    };
    if (!holds(kHeaderPlace, 4)) return {};
    const uint64_t header = load<uint32_t>(image, kHeaderPlace);
    const uint64_t optional = header + 4 + kFileHeaderBytes;
    if (!holds(header, 4 + kFileHeaderBytes + 2)) return {};
    if (load<uint32_t>(image, size_t(header)) != kSignature) return {};
    if (load<uint16_t>(image, size_t(optional)) != kPe32Plus) return {};
    const uint16_t n_sections = load<uint16_t>(image, size_t(header) + 4 + 2);
    const uint64_t sections = optional + load<uint16_t>(image, size_t(header) + 4 + 16);
    if (!holds(sections, uint64_t{n_sections} * kSectionBytes)) return {};
    for (uint16_t i = 0; i < n_sections; i++) {
        const size_t at = size_t(sections) + i * kSectionBytes;
        size_t n_name = 0;
        while (n_name < kNameBytes && image[at + n_name] != 0) n_name++;
        if (std::string_view(reinterpret_cast<const char*>(&image[at]), n_name) != name) continue;
        const uint32_t n_bytes = load<uint32_t>(image, at + 8);
        const uint32_t address = load<uint32_t>(image, at + 12);
        if (!holds(address, n_bytes)) return {};
        return image.subspan(address, n_bytes);
    }
    return {};
}

}  // namespace axiom::efi
