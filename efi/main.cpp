// SPDX-License-Identifier: MIT
// The boot order, top to bottom: efi_main, boot(), then the phases in the order in which boot()
// calls them. Each is given what earlier ones gathered and returns what it gathers.
// Until ExitBootServices every error goes back to whoever started us; afterwards the machine is
// ours and is left as --on-exit says.
#include <algorithm>

#include "core/status.h"
#include "efi/boot/exit.h"
#include "efi/boot/facts.h"
#include "efi/boot/files.h"
#include "efi/boot/firmware.h"
#include "efi/boot/memory_plan.h"
#include "efi/boot/options.h"
#include "efi/boot/pages.h"
#include "efi/boot/record_file.h"
#include "efi/boot/tpm.h"
#include "efi/boot/usb.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/cached_memory.h"
#include "efi/cpu/counters.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"
#include "efi/cpu/memory_types.h"
#include "efi/cpu/smp.h"
#include "efi/cpu/ticks.h"
#include "efi/cpu/trampoline.h"
#include "efi/cpu/tune.h"
#include "efi/dev/device.h"
#include "efi/dev/keys.h"
#include "efi/dev/power.h"
#include "efi/dev/record_variable.h"
#include "efi/dev/register_ports.h"
#include "efi/dev/screen.h"
#include "efi/dev/serial.h"
#include "efi/dev/terminal.h"
#include "efi/fault.h"
#include "efi/load/find_model.h"
#include "efi/load/hand_over.h"
#include "efi/load/loader.h"
#include "efi/load/model_menu.h"
#include "efi/load/place_rows.h"
#include "efi/memory/machine_map.h"
#include "efi/memory/scatter.h"
#include "efi/nvme/disk.h"
#include "efi/platform/bus_masters.h"
#include "efi/platform/tco.h"
#include "efi/usb/keyboards.h"
#include "model/report/prompts.h"
#include "model/run/bench.h"
#include "model/run/generate.h"
#include "model/run/noise.h"
#include "model/run/serve.h"

