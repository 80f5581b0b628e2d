// SPDX-License-Identifier: MIT
// What AXIOM uses of NVMe, as the specifications have it. "Base" is the NVM Express Base
// Specification 2.2, "NVM" the NVM Command Set Specification, "PCIe" the NVMe over PCIe Transport
// Specification. Must not know: what is done with it.
#pragma once

#include <cstdint>

namespace axiom::efi::nvme {

// Properties (Base 3.1.4): offsets into BAR0. Wide ones are two words, the low one first.
inline constexpr uint32_t kCap = 0x00, kVersion = 0x08, kCc = 0x14, kCsts = 0x1c, kAqa = 0x24,
                          kAsq = 0x28, kAcq = 0x30, kCrto = 0x68;
inline constexpr uint32_t kDoorbells = 0x1000;  // PCIe: SQyTDBL, CQyHDBL

// Controller capabilities, CAP.
struct Capabilities {
    uint64_t value = 0;

    uint32_t max_queue_entries() const { return uint32_t(value & 0xffff) + 1; }
    uint32_t timeout_500ms() const { return uint32_t(value >> 24 & 0xff); }
    uint32_t doorbell_stride() const { return 4u << (value >> 32 & 0xf); }
    bool has_nvm_commands() const { return (value >> 37 & 1) != 0; }
    uint32_t min_page_shift() const { return 12 + uint32_t(value >> 48 & 0xf); }
    bool has_ready_timeout() const { return (value >> 59 & 1) != 0; }  // CRMS.CRWMS
};

// Controller configuration, CC: what a host sets.
inline constexpr uint32_t kEnable = 1, kShutdownNormal = 1 << 14, kShutdownMask = 3 << 14;
inline constexpr uint32_t kEntrySizes = 6 << 16 | 4 << 20;  // log2 of a submission, a completion
// Controller status, CSTS.
inline constexpr uint32_t kReady = 1, kFatal = 1 << 1, kShutdownStateMask = 3 << 2,
                          kShutdownComplete = 2 << 2;
inline constexpr uint32_t kGone = 0xffffffff;  // what a device that is not there reads as

// Base 4.1.1, common format.
struct Submission {
    uint8_t opcode = 0, flags = 0;
    uint16_t id = 0;
    uint32_t nsid = 0;
    uint32_t reserved[2] = {};
    uint64_t metadata = 0;
    uint64_t prp1 = 0, prp2 = 0;
    uint32_t cdw10 = 0, cdw11 = 0, cdw12 = 0, cdw13 = 0, cdw14 = 0, cdw15 = 0;
};
static_assert(sizeof(Submission) == 64);

// Base 4.2.1.
struct Completion {
    uint32_t result, reserved;
    uint16_t sq_head, sq_id;
    uint32_t
        id_and_status;  // written last: bits 15:0 the command's id, bit 16 the phase, then status
};
static_assert(sizeof(Completion) == 16);

// The status field without its phase bit (Base 4.2.3).
struct CommandStatus {
    uint16_t value = 0;

    static CommandStatus of(uint32_t id_and_status) { return {uint16_t(id_and_status >> 17)}; }
    bool ok() const { return (value & 0x7ff) == 0; }
    uint32_t code() const { return value & 0xff; }
    uint32_t type() const { return value >> 8 & 7; }
    bool do_not_retry() const { return (value >> 14 & 1) != 0; }
};

// Base 5: admin commands, and NVM: read.
enum class Opcode : uint8_t {
    create_submission_queue = 0x01,
    create_completion_queue = 0x05,
    identify = 0x06,
    set_features = 0x09,
    read = 0x02,  // of I/O queues
};
inline constexpr uint32_t kIdentifyNamespace = 0, kIdentifyController = 1;  // Base 5.1.13, CNS
inline constexpr uint32_t kFeaturePowerTransitions = 0x0c;                  // Base 5.1.25
inline constexpr uint32_t kFeatureQueues = 0x07;                            // Base 5.1.25
inline constexpr uint32_t kIdentifyBytes = 4096;

// Of the Identify Controller data structure (Base 5.1.13): where fields stand.
namespace controller_field {
inline constexpr uint32_t kMdts = 77, kShutdownTime = 88, kType = 111, kPowerTransitions = 265,
                          kSqes = 512, kCqes = 513;
}
// Of the Identify Namespace data structure (NVM).
namespace namespace_field {
inline constexpr uint32_t kSize = 0, kNFormats = 25, kFormat = 26, kProtection = 29, kFormats = 128;
}

}  // namespace axiom::efi::nvme
