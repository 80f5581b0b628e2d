// SPDX-License-Identifier: MIT
#include "efi/dev/record_variable.h"

#include "model/report/short_record.h"

namespace axiom::efi {
namespace {

// UEFI 2.10 section 8.2; QueryVariableInfo() came with 2.0.
constexpr uint32_t kRevision2 = 2 << 16;
constinit EFI_GUID guid = {
    0x191111af, 0x4567, 0x4b77, {0x89, 0x2b, 0x97, 0x64, 0xaa, 0xe9, 0x52, 0x3b}};
constinit CHAR16 name[] = {'A', 'x', 'i', 'o', 'm', 'R', 'e', 'c', 'o', 'r', 'd', 0};
constexpr uint32_t kAttributes =
    EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS;
// What a store may take beside the value: the name, a header, alignment.
constexpr uint64_t kBesideBytes = sizeof name + 128;

Status refused(std::string_view what, EFI_STATUS status) {
    return error(Code::io, "the firmware's variable store: ", what, ": status ", Hex{status});
}

}  // namespace

Status RecordVariable::check_room(size_t n_bytes) const {
    if (runtime_->Hdr.Revision < kRevision2) return {};  // it can't be asked
    UINT64 store_bytes = 0, free_bytes = 0, max_bytes = 0;
    const EFI_STATUS status =
        runtime_->QueryVariableInfo(kAttributes, &store_bytes, &free_bytes, &max_bytes);
    if (EFI_ERROR(status)) return refused("asking for its room", status);
    const uint64_t need = n_bytes + kBesideBytes;
    if (need <= free_bytes && need <= max_bytes) return {};
    return error(Code::no_memory, "the firmware's variable store: found ", free_bytes,
                 " bytes free, at most ", max_bytes, " for one variable, needed ", need);
}

Status RecordVariable::set(std::string_view text) {
    const EFI_STATUS status = runtime_->SetVariable(name, &guid, kAttributes, text.size(),
                                                    const_cast<char*>(text.data()));
    return EFI_ERROR(status) ? refused("writing the record", status) : Status();
}

Status RecordVariable::write(const Record& record) {
    char text[kMaxBytes];
    const size_t n = print_short_json(record, text);
    if (n == 0) return error(Code::no_memory, "the record: found more than ", kMaxBytes, " bytes");
    if (Status s = check_room(n); !s.ok()) return s;
    return set({text, n});
}

Result<size_t> RecordVariable::read(std::span<char> out) const {
    UINTN n = out.size();
    UINT32 attributes = 0;
    const EFI_STATUS status = runtime_->GetVariable(name, &guid, &attributes, &n, out.data());
    if (status == EFI_NOT_FOUND) return error(Code::not_found, "no record is kept");
    if (status == EFI_BUFFER_TOO_SMALL)
        return error(Code::no_memory, "the record kept by the firmware: found ", n,
                     " bytes, allowed ", out.size());
    if (EFI_ERROR(status)) return refused("reading the record", status);
    return size_t(n);
}

Status RecordVariable::remove() {
    return set({});
}

}  // namespace axiom::efi
