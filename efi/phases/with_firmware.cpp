// SPDX-License-Identifier: MIT
#include "efi/phases/with_firmware.h"

#include "core/sha256.h"
#include "efi/boot/commit.h"
#include "efi/boot/files.h"
#include "efi/boot/memory_plan.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"
#include "efi/cpu/smp.h"
#include "efi/dev/terminal.h"
#include "efi/load/hand_over.h"
#include "efi/load/model_menu.h"
#include "efi/load/place_rows.h"
#include "model/report/prompts.h"
#include "model/run/generate.h"

namespace axiom::efi {

bool answer_at_once(const Options& options) {
    if (options.help) {
        print_help("axiom.efi", Source::efi_command_line, Console::sink, &crash.console);
    } else if (!options.quiet || options.version) {
        say("AXIOM 0.1.0 (", kCommit, ")");
        if (options.version) say(kFontNotice);
    }
    return options.help || options.version;
}

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
        cores.plan.keep_boot_processor_only();
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

PageTables::Features wanted_pages(const Options& options, bool places_rows) {
    PageTables::Features features = paging_features();
    features.only_small = options.small_pages;
    // Rows are placed by pages of 2 MiB.
    features.gib_pages = features.gib_pages && !places_rows;
    return features;
}

Result<std::span<PageTable>> plan_memory(const Firmware& firmware, const Options& options,
                                         const Weights& weights, const Prompts& prompts,
                                         const CoreSetup& cores, const NumaFacts& numa,
                                         DeviceList devices, const CacheRules& rules,
                                         MemoryMap* map, OwnedPages* pages) {
    const Result<MemoryNeed> need =
        memory_needed(weights, options, cores.plan.n_cores(), prompts.longest_line);
    if (!need.ok()) return need.status();
    Status status = take_device_memory(pages, devices);
    if (status.ok()) status = map->read(firmware);
    if (!status.ok()) return status;
    const Result<std::span<PageTable>> pool =
        take_tables(pages, *map, cores.memory, devices,
                    wanted_pages(options, places_rows(weights, cores.plan, numa)));
    if (!pool.ok()) return pool.status();
    const uint64_t have = total_bytes(find_free_memory(*map, *pages, rules).all());
    if (need.value().least > have) {
        return error(Code::no_memory, options.model, ": the run needs ", Bytes{need.value().least},
                     " (", need.value().least, " bytes) beside the weights, the machine has ",
                     Bytes{have}, " (", have, " bytes) left");
    }
    return pool;
}

}  // namespace axiom::efi
