// SPDX-License-Identifier: MIT
#include "efi/cpu/interrupts.h"

#include <algorithm>

#include "efi/cpu/cpu.h"
#include "efi/cpu/descriptors.h"
#include "efi/cpu/stop.h"
#include "efi/dev/console.h"
#include "efi/dev/power.h"

extern "C" const char axiom_exception_entries[];  // 16 bytes per vector

namespace axiom::efi {

// As the stubs push it.
struct Frame {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

namespace {

constexpr size_t kNVectors = 32;
constexpr uint64_t kEntryBytes = 16;
constexpr uint64_t kNmi = 2, kPageFault = 14;

struct [[gnu::packed]] TablePointer {
    uint16_t limit;
    uint64_t base;
};

constinit Gate idt[kNVectors] = {};
constinit CrashContext crash{};
constinit bool in_exception = false;  // of the core that reports

unsigned stack_of(size_t vector) {
    switch (vector) {
        case 8:
            return 1;
        case 2:
            return 2;
        case 18:
            return 3;
        case kPageFault:
            return 4;
        default:
            return 0;
    }
}

bool readable(uint64_t address, uint64_t n_bytes) {
    return crash.tables != nullptr && crash.tables->find(address).page_bytes != 0 &&
           crash.tables->find(address + n_bytes - 1).page_bytes != 0;
}

// "axiom.efi+0x1234" inside the image, the bare address elsewhere.
Text<48> place(uint64_t address) {
    if (address >= crash.image_begin && address < crash.image_end) {
        return Text<48>("axiom.efi+", Hex{address - crash.image_begin});
    }
    return Text<48>(Hex{address, 16});
}

void say_page_fault(const Frame& f, const CoreState& core) {
    const uint64_t address = read_cr2();
    say("axiom: page fault: ",
        (f.error & 16) != 0  ? "execute"
        : (f.error & 2) != 0 ? "write"
                             : "read",
        " at ", Hex{address, 16}, ", ", (f.error & 1) != 0 ? "protected" : "not mapped",
        address < 4096                                                     ? " (null page)"
        : address + 4096 >= core.stack_begin && address < core.stack_begin ? " (stack guard: "
                                                                             "stack overflow)"
                                                                           : "");
}

void say_registers(const Frame& f) {
    const struct {
        const char* name;
        uint64_t value;
    } registers[] = {{"rax", f.rax}, {"rbx", f.rbx},    {"rcx", f.rcx},      {"rdx", f.rdx},
                     {"rsi", f.rsi}, {"rdi", f.rdi},    {"rbp", f.rbp},      {"rsp", f.rsp},
                     {"r8 ", f.r8},  {"r9 ", f.r9},     {"r10", f.r10},      {"r11", f.r11},
                     {"r12", f.r12}, {"r13", f.r13},    {"r14", f.r14},      {"r15", f.r15},
                     {"rip", f.rip}, {"rfl", f.rflags}, {"cr2", read_cr2()}, {"cs ", f.cs}};
    for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++) {
        console.write(Text<48>(i % 4 == 0 ? "  " : " ", registers[i].name, " ",
                               HexDigits{registers[i].value, 16}, i % 4 == 3 ? "\n" : ""));
    }
}

void say_code(uint64_t rip) {
    console.write("  code");
    if (readable(rip, 16)) {
        for (uint64_t i = 0; i < 16; i++) {
            console.write(Text<8>(" ", HexDigits{reinterpret_cast<const uint8_t*>(rip)[i], 2}));
        }
    } else {
        console.write(" (not readable)");
    }
    console.write("\n");
}

// Without frame pointers the best trace is every word on the stack that points into our code.
void say_callers(uint64_t rsp, const CoreState& core) {
    console.write("  callers, newest first, some may be stale:");
    size_t n_shown = 0;
    rsp = std::max(rsp, core.stack_begin) / 8 * 8;
    for (uint64_t at = rsp; at < core.stack_end && n_shown < 12 && readable(at, 8); at += 8) {
        const uint64_t word = *reinterpret_cast<const uint64_t*>(at);
        if (word < crash.text_begin || word >= crash.text_end) continue;
        console.write(Text<48>(n_shown % 4 == 0 ? "\n    " : " ", place(word).view()));
        n_shown++;
    }
    console.write("\n");
}

}  // namespace

extern "C" [[noreturn]] [[gnu::visibility("hidden")]] void axiom_exception(const Frame* frame);
[[noreturn]] void axiom_exception(const Frame* frame) {
    if (frame->vector == kNmi) stop_if_told();
    take_the_end();
    const CoreState& core = this_core();
    // Firmware that faults while it turns the machine off leaves the next way of doing so.
    if (is_leaving()) leave_machine();
    if (in_exception) {
        say("\naxiom: exception ", exception_name(frame->vector), " while reporting one, at ",
            place(frame->rip).view());
        leave_machine();
    }
    in_exception = true;
    say("\naxiom: exception: ", exception_name(frame->vector), " (vector ", frame->vector,
        "), error code ", Hex{frame->error}, ", at ", place(frame->rip).view(), ", ",
        core_name(core).view(), fate_of_others().view());
    if (frame->vector == kPageFault) say_page_fault(*frame, core);
    say_registers(*frame);
    say_code(frame->rip);
    say_callers(frame->rsp, core);
    leave_machine();
}

void install_interrupts(CoreState& core, const CrashContext& context) {
    crash = context;
    const auto entries = uint64_t(axiom_exception_entries);
    for (size_t i = 0; i < kNVectors; i++) {
        idt[i] = interrupt_gate(entries + i * kEntryBytes, kCodeSelector, stack_of(i));
    }
    load_interrupts(core);
}

void load_interrupts(CoreState& core) {
    for (unsigned i = 0; i < kNExceptionStacks; i++) {
        core.task.ist[i] = core.exception_stacks + (i + 1) * kExceptionStackBytes;
    }
    const TaskDescriptor task = task_descriptor(uint64_t(&core.task));
    core.gdt[1] = kCodeDescriptor;
    core.gdt[2] = kDataDescriptor;
    core.gdt[3] = task.low;
    core.gdt[4] = task.high;
    const TablePointer gdt_pointer{sizeof core.gdt - 1, uint64_t(core.gdt)};
    const TablePointer idt_pointer{sizeof idt - 1, uint64_t(idt)};
    asm volatile(
        "lgdt %0\n\t"
        "push %1\n\t"
        "lea 1f(%%rip), %%rax\n\t"
        "push %%rax\n\t"
        "lretq\n"
        "1:\n\t"
        "mov %2, %%ds\n\t"
        "mov %2, %%es\n\t"
        "mov %2, %%ss\n\t"
        "mov %2, %%fs\n\t"
        "mov %2, %%gs\n\t"
        "ltr %w3\n\t"
        "lidt %4"
        :
        : "m"(gdt_pointer), "r"(uint64_t{kCodeSelector}), "r"(uint32_t{kDataSelector}),
          "r"(uint32_t{kTaskSelector}), "m"(idt_pointer)
        : "rax", "memory");
}

void set_crash_tables(const PageTables* tables) {
    crash.tables = tables;
}

}  // namespace axiom::efi
