// SPDX-License-Identifier: MIT
// The console, and how everything ends: in good order, by a CPU exception, by a broken invariant.
// What a person needs to find the cause goes to the console, then the machine is left as
// configured, or, while there is a firmware, given back to it.
#pragma once

#include <efi.h>

#include "core/clock.h"
#include "core/fmt.h"
#include "efi/cpu/cores.h"
#include "efi/cpu/interrupts.h"
#include "efi/dev/console.h"
#include "efi/dev/firmware_console.h"
#include "efi/dev/keys.h"
#include "efi/dev/power.h"
#include "efi/memory/machine_map.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// What is handed over once there is no firmware to go back to. What it points to stays.
struct CrashNeeds {
    ImageParts image;          // addresses in it are said as axiom.efi+0x1234
    const PageTables* tables;  // what they translate may be read, nothing while they are empty
    CoreStacks stacks;         // the boot processor's
    CoreMemory others;         // the other cores', whose states begin here
    Clock clock;               // for how long other cores are waited for
    Power* power;
    Keys* keys;
    bool may_wait;  // for a key, where the screen alone has what was said
};

class Crash {
  public:
    // In efi_main, first: text goes to the firmware's console, a panic returns by Exit().
    void begin(EFI_HANDLE image, EFI_SYSTEM_TABLE* system);
    // On the boot processor, after the exit, with interrupts masked: from here on our descriptor
    // tables are in use, and a panic or an exception ends in leave(). Nothing can be said until
    // console.use_serial().
    void take_machine(const CrashNeeds& needs);

    // After take_machine(), on any core: stops the others, sends what the console holds, leaves.
    [[noreturn]] void leave();
    // The same where a person asked for the end: no key is waited for.
    [[noreturn]] void leave_at_once();

    // What an exception and a broken invariant come to, on any core.
    [[noreturn]] void report(const Frame& frame);
    [[noreturn]] void panic(const char* file, int line, const char* what);

    Console console;
    Cores cores;
    InterruptTable interrupts;

  private:
    void wait_for_key();
    bool readable(uint64_t address, uint64_t n_bytes) const;
    Text<48> place(uint64_t address) const;
    void say_code(uint64_t rip);
    void say_callers(uint64_t rsp, const CoreState& core);

    FirmwareConsole firmware_console_;
    EFI_HANDLE image_ = nullptr;
    EFI_BOOT_SERVICES* boot_services_ = nullptr;  // nullptr after the exit
    CrashNeeds needs_{};
    bool reporting_ = false;  // an exception, on the core that has the end
    bool has_halted_ = false;
    bool has_waited_ = false;
};

// The only object at file scope that is ever written: exceptions, NMIs and panics come from
// anywhere and are handed nothing.
extern Crash crash;

// A line for people: say("loaded ", Bytes{n}); the line feed is added.
template <class... Parts>
void say(const Parts&... parts) {
    crash.console.write(Text<512>(parts...));
    crash.console.write("\n");
}

}  // namespace axiom::efi
