// SPDX-License-Identifier: MIT
// axiom-host: the same engine as the EFI image, as a Linux program. What it adds is for comparing
// and checking: --json, --logits, --tokenize, --perplexity.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "bench/host_machine.h"
#include "bench/host_terminal.h"
#include "bench/uring_reader.h"
#include "core/clock.h"
#include "model/report/options.h"
#include "model/report/prompts.h"
#include "model/report/record.h"
#include "model/run/bench.h"
#include "model/run/generate.h"
#include "model/run/noise.h"
#include "model/run/perplexity.h"
#include "model/run/serve.h"
#include "model/text/tokenizer.h"
#include "model/weights/weights.h"

namespace {

using namespace axiom;

constexpr int kExitFailure = 1, kExitUsage = 2, kExitInterrupted = 130;

int exit_code(const Status& status) {
    switch (status.code()) {
        case Code::ok:
            return 0;
        case Code::bad_option:
            return kExitUsage;
        case Code::interrupted:
            return kExitInterrupted;
        default:
            return kExitFailure;
    }
}

void to_file(void* file, std::string_view text) {
    fwrite(text.data(), 1, text.size(), static_cast<FILE*>(file));
}

// A file that counts as written only when close() said so.
class OutputFile {
  public:
    Status open(std::string_view path) {
        path_ = path;
        file_ = path == "-" ? stdout : fopen(path_.c_str(), "wb");
        if (file_ == nullptr) return error(Code::io, path_, ": cannot create: ", strerror(errno));
        return {};
    }
    Status close() {
        if (file_ == nullptr) return {};
        bool failed = ferror(file_) != 0 || fflush(file_) != 0;
        if (file_ != stdout) failed |= fclose(file_) != 0;
        file_ = nullptr;
        if (failed) return error(Code::io, path_, ": cannot write: ", strerror(errno));
        return {};
    }
    FILE* get() const { return file_; }

  private:
    std::string path_;
    FILE* file_ = nullptr;
};

Status tokenize(const Weights& weights, std::string_view text) {
    Result<Tokenizer> tokenizer =
        Tokenizer::open(weights.file, weights.layout.extent(format::ExtentKind::tokenizer).offset,
                        weights.tokenizer);
    if (!tokenizer.ok()) return tokenizer.status();
    std::vector<TokenId> ids(4 * text.size() + 8);  // always suffices, see Tokenizer::encode()
    Result<host::Memory> scratch =
        host::Memory::map(Tokenizer::scratch_bytes(text.size()), "tokenizer scratch");
    if (!scratch.ok()) return scratch.status();
    const Tokenizer::Segment segment{text, Tokenizer::Specials::parse};
    Result<size_t> n = tokenizer.value().encode(
        {&segment, 1}, true, ids, {scratch.value().data(), Tokenizer::scratch_bytes(text.size())});
    if (!n.ok()) return n.status();
    printf("[");
    for (size_t i = 0; i < n.value(); i++) printf("%s%u", i != 0 ? ", " : "", ids[i]);
    printf("]\n");
    return {};
}

host::PageSize pages_of(const Options& options) {
    if (options.disturb.scatter) return host::PageSize::scattered;
    return options.small_pages ? host::PageSize::small : host::PageSize::huge;
}

std::string time_utc() {
    const time_t now = time(nullptr);
    tm utc;
    char text[32];
    return gmtime_r(&now, &utc) != nullptr &&
                   strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) != 0
               ? text
               : "";
}

// Where the records of --bench go: a table and a line each to stdout, the line to --json as well.
struct Tests {
    const Options& options;
    FILE* json;
    host::HostMachine& host;
    bool any = false;
    uint32_t n_threads = 0;  // of the last test

    static void print_one(void* context, const Record& record) {
        Tests& t = *static_cast<Tests*>(context);
        t.host.flush();
        if (!t.options.quiet) print_test(record, t.n_threads, to_file, stdout);
        t.n_threads = record.n_threads;
        print_json(record, to_file, stdout);
        if (t.json != nullptr && t.json != stdout) print_json(record, to_file, t.json);
        fflush(stdout);  // progress of the next test goes past stdio
        t.any = true;
    }
};

std::string system_name() {
    utsname system{};
    uname(&system);
    return std::string(system.sysname) + " " + system.release;
}

