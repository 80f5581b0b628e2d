// SPDX-License-Identifier: MIT
#include "efi/boot/pages.h"

#include "core/round.h"

namespace axiom::efi {
namespace {

constexpr uint64_t kRawMapBytes = 128 << 10;
constexpr uint64_t kMaxRegions = 2048;

// The largest piece of conventional memory right now, for a message about memory that is not there.
uint64_t largest_free_piece(const Firmware& firmware) {
    UINTN bytes = 0, key = 0, descriptor_bytes = 0;
    UINT32 version = 0;
    firmware.boot->GetMemoryMap(&bytes, nullptr, &key, &descriptor_bytes, &version);
    bytes += 8 * descriptor_bytes;
    void* buffer = nullptr;
    if (EFI_ERROR(firmware.boot->AllocatePool(EfiLoaderData, bytes, &buffer))) return 0;
    auto* map = static_cast<uint8_t*>(buffer);
    uint64_t largest = 0;
    if (!EFI_ERROR(firmware.boot->GetMemoryMap(&bytes, static_cast<EFI_MEMORY_DESCRIPTOR*>(buffer),
                                               &key, &descriptor_bytes, &version))) {
        for (UINTN at = 0; at + sizeof(EFI_MEMORY_DESCRIPTOR) <= bytes; at += descriptor_bytes) {
            const auto* d = reinterpret_cast<const EFI_MEMORY_DESCRIPTOR*>(map + at);
            const uint64_t size = d->NumberOfPages * kPageBytes;
            if (d->Type == EfiConventionalMemory && size > largest) largest = size;
        }
    }
    firmware.boot->FreePool(buffer);
    return largest;
}

Status no_pages(const Firmware& firmware, const PageRequest& request, EFI_STATUS status) {
    if (request.below < kMaxPhysicalAddress) {
        return error(Code::no_memory, request.what, ": needs ", request.bytes / kPageBytes,
                     " pages below ", Hex{request.below},
                     ", found none free: ", status_name(status).view());
    }
    const uint64_t largest = largest_free_piece(firmware);
    return error(Code::no_memory, request.what, ": needs ", Bytes{request.bytes}, " (",
                 request.bytes, " bytes), the largest free piece of memory is ", Bytes{largest},
                 " (", largest, " bytes)");
}

}  // namespace

Result<uint64_t> allocate_pages(const Firmware& firmware, const PageRequest& request) {
    PageRequest r = request;
    uint64_t padded = 0;
    EFI_STATUS status = EFI_OUT_OF_RESOURCES;
    EFI_PHYSICAL_ADDRESS address = r.below - 1;
    const EFI_ALLOCATE_TYPE type =
        r.below < kMaxPhysicalAddress ? AllocateMaxAddress : AllocateAnyPages;
    if (r.bytes <= kMaxPhysicalAddress) {
        r.bytes = round_up(r.bytes, kPageBytes);
        padded = r.bytes + (r.alignment - kPageBytes);
        status = firmware.boot->AllocatePages(type, EfiLoaderData, padded / kPageBytes, &address);
    }
    if (EFI_ERROR(status)) return no_pages(firmware, r, status);
    const uint64_t aligned = round_up(address, r.alignment);
    free_pages(firmware, address, aligned - address);
    free_pages(firmware, aligned + r.bytes, address + padded - (aligned + r.bytes));
    return aligned;
}

void free_pages(const Firmware& firmware, uint64_t address, uint64_t bytes) {
    if (bytes != 0) firmware.boot->FreePages(address, round_up(bytes, kPageBytes) / kPageBytes);
}

OwnedPages::~OwnedPages() {
    for (size_t i = 0; i < n_; i++) {
        if (taken_[i]) free_pages(firmware_, ranges_[i].begin, ranges_[i].size());
    }
}

Result<uint64_t> OwnedPages::take(const PageRequest& request) {
    const Result<uint64_t> address = allocate_pages(firmware_, request);
    if (!address.ok()) return address;
    keep({address.value(), address.value() + request.bytes});
    taken_[n_ - 1] = true;
    return address;
}

void OwnedPages::keep(const AddressRange& range) {
    AXIOM_CHECK(n_ < kMax);
    ranges_[n_] = range;
    taken_[n_++] = false;
}

Status MemoryMap::allocate(OwnedPages* pages) {
    constexpr uint64_t kRegionsBytes = kMaxRegions * sizeof(MemoryRegion);
    const Result<uint64_t> address =
        pages->take({.what = "memory map", .bytes = kRegionsBytes + kRawMapBytes});
    if (!address.ok()) return address.status();
    storage_ = {reinterpret_cast<MemoryRegion*>(address.value()), kMaxRegions};
    raw_ = {reinterpret_cast<uint8_t*>(address.value() + kRegionsBytes), kRawMapBytes};
    return {};
}

Status MemoryMap::read(const Firmware& firmware) {
    UINTN bytes = raw_.size(), descriptor_bytes = 0;
    UINT32 version = 0;
    const EFI_STATUS status =
        firmware.boot->GetMemoryMap(&bytes, reinterpret_cast<EFI_MEMORY_DESCRIPTOR*>(raw_.data()),
                                    &key, &descriptor_bytes, &version);
    if (EFI_ERROR(status)) {
        return error(Code::io, "firmware: GetMemoryMap: ", status_name(status).view(), ", needs ",
                     bytes, " bytes, allowed ", raw_.size());
    }
    const Result<size_t> n = decode_memory_map("firmware memory map", raw_.first(bytes),
                                               descriptor_bytes, storage_, &skipped);
    if (!n.ok()) return n.status();
    regions = storage_.first(n.value());
    return {};
}

}  // namespace axiom::efi
