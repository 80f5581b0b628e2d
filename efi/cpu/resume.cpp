// SPDX-License-Identifier: MIT
// Interrupts after which the interrupted code goes on. It may be inside a kernel, so nothing here
// touches a vector register: this file is compiled for general registers only, and whatever it calls and
// comes back from is inlined.
#include "efi/cpu/apic.h"
#include "efi/cpu/crash.h"

extern "C" [[gnu::visibility("hidden")]] bool axiom_interrupt(axiom::efi::Frame* frame);
extern "C" const char axiom_probe_msr_read[], axiom_try_msr_write[], axiom_probe_msr_failed[];

// Whether that was all there is to it.
bool axiom_interrupt(axiom::efi::Frame* frame) {
    using namespace axiom::efi;
    constexpr uint64_t kProtectionVector = 13;
    switch (frame->vector) {
        case kNmiVector:
            // By NMI cores are stopped. One from elsewhere (a watchdog, a chipset's error, a person's
            // button) is counted, and the record says so.
            crash.cores.stop_if_told();
            crash.cores.current().n_nmis.fetch_add(1, std::memory_order_relaxed);
            return true;
        case kProtectionVector:
            if (frame->rip != uint64_t(axiom_probe_msr_read) &&
                frame->rip != uint64_t(axiom_try_msr_write)) {
                return false;
            }
            frame->rip = uint64_t(axiom_probe_msr_failed);
            return true;
        case kTickVector: {
            CoreState& core = crash.cores.current();
            if (core.tick == nullptr) return false;
            core.tick->handle();
            end_interrupt(core.end_of_interrupt);
            return true;
        }
        default:
            return frame->vector == kSpuriousVector;
    }
}