namespace axiom::efi {
namespace {

// Pieces of RAM that are not cached, at most.
constexpr size_t kMaxUncached = 16;

// What efi_main begins with.
struct Entry {
    Firmware firmware;
    uint64_t ticks = 0;
    bool* keeps_records = nullptr;  // what the options say of it, for errors that end the start
    CoreStacks stacks;              // the boot processor's, which boot() runs on
};

struct CoreSetup {
    CorePlan plan;
    CoreMemory memory;  // of plan.n_others cores
};

struct Loaded {
    LoadedModel model;
    Weights weights;
    NvmePlace disk;  // that layers are streamed from
};

// What the slab may have: all of it, and which of it comes last.
struct FreeMemory {
    // Crumbs between firmware's own pieces must not crowd out what comes last.
    static constexpr size_t kMaxFirst = Slab::kMaxRanges * 3 / 4;
    AddressRange ranges[Slab::kMaxRanges];
    size_t n_first = 0, n = 0;
    std::span<const AddressRange> all() const { return {ranges, n}; }
    std::span<const AddressRange> first() const { return all().first(n_first); }
    std::span<const AddressRange> last() const { return all().subspan(n_first); }
};

// What vouches for this start, for the record; empty texts where nothing does.
struct Trust {
    std::string_view secure_boot;
    Text<64> options_pcr, model_pcr;
};

// Of --prompts; empty without that option.
struct Prompts {
    std::span<char> text;
    uint64_t longest_line = 0;
};

Status boot_on_own_stack(const Firmware& firmware, uint64_t entry_ticks, bool* keeps_records);
Status boot(const Entry& entry);

// With the firmware.
bool answer_at_once(const Options& options);
CoreSetup plan_start(const Options& options, const Facts& facts, OwnedPages* pages);
void say_start(const Facts& facts, const CorePlan& plan);
const ModelPlace& choose(const Firmware& firmware, const ModelList& models, const Options& options);
Result<Loaded> load(const Firmware& firmware, const ModelPlace& place, const Options& options,
                    const Facts& facts, const CacheRules& rules, const MemoryMap& map, Tpm* tpm,
                    OwnedPages* pages);
Trust who_vouches(const Firmware& firmware, const Tpm& tpm);
Status check_options(const Firmware& firmware, const Options& options, const Weights& weights);
Result<Prompts> read_prompts(const Firmware& firmware, const Options& options, OwnedPages* pages);
Result<std::span<PageTable>> plan_memory(const Firmware& firmware, const Options& options,
                                         const Weights& weights, const Prompts& prompts,
                                         const CoreSetup& cores, DeviceList devices,
                                         const CacheRules& rules, MemoryMap* map,
                                         OwnedPages* pages);

PageTables::Features wanted_pages(const Options& options, const CorePlan& cores);

// Without it.
uint64_t take_over(const Firmware& firmware, const CrashNeeds& needs, Serial* serial,
                   Screen* screen, MemoryMap* map);
void build_tables(const MachinePlan& plan, DeviceList devices, std::span<PageTable> pool,
                  const PageTables::Features& features, PageTables* tables);
PlacedPages place_memory(const Weights& weights, const AddressRange& model, const CorePlan& plan,
                         const NumaFacts& numa, const Options& options, const FreeMemory& free,
                         PageTables* tables);
void use_own_tables(bool quiet, const AddressRange& model, const PlacedPages& placed,
                    const PageTables& tables);
void scatter(const AddressRange& model, const FreeMemory& free, PageTables* tables);
void stop_watchdogs(const AcpiFacts& acpi, bool quiet, RegisterAccess& registers);
void start_screen(bool quiet, Screen* screen);
void start_disk(bool quiet, NvmeDisk* disk);
void start_usb(bool quiet, const Status& allowed, UsbKeyboards* usb);
void note_keyboard(Keys* keys, const AcpiFacts& acpi);
FreeMemory find_free_memory(const MemoryMap& map, const OwnedPages& pages, const CacheRules& rules);
void say_left_out(const MemoryMap& map, const CacheRules& rules, const AddressRange& model);
void stop_devices(bool quiet, const NvmeDisk& disk, const NvmePlace& place);
void find_start_up_pages(const MemoryMap& map, const OwnedPages& pages, CoreSetup* cores);
Record describe_machine(const Entry& entry, const Options& options, const Facts& facts,
                        const CorePlan& plan, const StartedCores& started, const LoadedModel& model,
                        const FreeMemory& free, uint64_t exit_ticks);
Text<2048> list_models(const ModelList& models, const ModelPlace& current);
void run(const Machine& machine, const Weights& weights, const Options& options,
         const Prompts& prompts, ChatTerminal& terminal, Record* record);
void keep_record(const Record& record, bool quiet, RecordVariable* variable);
[[noreturn]] void fail(const Status& status);
void require(const Status& status);

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
#ifdef AXIOM_TEST_FAULT
    distort_tables(options.prompt, acpi_rsdp(firmware));
#endif
    Result<Facts> gathered = gather_facts(firmware, &map);
    if (!gathered.ok()) return gathered.status();
#ifdef AXIOM_TEST_FAULT
    distort_cpus(options.prompt, &gathered.value().acpi.cpus);
#endif
    const Facts& facts = gathered.value();
    const CacheRules rules{read_memory_types(), forced_write_back_end()};
#ifdef AXIOM_TEST_FAULT
    take_low_pages(options.prompt, firmware.boot);
#endif
    CoreSetup cores = plan_start(options, facts, &pages);
    if (!options.quiet) say_start(facts, cores.plan);
    phases.end(Phase::console);

#ifdef AXIOM_TEST_FAULT
    distort_disks(options.prompt, firmware.boot);
#endif
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
    EFI_RUNTIME_SERVICES* runtime = firmware.runtime;
#ifdef AXIOM_TEST_FAULT
    runtime = distort_runtime(options.prompt, runtime);
#endif
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

    const Result<std::span<PageTable>> pool = plan_memory(
        firmware, options, weights, prompts.value(), cores, devices, rules, &map, &pages);
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
#ifdef AXIOM_TEST_FAULT
    turn_on_iommus(options.prompt, facts.acpi.pci);
#endif
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
                 devices, pool.value(), wanted_pages(options, cores.plan), &tables);
    const PlacedPages placed = place_memory(weights, model.range(), cores.plan, facts.acpi.numa,
                                            options, find_free_memory(map, pages, rules), &tables);
    use_own_tables(options.quiet, model.range(), placed, tables);
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
    const CoreTuning tuning = tune_cores(team, facts.clock);
    if (!options.quiet) say_tuning(tuning, team.size());
    phases.end(Phase::cores);

