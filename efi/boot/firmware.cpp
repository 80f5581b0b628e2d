// SPDX-License-Identifier: MIT
#include "efi/boot/firmware.h"

#include <cstring>

#include "core/round.h"
#include "efi/boot/image_section.h"
#include "efi/dev/text.h"

// Set by axiom.lds; between code and the end of .data.rel.ro everything is read-only.
extern "C" {
extern const char image_text_begin[], image_text_end[], image_relro_end[], image_end[];
}

namespace axiom::efi {
namespace {

bool same(const EFI_GUID& a, const EFI_GUID& b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

constexpr EFI_GUID kAcpi20 = ACPI_20_TABLE_GUID;
constexpr EFI_GUID kAcpi10 = ACPI_TABLE_GUID;
constexpr EFI_GUID kMemoryAttributes = {  // UEFI 2.10 section 4.6.4
    0xdcfa911d,
    0x26eb,
    0x469f,
    {0xa2, 0x20, 0x38, 0xb7, 0xdc, 0x46, 0x12, 0x20}};

// Days since 1970-01-01 of a proleptic Gregorian date, and back.
constexpr int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t year_of_era = y - era * 400;
    const int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}
static_assert(days_from_civil(1970, 1, 1) == 0 && days_from_civil(2000, 3, 1) == 11017);

struct Date {
    int64_t year, month, day;
};
constexpr Date civil_from_days(int64_t days) {
    Date date{1970 + days / 366, 1, 1};
    while (days_from_civil(date.year + 1, 1, 1) <= days) date.year++;
    while (date.month < 12 && days_from_civil(date.year, date.month + 1, 1) <= days) date.month++;
    date.day = days - days_from_civil(date.year, date.month, 1) + 1;
    return date;
}

Text<4> two_digits(int64_t v) {
    return Text<4>(char('0' + v / 10 % 10), char('0' + v % 10));
}

// A vendor table by GUID; 0 when there is none.
uint64_t configuration_table(const Firmware& firmware, const EFI_GUID& guid) {
    const EFI_SYSTEM_TABLE* system = firmware.system;
    for (UINTN i = 0; i < system->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE& table = system->ConfigurationTable[i];
        if (same(table.VendorGuid, guid)) return uint64_t(table.VendorTable);
    }
    return 0;
}

}  // namespace

Status open_firmware(EFI_HANDLE image, EFI_SYSTEM_TABLE* system, Firmware* out) {
    *out = {image, system, system->BootServices, system->RuntimeServices, nullptr, false};
    EFI_GUID loaded_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    void* loaded = nullptr;
    const EFI_STATUS status = out->boot->HandleProtocol(image, &loaded_guid, &loaded);
    if (EFI_ERROR(status)) {
        return error(Code::not_found,
                     "firmware: loaded image protocol: ", status_name(status).view());
    }
    out->loaded = static_cast<EFI_LOADED_IMAGE_PROTOCOL*>(loaded);
    // The UEFI shell leaves its argument list on the handle of whatever it starts.
    EFI_GUID shell_guid = EFI_SHELL_PARAMETERS_PROTOCOL_GUID;
    void* shell = nullptr;
    out->from_shell = !EFI_ERROR(out->boot->HandleProtocol(image, &shell_guid, &shell));
    return {};
}

std::span<const uint8_t> image_policy(const Firmware& firmware) {
    return find_section({static_cast<const uint8_t*>(firmware.loaded->ImageBase),
                         size_t(firmware.loaded->ImageSize)},
                        ".policy");
}

std::string_view secure_boot_state(const Firmware& firmware) {
    static constinit EFI_GUID guid = EFI_GLOBAL_VARIABLE;
    static constinit CHAR16 secure[] = {'S', 'e', 'c', 'u', 'r', 'e', 'B', 'o', 'o', 't', 0};
    static constinit CHAR16 setup[] = {'S', 'e', 't', 'u', 'p', 'M', 'o', 'd', 'e', 0};
    const auto byte = [&](CHAR16* name) {
        uint8_t value = 0;
        UINTN n = sizeof value;
        const EFI_STATUS status = firmware.runtime->GetVariable(name, &guid, nullptr, &n, &value);
        return EFI_ERROR(status) ? -1 : int(value);
    };
    if (byte(setup) == 1) return "setup";
    const int state = byte(secure);
    return state == 1 ? "on" : state == 0 ? "off" : "unknown";
}

ImageParts image_parts(const Firmware& firmware) {
    const auto begin = uint64_t(firmware.loaded->ImageBase);
    return {{begin, begin + round_up(firmware.loaded->ImageSize, kPageBytes)},
            {uint64_t(image_text_begin), uint64_t(image_text_end)},
            {uint64_t(image_relro_end), uint64_t(image_end)}};
}

Text<48> status_name(EFI_STATUS status) {
    const char* name = "status";
    switch (status) {
        case EFI_SUCCESS:
            name = "success";
            break;
        case EFI_LOAD_ERROR:
            name = "load error";
            break;
        case EFI_INVALID_PARAMETER:
            name = "invalid parameter";
            break;
        case EFI_UNSUPPORTED:
            name = "unsupported";
            break;
        case EFI_BUFFER_TOO_SMALL:
            name = "buffer too small";
            break;
        case EFI_DEVICE_ERROR:
            name = "device error";
            break;
        case EFI_OUT_OF_RESOURCES:
            name = "out of resources";
            break;
        case EFI_VOLUME_CORRUPTED:
            name = "volume corrupted";
            break;
        case EFI_NO_MEDIA:
            name = "no media";
            break;
        case EFI_MEDIA_CHANGED:
            name = "media changed";
            break;
        case EFI_NOT_FOUND:
            name = "not found";
            break;
        case EFI_ACCESS_DENIED:
            name = "access denied";
            break;
        case EFI_CRC_ERROR:
            name = "CRC error";
            break;
        case EFI_SECURITY_VIOLATION:
            name = "security violation";
            break;
        default:
            break;
    }
    return Text<48>(name, " (", Hex{status}, ")");
}

EFI_STATUS to_efi_status(const Status& status) {
    switch (status.code()) {
        case Code::ok:
            return EFI_SUCCESS;
        case Code::bad_option:
            return EFI_INVALID_PARAMETER;
        case Code::bad_format:
            return EFI_LOAD_ERROR;
        case Code::unsupported:
            return EFI_UNSUPPORTED;
        case Code::not_found:
            return EFI_NOT_FOUND;
        case Code::no_memory:
            return EFI_OUT_OF_RESOURCES;
        case Code::io:
            return EFI_DEVICE_ERROR;
        case Code::interrupted:
            return EFI_ABORTED;
    }
    return EFI_LOAD_ERROR;
}

uint64_t acpi_rsdp(const Firmware& firmware) {
    const uint64_t modern = configuration_table(firmware, kAcpi20);
    return modern != 0 ? modern : configuration_table(firmware, kAcpi10);
}

uint64_t memory_attributes_table(const Firmware& firmware) {
    return configuration_table(firmware, kMemoryAttributes);
}

Text<128> firmware_name(const Firmware& firmware) {
    const EFI_SYSTEM_TABLE* system = firmware.system;
    char vendor[64];
    std::string_view vendor_text = "unnamed firmware";
    if (system->FirmwareVendor != nullptr) {
        const auto* units = reinterpret_cast<const uint16_t*>(system->FirmwareVendor);
        size_t n = 0;
        while (n < 32 && units[n] != 0) n++;
        const Result<size_t> length = utf16_to_utf8("firmware vendor", {units, n}, vendor);
        if (length.ok() && length.value() > 0) vendor_text = {vendor, length.value()};
    }
    const uint32_t revision = system->Hdr.Revision;  // minor is tenths with a further digit
    return Text<128>(vendor_text, " ", Hex{system->FirmwareRevision}, ", UEFI ", revision >> 16,
                     ".", (revision & 0xffff) / 10);
}

Text<32> utc_now(const Firmware& firmware) {
    EFI_TIME t{};
    if (EFI_ERROR(firmware.runtime->GetTime(&t, nullptr)) || t.Year < 1970 || t.Month < 1 ||
        t.Month > 12 || t.Day < 1 || t.Day > 31 || t.Hour > 23 || t.Minute > 59 || t.Second > 59) {
        return Text<32>("");
    }
    // Local = UTC - TimeZone minutes; an unspecified zone is taken as UTC.
    const int64_t zone = t.TimeZone >= -1440 && t.TimeZone <= 1440 ? t.TimeZone : 0;
    int64_t minutes =
        (days_from_civil(t.Year, t.Month, t.Day) * 24 + t.Hour) * 60 + t.Minute + zone;
    if (minutes < 0) minutes = 0;
    const Date date = civil_from_days(minutes / 1440);
    return Text<32>(date.year, "-", two_digits(date.month).view(), "-", two_digits(date.day).view(),
                    "T", two_digits(minutes / 60 % 24).view(), ":", two_digits(minutes % 60).view(),
                    ":", two_digits(t.Second).view(), "Z");
}

}  // namespace axiom::efi
