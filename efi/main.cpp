// SPDX-License-Identifier: MIT
// The boot order, top to bottom. Each phase is given what earlier ones gathered and returns what it gathers.
// Until ExitBootServices every error goes back to whoever started us; afterwards the machine is
// ours and is left as --on-exit says.
#include "core/sha256.h"
#include "core/status.h"
#include "efi/boot/exit.h"
#include "efi/boot/facts.h"
#include "efi/boot/firmware.h"
#include "efi/boot/memory_plan.h"
#include "efi/boot/options.h"
#include "efi/boot/pages.h"
#include "efi/boot/record_file.h"
#include "efi/boot/tpm.h"
#include "efi/boot/usb.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/counters.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"
#include "efi/cpu/memory_types.h"
#include "efi/cpu/smp.h"
#include "efi/cpu/ticks.h"
#include "efi/cpu/tune.h"
#include "efi/dev/keys.h"
#include "efi/dev/power.h"
#include "efi/dev/record_variable.h"
#include "efi/dev/register_ports.h"
#include "efi/dev/screen.h"
#include "efi/dev/serial.h"
#include "efi/dev/terminal.h"
#include "efi/fault.h"
#include "efi/load/find_model.h"
#include "efi/load/place_rows.h"
#include "efi/nvme/disk.h"
#include "efi/phases/run.h"
#include "efi/phases/with_firmware.h"
#include "efi/phases/without_firmware.h"
#include "efi/usb/keyboards.h"

namespace axiom::efi {
namespace {

// What efi_main begins with.
struct Entry {
    Firmware firmware;
    uint64_t ticks = 0;
    bool* keeps_records = nullptr;  // what the options say of it, for errors that end the start
    CoreStacks stacks;              // the boot processor's, which boot() runs on
};

Status boot_on_own_stack(const Firmware& firmware, uint64_t entry_ticks, bool* keeps_records);
Status boot(const Entry& entry);

}  // namespace
}  // namespace axiom::efi

extern "C" EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
    using namespace axiom::efi;
    const uint64_t entry_ticks = axiom::ticks_now();
    crash.begin(image, system);
    Firmware firmware;
    axiom::Status status = open_firmware(image, system, &firmware);
    if (!status.ok()) {
        say("axiom: error: ", status.text());
        return to_efi_status(status);
    }
    firmware.boot->SetWatchdogTimer(0, 0, 0, nullptr);
    bool keeps_records = true;
    status = boot_on_own_stack(firmware, entry_ticks, &keeps_records);
    if (status.ok()) return EFI_SUCCESS;
    say("axiom: error: ", status.text());
    if (!firmware.from_shell) {
        // A boot manager clears the screen, so the message is recorded, and stays for a moment.
        if (keeps_records) record_error(firmware, status);
        firmware.boot->Stall(3000000);
    }
    return to_efi_status(status);
}

