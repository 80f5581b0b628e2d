// SPDX-License-Identifier: MIT
// The one option parser: UEFI load options, axiom.conf and Linux argv (DESIGN section 9). One table
// holds every option's names, kind, range, where it is allowed, and help text; --help is printed
// from it. Values view into the caller's text, which must outlive the Options.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/date.h"
#include "core/kernels.h"
#include "core/layer_loop.h"
#include "core/sha256.h"
#include "core/status.h"
#include "model/format/chat_section.h"

namespace axiom {

// Tokens guessed and checked in one pass: from the text itself, always, or where that is measured to pay.
enum class Draft : uint32_t { off, lookup, when_it_pays };
std::string_view draft_name(Draft draft);  // as --draft takes it

// Sequences that are computed side by side.
inline constexpr uint32_t kMaxParallel = 64, kDefaultParallel = 8;

// CPUs first, first + 1, ...; none: wherever Linux puts the workers.
struct CpuRange {
    static constexpr uint32_t kMaxCpus = 1024;  // of a cpu_set_t
    uint32_t first = 0, count = 0;
};

// Of a text that ends a generation.
inline constexpr size_t kMaxStopBytes = 128;

// Whether layers are read from the disk while others compute, instead of before the run.
enum class Stream : uint32_t { off, on, when_needed };
std::string_view stream_name(Stream stream);  // as --stream takes it
// Whether a packed file is streamed where so much memory is free, of which a run needs beside_bytes for
// other things than weights.
constexpr bool is_streamed(Stream stream, uint64_t file_bytes, uint64_t free_bytes,
                           uint64_t beside_bytes) {
    if (stream != Stream::when_needed) return stream == Stream::on;
    return free_bytes < beside_bytes || file_bytes > free_bytes - beside_bytes;
}

inline constexpr uint32_t kMaxResidentMib = 1u << 30;  // a PiB

// Prompt tokens a pass: of weights in memory, and the most that are chosen where layers are streamed.
inline constexpr uint32_t kDefaultBatch = 128, kMaxStreamedBatch = 512;

// by_place: a shutdown that waits for a key where a person sits at the machine's own screen.
enum class OnExit : uint32_t { by_place, shutdown, reboot, halt };

// What the keys of a keyboard are labelled with.
enum class Keymap : uint32_t { us, uk, de, fr };
std::string_view keymap_name(Keymap keymap);  // as --keymap takes it

// A number of --bench, or several, each of which is tested.
struct BenchList {
    static constexpr size_t kMax = 16;
    uint32_t values[kMax] = {};
    size_t n = 0;  // 0: not given

