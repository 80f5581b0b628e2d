// SPDX-License-Identifier: MIT
// axiom-pack: the command line. Exit status 0 done, 1 failed, 2 not understood.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "packer/convert.h"
#include "packer/families.h"
#include "packer/files.h"
#include "packer/manifest.h"
#include "packer/partition.h"
#include "packer/progress.h"
#include "packer/synthetic.h"
#include "packer/verify.h"
#include "packer/writer.h"

#ifndef AXIOM_COMMIT
#define AXIOM_COMMIT "unknown"
#endif

namespace axiom {

void panic_handler(const char* file, int line, const char* what) {
    fprintf(stderr, "axiom-pack: internal error at %s:%d: %s\n", file, line, what);
    abort();
}

}  // namespace axiom

namespace {

using namespace axiom;
using namespace axiom::packer;

constexpr int kOk = 0, kFailed = 1, kUsage = 2;

constexpr const char* kHelp =
    "usage: axiom-pack IN.gguf -o OUT.axm [--type T] [--output-type T] [--json [FILE]]\n"
    "       axiom-pack --synthetic SHAPE -o OUT.axm [--type T] [--output-type T] [--seed N]\n"
    "       axiom-pack --info FILE.axm [--json [FILE]]\n"
    "       axiom-pack --verify FILE.axm\n"
    "       axiom-pack --to-partition FILE.axm -o DISK\n"
    "\n"
    "Packs a GGUF model into AXIOM's weight file. Architectures: %s.\n"
    "\n"
    "  -o FILE             the packed file; it appears only when it is whole\n"
    "  --type T            store the layers' matrices as q4, q4m, q5, q8, q4k, q5k or q6k; the "
    "last\n"
    "                      three need columns in multiples of 256, other matrices become q5 or "
    "(q6k) q8.\n"
    "                      Without it Q4_0, Q4_1, Q5_0, Q8_0, Q4_K, Q5_K and Q6_K are kept "
    "without loss,\n"
    "                      everything else becomes q8\n"
    "  --output-type T     the same for token_embd and output, which --type leaves alone\n"
    "  --synthetic SHAPE   random weights: tiny, smollm2-135m, tinyllama-1.1b, llama2-7b, "
    "llama3-8b,\n"
    "                      or DIM,LAYERS,HEADS,KV_HEADS,FFN,VOCAB[,tied]; q4 unless --type says "
    "otherwise\n"
    "  --seed N            of the random weights, default 1\n"
    "  --info FILE         what a packed file holds\n"
    "  --verify FILE       checks everything in a packed file\n"
    "  --to-partition FILE checks a packed file and writes it into the one GPT partition of "
    "AXIOM's "
    "type on\n"
    "                      DISK, a disk such as /dev/nvme0n1 or the image of one\n"
    "  --json [FILE.json]  the manifest as JSON, to the file or to standard output; --json=FILE "
    "for\n"
    "                      any other name\n"
    "  -t N                threads, default all\n"
    "  --help, --version\n";

struct Arguments {
    std::string input, output, synthetic, info, verify, to_partition;
    bool json = false;
    std::string json_file;  // empty: standard output
    ConvertOptions types;
    uint64_t seed = 1;
    unsigned n_threads = std::max(1u, std::thread::hardware_concurrency());
    bool help = false, version = false;
};

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // it is set in a signal handler

void request_stop(int) {
    stop_requested = true;
}

int fail(const Status& status) {
    const std::string_view text = status.text();
    fprintf(stderr, "axiom-pack: %.*s\n", int(text.size()), text.data());
    return status.code() == Code::bad_option ? kUsage : kFailed;
}

Status parse_type(std::string_view option, std::string_view text, std::optional<StoredType>* out) {
    for (const StoredType type : kQuantizedTypes) {
        if (text == stored_type_name(type)) {
            *out = type;
            return {};
        }
    }
    return error(Code::bad_option, "option ", option, ": found ", Quoted{text},
                 ", allowed q4, q4m, q8, q5, q4k, q5k or q6k");
}

Status parse_number(std::string_view option, std::string_view text, uint64_t low, uint64_t high,
                    uint64_t* out) {
    if (parse_u64(text, out) && *out >= low && *out <= high) return {};
    return error(Code::bad_option, "option ", option, ": found ", Quoted{text},
                 ", allowed a number ", low, "..", high);
}

Status parse_arguments(const std::vector<std::string>& words, Arguments* out) {
    for (size_t i = 0; i < words.size(); i++) {
        const std::string& word = words[i];
        const auto value = [&](std::string* to) -> Status {
            if (i + 1 >= words.size()) {
                return error(Code::bad_option, "option ", word,
                             ": found nothing after it, allowed a value");
            }
            *to = words[++i];
            return {};
        };
        std::string text;
        uint64_t number = 0;
        Status status;
        if (word == "--help" || word == "-h") {
            out->help = true;
        } else if (word == "--version") {
            out->version = true;
        } else if (word == "-o") {
            status = value(&out->output);
        } else if (word == "--synthetic") {
            status = value(&out->synthetic);
        } else if (word == "--info") {
            status = value(&out->info);
        } else if (word == "--verify") {
            status = value(&out->verify);
        } else if (word == "--to-partition") {
            status = value(&out->to_partition);
        } else if (word == "--type" || word == "--output-type") {
            status = value(&text);
            if (status.ok()) {
                status = parse_type(word, text,
                                    word == "--type" ? &out->types.type : &out->types.output_type);
            }
        } else if (word == "--seed") {
            status = value(&text);
            if (status.ok()) status = parse_number(word, text, 0, UINT64_MAX, &out->seed);
        } else if (word == "-t") {
            status = value(&text);
            if (status.ok()) status = parse_number(word, text, 1, 1024, &number);
            out->n_threads = unsigned(number);
        } else if (word.starts_with("--json=")) {
            out->json = true;
            out->json_file = word.substr(7);
        } else if (word == "--json") {
            // The name is optional, so only a word that can be nothing else is taken for one.
            out->json = true;
            if (i + 1 < words.size() && words[i + 1].ends_with(".json"))
                out->json_file = words[++i];
        } else if (word.size() > 1 && word[0] == '-') {
            status = error(Code::bad_option, "option ", Quoted{word}, " is unknown; see --help");
        } else if (!out->input.empty()) {
            status = error(Code::bad_option, "found a second input ", Quoted{word}, " after ",
                           Quoted{out->input}, ", allowed one");
        } else {
            out->input = word;
        }
        if (!status.ok()) return status;
    }
    return {};
}

// Exactly one thing to do, with what it needs.
Status check_arguments(const Arguments& a) {
    const int n_modes = !a.input.empty() + !a.synthetic.empty() + !a.info.empty() +
                        !a.verify.empty() + !a.to_partition.empty();
    if (n_modes != 1) {
        return error(Code::bad_option, "found ", n_modes,
                     " things to do, allowed one of IN.gguf, --synthetic, --info, --verify, "
                     "--to-partition; see "
                     "--help");
    }
    const bool packs = !a.input.empty() || !a.synthetic.empty();
    const bool writes = packs || !a.to_partition.empty();
    if (writes && a.output.empty()) {
        return error(Code::bad_option,
                     packs ? "packing needs -o OUT.axm" : "--to-partition needs -o DISK",
                     "; see --help");
    }
    if (!writes && !a.output.empty()) {
        return error(Code::bad_option, "-o goes with packing, not with --info or --verify");
    }
    if (!a.input.empty() && same_file(a.input, a.output)) {
        return error(Code::bad_option, "-o ", Quoted{a.output}, " is the input itself");
    }
    return {};
}

Status print_json(const Arguments& a, const Weights& weights) {
    const std::string text =
        manifest(weights).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (a.json_file.empty()) {
        fwrite(text.data(), 1, text.size(), stdout);
        return {};
    }
    Result<AtomicFile> file = AtomicFile::create(a.json_file);
    if (!file.ok()) return file.status();
    if (Status s = file.value().write_at(0, text.data(), text.size()); !s.ok()) return s;
    return file.value().commit();
}

Status show(const Arguments& a, const std::string& path) {
    Result<MappedFile> file = MappedFile::open(path);
    if (!file.ok()) return file.status();
    const Result<Weights> weights = Weights::open(path, file.value().bytes());
    if (!weights.ok()) return weights.status();
    if (a.json) return print_json(a, weights.value());
    fputs(describe(weights.value()).c_str(), stdout);
    return {};
}

Status check_file(const std::string& path) {
    Result<MappedFile> file = MappedFile::open(path);
    if (!file.ok()) return file.status();
    if (Status s = verify(path, file.value().bytes()); !s.ok()) return s;
    printf("%s: %zu bytes, everything is as it should be\n", path.c_str(),
           file.value().bytes().size());
    return {};
}

void stop_at_signals() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction action {};
        sigaction(signal, nullptr, &action);
        if (action.sa_handler == SIG_IGN) continue;  // nohup, or a shell's background
        action = {};
        action.sa_handler = request_stop;
        sigaction(signal, &action, nullptr);
    }
}

