// SPDX-License-Identifier: MIT
#include "efi/boot/usb.h"

#include "efi/boot/handles.h"
#include "efi/boot/pci_io.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kXhciClass = 0x0c0330;  // PCI Code and ID Assignment Specification 1.11

Status describe(EFI_PCI_IO_PROTOCOL* function, const PciFacts& pci, XhciPlace* out) {
    if (!pci_address(function, &out->where)) {
        return error(Code::unsupported, "xhci: a controller has no PCI address");
    }
    const Text<32> name("xhci ", out->where.text().view());
    out->config_page = pci.config_page(out->where);
    if (out->config_page == 0 && out->where.segment != 0) {
        return error(Code::unsupported, name.view(), ": PCI segment ", out->where.segment,
                     " is not in the MCFG table");
    }
    const PciRegisters registers = pci_registers(function);
    out->registers = registers.address;
    if (!registers.usable) {
        return error(Code::unsupported, name.view(), ": its registers are at ",
                     Hex{registers.address});
    }
    // Where nobody has started it, its registers do not answer yet.
    function->Attributes(function, EfiPciIoAttributeOperationEnable, EFI_PCI_IO_ATTRIBUTE_MEMORY,
                         nullptr);
    const auto read = [](void* context, uint32_t offset) {
        auto* const io = static_cast<EFI_PCI_IO_PROTOCOL*>(context);
        uint32_t value = usb::kGone;
        io->Mem.Read(io, EfiPciIoWidthUint32, 0, offset, 1, &value);
        return value;
    };
    const Result<usb::Capabilities> cap = read_capabilities(read, function, name.view());
    out->cap = cap.value();
    return cap.status();
}

}  // namespace

UsbPlaces find_usb(const Firmware& firmware, const PciFacts& pci) {
    UsbPlaces found;
    const Handles handles(firmware, EFI_PCI_IO_PROTOCOL_GUID);
    for (EFI_HANDLE handle : handles.all()) {
        EFI_GUID guid = EFI_PCI_IO_PROTOCOL_GUID;
        void* io = nullptr;
        if (EFI_ERROR(firmware.boot->HandleProtocol(handle, &guid, &io))) continue;
        auto* const function = static_cast<EFI_PCI_IO_PROTOCOL*>(io);
        if (pci_class(function) != kXhciClass || found.n == UsbKeyboards::kMaxControllers) continue;
        XhciPlace place;
        const Status status = describe(function, pci, &place);
        if (status.ok()) {
            found.places[found.n++] = place;
        } else if (found.note.view().empty()) {
            found.note = Text<192>(status.text());
        }
    }
    return found;
}

}  // namespace axiom::efi