    const FreeMemory free = find_free_memory(map, pages, rules);
    Slab slab;
    slab.init(free.first(), free.last());
    phases.end(Phase::slab);
    LayerLoop loop;
    add_tasks(devices, &loop);
#ifdef AXIOM_TEST_FAULT
    provoke_fault(options.prompt, team, cores.memory, usb);
#endif
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
        describe_machine(entry, options, facts, cores.plan, started, model, free, exit_ticks);
    record.secure_boot = trust.secure_boot;
    record.tpm_options_pcr = trust.options_pcr;
    record.tpm_model_pcr = trust.model_pcr;
    const Text<16> microcode(Hex{tuning.microcode});
    NodeShare nodes[NumaFacts::kMaxNodes];
    record.n_siblings = cores.plan.n_siblings;
    record.nodes = describe_nodes(facts.acpi.numa, model.range(), tables, nodes);
    if (placed.n_wanted != 0) record.rows_near = double(placed.n_near) / double(placed.n_wanted);
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
    if (options.keep_record) keep_record(record, options.quiet, &kept);
    disk.stop();
    if (options.chat && record.outcome.ok()) crash.leave_at_once();
    crash.leave();
}

// ---- with the firmware ---------------------------------------------------------------------

bool answer_at_once(const Options& options) {
    if (options.help) {
        print_help("axiom.efi", Source::efi_command_line, Console::sink, &crash.console);
    } else if (!options.quiet || options.version) {
        say("AXIOM 0.1.0 (" AXIOM_COMMIT ")");
        if (options.version) say(kFontNotice);
    }
    return options.help || options.version;
}

// How many cores there will be, at most, and memory for them. Whatever is missing costs cores only.
CoreSetup plan_start(const Options& options, const Facts& facts, OwnedPages* pages) {
    const LocalApic& apic = facts.apic;
    const uint32_t highest_id = apic.has_x2apic ? 0xfffffffe : kMaxXapicId;
    CoreSetup cores;
    cores.plan = plan_cores(facts.acpi.cpus, own_apic_id(),
                            {.n_cores = options.n_threads,
                             .max_apic_id = highest_id,
                             .thread_bits = options.smt ? 0 : own_thread_bits()});
    group_by_node(facts.acpi.numa, own_apic_id(), &cores.plan);
    Status status;
    if (!apic.usable && cores.plan.n_others != 0) {
        status = error(Code::unsupported, "local APIC: found off, or at ", Hex{apic.base},
                       ", allowed on and below 2^47");
    } else {
        const Result<CoreMemory> memory = take_cores(pages, cores.plan.n_others);
        status = memory.status();
        cores.memory = memory.value();
    }
    if (!status.ok()) {
        cores.plan.n_others = 0;
        cores.plan.n_nodes = 1;
        say("note      ", status.text(), "; one CPU is used");
    }
    return cores;
}

void say_start(const Facts& facts, const CorePlan& plan) {
    say_facts(facts);
    for (const Text<192>& note : plan.notes) {
        if (!note.view().empty()) say("note      ", note.view());
    }
}

// A model that was named is not asked about, unless the menu was named, too.
const ModelPlace& choose(const Firmware& firmware, const ModelList& models,
                         const Options& options) {
    const bool asks = models.n > 1 && (!models.is_asked || options.has_menu);
    if (!asks || options.menu_seconds == 0) return models.places[models.preset];
    return choose_model(firmware, models, options.menu_seconds);
}