namespace axiom::efi {
namespace {

// The firmware's stack is no one's after the exit. On our own, what boot() gathers in its variables
// stays for as long as the machine runs.
Status boot_on_own_stack(const Firmware& firmware, uint64_t entry_ticks, bool* keeps_records) {
    struct Call {
        Entry entry;
        Status outcome;
    };
    OwnedPages pages(firmware);
    const Result<CoreStacks> stacks = take_stacks(&pages);
    if (!stacks.ok()) return stacks.status();
    Call call{{firmware, entry_ticks, keeps_records, stacks.value()}, {}};
    const auto function = [](void* context) {
        Call& c = *static_cast<Call*>(context);
        const Entry entry = c.entry;
        c.outcome = boot(entry);
    };
    call_on_stack(stacks.value().stack_end, function, &call);
    return call.outcome;
}

Status boot(const Entry& entry) {
    // With the firmware. Returning gives back what `pages` took.
    const Firmware& firmware = entry.firmware;
    BootPhases phases(0);
    phases.end(Phase::firmware, entry.ticks);
    const ImageParts image = image_parts(firmware);
    OwnedPages pages(firmware);
    pages.keep(image.whole);
    pages.keep(entry.stacks.range());

    choose_sha256(features_once_enabled());
    Tpm tpm(firmware);
    const Result<Options> asked = read_options(firmware, &tpm, &pages);
    Options options = asked.value();  // without an answer, what they are by default
    if (asked.ok() && answer_at_once(options)) return {};
    *entry.keeps_records = options.keep_record;
    if (options.keep_record) take_record_home(firmware, options.quiet);
    if (!asked.ok()) return asked.status();

    if (const std::string_view kind = confidential_kind(read_confidential_words()); !kind.empty()) {
        return error(Code::unsupported, "CPU: found a virtual machine of ", kind,
                     ", whose memory is encrypted; allowed one whose memory is not");
    }
    MemoryMap map;
    Status status = map.allocate(&pages);
    if (!status.ok()) return status;
    distort_tables(options.prompt, acpi_rsdp(firmware));
    Result<Facts> gathered = gather_facts(firmware, &map);
    if (!gathered.ok()) return gathered.status();
    distort_cpus(options.prompt, &gathered.value().acpi.cpus);
    const Facts& facts = gathered.value();
    const CacheRules rules{read_memory_types(), forced_write_back_end()};
    take_low_pages(options.prompt, firmware.boot);
    CoreSetup cores = plan_start(options, facts, &pages);
    if (!options.quiet) say_start(facts, cores.plan);
    phases.end(Phase::console);

    distort_disks(options.prompt, firmware.boot);
    const Result<ModelList> models = find_models(firmware, options.model);
    if (!models.ok()) return models.status();
    const ModelPlace& place = choose(firmware, models.value(), options);
    options.model = place.name.view();
    phases.end(Phase::find);
    const Result<Loaded> loaded = load(firmware, place, options, facts, rules, map, &tpm, &pages);
    if (!loaded.ok()) return loaded.status();
    const auto& [model, weights, disk_place] = loaded.value();
    const Trust trust = who_vouches(firmware, tpm);
    phases.end(Phase::load);
    phases.move(Phase::load, Phase::verify, model.verify_ticks);
    status = check_options(firmware, options, weights);
    if (!status.ok()) return status;
    const Result<Prompts> prompts = read_prompts(firmware, options, &pages);
    if (!prompts.ok()) return prompts.status();
    phases.end(Phase::other);

    // The machine's devices: all that has registers, needs memory or wants a turn between layers.
    PortsAndMemory ports;
    const bool has_table = facts.acpi.uart.address != 0;
    Serial serial(has_table ? facts.acpi.uart : Serial::kCom1,
                  has_table ? facts.acpi.uart_baud : Serial::kCom1Baud, has_table, ports);
    Screen screen(facts.framebuffer, options.chat);
    const UsbPlaces usb_places = find_usb(firmware, facts.acpi.pci);
    if (!options.quiet && !usb_places.note.view().empty())
        say("note      ", usb_places.note.view());
    UsbKeyboards usb(usb_places.places, facts.clock, options.keymap,
                     {.write = Console::sink, .context = &crash.console});
    const auto usb_controllers = usb.controllers();
    Keys keys(&serial, !facts.acpi.no_8042, options.keymap, facts.clock, &usb);
    EFI_RUNTIME_SERVICES* const runtime = distort_runtime(options.prompt, firmware.runtime);
    Power power(runtime, facts.acpi, options.on_exit);
    Device apic = apic_device(facts.apic);
    Device watchdog;
    watchdog.name = "watchdog";
    watchdog.registers[0] = registers_at(facts.acpi.watchdog.where);
    NvmeDisk disk(disk_place, facts.clock);
    static_assert(UsbKeyboards::kMaxControllers == 4);
    Device* const devices[] = {&serial,
                               &crash.console,
                               &screen,
                               &keys,
                               &power,
                               &apic,
                               &watchdog,
                               &disk,
                               &usb_controllers[0],
                               &usb_controllers[1],
                               &usb_controllers[2],
                               &usb_controllers[3]};

    const Result<std::span<PageTable>> pool =
        plan_memory(firmware, options, weights, prompts.value(), cores, facts.acpi.numa, devices,
                    rules, &map, &pages);
    if (!pool.ok()) return pool.status();

    // Without the firmware. Nothing below returns: an error is said and the machine is left.
    PageTables tables;
    const uint64_t exit_ticks = take_over(firmware,
                                          {.image = image,
                                           .tables = &tables,
                                           .stacks = entry.stacks,
                                           .others = cores.memory,
                                           .clock = facts.clock,
                                           .power = &power,
                                           .keys = &keys,
                                           .may_wait = options.on_exit == OnExit::by_place},
                                          &serial, &screen, &map);
    phases.end(Phase::exit);
    turn_on_iommus(options.prompt, facts.acpi.pci);
    find_start_up_pages(map, pages, &cores);
    stop_devices(options.quiet, disk, disk_place);
    if (!options.quiet) say_left_out(map, rules, model.range());
    if (disk.exists()) require(check_iommus(facts.acpi.pci, "use --stream off"));
    const Status usb_allowed =
        check_iommus(facts.acpi.pci, "use a PS/2 keyboard or the serial port");
    build_tables({.regions = map.regions,
                  .image = image,
                  .model = model.range(),
                  .stacks = entry.stacks,
                  .others = cores.memory,
                  .memory = readable_memory(&map.regions),
                  .attributes_table = memory_attributes_table(firmware)},
                 devices, pool.value(),
                 wanted_pages(options, places_rows(weights, cores.plan, facts.acpi.numa)), &tables);
    AddressRange uncached[kMaxUncached];
    const RowPlaces row_places{weights, model.range(), cores.plan, facts.acpi.numa,
                               std::span(uncached, uncached_ranges(map.regions, rules, uncached))};
    const uint64_t n_moved =
        place_memory(row_places, options, find_free_memory(map, pages, rules), &tables);
    use_own_tables(options.quiet, model.range(), tables);
    stop_watchdogs(facts.acpi, options.quiet, ports);
    phases.end(Phase::paging);
    start_screen(options.quiet, &screen);
    if (disk.exists()) start_disk(options.quiet, &disk);
    if (usb.exists()) start_usb(options.quiet, usb_allowed, &usb);
    if (screen.exists()) note_keyboard(&keys, facts.acpi);
    phases.end(Phase::other);
    Team team;
    const StartedCores started = start_team({.plan = cores.plan,
                                             .memory = cores.memory,
                                             .tables = &tables,
                                             .clock = facts.clock,
                                             .isa = options.isa,
                                             .quiet = options.quiet},
                                            &team);
    const NearPages rows = rows_near(row_places, started.workers_of, tables);
    if (!options.quiet) say_rows(rows, n_moved);
    const CoreTuning tuning = tune_cores(team, facts.clock);
    if (!options.quiet) say_tuning(tuning, team.size());
    phases.end(Phase::cores);

    const FreeMemory free = find_free_memory(map, pages, rules);
    Slab slab;
    slab.init(free.first(), free.last());
    phases.end(Phase::slab);
    LayerLoop loop;
    add_tasks(devices, &loop);
    provoke_fault(options.prompt, team, cores.memory, usb);
    CoreCounters counters(team);
    ApicTicks ticks(facts.clock);
    const Machine machine{.clock = facts.clock,
                          .features = decode_features(started.common),
                          .team = &team,
                          .loop = &loop,
                          .slab = &slab,
                          .disk = disk.reader(),
                          .interrupted = &keys.interrupted,
                          .write = Console::sink,
                          .write_context = &crash.console,
                          .note = Console::note_sink,
                          .note_context = &crash.console,
                          .trace = Console::sink,
                          .trace_context = &crash.console,
                          .counters = &counters,
                          .ticks = &ticks,
                          .entry_ticks = entry.ticks,
                          .phases = &phases};
    Record record =
        describe_machine(entry.ticks, options, facts, cores.plan, started, model, free, exit_ticks);
    record.secure_boot = trust.secure_boot;
    record.tpm_options_pcr = trust.options_pcr;
    record.tpm_model_pcr = trust.model_pcr;
    const Text<16> microcode(Hex{tuning.microcode});
    NodeShare nodes[NumaFacts::kMaxNodes];
    record.n_siblings = cores.plan.n_siblings;
    record.nodes = describe_nodes(facts.acpi.numa, model.range(), tables, nodes);
    if (rows.n_wanted != 0) record.rows_near = double(rows.n_near) / double(rows.n_wanted);
    if (tuning.microcode != 0) record.microcode = microcode.view();
    record.frequency_method = name_of(tuning.method);
    record.frequency_before = tuning.before;
    record.frequency_after = tuning.after;
    record.frequency_slowest = tuning.slowest;
    RecordVariable kept(runtime);
    const Text<2048> models_text = list_models(models.value(), place);
    Terminal terminal(&keys, &crash.console, &screen, options.keep_record ? &kept : nullptr,
                      models_text);
    screen.draw_all();
    run(machine, weights, options, prompts.value(), terminal, &record);
    const bool has_run = options.noise_seconds == 0;  // --noise tells of cores, not of a run
    if (options.keep_record && has_run) keep_record(record, options.quiet, &kept);
    disk.stop();
    if (options.chat && record.outcome.ok()) crash.leave_at_once();
    crash.leave();
}

}  // namespace
}  // namespace axiom::efi