Status fill_partition(const Arguments& a) {
    Result<MappedFile> file = MappedFile::open(a.to_partition);
    if (!file.ok()) return file.status();
    const std::span<const uint8_t> bytes = file.value().bytes();
    if (Status s = verify(a.to_partition, bytes); !s.ok()) return s;
    stop_at_signals();
    Progress progress(stderr);
    const Result<Partition> partition = write_to_partition(a.output, bytes, [&](uint64_t done) {
        progress.update(done, bytes.size(), a.output);
        return !stop_requested;
    });
    progress.finish();
    if (!partition.ok()) return partition.status();
    const Partition& p = partition.value();
    const Text<40> id = p.id.text();
    printf("%s: partition %u (%.*s) holds %s, %zu bytes\n", a.output.c_str(), p.number,
           int(id.view().size()), id.view().data(), a.to_partition.c_str(), bytes.size());
    return {};
}

Status write_plan(const Arguments& a, const Plan& plan) {
    for (const std::string& note : plan.notes) fprintf(stderr, "axiom-pack: %s\n", note.c_str());
    stop_at_signals();

    Progress progress(stderr);
    WriteOptions options;
    options.n_threads = a.n_threads;
    options.stop = &stop_requested;
    options.progress = [&](uint64_t done, uint64_t total, const PlannedTensor& tensor) {
        progress.update(done, total, tensor.name);
    };
    Layout layout;
    const Status status = write_packed(plan, a.output, options, &layout);
    progress.finish();
    if (!status.ok()) return status;
    fprintf(stderr, "%s: %zu tensors, %llu bytes, %.1f s\n", a.output.c_str(), plan.tensors.size(),
            static_cast<unsigned long long>(layout.file_bytes), progress.seconds());
    return a.json ? show(a, a.output) : Status();
}