Result<Loaded> load(const Firmware& firmware, const ModelPlace& place, const Options& options,
                    const Facts& facts, const CacheRules& rules, const MemoryMap& map, Tpm* tpm,
                    OwnedPages* pages) {
    const RootCheck root{.wanted = options.has_required_root || tpm->exists(),
                         .required = options.has_required_root ? &options.required_root : nullptr};
    const Result<NvmePlace> disk = hand_over(firmware, facts.acpi.pci, place);
    if (!disk.ok() && options.stream == Stream::on) return disk.status();
    const uint64_t free_bytes = total_bytes(find_free_memory(map, *pages, rules).all());
    const auto load_as = [&](Stream stream) {
        return load_model(firmware, facts.clock, place, stream, free_bytes, root, options.quiet,
                          pages);
    };
    Result<LoadedModel> model = load_as(disk.ok() ? options.stream : Stream::off);
    // Memory may be in pieces that are too small for the whole.
    const bool is_too_large =
        model.status().code() == Code::no_memory && options.stream == Stream::when_needed;
    if (is_too_large && disk.ok()) model = load_as(Stream::on);
    if (is_too_large && !disk.ok()) say("note      ", disk.status().text());
    if (!model.ok()) return model.status();
    const LoadedModel& m = model.value();
    const Result<Weights> weights = Weights::open(options.model, m.bytes(), m.file_bytes, root);
    if (!weights.ok()) return weights.status();
    if (root.wanted) {
        const Sha256Digest digest = weights.value().layout.root();
        tpm->measure(kModelPcr, "model", digest);
    }
    const Loaded loaded{m, weights.value(), m.is_whole() ? NvmePlace() : disk.value()};
    if (!options.quiet) {
        const double seconds = facts.clock.seconds(m.load_ticks);
        say("model     ", options.model, ", ", Bytes{m.n_bytes},
            m.is_whole() ? Text<48>("") : Text<48>(" of ", Bytes{m.file_bytes}), " in ",
            Fixed{seconds, 2}, " s (", Fixed{double(m.n_bytes) / 1e6 / seconds, 1}, " MB/s), ",
            root.wanted ? "SHA-256" : "checksums", " right");
    }
    return loaded;
}

Trust who_vouches(const Firmware& firmware, const Tpm& tpm) {
    Trust trust;
    trust.secure_boot = secure_boot_state(firmware);
    if (!tpm.exists()) return trust;
    const struct {
        uint32_t pcr;
        Text<64>* text;
    } both[] = {{kOptionsPcr, &trust.options_pcr}, {kModelPcr, &trust.model_pcr}};
    for (const auto& [pcr, text] : both) {
        const Result<Sha256Digest> value = tpm.read(pcr);
        if (value.ok()) {
            *text = digest_text(value.value());
        } else {
            say("note      ", value.status().text());
        }
    }
    return trust;
}

// What would otherwise be found out when there is no firmware left to go back to.
Status check_options(const Firmware& firmware, const Options& options, const Weights& weights) {
    const uint64_t bytes = check_scratch_bytes(weights, options);
    OwnedPages pages(firmware);
    const Result<uint64_t> scratch = pages.take({.what = "prompt scratch", .bytes = bytes});
    if (!scratch.ok()) return scratch.status();
    return check_run(weights, options, features_once_enabled(),
                     {reinterpret_cast<uint8_t*>(scratch.value()), bytes});
}

Result<Prompts> read_prompts(const Firmware& firmware, const Options& options, OwnedPages* pages) {
    constexpr uint64_t kMaxBytes = 64 << 20;
    if (options.prompts.empty()) return Prompts();
    const Result<std::span<char>> text =
        read_text_file(firmware, options.prompts, kMaxBytes, pages);
    if (!text.ok()) return text.status();
    const std::span<char> bytes = text.value();
    return Prompts{bytes, PromptFile::longest_line({bytes.data(), bytes.size()})};
}

// The rest of what is taken for after the exit, and whether what is then left suffices.
Result<std::span<PageTable>> plan_memory(const Firmware& firmware, const Options& options,
                                         const Weights& weights, const Prompts& prompts,
                                         const CoreSetup& cores, DeviceList devices,
                                         const CacheRules& rules, MemoryMap* map,
                                         OwnedPages* pages) {
    const Result<MemoryNeed> need =
        memory_needed(weights, options, cores.plan.n_cores(), prompts.longest_line);
    if (!need.ok()) return need.status();
    Status status = take_device_memory(pages, devices);
    if (status.ok()) status = map->read(firmware);
    if (!status.ok()) return status;
    const Result<std::span<PageTable>> pool =
        take_tables(pages, *map, cores.memory, devices, wanted_pages(options, cores.plan));
    if (!pool.ok()) return pool.status();
    const uint64_t have = total_bytes(find_free_memory(*map, *pages, rules).all());
    if (need.value().least > have) {
        return error(Code::no_memory, options.model, ": the run needs ", Bytes{need.value().least},
                     " (", need.value().least, " bytes) beside the weights, the machine has ",
                     Bytes{have}, " (", have, " bytes) left");
    }
    return pool;
}

PageTables::Features wanted_pages(const Options& options, const CorePlan& cores) {
    PageTables::Features features = paging_features();
    features.only_small = options.small_pages;
    // Rows are placed by pages of 2 MiB.
    features.gib_pages = features.gib_pages && cores.n_nodes == 1;
    return features;
}

