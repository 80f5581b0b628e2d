// SPDX-License-Identifier: MIT
#include "efi/boot/graphics.h"

namespace axiom::efi {
namespace {

// Marks the handles of devices that are part of the firmware's console (EDK II's console splitter).
constexpr EFI_GUID kConsoleOutDevice = {
    0xd3b36f2c, 0xd551, 0x11d4, {0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};

bool has_protocol(const Firmware& firmware, EFI_HANDLE handle, EFI_GUID guid) {
    void* protocol = nullptr;
    return !EFI_ERROR(firmware.boot->HandleProtocol(handle, &guid, &protocol));
}

GraphicsMode mode_of(const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE& mode) {
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION& info = *mode.Info;
    const EFI_PIXEL_BITMASK& masks = info.PixelInformation;
    return {.address = mode.FrameBufferBase,
            .n_bytes = mode.FrameBufferSize,
            .width = info.HorizontalResolution,
            .height = info.VerticalResolution,
            .pixels_a_line = info.PixelsPerScanLine,
            .format = GraphicsMode::Format(info.PixelFormat),
            .red = masks.RedMask,
            .green = masks.GreenMask,
            .blue = masks.BlueMask,
            .reserved = masks.ReservedMask};
}

}  // namespace

// A console of several devices has a protocol of its own, whose pixels are nowhere: real devices are
// looked at first, those of the console before others.
Result<Framebuffer> find_framebuffer(const Firmware& firmware,
                                     std::span<const MemoryRegion> regions) {
    EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    UINTN n_handles = 0;
    EFI_HANDLE* handles = nullptr;
    if (EFI_ERROR(
            firmware.boot->LocateHandleBuffer(ByProtocol, &guid, nullptr, &n_handles, &handles))) {
        return error(Code::not_found, "screen: the firmware has none");
    }
    Result<Framebuffer> found = error(Code::not_found, "screen: the firmware has none in use");
    bool is_console = false;
    for (UINTN i = 0; i < n_handles && !is_console; i++) {
        void* protocol = nullptr;
        if (EFI_ERROR(firmware.boot->HandleProtocol(handles[i], &guid, &protocol))) continue;
        const auto* mode = static_cast<EFI_GRAPHICS_OUTPUT_PROTOCOL*>(protocol)->Mode;
        if (mode == nullptr || mode->Info == nullptr || mode->Mode >= mode->MaxMode) continue;
        const Result<Framebuffer> one = check_mode(mode_of(*mode), regions);
        is_console = one.ok() && has_protocol(firmware, handles[i], kConsoleOutDevice);
        if (is_console || !found.ok()) found = one;
    }
    firmware.boot->FreePool(handles);
    return found;
}

}  // namespace axiom::efi