// --noise: no model, a record a core.
Status run_noise(const Options& options) {
    const size_t n_workers =
        options.n_threads != 0 ? options.n_threads : host::HostMachine::n_cores();
    host::HostMachine host;
    const uint64_t slab_bytes = noise_memory(n_workers);
    if (Status s = host.start(n_workers, {slab_bytes, slab_bytes}, pages_of(options)); !s.ok())
        return s;
    host.pin_workers();
    OutputFile json;
    if (!options.json.empty()) {
        if (Status s = json.open(options.json); !s.ok()) return s;
    }
    const std::string machine = system_name(), test_time = time_utc();
    const CpuWords cpu = read_cpu_words();
    NoiseFacts facts;
    facts.build_commit = AXIOM_COMMIT;
    facts.backend = "linux";
    facts.cpu_info = cpu.brand;
    facts.machine = machine;
    facts.test_time = test_time;
    Result<std::span<const CoreNoise>> cores = measure_noise(host.machine, options, &facts);
    if (!cores.ok()) return cores.status();
    host.flush();
    if (!options.quiet) print_table(facts, cores.value(), to_file, stdout);
    for (const CoreNoise& core : cores.value()) {
        print_json(facts, core, to_file, stdout);
        if (json.get() != nullptr && json.get() != stdout)
            print_json(facts, core, to_file, json.get());
    }
    const Status closed = json.close();
    return facts.outcome.ok() ? closed : facts.outcome;
}

// A run with its record: text and table to stdout, JSON and logits to their files.
Status run(const Options& options, const Weights& weights, const host::LoadedModel& model,
           uint64_t entry_ticks, BootPhases* phases) {
    const size_t n_workers =
        options.n_threads != 0 ? options.n_threads : host::HostMachine::n_cores();
    // Inputs before outputs: a run that cannot start leaves no files.
    const std::string_view path =
        !options.perplexity.empty() ? options.perplexity : options.prompts;
    Result<std::string> text =
        path.empty() ? Result<std::string>(std::string()) : host::read_text(std::string(path));
    if (!text.ok()) return text.status();
    const bool is_serving = !options.prompts.empty() && options.perplexity.empty();
    if (is_serving && !options.logits.empty()) {
        return error(Code::bad_option,
                     "option --logits: found with --prompts, allowed with one sequence");
    }
    const uint64_t n_text_bytes =
        is_serving ? PromptFile::longest_line(text.value()) : text.value().size();
    Result<MemoryNeed> need = memory_needed(weights, options, n_workers, n_text_bytes);
    if (!need.ok()) return need.status();
    host::HostMachine host;
    const uint64_t wanted = need.value().wanted;
    const MemoryNeed slab{weights.has_layers() ? wanted : need.value().least, wanted};
    phases->end(Phase::other);
    if (Status s = host.start(n_workers, slab, pages_of(options)); !s.ok()) return s;
    phases->end(Phase::cores);
    host.machine.entry_ticks = entry_ticks;
    host.machine.phases = phases;
    host::UringReader disk;
    if (!weights.has_layers()) {
        if (Status s = disk.open(std::string(options.model)); !s.ok()) return s;
        if (!disk.note().empty()) fprintf(stderr, "axiom-host: note: %s\n", disk.note().c_str());
        host.machine.disk = &disk;
    }
    host.machine.note = to_file;
    host.machine.note_context = stderr;
    if (options.cpu_range.count != 0) host.pin_workers();

    OutputFile json, logits, trace;
    if (!options.trace_file.empty()) {
        if (!options.perplexity.empty()) {
            return error(Code::bad_option,
                         "option --trace: found with --perplexity, allowed with other runs");
        }
        if (Status s = trace.open(options.trace_file); !s.ok()) return s;
        host.machine.trace = to_file;
        host.machine.trace_context = trace.get();
    }
    if (!options.json.empty()) {
        if (Status s = json.open(options.json); !s.ok()) return s;
    }
    if (!options.logits.empty()) {
        if (Status s = logits.open(options.logits); !s.ok()) return s;
        host.machine.on_logits_context = logits.get();
        host.machine.on_logits = [](void* file, std::span<const float> row) {
            fwrite(row.data(), sizeof(float), row.size(), static_cast<FILE*>(file));
        };
    }

    Record record;
    const std::string machine = system_name();
    const CpuWords cpu = read_cpu_words();
    const std::string test_time = time_utc();
    record.backend = "linux";
    record.build_commit = AXIOM_COMMIT;
    record.cpu_info = cpu.brand;
    record.machine = machine;
    record.test_time = test_time;
    record.huge_page_bytes = host::huge_page_bytes();
    record.load_bytes = model.n_bytes;
    record.phase_load_ns = model.seconds * 1e9;

    Status status;
    Tests tests{options, json.get(), host};
    if (options.bench.wanted) {
        status = bench(host.machine, weights, options, &record, Tests::print_one, &tests);
    } else if (is_serving) {
        PromptFile source(options.prompts, text.value(), options);
        status = serve(host.machine, weights, options, source, n_text_bytes, &record);
    } else if (options.chat && options.perplexity.empty()) {
        host::HostTerminal terminal(host, options.model, json.get(), options.json);
        status = chat(host.machine, weights, options, terminal, &record);
    } else if (options.perplexity.empty()) {
        status = generate(host.machine, weights, options, &record);
    } else {
        double perplexity_value = 0;
        status =
            perplexity(host.machine, weights, options, text.value(), &record, &perplexity_value);
        if (status.ok()) {
            host.machine.write(host.machine.write_context,
                               Text<64>("perplexity ", Fixed{perplexity_value, 4}, "\n"));
        }
    }
    host.flush();
    if (json.get() != nullptr && !tests.any) print_json(record, to_file, json.get());
    const bool is_own_line = is_serving && !options.bench.wanted && json.get() != stdout;
    const bool has_table = status.ok() || status.code() == Code::interrupted;
    if (has_table && !options.quiet && options.perplexity.empty() && !tests.any)
        print_table(record, to_file, stdout);
    if (is_own_line && has_table) print_json(record, to_file, stdout);
    for (OutputFile* file : {&json, &logits, &trace}) {
        if (Status s = file->close(); !s.ok() && status.ok()) status = s;
    }
    return status;
}

