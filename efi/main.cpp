// SPDX-License-Identifier: MIT
// efi_main: the boot order, readable top to bottom. Until ExitBootServices every error goes back to
// whoever started us; afterwards the machine is ours and is left as --on-exit says.
#include <new>

#include "efi/acpi.h"
#include "efi/apic.h"
#include "efi/calibrate.h"
#include "efi/console.h"
#include "efi/cpu.h"
#include "efi/exit.h"
#include "efi/fault.h"
#include "efi/firmware.h"
#include "efi/interrupts.h"
#include "efi/keys.h"
#include "efi/loader.h"
#include "efi/machine_map.h"
#include "efi/options.h"
#include "efi/panic.h"
#include "efi/power.h"
#include "efi/smp.h"
#include "efi/stop.h"
#include "model/run/bench.h"
#include "model/run/generate.h"

namespace axiom::efi {
namespace {

constexpr char kVersion[] = "AXIOM 0.1.0 (" AXIOM_COMMIT ")";

// What the boot gathers. One object, because after the exit it is all there is.
struct Boot {
    Firmware firmware;
    uint64_t entry_ticks = 0;
    uint64_t exit_ticks = 0;
    Options options;
    AcpiFacts acpi;
    TscRate rate;
    Clock clock;
    Text<128> firmware_name{""};
    Text<32> test_time{""};
    AddressRange image;
    LoadedModel model;
    Weights weights;
    WorkArea area;
    MemoryMap map;
    PageTables tables;
    AddressRange free[Slab::kMaxRanges];
    size_t n_free = 0;
    LocalApic apic;
    CorePlan core_plan;
    CoreState core;  // this one, the boot processor
    StartedCores cores;

