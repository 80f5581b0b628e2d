// SPDX-License-Identifier: MIT
#include "efi/load/hand_over.h"

#include <cstring>

#include "efi/boot/pci_io.h"
#include "efi/load/disks.h"

namespace axiom::efi {
namespace {

constexpr uint8_t kMessaging = 3, kNvmeNamespace = 0x17;  // UEFI 2.10, section 10.3.4.21

class PciPath {
  public:
    PciPath(const Firmware& firmware, const ModelPlace& place)
        : firmware_(firmware), name_(place.name.view()) {}

    // The controller: the last function on the path of a disk, with what is left behind it.
    Status find(EFI_HANDLE disk);
    // It is NVMe, and nothing before it on the path hides it.
    Status check_classes() const;
    Result<uint32_t> namespace_id() const;
    Status describe(NvmePlace* out) const;

  private:
    template <class... Parts>
    Status unsupported(const Parts&... parts) const {
        return error(Code::unsupported, name_, ": cannot be streamed: ", parts...);
    }
    EFI_PCI_IO_PROTOCOL* function_at(EFI_DEVICE_PATH_PROTOCOL** path) const;

    const Firmware& firmware_;
    std::string_view name_;
    EFI_PCI_IO_PROTOCOL* io_ = nullptr;
    const EFI_DEVICE_PATH_PROTOCOL* path_ = nullptr;  // of the disk
    const EFI_DEVICE_PATH_PROTOCOL* rest_ = nullptr;  // of it, behind the controller
};

size_t length_of(const EFI_DEVICE_PATH_PROTOCOL* node) {
    return size_t(node->Length[0]) | size_t(node->Length[1]) << 8;
}

const EFI_DEVICE_PATH_PROTOCOL* after(const EFI_DEVICE_PATH_PROTOCOL* node) {
    return reinterpret_cast<const EFI_DEVICE_PATH_PROTOCOL*>(
        reinterpret_cast<const uint8_t*>(node) + length_of(node));
}

bool is_end(const EFI_DEVICE_PATH_PROTOCOL* node) {
    return (node->Type & 0x7f) == END_DEVICE_PATH_TYPE;
}

// The last function on a path, and the rest of the path behind it; nullptr: none.
EFI_PCI_IO_PROTOCOL* PciPath::function_at(EFI_DEVICE_PATH_PROTOCOL** path) const {
    EFI_GUID guid = EFI_PCI_IO_PROTOCOL_GUID;
    EFI_HANDLE handle = nullptr;
    void* io = nullptr;
    if (EFI_ERROR(firmware_.boot->LocateDevicePath(&guid, path, &handle)) ||
        EFI_ERROR(firmware_.boot->HandleProtocol(handle, &guid, &io))) {
        return nullptr;
    }
    return static_cast<EFI_PCI_IO_PROTOCOL*>(io);
}

Status PciPath::find(EFI_HANDLE disk) {
    EFI_GUID guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
    void* path = nullptr;
    if (EFI_ERROR(firmware_.boot->HandleProtocol(disk, &guid, &path))) {
        return unsupported("its disk has no device path");
    }
    auto* rest = static_cast<EFI_DEVICE_PATH_PROTOCOL*>(path);
    path_ = rest;
    io_ = function_at(&rest);
    rest_ = rest;
    return io_ != nullptr ? Status() : unsupported("its disk does not hang on PCI");
}

Status PciPath::check_classes() const {
    // The paths to what stands before the disk are its own, cut short.
    constexpr size_t kMaxPathBytes = 512, kMaxFunctions = 16;
    uint32_t classes[kMaxFunctions];
    size_t n_classes = 0;
    alignas(8) uint8_t cut[kMaxPathBytes];
    const auto* const begin = reinterpret_cast<const uint8_t*>(path_);
    for (const auto* node = path_; !is_end(node) && length_of(node) >= 4; node = after(node)) {
        const size_t n = size_t(reinterpret_cast<const uint8_t*>(after(node)) - begin);
        if (n + sizeof(EFI_DEVICE_PATH_PROTOCOL) > sizeof cut || n_classes + 1 == kMaxFunctions)
            break;
        memcpy(cut, begin, n);
        const EFI_DEVICE_PATH_PROTOCOL end = {
            END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE, {sizeof end, 0}};
        memcpy(cut + n, &end, sizeof end);
        auto* rest = reinterpret_cast<EFI_DEVICE_PATH_PROTOCOL*>(cut);
        EFI_PCI_IO_PROTOCOL* const function = function_at(&rest);
        if (function != nullptr) classes[n_classes++] = pci_class(function);
    }
    classes[n_classes++] = pci_class(io_);
    const Text<128> why_not = why_not_nvme({classes, n_classes});
    return why_not.view().empty() ? Status() : unsupported(why_not.view());
}

Result<uint32_t> PciPath::namespace_id() const {
    uint32_t id = 0;
    if (rest_->Type != kMessaging || rest_->SubType != kNvmeNamespace || length_of(rest_) < 8) {
        return unsupported("its device path names no NVMe namespace");
    }
    memcpy(&id, rest_ + 1, sizeof id);
    if (id == 0 || id == 0xffffffff) return unsupported("its NVMe namespace is ", id);
    return id;
}

Status PciPath::describe(NvmePlace* out) const {
    if (!pci_address(io_, &out->where)) return unsupported("its controller has no PCI address");
    const PciRegisters registers = pci_registers(io_);
    out->registers = registers.address;
    if (!registers.usable) {
        return unsupported("the registers of its controller are at ", Hex{registers.address});
    }
    uint32_t cap[2] = {};
    if (EFI_ERROR(io_->Mem.Read(io_, EfiPciIoWidthUint32, 0, nvme::kCap, 2, cap))) {
        return unsupported("the registers of its controller cannot be read");
    }
    out->cap.value = cap[0] | uint64_t{cap[1]} << 32;
    return {};
}

}  // namespace

Result<NvmePlace> hand_over(const Firmware& firmware, const PciFacts& pci,
                            const ModelPlace& place) {
    if (!place.in_partition()) {
        return error(
            Code::unsupported, place.name.view(),
            ": cannot be streamed: found a file, allowed a partition of its own (make image "
            "STREAM=1, or axiom-pack --to-partition)");
    }
    PciPath path(firmware, place);
    NvmePlace out;
    Status status = path.find(place.disk);
    if (status.ok()) status = path.check_classes();
    if (status.ok()) status = path.describe(&out);
    if (!status.ok()) return status;
    const Result<uint32_t> nsid = path.namespace_id();
    if (!nsid.ok()) return nsid.status();
    FirmwareDisk disk;
    if (!disk.open(firmware, place.disk)) {
        return error(Code::io, place.name.view(), ": the disk is gone");
    }
    out.range = {nsid.value(), disk.block_bytes(), place.partition.first_lba,
                 place.partition.n_blocks};
    out.config_page = pci.config_page(out.where);
    if (out.config_page == 0 && out.where.segment != 0) {
        return error(Code::unsupported, place.name.view(), ": cannot be streamed: PCI segment ",
                     out.where.segment, " is not in the MCFG table");
    }
    return out;
}

}  // namespace axiom::efi