Status main_status(int argc, char** argv) {
    const uint64_t entry_ticks = ticks_now();
    BootPhases phases(entry_ticks);
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    Options options;
    if (Status s = parse_arguments(arguments, Source::host_command_line, &options); !s.ok())
        return s;
    if (options.cpu_range.count != 0) {
        if (Status s = host::use_cpus(options.cpu_range); !s.ok()) return s;
    }
    if (!options.date.known()) options.date = parse_date(time_utc());
    if (options.help) {
        print_help("axiom-host", Source::host_command_line, to_file, stdout);
        return {};
    }
    if (options.version) {
        printf("axiom-host %s\n", AXIOM_COMMIT);
        return {};
    }
    if (options.noise_seconds > 0) return run_noise(options);
    if (options.model.empty()) {
        return error(
            Code::bad_option,
            "option -m: no model given, allowed a packed file (axiom-pack IN.gguf -o OUT.axm)");
    }

    const std::string path(options.model);
    phases.end(Phase::other);
    choose_sha256(decode_features(read_cpu_words()));
    const RootCheck root{.wanted = options.has_required_root, .required = &options.required_root};
    Result<host::LoadedModel> model = host::load_model(
        path, options.stream, pages_of(options), root, !options.quiet && isatty(STDERR_FILENO));
    if (!model.ok()) return model.status();
    Result<Weights> weights =
        Weights::open(path, model.value().memory.first(size_t(model.value().n_bytes)),
                      model.value().file_bytes, root);
    if (!weights.ok()) return weights.status();
    phases.end(Phase::load);
    phases.move(Phase::load, Phase::verify, model.value().verify_ticks);

    if (options.has_tokenize) return tokenize(weights.value(), options.tokenize);
    if (!options.tokenize_file.empty()) {
        Result<std::string> text = host::read_text(std::string(options.tokenize_file));
        if (!text.ok()) return text.status();
        return tokenize(weights.value(), text.value());
    }
    return run(options, weights.value(), model.value(), entry_ticks, &phases);
}

}  // namespace

int main(int argc, char** argv) {
    Status status = main_status(argc, argv);
    if (status.ok() && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
        status = error(Code::io, "standard output: cannot write");
    }
    if (!status.ok()) {
        fflush(stdout);
        fprintf(stderr, "axiom-host: error: %.*s\n", int(status.text().size()),
                status.text().data());
        if (status.code() == Code::bad_option)
            fprintf(stderr, "axiom-host --help lists the options\n");
    }
    return exit_code(status);
}