// ---- without the firmware ------------------------------------------------------------------

// From the firmware's machine to ours: faults are reported, the serial port speaks, and the screen takes
// what is said, though nothing draws until its pixels are mapped as they should be. Returns the ticks at
// the exit.
uint64_t take_over(const Firmware& firmware, const CrashNeeds& needs, Serial* serial,
                   Screen* screen, MemoryMap* map) {
    const Status status = exit_boot_services(firmware, map);
    const uint64_t exit_ticks = ticks_now();
    mask_interrupts();
    enable_vector_state();
    // Before the serial port, so that a fault at a wrong register address ends in a machine left as
    // configured.
    crash.take_machine(needs);
    serial->start();
    crash.console.use_serial(serial);
    screen->start();
    crash.console.use_screen(screen);
    needs.keys->start();
    if (!status.ok()) fail(status);
    return exit_ticks;
}

void build_tables(const MachinePlan& plan, DeviceList devices, std::span<PageTable> pool,
                  const PageTables::Features& features, PageTables* tables) {
    tables->init(pool, features);
    Status status = map_machine(plan, tables);
    if (status.ok()) status = map_registers(devices, tables);
    require(status);
}

// Which memory the weights and the slab are in, as long as nothing is.
PlacedPages place_memory(const Weights& weights, const AddressRange& model, const CorePlan& plan,
                         const NumaFacts& numa, const Options& options, const FreeMemory& free,
                         PageTables* tables) {
    if (!options.disturb.scatter) return place_rows(weights, model, plan, numa, free.all(), tables);
    scatter(model, free, tables);
    return {};
}

void use_own_tables(bool quiet, const AddressRange& model, const PlacedPages& placed,
                    const PageTables& tables) {
    set_page_types();
    switch_page_tables(tables.root());
    if (quiet) return;
    const PageTables::Counts n = tables.count(model.begin, model.end);
    say("pages     weights in ", n.n_1gib, " of 1 GiB, ", n.n_2mib, " of 2 MiB, ", n.n_4kib,
        " of 4 KiB");
    if (placed.n_wanted == 0) return;
    say("rows      ", placed.n_near, " of ", placed.n_wanted,
        " pages are in the memory of the cores that read them; ", placed.n_moved, " were moved");
}

// --disturb scatter: of the weights, which stay what they are, and of what the slab will have.
void scatter(const AddressRange& model, const FreeMemory& free, PageTables* tables) {
    const auto swap = [](void*, uint64_t a, uint64_t b) {
        std::swap_ranges(reinterpret_cast<uint64_t*>(a),
                         reinterpret_cast<uint64_t*>(a + kPageBytes),
                         reinterpret_cast<uint64_t*>(b));
    };
    scatter_pages(model, swap, nullptr, tables);
    for (const AddressRange& range : free.all()) scatter_pages(range, nullptr, nullptr, tables);
}

// Where the firmware had no low pages to give, some of its own are free now.
void find_start_up_pages(const MemoryMap& map, const OwnedPages& pages, CoreSetup* cores) {
    CoreMemory& memory = cores->memory;
    if (memory.n_places == 0 || memory.trampoline != 0) return;
    memory.trampoline =
        find_low_pages(map.regions, pages.ranges(), kTrampolinePages, kTrampolineEnd);
    if (memory.trampoline != 0) return;
    say("note      CPU start-up: found no ", kTrampolinePages, " pages below ", Hex{kTrampolineEnd},
        "; one CPU is used");
    memory.n_places = cores->plan.n_others = 0;
}

// Before memory that the firmware's drivers had is used.
void stop_devices(bool quiet, const NvmeDisk& disk, const NvmePlace& place) {
    PciPorts pci;
    const StoppedMasters masters = stop_bus_masters(pci, disk.exists() ? &place.where : nullptr);
    if (quiet || masters.n_functions == 0) return;
    say("pci       ", masters.n_stopped, " of ", masters.n_functions,
        " functions may no longer write to memory");
}