    constexpr BenchList() = default;
    constexpr BenchList(uint32_t value) : values{value}, n(1) {}
    constexpr const uint32_t* begin() const { return values; }
    constexpr const uint32_t* end() const { return values + n; }
    constexpr uint32_t most() const {
        uint32_t most = 0;
        for (const uint32_t value : *this) most = value > most ? value : most;
        return most;
    }
    constexpr bool operator==(const BenchList&) const = default;
};

// --bench: which tests, how often. Defaults are llama-bench's.
struct BenchPlan {
    static constexpr uint32_t kMaxSequences = 64;
    bool wanted = false;
    BenchList n_prompt = 512;   // pp=, tokens of the prompt test; 0 leaves it out
    BenchList n_gen = 128;      // tg=, single-token passes of the generation test; 0 leaves it out
    BenchList n_depth = 0;      // d=, tokens already in the cache when the generation test begins
    BenchList n_sequences = 1;  // npl=, side by side there: a pass has one token of each
    BenchList n_threads = 0;    // threads=, 0 = all; of one number, the same setting as -t
    uint32_t n_reps = 5;        // reps=, timed repetitions of each test
    uint32_t n_warmup = 1;      // warmup=, repetitions before them
};

// --disturb: what is put back of what an operating system does. Off, law 3 holds.
struct DisturbPlan {
    static constexpr uint32_t kMaxHz = 10000;
    static constexpr uint32_t kMaxEvictKib = 65536;
    // A handler that takes longer than its period leaves no time for layers.
    static constexpr uint64_t kMaxEvictKibPerSecond = 1u << 20;
    std::string_view text;            // as given; empty: off
    uint32_t tick_hz = 0;             // tick=; 0: no ticks
    uint32_t evict_kib = 0;           // evict=, which each tick walks
    bool scatter = false;             // scatter: 4 KiB pages in another order
    TaskTurn turn = TaskTurn::layer;  // boundary=
};

struct Options {
    std::string_view model;        // -m; EFI default \axiom\model.axm
    std::string_view prompt;       // -p
    bool has_prompt = false;       // it was given, if empty
    Sha256Digest required_root{};  // --require
    bool has_required_root = false;
    std::string_view prompts;  // --prompts FILE: many of them
    bool chat = false;         // --chat: a conversation; -p is its first message, if there is one
    uint32_t n_parallel = 0;   // --parallel; 0 = what memory holds, at most kDefaultParallel
    std::string_view system_prompt;  // -sys
    bool default_system = false;     // --default-system: without -sys, the chat template's own
    format::Reasoning reasoning = format::Reasoning::by_template;  // --reasoning
    CalendarDate date;         // --date; where none is given, the platform fills in the clock's
    uint32_t n_predict = 128;  // -n
    bool has_predict = false;  // it was given; without it an answer of --chat may take the context
    uint32_t n_ctx = 0;        // -c; 0 = the model's, at most 4096, and what memory holds
    uint32_t n_threads = 0;    // -t; 0 = all
    bool smt = false;          // --smt, EFI: every thread of a core computes, not one of them
    uint32_t n_batch = 0;  // -b, prompt tokens per pass; 0 = kDefaultBatch, or what streaming needs
    KvType cache_type_k = KvType::f16;  // -ctk; a run wants both alike (check_shape)
    KvType cache_type_v = KvType::f16;  // -ctv
    float temperature =
        0.0f;  // --temp; 0 = greedy. (llama.cpp's default is 0.8: a benchmark wants one answer)
    uint32_t top_k = 40;          // 0 = off
    float top_p = 0.95f;          // 1 = off
    float min_p = 0.05f;          // 0 = off
    float repeat_penalty = 1.0f;  // 1 = off
    uint32_t repeat_last_n = 64;
    uint64_t seed = 0;
    Draft draft = Draft::when_it_pays;        // --draft
    uint32_t n_draft_max = 8;                 // --draft-max
    Stream stream = Stream::when_needed;      // --stream
    uint32_t resident_mib = kMaxResidentMib;  // --resident-mib
    bool raw = false;                         // --raw: no chat template
    bool special = false;                     // --special: show control tokens
    bool ignore_eos = false;                  // --ignore-eos
    std::string_view isa;                     // empty = chosen by timing
    Reading reading{.n_streams = 0};          // --reading; no streams = chosen by timing
    OnExit on_exit = OnExit::by_place;        // EFI: also what happens after a panic
    Keymap keymap = Keymap::us;               // --keymap
    uint32_t menu_seconds = 5;                // EFI: for a choice among several models; 0 = none
    bool has_menu = false;                    // it was given: the choice is offered beside -m, too
    bool keep_record = true;  // EFI: in a variable of the firmware's, then in a file
    bool quiet = false;       // no timing table, no progress
    bool help = false;
    bool version = false;
    BenchPlan bench;          // --bench "pp=128 tg=32"
    bool trace = false;       // --trace, EFI: after the run, on the console
    float noise_seconds = 0;  // --noise; 0 = a run
    DisturbPlan disturb;      // --disturb "tick=1000,evict=512"
    // Weights and state in 4 KiB pages: --pages 4k (axiom-host only), or pages=4k or scatter of --disturb.
    bool small_pages = false;
    // axiom-host only
    std::string_view json;           // --json FILE
    std::string_view trace_file;     // --trace FILE
    std::string_view logits;         // --logits FILE: f32 rows, one per hashed logits vector
    std::string_view tokenize;       // --tokenize TEXT
    bool has_tokenize = false;       // TEXT may be empty
    std::string_view tokenize_file;  // --tokenize-file FILE: ids of the file's bytes
    std::string_view perplexity;     // --perplexity FILE
    CpuRange cpu_range;              // --cpu-range FIRST-LAST: a worker on each of these

    // Options that a policy gave: no later source may give them again. Bits by their place in the table.
    static constexpr size_t kMaxOptions = 128;
    uint64_t fixed[kMaxOptions / 64] = {};
    bool has_fixed_threads = false;  // by -t or by threads= of --bench, which are one setting

    bool is_fixed(size_t i) const { return (fixed[i / 64] >> i % 64 & 1) != 0; }
    bool trace_wanted() const { return trace || !trace_file.empty(); }
};

enum class Source : uint8_t { efi_command_line, config_file, host_command_line };

// argv without the program's name. Errors name the option, what was found and what is allowed.
// Options given twice: the last wins (as llama.cpp). "--name=value" is accepted too.
Status parse_arguments(std::span<const std::string_view> arguments, Source source,
                       Options* options);

// `key value` lines as in loader.conf; keys are the long names without dashes ("n-predict" and "n"
// both work), '#' starts a comment line, values run to the end of the line (surrounding blanks
// cut), a flag alone or with true/false. \n and \\ in values of text options are unescaped in
// place, which is why the text is mutable. Errors name file, line and column.
Status parse_config(std::string_view file, std::span<char> text, Options* options);

// The same lines from a section of the image, which its signature vouches for: what they give is fixed, and
// later sources that give it are errors.
Status parse_policy(std::string_view name, std::span<char> text, Options* options);

// Splits a UEFI shell command line (UTF-8) into arguments: blanks separate, "..." groups, ^ escapes
// the next character inside and outside quotes (UEFI Shell spec 2.2, section 3.4). In place.
// bad_option when there are more than out.size() arguments or a quote is not closed.
Result<size_t> split_command_line(std::span<char> text, std::span<std::string_view> out);

// Sets the option that has this name, dashes included, to a value as the command line takes it.
// `shown` is what messages call it.
Status set_option_by_name(std::string_view name, std::string_view shown, std::string_view value,
                          Options* options);

// The text of --help, through a sink.
void print_help(std::string_view program, Source source, void (*write)(void*, std::string_view),
                void* context);

}  // namespace axiom
