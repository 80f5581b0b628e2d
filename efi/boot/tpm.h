// SPDX-License-Identifier: MIT
// The machine's TPM 2.0 while the firmware has it (TCG EFI Protocol Specification, family 2.0, revision
// 00.13): what this start depends on is extended into two PCRs that no firmware uses, so that whoever has
// sealed a secret to them, or asks for a quote, knows what ran.
//   PCR 12  the options: the image's policy, axiom.conf, the load options, each as it is, where it exists
//   PCR 13  the Merkle root of the model, 32 bytes
// Each is one event, extended as the hash of these bytes. Valid until ExitBootServices.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/sha256.h"
#include "core/status.h"
#include "efi/boot/firmware.h"

namespace axiom::efi {

inline constexpr uint32_t kOptionsPcr = 12, kModelPcr = 13;

class Tpm {
  public:
    // Without a TPM, or with one of version 1.2 only, exists() is false and nothing is measured.
    explicit Tpm(const Firmware& firmware);
    bool exists() const { return protocol_ != nullptr; }

    // A failure is a note, and the PCR then says that not all was measured: what is sealed to it stays shut.
    void measure(uint32_t pcr, std::string_view what, std::span<const uint8_t> bytes);
    // The value in the SHA-256 bank; unsupported where that bank is off.
    Result<Sha256Digest> read(uint32_t pcr) const;

  private:
    struct Protocol;
    Protocol* protocol_ = nullptr;
};

}  // namespace axiom::efi