// They would reset a machine on which no driver feeds them.
void stop_watchdogs(const AcpiFacts& acpi, bool quiet, RegisterAccess& registers) {
    PciPorts pci;
    const Tco tco = stop_tco(pci, acpi.pm1_events, registers);
    if (tco == Tco::stopped && !quiet)
        say("note      watchdog: the chipset's (TCO) was not halted; it is now");
    if (tco == Tco::runs_on) say("note      watchdog: the chipset's (TCO) cannot be halted");
    if (acpi.watchdog.where.address == 0) return;
    if (!stop_watchdog(acpi.watchdog, registers)) {
        say("note      watchdog: ACPI's (WDAT) cannot be stopped");
    } else if (!quiet) {
        say("note      watchdog: ACPI's (WDAT) is stopped");
    }
}

void start_screen(bool quiet, Screen* screen) {
    if (!screen->exists()) return;
    const Framebuffer& f = screen->framebuffer();
    const Painter& painter = screen->painter();
    if (!quiet) {
        say("screen    ", f.width, "x", f.height, ", ", painter.n_columns(), " columns and ",
            painter.n_rows(), " rows of ", painter.cell_width(), "x", painter.cell_height());
    }
    screen->draw_all();
}

// A laptop without a word to its keyboard would look hung.
void note_keyboard(Keys* keys, const AcpiFacts& acpi) {
    if (!acpi.has_i2c_input || keys->has_keyboard()) return;
    say("note      no keyboard has answered; ACPI shows one or a touchpad on I2C, which is not "
        "driven: one on USB, or the serial port, is the way out");
}

void start_disk(bool quiet, NvmeDisk* disk) {
    require(disk->start());
    if (quiet) return;
    const DiskReader::Limits limits = disk->reader()->limits();
    say("disk      ", disk->full_name(), ", blocks of ", limits.alignment, " bytes, ", limits.depth,
        " reads of up to ", Bytes{limits.max_read_bytes}, " at a time");
}

// `allowed`: whether controllers may read and write memory, or why not.
void start_usb(bool quiet, const Status& allowed, UsbKeyboards* usb) {
    if (!allowed.ok()) return say("note      USB keyboards are left alone: ", allowed.text());
    usb->start();
    if (quiet) return;
    for (const UsbController& controller : usb->controllers()) {
        if (!controller.works()) continue;
        say("usb       ", controller.full_name(), ", ", controller.n_ports(),
            " ports for keyboards");
    }
}

// What the slab may have once boot services are gone, by the map at hand: RAM that is cached, and is not
// otherwise ours.
FreeMemory find_free_memory(const MemoryMap& map, const OwnedPages& pages,
                            const CacheRules& rules) {
    AddressRange kept[OwnedPages::kMax + kMaxUncached];
    const auto owned = pages.ranges();
    std::copy(owned.begin(), owned.end(), kept);
    const size_t n_kept =
        owned.size() + uncached_ranges(map.regions, rules, std::span(kept).subspan(owned.size()));
    const std::span<AddressRange> all(kept, n_kept);
    FreeMemory free;
    free.n_first = free_ranges(map.regions, all, FreeMemoryKind::never_boot_services,
                               std::span(free.ranges).first(FreeMemory::kMaxFirst));
    free.n = free.n_first + free_ranges(map.regions, all, FreeMemoryKind::boot_services,
                                        std::span(free.ranges).subspan(free.n_first));
    return free;
}

// For people, where there are any.
void say_left_out(const MemoryMap& map, const CacheRules& rules, const AddressRange& model) {
    if (map.skipped.n != 0) {
        say("note      ", map.skipped.first.view(), "; ", map.skipped.n,
            map.skipped.n == 1 ? " is left out" : " are left out");
    }
    AddressRange ranges[kMaxUncached];
    const std::span<const AddressRange> uncached(ranges,
                                                 uncached_ranges(map.regions, rules, ranges));
    if (uncached.empty()) return;
    say("note      the MTRRs let ", Bytes{total_bytes(uncached)},
        " of RAM be cached by no core, from ", Hex{uncached[0].begin}, " on; it is not used");
    for (const AddressRange& range : uncached) {
        if (range.begin < model.end && model.begin < range.end)
            return say("note      the model lies there: reading it will be slow");
    }
}