    Serial serial;
    Keys keys;
    Team team;
    LayerLoop loop;
    Slab slab;
    Record record;
};
// Constructed by efi_main: nothing runs constructors before it.
alignas(Boot) constinit unsigned char boot_storage[sizeof(Boot)] = {};

// What the slab may have once boot services are gone, by the map at hand.
void find_free_memory(Boot& b) {
    const AddressRange kept[] = {b.area.range(),       b.area.tables_range(), b.area.text_range(),
                                 b.area.cores.range(), model_range(b.model),  b.image};
    b.n_free = free_ranges(b.map.regions, kept, b.free);
}

// ---- before the exit -----------------------------------------------------------------------

// How many cores there will be, at most, and memory for them. Whatever is missing costs cores only.
void plan_start(Boot& b) {
    b.apic = local_apic();
    const uint32_t highest_id = b.apic.has_x2apic ? 0xfffffffe : kMaxXapicId;
#ifdef AXIOM_TEST_FAULT
    distort_cpus(b.options.prompt, &b.acpi.cpus);
#endif
    b.core_plan = plan_cores(b.acpi.cpus, own_apic_id(), b.options.n_threads, highest_id);
    Status status;
    if (!b.apic.usable && b.core_plan.n_others != 0) {
        status = error(Code::unsupported, "local APIC: found off, or at ", Hex{b.apic.base},
                       ", allowed on and below 2^47");
    } else {
        status = b.area.allocate_cores(b.firmware, b.core_plan.n_others);
    }
    if (status.ok()) return;
    b.core_plan.n_others = 0;
    say("note      ", status.text(), "; one CPU is used");
}

Status gather_facts(Boot& b) {
    Status status = b.area.allocate(b.firmware);
    if (status.ok()) status = read_memory_map(b.firmware, b.area.raw_map, b.area.regions, &b.map);
    if (!status.ok()) return status;
    b.acpi = read_acpi(readable_memory(b.map), acpi_rsdp(b.firmware));
    drop_impossible_registers(b.map.regions, &b.acpi);
    plan_start(b);
    b.firmware_name = firmware_name(b.firmware);
    b.test_time = utc_now(b.firmware);
    if (!b.options.date.known()) b.options.date = parse_date(b.test_time.view());

    const EFI_TPL level =
        b.firmware.boot->RaiseTPL(TPL_HIGH_LEVEL);  // nothing may come between readings
    const Result<TscRate> rate = calibrate_tsc(b.acpi);
    b.firmware.boot->RestoreTPL(level);
    if (!rate.ok()) return rate.status();
    b.rate = rate.value();
    b.clock.ticks_per_second = b.rate.hz;
    return {};
}

void say_facts(const Boot& b) {
    say("firmware  ", b.firmware_name.view());
    say("tsc       ", Fixed{double(b.rate.hz) / 1e6, 3}, " MHz against the ", b.rate.reference,
        ", spread ", Fixed{b.rate.spread * 100, 3}, " %",
        has_invariant_tsc() ? ", invariant" : ", not invariant",
        b.rate.spread > kMaxSpread ? " (unsteady: times are less exact than usual)" : "");
    say("acpi      ", b.acpi.found ? "found, " : "none, ", b.acpi.cpus.n_found, " CPUs, console ",
        b.acpi.uart.address != 0 ? "by SPCR" : "COM1");
    if (!b.acpi.note.view().empty()) say("note      ", b.acpi.note.view());
    for (const Text<192>& note : b.core_plan.notes) {
        if (!note.view().empty()) say("note      ", note.view());
    }
}

// What would otherwise be found out when there is no firmware left to go back to.
Status check_options(const Boot& b) {
    const uint64_t bytes = check_scratch_bytes(b.weights, b.options);
    const Result<uint64_t> scratch =
        allocate_pages(b.firmware, "prompt scratch", bytes, kPageBytes);
    if (!scratch.ok()) return scratch.status();
    const Status status = check_run(b.weights, b.options, features_once_enabled(),
                                    {reinterpret_cast<uint8_t*>(scratch.value()), bytes});
    free_pages(b.firmware, scratch.value(), bytes);
    return status;
}

Status check_memory(Boot& b) {
    const Result<MemoryNeed> need = memory_needed(b.weights, b.options, b.core_plan.n_cores());
    if (!need.ok()) return need.status();
    Status status = read_memory_map(b.firmware, b.area.raw_map, b.area.regions, &b.map);
    if (!status.ok()) return status;
    status = b.area.allocate_tables(b.firmware, b.map, paging_features());
    if (!status.ok()) return status;
    find_free_memory(b);
    const uint64_t have = total_bytes({b.free, b.n_free});
    if (need.value().least > have) {
        return error(Code::no_memory, b.options.model, ": the run needs ",
                     Bytes{need.value().least}, " (", need.value().least,
                     " bytes) beside the weights, the machine has ", Bytes{have}, " (", have,
                     " bytes) left");
    }
    return {};
}

Status prepare(Boot& b) {
    Status status = gather_facts(b);
    if (!status.ok()) return status;
    if (!b.options.quiet) say_facts(b);

    status = load_model(b.firmware, b.clock, b.options.model, b.options.quiet, &b.model);
    if (!status.ok()) return status;
    Result<Weights> weights = Weights::open(b.options.model, b.model.bytes());
    if (!weights.ok()) return weights.status();
    b.weights = weights.value();
    if (!b.options.quiet) {
        const double seconds = b.clock.seconds(b.model.load_ticks);
        say("model     ", b.options.model, ", ", Bytes{b.model.file_bytes}, " in ",
            Fixed{seconds, 2}, " s (", Fixed{double(b.model.file_bytes) / 1e6 / seconds, 1},
            " MB/s), checksums right");
    }
    status = check_options(b);
    return status.ok() ? check_memory(b) : status;
}

// ---- after the exit ------------------------------------------------------------------------

[[noreturn]] void fail(const Status& status) {
    say("axiom: error: ", status.text());
    leave_machine();
}

void describe_machine(Boot& b, const Status& outcome) {
    Record& r = b.record;
    r.build_commit = AXIOM_COMMIT;
    r.backend = "uefi";
    r.machine = b.firmware_name;
    r.cpu_info = b.cores.common.brand;
    r.n_cpus = b.core_plan.n_found;
    r.n_cpus_started = uint32_t(b.cores.n_started);
    r.test_time = b.test_time;
    r.phase_entry_ns = double(b.clock.ns(b.entry_ticks));
    r.phase_load_ns = double(b.clock.ns(b.model.load_ticks));
    r.load_bytes = b.model.file_bytes;
    r.phase_exit_ns = double(b.clock.ns(b.exit_ticks - b.entry_ticks));
    if (r.tsc_hz == 0) r.tsc_hz = b.rate.hz;
    if (r.memory_bytes == 0) r.memory_bytes = total_bytes({b.free, b.n_free});
    if (r.model_filename.empty()) r.model_filename = b.options.model;
    if (!outcome.ok() && outcome.code() != Code::interrupted) {
        r.status = "error";
        r.error = outcome.text();
    }
}

// The run that the options ask for: a prompt, or the tests of --bench. What it ends with is a table
// and a record, of each test.
void do_run(Boot& b, const Machine& machine) {
    struct Tests {
        Boot& b;
        bool any = false;
    } tests{b};
    const auto print_one = [](void* context, const Record& r) {
        Tests& t = *static_cast<Tests*>(context);
        if (!t.b.options.quiet) print_test(r, !t.any, Console::sink, &console);
        print_json(r, Console::sink, &console);
        console.flush();  // not inside the next test
        t.any = true;
    };
    const bool is_bench = b.options.bench.wanted;
    if (is_bench) describe_machine(b, {});
    const Status status = is_bench
                              ? bench(machine, b.weights, b.options, &b.record, print_one, &tests)
                              : generate(machine, b.weights, b.options, &b.record);
    const bool failed = !status.ok() && status.code() != Code::interrupted;
    if (failed) say("\naxiom: error: ", status.text());
    if (is_bench && !failed) return;
    describe_machine(b, status);
    console.write("\n");
    if (!b.options.quiet) print_table(b.record, Console::sink, &console);
    print_json(b.record, Console::sink, &console);
}

void say_pages(const Boot& b) {
    const AddressRange model = model_range(b.model);
    const PageTables::Counts n = b.tables.count(model.begin, model.end);
    say("pages     weights in ", n.n_1gib, " of 1 GiB, ", n.n_2mib, " of 2 MiB, ", n.n_4kib,
        " of 4 KiB");
}

// On our own stack, under our own tables: the machine is AXIOM's.
[[noreturn]] void run(void* context) {
    Boot& b = *static_cast<Boot*>(context);
    Status status = map_machine({b.map, b.area, model_range(b.model), b.image, b.acpi, b.apic,
                                 memory_attributes_table(b.firmware)},
                                paging_features(), &b.tables);
    if (!status.ok()) fail(status);
    switch_page_tables(b.tables.root());
    set_crash_tables(&b.tables);
    if (!b.options.quiet) say_pages(b);
    b.cores = start_team(
        {b.core_plan, b.area.cores, &b.tables, b.clock, b.options.isa, b.options.quiet}, &b.team);

    find_free_memory(b);
    b.slab.init({b.free, b.n_free});
    b.keys.init(&b.serial);
    b.loop.add({.name = "console", .poll = Console::task, .context = &console});
    b.loop.add({.name = "keys", .poll = Keys::task, .context = &b.keys});

#ifdef AXIOM_TEST_FAULT
    provoke_fault(b.options.prompt, b.team, b.area.cores);
#endif
    Machine machine;
    machine.clock = b.clock;
    machine.features = decode_features(b.cores.common);
    machine.team = &b.team;
    machine.loop = &b.loop;
    machine.slab = &b.slab;
    machine.interrupted = &b.keys.interrupted;
    machine.write = Console::sink;
    machine.write_context = &console;
    machine.entry_ticks = b.entry_ticks;
    do_run(b, machine);
    leave_machine();
}

[[noreturn]] void take_over(Boot& b) {
    const Status status = exit_boot_services(b.firmware, b.area.raw_map, b.area.regions, &b.map);
    b.exit_ticks = ticks_now();
    console.use_nothing();
    panics_return_to(nullptr);
    mask_interrupts();
    enable_vector_state();
    const bool has_spcr = b.acpi.uart.address != 0;
    // First, so that a fault at a wrong register address ends in a machine left as configured.
    b.core.number = 0;
    b.core.apic_id = own_apic_id();
    b.core.exception_stacks = b.area.exception_stacks;
    b.core.stack_begin = b.area.stack_begin;
    b.core.stack_end = b.area.stack_end;
    b.core.reachable = true;
    set_stop_clock(b.clock);
    add_core(&b.core);
    install_interrupts(b.core, crash_context(b.image));
    b.serial.init(has_spcr ? b.acpi.uart : Serial::kCom1, has_spcr ? b.acpi.uart_baud : 115200);
    console.use_serial(&b.serial, b.area.ring);
    if (!status.ok()) fail(status);
    run_on_stack(b.area.stack_end, run, &b);
}

// Back to whoever started us. A boot manager clears the screen, so the message stays for a moment.
EFI_STATUS give_back(Boot& b, const Status& status) {
    say("axiom: error: ", status.text());
    if (b.model.address != 0) free_pages(b.firmware, b.model.address, b.model.reserved_bytes);
    b.area.release(b.firmware);
    if (!b.firmware.from_shell) b.firmware.boot->Stall(3000000);
    return to_efi_status(status);
}

EFI_STATUS boot_machine(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
    Boot& b = *new (boot_storage) Boot{};
    b.entry_ticks = ticks_now();
    console.use_firmware(system->ConOut);
    Status status = open_firmware(image, system, &b.firmware);
    if (!status.ok()) {
        say("axiom: error: ", status.text());
        return to_efi_status(status);
    }
    b.image = image_range(b.firmware);
    panics_return_to(&b.firmware);
    b.firmware.boot->SetWatchdogTimer(0, 0, 0, nullptr);

    const Result<uint64_t> text =
        allocate_pages(b.firmware, "option text", kOptionTextBytes, kPageBytes);
    if (!text.ok()) return give_back(b, text.status());
    b.area.option_text = {reinterpret_cast<char*>(text.value()), kOptionTextBytes};
    status = read_options(b.firmware, b.area.option_text, &b.options);
    if (!status.ok()) return give_back(b, status);
    if (b.options.help) {
        print_help("axiom.efi", Source::efi_command_line, Console::sink, &console);
    } else {
        if (!b.options.quiet || b.options.version) say(kVersion);
    }
    if (b.options.help || b.options.version) {
        b.area.release(b.firmware);
        return EFI_SUCCESS;
    }

    status = prepare(b);
    if (!status.ok()) return give_back(b, status);
    prepare_power(b.firmware, b.acpi, b.options.on_exit);
    take_over(b);
}

}  // namespace
}  // namespace axiom::efi

extern "C" EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
    return axiom::efi::boot_machine(image, system);
}
