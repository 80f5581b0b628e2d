// SPDX-License-Identifier: MIT
// What AXIOM uses of USB, as the specifications have it. "xHCI" is the eXtensible Host Controller
// Interface for USB, revision 1.2; "USB" the Universal Serial Bus Specification, revision 2.0; "HID" the
// Device Class Definition for Human Interface Devices, version 1.11.
// Must not know: what is done with it.
#pragma once

#include <bit>
#include <cstdint>

namespace axiom::efi::usb {

// ---- the controller's registers --------------------------------------------------------------

inline constexpr uint32_t kGone = 0xffffffff;  // what a device that is not there reads as

// Capability registers (xHCI 5.3), the words from BAR0 on, and the sizes of pages that it has (5.4.3).
struct Capabilities {
    static constexpr uint32_t kNWords = 7;
    uint32_t words[kNWords] = {};
    uint32_t page_sizes = 0;      // bit n: 2^(n + 12) bytes
    uint32_t register_bytes = 0;  // from BAR0 to the end of all that is used

    uint32_t operational() const { return words[0] & 0xff; }  // CAPLENGTH
    uint32_t n_slots() const { return words[1] & 0xff; }      // HCSPARAMS1
    uint32_t n_ports() const { return words[1] >> 24; }
    uint32_t n_scratchpads() const { return (words[2] >> 21 & 0x1f) << 5 | words[2] >> 27; }
    bool has_64_bits() const { return (words[4] & 1) != 0; }  // HCCPARAMS1
    uint32_t context_bytes() const { return (words[4] >> 2 & 1) != 0 ? 64 : 32; }
    bool has_port_power() const { return (words[4] >> 3 & 1) != 0; }
    uint32_t extended() const { return (words[4] >> 16) * 4; }  // 0: none
    uint32_t doorbells() const { return words[5] & ~3u; }       // DBOFF
    uint32_t runtime() const { return words[6] & ~0x1fu; }      // RTSOFF
    uint32_t page_bytes() const { return 4096u << std::countr_zero(page_sizes & 0xffff); }
};

// Operational registers (xHCI 5.4): offsets from operational(). Wide ones are two words, the low one first.
inline constexpr uint32_t kCommand = 0x00, kStatus = 0x04, kPageSize = 0x08, kNotifications = 0x14,
                          kCommandRing = 0x18, kContextTable = 0x30, kConfig = 0x38;
// USBCMD.
inline constexpr uint32_t kRun = 1, kReset = 1 << 1, kInterrupts = 1 << 2,
                          kErrorInterrupts = 1 << 3, kWrapEvent = 1 << 10;
// USBSTS.
inline constexpr uint32_t kHalted = 1, kSystemError = 1 << 2, kNotReady = 1 << 11,
                          kControllerError = 1 << 12;
inline constexpr uint32_t kRingCycle = 1;  // CRCR.RCS

// PORTSC of port n from 1 on (xHCI 5.4.8).
constexpr uint32_t port_register(uint32_t port) {
    return 0x400 + 0x10 * (port - 1);
}
inline constexpr uint32_t kPortConnected = 1, kPortEnabled = 1 << 1, kPortReset = 1 << 4,
                          kPortPower = 1 << 9;
inline constexpr uint32_t kPortConnectChange = 1 << 17, kPortEnableChange = 1 << 18,
                          kPortOverCurrentChange = 1 << 20, kPortResetChange = 1 << 21,
                          kPortLinkChange = 1 << 22;  // a written 1 clears them
// What is written back as it was read: power, indicators, what wakes.
inline constexpr uint32_t kPortKept = kPortPower | 3 << 14 | 7 << 25;
constexpr uint32_t port_speed(uint32_t portsc) {
    return portsc >> 10 & 0xf;
}

// Runtime registers of the one interrupter (xHCI 5.5.2): offsets from runtime().
inline constexpr uint32_t kInterrupter = 0x20, kManagement = 0x00, kSegments = 0x08,
                          kSegmentTable = 0x10, kDequeue = 0x18;
inline constexpr uint32_t kInterrupterBytes = 0x20;
inline constexpr uint32_t kHandlerBusy = 1 << 3;  // ERDP.EHB, that a written 1 clears

// Extended capabilities (xHCI 7): id in bits 7:0, words to the next in 15:8.
inline constexpr uint32_t kLegacySupport = 1, kSupportedProtocol = 2;
inline constexpr uint32_t kMaxExtended = 64;               // that are looked at
inline constexpr uint32_t kExtendedBytes = 0x10 + 15 * 4;  // of the longest that are used
// USBLEGSUP and USBLEGCTLSTS (xHCI 7.1).
inline constexpr uint32_t kFirmwareOwns = 1 << 16, kSystemOwns = 1 << 24, kLegacyControl = 4,
                          kLegacyKept = 7 << 1 | 0xff << 5 | 7 << 17, kLegacyEvents = 7u << 29;

// ---- what the controller reads and writes in memory ------------------------------------------

// xHCI 4.11.1.
struct Trb {
    uint64_t parameter = 0;
    uint32_t status = 0;
    uint32_t control = 0;  // bit 0: the cycle; written last
};
static_assert(sizeof(Trb) == 16);

// xHCI 6.4.6, table 6-91, in bits 15:10 of the control word.
enum class TrbType : uint32_t {
    normal = 1,
    setup = 2,
    data = 3,
    status = 4,
    link = 6,
    enable_slot = 9,
    disable_slot = 10,
    address_device = 11,
    configure_endpoint = 12,
    evaluate_context = 13,
    transfer_event = 32,
    command_event = 33,
    port_event = 34,
};
constexpr uint32_t type_bits(TrbType type) {
    return uint32_t(type) << 10;
}
constexpr TrbType type_of(const Trb& trb) {
    return TrbType(trb.control >> 10 & 0x3f);
}
// Flags of control words (xHCI 6.4.1, 6.4.4.1).
inline constexpr uint32_t kCycle = 1, kToggleCycle = 1 << 1, kOnShortPacket = 1 << 2,
                          kOnCompletion = 1 << 5, kImmediate = 1 << 6, kIn = 1 << 16,
                          kSetupThenIn = 3 << 16;

// xHCI 6.4.5.
enum class Completion : uint32_t {
    success = 1,
    transaction_error = 4,
    stall = 6,
    short_packet = 13
};

// Event ring segment table entry (xHCI 6.5).
struct Segment {
    uint64_t address = 0;
    uint32_t n_trbs = 0, reserved = 0;
};
static_assert(sizeof(Segment) == 16);

// Contexts are 32 or 64 bytes, of which these words are used (xHCI 6.2.2, 6.2.3). Of a slot, a device's
// 16 outgoing and 15 ingoing endpoints are in the order of their ids (4.5.1): endpoint 0 is 1, IN n is
// 2n + 1.
inline constexpr uint32_t kNContexts = 32;
constexpr uint32_t in_endpoint_id(uint32_t number) {
    return 2 * number + 1;
}
inline constexpr uint32_t kControlEndpointId = 1;
inline constexpr uint32_t kIsHub = 1 << 26;                        // word 0 of a slot
inline constexpr uint32_t kControlEndpoint = 4, kInterruptIn = 7;  // EP type, word 1 of an endpoint
inline constexpr uint32_t kThreeTries = 3 << 1;                    // CErr

// ---- requests and descriptors ------------------------------------------------------------------

// Speeds with the numbers that ports have for them unless a protocol says otherwise (xHCI 7.2.2.1.1), as
// slots have them.
enum class Speed : uint8_t { none = 0, full = 1, low = 2, high = 3 };

// USB 9.3.
struct Setup {
    uint8_t type = 0, request = 0;
    uint16_t value = 0, index = 0, length = 0;