// What only this platform knows. The run fills in the rest.
Record describe_machine(const Entry& entry, const Options& options, const Facts& facts,
                        const CorePlan& plan, const StartedCores& started, const LoadedModel& model,
                        const FreeMemory& free, uint64_t exit_ticks) {
    const Clock& clock = facts.clock;
    Record r;
    r.build_commit = AXIOM_COMMIT;
    r.backend = "uefi";
    r.machine = facts.firmware_name;
    r.cpu_info = started.common.brand;
    r.n_cpus = plan.n_found;
    r.n_cpus_started = uint32_t(started.n_started);
    r.test_time = facts.test_time;
    r.model_filename = options.model;
    r.tsc_hz = clock.ticks_per_second;
    if (facts.rate.is_measured) r.tsc_reference = facts.rate.reference;
    r.memory_bytes = total_bytes(free.all());
    r.phase_entry_ns = double(clock.ns(entry.ticks));
    r.phase_load_ns = double(clock.ns(model.load_ticks));
    r.load_bytes = model.n_bytes;
    r.phase_exit_ns = double(clock.ns(exit_ticks - entry.ticks));
    return r;
}

// --noise: a table, and a record a core.
Status run_noise(const Machine& machine, const Options& options, const Record& record) {
    NoiseFacts facts;
    facts.build_commit = record.build_commit;
    facts.backend = record.backend;
    facts.cpu_info = record.cpu_info;
    facts.machine = record.machine;
    facts.test_time = record.test_time;
    const Result<std::span<const CoreNoise>> cores = measure_noise(machine, options, &facts);
    if (!cores.ok()) return cores.status();
    if (!options.quiet) print_table(facts, cores.value(), Console::sink, &crash.console);
    for (const CoreNoise& core : cores.value())
        print_json(facts, core, Console::sink, &crash.console);
    return {};
}

// What /models says: the next start can take another one.
Text<2048> list_models(const ModelList& models, const ModelPlace& current) {
    char lines[1800];
    Writer w(lines, sizeof lines);
    for (const ModelPlace& place : models.all()) {
        if (&place == &current) continue;
        w.put("\n")
            .put(place.name.view())
            .put(", ")
            .put(Bytes{place.bytes})
            .put(", at the next start");
    }
    return Text<2048>(current.name.view(), ", in use", w.view());
}

// The tests of --bench, all of --prompts, a conversation, or one prompt, whichever the options ask for.
// Each ends with a table and a record.
void run(const Machine& machine, const Weights& weights, const Options& options,
         const Prompts& prompts, ChatTerminal& terminal, Record* record) {
    struct Tests {
        const Options& options;
        uint32_t n_threads = 0;  // of the last test
    } tests{options};
    const auto print_one = [](void* context, const Record& r) {
        Tests& t = *static_cast<Tests*>(context);
        if (!t.options.quiet) print_test(r, t.n_threads, Console::sink, &crash.console);
        print_json(r, Console::sink, &crash.console);
        crash.console.flush();  // not inside the next test
        t.n_threads = r.n_threads;
    };
    if (options.noise_seconds > 0) {
        const Status noise = run_noise(machine, options, *record);
        if (!noise.ok()) say("\naxiom: error: ", noise.text());
        return;
    }
    const bool is_bench = options.bench.wanted;
    const auto serve_file = [&] {
        PromptFile source(options.prompts, prompts.text, options);
        return serve(machine, weights, options, source, prompts.longest_line, record);
    };
    const Status status = is_bench ? bench(machine, weights, options, record, print_one, &tests)
                          : !options.prompts.empty() ? serve_file()
                          : options.chat ? chat(machine, weights, options, terminal, record)
                                         : generate(machine, weights, options, record);
    const bool failed = !status.ok() && status.code() != Code::interrupted;
    if (failed) say("\naxiom: error: ", status.text());
    record->outcome = status;
    if (is_bench && !failed) return;
    crash.console.write("\n");
    // A screen does not scroll back to the answer.
    const bool is_short = crash.console.is_on_screen_only();
    if (!options.quiet && is_short) print_summary(*record, Console::sink, &crash.console);
    if (!options.quiet && !is_short) print_table(*record, Console::sink, &crash.console);
    print_json(*record, Console::sink, &crash.console);
}

// For who has no serial port. The record has been said by now: nothing here is worth a run.
void keep_record(const Record& record, bool quiet, RecordVariable* variable) {
    crash.console.flush();
    const Status status = variable->write(record);
    if (!status.ok()) {
        say("note      the record is not kept: ", status.text());
    } else if (!quiet) {
        say("record    kept by the firmware, for the next start");
    }
}

void fail(const Status& status) {
    say("axiom: error: ", status.text());
    crash.leave();
}

void require(const Status& status) {
    if (!status.ok()) fail(status);
}

}  // namespace
}  // namespace axiom::efi