Status pack(const Arguments& a) {
    Result<MappedFile> input = MappedFile::open(a.input);
    if (!input.ok()) return input.status();
    const Result<gguf::File> file = gguf::File::parse(a.input, input.value().bytes());
    if (!file.ok()) return file.status();
    const Result<Plan> plan = plan_from_gguf(file.value(), a.types);
    if (!plan.ok()) return plan.status();
    return write_plan(a, plan.value());
}

Status make_synthetic(const Arguments& a) {
    const Result<Plan> plan = plan_synthetic(a.synthetic, a.types, a.seed);
    if (!plan.ok()) return plan.status();
    return write_plan(a, plan.value());
}

}  // namespace

int main(int argc, char** argv) {
    choose_sha256(decode_features(read_cpu_words()));
    Arguments arguments;
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (const Status s = parse_arguments(words, &arguments); !s.ok()) return fail(s);
    if (arguments.help) {
        printf(kHelp, supported_architectures().c_str());
        return kOk;
    }
    if (arguments.version) {
        puts("axiom-pack " AXIOM_COMMIT);
        return kOk;
    }
    if (const Status s = check_arguments(arguments); !s.ok()) return fail(s);
    const Status status = !arguments.info.empty()           ? show(arguments, arguments.info)
                          : !arguments.verify.empty()       ? check_file(arguments.verify)
                          : !arguments.to_partition.empty() ? fill_partition(arguments)
                          : !arguments.synthetic.empty()    ? make_synthetic(arguments)
                                                            : pack(arguments);
    return status.ok() ? kOk : fail(status);
}
