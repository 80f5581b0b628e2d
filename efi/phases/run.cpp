// SPDX-License-Identifier: MIT
#include "efi/phases/run.h"

#include "efi/boot/commit.h"
#include "efi/cpu/crash.h"
#include "model/report/prompts.h"
#include "model/run/bench.h"
#include "model/run/generate.h"
#include "model/run/noise.h"
#include "model/run/serve.h"

namespace axiom::efi {
namespace {

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

}  // namespace

Record describe_machine(uint64_t entry_ticks, const Options& options, const Facts& facts,
                        const CorePlan& plan, const StartedCores& started, const LoadedModel& model,
                        const FreeMemory& free, uint64_t exit_ticks) {
    const Clock& clock = facts.clock;
    Record r;
    r.build_commit = kCommit;
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
    r.phase_entry_ns = double(clock.ns(entry_ticks));
    r.phase_load_ns = double(clock.ns(model.load_ticks));
    r.load_bytes = model.n_bytes;
    r.phase_exit_ns = double(clock.ns(exit_ticks - entry_ticks));
    return r;
}

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

void keep_record(const Record& record, bool quiet, RecordVariable* variable) {
    crash.console.flush();
    const Status status = variable->write(record);
    if (!status.ok()) {
        say("note      the record is not kept: ", status.text());
    } else if (!quiet) {
        say("record    kept by the firmware, for the next start");
    }
}

}  // namespace axiom::efi
