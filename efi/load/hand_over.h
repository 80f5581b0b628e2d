// SPDX-License-Identifier: MIT
// From a disk of the firmware's to one of ours: where its controller is and which of its blocks are
// meant, while there is a firmware to ask.
// Must not know: how the controller is driven.
#pragma once

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/dev/acpi_pci.h"
#include "efi/load/find_model.h"
#include "efi/nvme/disk.h"

namespace axiom::efi {

// unsupported, by name: a model that is no partition, a disk that is not NVMe or that stands behind
// a RAID controller, a controller whose registers cannot be reached.
Result<NvmePlace> hand_over(const Firmware& firmware, const PciFacts& pci, const ModelPlace& place);

}  // namespace axiom::efi