    bool is_in() const { return (type & 0x80) != 0; }
};
static_assert(sizeof(Setup) == 8);
// bmRequestType: of the device, of an interface (HID 7.2), of a hub, of a hub's port (USB 11.24.2).
inline constexpr uint8_t kGetFromDevice = 0x80, kSetOnDevice = 0x00, kSetOnInterface = 0x21,
                         kGetFromHub = 0xa0, kSetOnHub = 0x20, kGetFromPort = 0xa3,
                         kSetOnPort = 0x23;
// bRequest: USB 9.4 and 11.24.2, HID 7.2.
inline constexpr uint8_t kGetStatus = 0, kClearFeature = 1, kSetFeature = 3, kGetDescriptor = 6,
                         kSetConfiguration = 9, kSetIdle = 0x0a, kSetProtocol = 0x0b;
inline constexpr uint16_t kBootProtocol = 0;

// Descriptor types (USB 9.4, 11.23.2.1).
inline constexpr uint8_t kDeviceDescriptor = 1, kConfigurationDescriptor = 2,
                         kInterfaceDescriptor = 4, kEndpointDescriptor = 5, kHubDescriptor = 0x29;
inline constexpr uint32_t kConfigurationBytes = 9;
// Of the device descriptor, all that is of interest (USB 9.6.1): where its class, protocol and largest
// packet stand.
inline constexpr uint32_t kDeviceHeadBytes = 8, kDeviceClass = 4, kDeviceMaxPacket = 7;
inline constexpr uint8_t kHubClass = 9, kHidClass = 3, kBootSubclass = 1, kKeyboardProtocol = 1;
// Of the hub descriptor (USB 11.23.2.1): without the masks at its end, whose length varies.
inline constexpr uint32_t kHubHeadBytes = 7, kHubPorts = 2, kHubCharacteristics = 3,
                          kHubPowerGood = 5;

// A hub's port: wPortStatus and wPortChange (USB 11.24.2.7.1 and 2), features (table 11-17).
inline constexpr uint32_t kStatusConnected = 1, kStatusEnabled = 1 << 1, kStatusReset = 1 << 4,
                          kStatusLowSpeed = 1 << 9, kStatusHighSpeed = 1 << 10;
inline constexpr uint32_t kChangeConnection = 1, kChangeEnable = 1 << 1, kChangeSuspend = 1 << 2,
                          kChangeOverCurrent = 1 << 3, kChangeReset = 1 << 4, kAllChanges = 0x1f;
inline constexpr uint16_t kFeatureReset = 4, kFeaturePower = 8, kFeatureFirstChange = 16;
inline constexpr uint16_t kFeatureHubFirstChange = 0;  // C_HUB_LOCAL_POWER, then C_HUB_OVER_CURRENT

// A boot keyboard's report (HID appendix B.1): modifiers, reserved, six usages.
inline constexpr uint32_t kReportBytes = 8;

}  // namespace axiom::efi::usb
