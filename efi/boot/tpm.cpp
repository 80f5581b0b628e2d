// SPDX-License-Identifier: MIT
#include "efi/boot/tpm.h"

#include <algorithm>
#include <cstring>

#include "efi/cpu/crash.h"
#include "efi/dev/bytes.h"

namespace axiom::efi {
namespace {

// TCG EFI Protocol Specification, sections 6.4 and 6.6.
struct Capability {
    uint8_t size;
    uint8_t structure_major, structure_minor, protocol_major, protocol_minor;
    uint32_t hash_algorithms, event_logs;
    uint8_t tpm_present;
    uint16_t max_command, max_response;
    uint32_t manufacturer, n_banks, active_banks;
};
static_assert(sizeof(Capability) == 36);

struct [[gnu::packed]] EventHeader {
    uint32_t event_bytes;  // of this header and the text
    uint32_t header_bytes;
    uint16_t header_version;
    uint32_t pcr;
    uint32_t type;
};
static_assert(sizeof(EventHeader) == 18);
// EV_IPL: TCG PC Client Platform Firmware Profile, 10.4.1.
constexpr uint32_t kInitialProgramLoader = 0x0d;

constexpr EFI_GUID kGuid = {
    0x607f766c, 0x7455, 0x42be, {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}};

// TPM 2.0 Library, part 3, section 22.4 (TPM2_PCR_Read), numbers big-endian.
constexpr uint16_t kSha256Bank = 0x000b;
constexpr size_t kReadBytes = 20;

void put_be(uint8_t* at, uint32_t value, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) at[i] = uint8_t(value >> 8 * (n_bytes - 1 - i));
}
uint32_t be(const uint8_t* at, int n_bytes) {
    uint32_t value = 0;
    for (int i = 0; i < n_bytes; i++) value = value << 8 | at[i];
    return value;
}

}  // namespace

struct Tpm::Protocol {
    EFI_STATUS(EFIAPI* get_capability)(Protocol*, Capability*);
    void* get_event_log;
    EFI_STATUS(EFIAPI* hash_log_extend)
    (Protocol*, uint64_t flags, uint64_t data, uint64_t n_bytes, const EventHeader* event);
    EFI_STATUS(EFIAPI* submit_command)
    (Protocol*, uint32_t n_in, uint8_t* in, uint32_t n_out, uint8_t* out);
};

Tpm::Tpm(const Firmware& firmware) {
    EFI_GUID guid = kGuid;
    void* found = nullptr;
    if (EFI_ERROR(firmware.boot->LocateProtocol(&guid, nullptr, &found))) return;
    Protocol* const protocol = static_cast<Protocol*>(found);
    Capability capability = {};
    capability.size = sizeof capability;
    if (EFI_ERROR(protocol->get_capability(protocol, &capability))) return;
    if (capability.tpm_present != 0) protocol_ = protocol;
}

void Tpm::measure(uint32_t pcr, std::string_view what, std::span<const uint8_t> bytes) {
    if (!exists()) return;
    struct [[gnu::packed]] {
        EventHeader header;
        char text[32];
    } event = {};
    const size_t n_text = std::min(what.size(), sizeof event.text);
    event.header = {uint32_t(sizeof event.header + n_text), sizeof event.header - 4, 1, pcr,
                    kInitialProgramLoader};
    memcpy(event.text, what.data(), n_text);
    const EFI_STATUS status = protocol_->hash_log_extend(
        protocol_, 0, reinterpret_cast<uint64_t>(bytes.data()), bytes.size(), &event.header);
    if (EFI_ERROR(status)) {
        say("note      TPM: extending PCR ", pcr, " with ", what, ": ", status_name(status).view());
    }
}

Result<Sha256Digest> Tpm::read(uint32_t pcr) const {
    uint8_t command[kReadBytes] = {};
    put_be(command, 0x8001, 2);          // TPM_ST_NO_SESSIONS
    put_be(command + 2, kReadBytes, 4);  // of the whole command
    put_be(command + 6, 0x17e, 4);       // TPM_CC_PCR_Read
    put_be(command + 10, 1, 4);          // one selection: of the SHA-256 bank, this PCR
    put_be(command + 14, kSha256Bank, 2);
    command[16] = 3;
    command[17 + pcr / 8] = uint8_t(1 << pcr % 8);
    uint8_t response[128] = {};
    const EFI_STATUS status =
        protocol_->submit_command(protocol_, sizeof command, command, sizeof response, response);
    if (EFI_ERROR(status)) {
        return error(Code::io, "TPM: reading PCR ", pcr, ": ", status_name(status).view());
    }
    // tag, size, code | counter | selection as above | number of digests, size of the first, the first
    constexpr size_t kDigests = 10 + 4 + 10;
    Sha256Digest digest;
    if (be(response + 6, 4) != 0 || be(response + kDigests, 4) != 1 ||
        be(response + kDigests + 4, 2) != digest.size()) {
        return error(Code::unsupported, "TPM: PCR ", pcr, ": found no SHA-256 bank, response code ",
                     Hex{be(response + 6, 4)});
    }
    memcpy(digest.data(), response + kDigests + 6, digest.size());
    return digest;
}

}  // namespace axiom::efi
