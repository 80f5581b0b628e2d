// SPDX-License-Identifier: MIT
#include "efi/cpu/cpu.h"

#include <cpuid.h>

#include "core/cpu_features.h"
#include "efi/cpu/msr.h"

namespace axiom::efi {
namespace {

constexpr uint64_t kCr0MonitorCoprocessor = 1 << 1, kCr0Emulation = 1 << 2,
                   kCr0TaskSwitched = 1 << 3, kCr0NumericError = 1 << 5, kCr0WriteProtect = 1 << 16,
                   kCr0NotWriteThrough = 1 << 29, kCr0CacheDisable = 1 << 30;
constexpr uint64_t kCr4PhysicalExtension = 1 << 5, kCr4MachineCheck = 1 << 6,
                   kCr4GlobalPages = 1 << 7, kCr4FxSave = 1 << 9, kCr4SimdExceptions = 1 << 10,
                   kCr4FiveLevels = 1 << 12, kCr4XSave = 1 << 18;
constexpr uint32_t kEferMsr = 0xc0000080;
constexpr uint64_t kEferNoExecute = 1 << 11;

uint64_t read_cr0() {
    uint64_t v;
    asm volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}
void write_cr0(uint64_t v) {
    asm volatile("mov %0, %%cr0" ::"r"(v) : "memory");
}
uint64_t read_cr4() {
    uint64_t v;
    asm volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}
void write_cr4(uint64_t v) {
    asm volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}

void flush_translations() {
    asm volatile("mov %%cr3, %%rax\n\tmov %%rax, %%cr3" ::: "rax", "memory");
}

uint32_t extended_edx(uint32_t leaf) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(leaf, &a, &b, &c, &d) ? d : 0;
}

}  // namespace

PageTables::Features paging_features() {
    const uint32_t edx = extended_edx(0x80000001);
    return {(edx >> 26 & 1) != 0, (edx >> 20 & 1) != 0, (read_cr4() & kCr4FiveLevels) != 0};
}

ConfidentialWords read_confidential_words() {
    constexpr uint32_t kSevStatusMsr = 0xc0010131;
    ConfidentialWords words;
    uint32_t a, b, c, d;
    if (__get_cpuid(0x21, &a, &b, &c, &d) != 0)
        words.leaf21_ebx = b, words.leaf21_ecx = c, words.leaf21_edx = d;
    if (__get_cpuid(0x8000001f, &a, &b, &c, &d) != 0) words.leaf8000001f_eax = a;
    // Every CPU with SEV has the register.
    if ((words.leaf8000001f_eax >> 1 & 1) != 0) words.sev_status = read_msr(kSevStatusMsr);
    return words;
}

bool has_invariant_tsc() {
    return (extended_edx(0x80000007) >> 8 & 1) != 0;
}

void enable_vector_state() {
    write_cr0((read_cr0() & ~(kCr0Emulation | kCr0TaskSwitched)) | kCr0MonitorCoprocessor |
              kCr0NumericError);
    const uint64_t xcr0 = wanted_xcr0();
    // From scratch rather than or-ed: what firmware turned on for itself (control-flow enforcement,
    // supervisor access prevention, protection keys) is not set up for us. Paging depth must stay.
    write_cr4((read_cr4() & kCr4FiveLevels) | kCr4PhysicalExtension | kCr4MachineCheck |
              kCr4GlobalPages | kCr4FxSave | kCr4SimdExceptions | (xcr0 != 0 ? kCr4XSave : 0));
    if (xcr0 != 0) {
        asm volatile("xsetbv" ::"c"(0), "a"(uint32_t(xcr0)), "d"(uint32_t(xcr0 >> 32)));
    }
    constexpr uint32_t kMxcsr = 0x1f80;
    asm volatile("fninit\n\tldmxcsr %0" ::"m"(kMxcsr));
}

void switch_page_tables(uint64_t root) {
    if (paging_features().no_execute) {
        write_msr(kEferMsr, read_msr(kEferMsr) | kEferNoExecute);
    }
    const uint64_t cr4 = read_cr4();
    write_cr4(cr4 & ~kCr4GlobalPages);  // global translations survive a write to CR3
    asm volatile("mov %0, %%cr3" ::"r"(root) : "memory");
    write_cr4(cr4);
    write_cr0(read_cr0() | kCr0WriteProtect);
}

PagingState paging_state() {
    constexpr uint64_t kEferLongMode = 1 << 8;
    const uint64_t efer = read_msr(kEferMsr) & kEferNoExecute;
    const uint64_t depth = read_cr4() & kCr4FiveLevels;
    PagingState state;
    state.cr0 = uint32_t(read_cr0());
    // The rest of CR4 is enable_vector_state()'s; SSE is for the compiler, which may use it
    // anywhere.
    state.cr4 = uint32_t(depth | kCr4PhysicalExtension | kCr4FxSave | kCr4SimdExceptions);
    state.efer = uint32_t(efer | kEferLongMode);
    state.needed_edx = 1u << 29 | (efer != 0 ? 1u << 20 : 0);
    state.needed_ecx = depth != 0 ? 1u << 16 : 0;
    return state;
}

CachesOff::CachesOff() : cr0_(read_cr0()), cr4_(read_cr4()) {
    write_cr0((cr0_ | kCr0CacheDisable) & ~kCr0NotWriteThrough);
    asm volatile("wbinvd" ::: "memory");
    write_cr4(cr4_ & ~kCr4GlobalPages);
    flush_translations();
}

CachesOff::~CachesOff() {
    asm volatile("wbinvd" ::: "memory");
    flush_translations();
    write_cr0(cr0_);
    write_cr4(cr4_);
}

void call_on_stack(uint64_t top, void (*function)(void*), void* context) {
    // The old stack pointer is in rbx meanwhile, which every function leaves as it found it.
    asm volatile(
        "mov %%rsp, %%rbx\n\t"
        "mov %[top], %%rsp\n\t"
        "call *%[function]\n\t"
        "mov %%rbx, %%rsp"
        : "+D"(context)
        : [top] "r"(top), [function] "r"(function)
        : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0",
          "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15");
}

void halt_forever() {
    for (;;) asm volatile("cli\n\thlt" ::: "memory");
}

}  // namespace axiom::efi
