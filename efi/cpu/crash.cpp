// SPDX-License-Identifier: MIT
#include "efi/cpu/crash.h"

#include <algorithm>

#include "core/status.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/guarded_msr.h"
#include "efi/cpu/tune.h"
#include "efi/platform/machine_check.h"

extern "C" [[noreturn]] [[gnu::visibility("hidden")]] void axiom_exception(
    const axiom::efi::Frame* frame);

namespace axiom::efi {

constinit Crash crash;

namespace {

void say_page_fault(const Frame& f, const CoreState& core) {
    const uint64_t address = read_cr2(), guard = core.stacks.stack_guard;
    say("axiom: page fault: ",
        (f.error & 16) != 0  ? "execute"
        : (f.error & 2) != 0 ? "write"
                             : "read",
        " at ", Hex{address, 16}, ", ", (f.error & 1) != 0 ? "protected" : "not mapped",
        address < kPageBytes                               ? " (null page)"
        : address >= guard && address < guard + kPageBytes ? " (stack guard: stack overflow)"
                                                           : "");
}

// What this core's banks hold. Cleared afterwards, as is the state of being in a machine check: another
// one while the machine is left would otherwise reset it.
void say_machine_check() {
    constexpr uint32_t kGlobalStatus = 0x17a;
    GuardedMsrs msrs;
    uint64_t global = 0;
    msrs.read(kGlobalStatus, &global);
    MachineCheckBank banks[MachineChecks::kMaxBanks];
    const size_t n = MachineChecks(has_machine_checks(), msrs).read(banks);
    say("axiom: machine check: global status ", Hex{global}, ", ", n, n == 1 ? " bank" : " banks");
    for (const MachineCheckBank& bank : std::span(banks, n)) {
        say("  bank ", bank.number, ": status ", Hex{bank.status, 16},
            bank.is_uncorrected() ? ", uncorrected" : ", corrected",
            bank.has_address ? Text<32>(", address ", Hex{bank.address}).view() : "",
            bank.has_misc ? Text<32>(", misc ", Hex{bank.misc}).view() : "",
            bank.has_lost_some() ? ", later errors lost" : "");
    }
    msrs.write(kGlobalStatus, 0);
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
        crash.console.write(Text<48>(i % 4 == 0 ? "  " : " ", registers[i].name, " ",
                                     HexDigits{registers[i].value, 16}, i % 4 == 3 ? "\n" : ""));
    }
}

}  // namespace

void Crash::begin(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
    firmware_console_.init(system->ConOut);
    console.use_firmware(FirmwareConsole::sink, &firmware_console_);
    image_ = image;
    boot_services_ = system->BootServices;
}

void Crash::take_machine(const CrashNeeds& needs) {
    console.use_nothing();
    boot_services_ = nullptr;
    needs_ = needs;
    cores.init(needs.stacks, needs.others, needs.clock, [] { crash.leave(); });
    fill_interrupts(&interrupts);
    load_interrupts(cores.boot_processor(), interrupts);
}

void Crash::leave() {
    cores.take_the_end();
    if (!needs_.power->begun()) {
        console.flush();
        wait_for_key();
        needs_.keys->stop();
        cores.hand_over_end();
    }
    while (needs_.power->try_next()) {
    }
    if (!has_halted_) {
        has_halted_ = true;
        say(needs_.power->halts()
                ? "axiom: halted"
                : "axiom: the firmware did not power the machine off; it is halted");
        console.flush();
    }
    halt_forever();
}

void Crash::leave_at_once() {
    has_waited_ = true;
    leave();
}

// What nobody has read would be gone with the power.
void Crash::wait_for_key() {
    if (has_waited_ || !needs_.may_wait || !console.is_on_screen_only()) return;
    has_waited_ = true;  // first: looking for a keyboard may fault, too
    if (!needs_.keys->has_keyboard()) return;
    // What was typed before the question is no answer, what comes after it is.
    needs_.keys->forget();
    say("\nPress a key to power off.");
    console.flush();
    needs_.keys->wait();
}

void Crash::panic(const char* file, int line, const char* what) {
    if (boot_services_ != nullptr) {
        say("\naxiom: panic: ", file, ":", line, ": ", what);
        boot_services_->Exit(image_, EFI_ABORTED, 0, nullptr);
        halt_forever();
    }
    cores.take_the_end();
    say("\naxiom: panic: ", file, ":", line, ": ", what, ", ", core_name(cores.current()).view(),
        cores.fate_of_others().view());
    leave();
}

void Crash::report(const Frame& frame) {
    cores.take_the_end();
    const CoreState& core = cores.current();
    // Firmware that faults while it turns the machine off leaves the next way of doing so.
    if (needs_.power->begun()) leave();
    if (reporting_) {
        say("\naxiom: exception ", exception_name(frame.vector), " while reporting one, at ",
            place(frame.rip).view());
        leave();
    }
    reporting_ = true;
    say("\naxiom: exception: ", exception_name(frame.vector), " (vector ", frame.vector,
        "), error code ", Hex{frame.error}, ", at ", place(frame.rip).view(), ", ",
        core_name(core).view(), cores.fate_of_others().view());
    if (frame.vector == kPageFaultVector) say_page_fault(frame, core);
    if (frame.vector == kMachineCheckVector) say_machine_check();
    say_registers(frame);
    say_code(frame.rip);
    say_callers(frame.rsp, core);
    leave();
}

bool Crash::readable(uint64_t address, uint64_t n_bytes) const {
    return needs_.tables->find(address).page_bytes != 0 &&
           needs_.tables->find(address + n_bytes - 1).page_bytes != 0;
}

// "axiom.efi+0x1234" inside the image, the bare address elsewhere.
Text<48> Crash::place(uint64_t address) const {
    const AddressRange& image = needs_.image.whole;
    if (address >= image.begin && address < image.end) {
        return Text<48>("axiom.efi+", Hex{address - image.begin});
    }
    return Text<48>(Hex{address, 16});
}

void Crash::say_code(uint64_t rip) {
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
void Crash::say_callers(uint64_t rsp, const CoreState& core) {
    console.write("  callers, newest first, some may be stale:");
    const AddressRange& code = needs_.image.code;
    size_t n_shown = 0;
    rsp = std::max(rsp, core.stacks.stack_begin) / 8 * 8;
    for (uint64_t at = rsp; at < core.stacks.stack_end && n_shown < 12 && readable(at, 8);
         at += 8) {
        const uint64_t word = *reinterpret_cast<const uint64_t*>(at);
        if (word < code.begin || word >= code.end) continue;
        console.write(Text<48>(n_shown % 4 == 0 ? "\n    " : " ", place(word).view()));
        n_shown++;
    }
    console.write("\n");
}

}  // namespace axiom::efi

void axiom_exception(const axiom::efi::Frame* frame) {
    axiom::efi::crash.report(*frame);
}

void axiom::panic_handler(const char* file, int line, const char* what) {
    efi::crash.panic(file, line, what);
}
