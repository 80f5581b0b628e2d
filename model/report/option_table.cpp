// SPDX-License-Identifier: MIT
// The option table, and how a value of each kind is checked and stored.
#include "model/report/option_table.h"

#include <initializer_list>

#include "core/kernels.h"
#include "core/team.h"
#include "model/format/format.h"

namespace axiom {
namespace {

constexpr double kMaxTokens = format::kMaxCtx;
constexpr double kMaxBatch = 4096;  // beyond it a pass only costs memory

using K = OptionKind;
using O = Options;

// An option is easier to read on two lines than on nine.
// clang-format off
constexpr OptionSpec kTable[] = {
    {{"-m", "--model"}, K::path, &O::model, 0, 0, false, kEverywhere, "FILE",
     "the packed model; axiom.efi takes \\axiom\\model.axm when none is given"},
    {{"--require"}, K::digest, {}, 0, 0, false, kEverywhere, "ROOT",
     "refuse any model but the one with this Merkle root (64 digits: axiom-pack --info MODEL.axm), and check "
     "every MiB of it by SHA-256 (default: any model, checked against accidents)"},
    {{"-p", "--prompt"}, K::text, &O::prompt, 0, 0, false, kEverywhere, "TEXT",
     "what to answer or, with --raw, to continue"},
    {{"--prompts"}, K::path, &O::prompts, 0, 0, false, kEverywhere, "FILE",
     "answer many prompts side by side, one on each line: text, or a JSON object with prompt and, if they "
     "differ from the options, n, seed, temp, id, stop, system; each answer is a line of JSON"},
    {{"--chat"}, K::flag, &O::chat, 0, 0, false, kEverywhere, "",
     "a conversation: each line typed is answered; /help there lists what else can be typed. -p is the first "
     "line, and without -n an answer may be as long as the context"},
    {{"-np", "--parallel"}, K::count, &O::n_parallel, 0, kMaxParallel, false, kEverywhere, "N",
     "how many of --prompts at a time; 0 = what memory holds, at most 8 (default {})"},
    {{"-sys", "--system-prompt"}, K::text, &O::system_prompt, 0, 0, false, kEverywhere, "TEXT",
     "system message (default: none)"},
    {{"--default-system"}, K::flag, &O::default_system, 0, 0, false, kEverywhere, "",
     "without -sys, the system message that comes with the chat template"},
    {{"--reasoning"}, K::reasoning, {}, 0, 0, false, kEverywhere, "WHAT",
     "on or off: whether to reason before the answer, where the chat template can switch it "
     "(default: as the template does)"},
    {{"--date"}, K::date, {}, 0, 0, false, kEverywhere, "YYYY-MM-DD",
     "the date that some chat templates write (default: today's, by the clock)"},
    {{"-n", "--predict", "--n-predict"}, K::count, &O::n_predict, 0, kMaxTokens, true, kEverywhere,
     "N", "tokens to generate at most; -1 = until the context is full (default {})"},
    {{"-c", "--ctx-size"}, K::count, &O::n_ctx, 0, kMaxTokens, false, kEverywhere, "N",
     "context in tokens, of each sequence; 0 = the model's, at most 4096, as memory allows (default {})"},
    {{"-t", "--threads"}, K::count, &O::n_threads, 0, Team::kMaxWorkers, false, kEverywhere, "N",
     "cores to compute on; 0 = all (default {})"},
    {{"--smt"}, K::flag, &O::smt, 0, 0, false, kOnEfi | kInConfig, "",
     "compute on every thread of a core, not on one of them"},
    {{"-b", "--batch-size"}, K::count, &O::n_batch, 0, kMaxBatch, false, kEverywhere, "N",
     "prompt tokens per pass, of all sequences; 0 = 128, or as many as cover the reading of a streamed model, at "
     "most 512 (default {})"},
    {{"-ctk", "--cache-type-k"}, K::kv_type, &O::cache_type_k, 0, 0, false, kEverywhere, "TYPE",
     "what keys are cached as: f16, or q8_0, which takes half the memory; like -ctv (default f16)"},
    {{"-ctv", "--cache-type-v"}, K::kv_type, &O::cache_type_v, 0, 0, false, kEverywhere, "TYPE",
     "the same for values; like -ctk (default f16)"},
    {{"--temp"}, K::number, &O::temperature, 0, 100, false, kEverywhere, "X",
     "temperature; 0 = always the likeliest token (default {})"},
    {{"--top-k"}, K::count, &O::top_k, 0, format::kMaxVocab, false, kEverywhere, "N",
     "draw among the N likeliest tokens; 0 = off (default {})"},
    {{"--top-p"}, K::number, &O::top_p, 0, 1, false, kEverywhere, "X",
     "draw among the likeliest tokens of total probability X; 1 = off (default {})"},
    {{"--min-p"}, K::number, &O::min_p, 0, 1, false, kEverywhere, "X",
     "drop tokens less likely than X times the likeliest; 0 = off (default {})"},
    {{"--repeat-penalty"}, K::number, &O::repeat_penalty, 0.01, 100, false, kEverywhere, "X",
     "make tokens seen before less likely; 1 = off (default {})"},
    {{"--repeat-last-n"}, K::count, &O::repeat_last_n, 0, kMaxTokens, true, kEverywhere, "N",
     "how many last tokens the penalty looks at; 0 = off, -1 = all (default {})"},
    {{"-s", "--seed"}, K::wide, &O::seed, 0, 0, false, kEverywhere, "N",
     "of the random draws; the same seed gives the same text (default {})"},
    {{"--draft"}, K::draft, {}, 0, 0, false, kEverywhere, "HOW",
     "off, lookup or auto: guess tokens from what followed the last ones where they stood before, and "
     "check the guesses in one pass, always or while it pays; the text is the same (default auto)"},
    {{"--draft-max"}, K::count, &O::n_draft_max, 1, 64, false, kEverywhere, "N",
     "tokens guessed at a time, at most (default {})"},
    {{"--stream"}, K::stream, {}, 0, 0, false, kEverywhere, "HOW",
     "auto, off or on: read layers from the disk while others compute, where the model is larger than memory, "
     "never or always (default auto)"},
    {{"--resident-mib"}, K::count, &O::resident_mib, 0, kMaxResidentMib, true, kEverywhere, "N",
     "MiB of a streamed model that stay in memory, at most, beside two buffers; -1 = what memory holds (default -1)"},
    {{"--raw"}, K::flag, &O::raw, 0, 0, false, kEverywhere, "",
     "the prompt as it is, without the chat template"},
    {{"-sp", "--special"}, K::flag, &O::special, 0, 0, false, kEverywhere, "",
     "show control tokens in the output"},
    {{"--ignore-eos"}, K::flag, &O::ignore_eos, 0, 0, false, kEverywhere, "",
     "go on past the end of the text, to N tokens"},
    {{"--isa"}, K::isa, &O::isa, 0, 0, false, kEverywhere, "NAME",
     "kernel set (default: the fastest, by timing): "},
    {{"--reading"}, K::reading, {}, 0, 0, false, kEverywhere, "S,BYTES[,N]",
     "how one token reads weights: 1, 2 or 4 row groups side by side, and how far ahead of each to "
     "prefetch, 0 = not at all; passes of up to N tokens, 1 to 4, do alike where the kernels can "
     "(default: the fastest, by timing; N 4)"},
    {{"--on-exit"}, K::on_exit, {}, 0, 0, false, kOnEfi | kInConfig, "WHAT",
     "shutdown, reboot or halt when the run has ended (default shutdown, after a key where only the screen is watched)"},
    {{"--keymap"}, K::keymap, {}, 0, 0, false, kOnEfi | kInConfig, "NAME",
     "layout of the keyboard: us, uk, de or fr (default us)"},
    {{"--menu"}, K::count, &O::menu_seconds, 0, 3600, false, kOnEfi | kInConfig, "N",
     "seconds in which a model can be chosen where there are several and -m names none; 0 = no choice "
     "(default {}); given beside -m, it offers the choice with that one preset"},
    {{"--keep-record"}, K::flag, &O::keep_record, 0, 0, false, kOnEfi | kInConfig, "",
     "keep the record in a variable of the firmware's until the next start, which moves it into "
     "\\axiom\\records.jsonl; =false: don't (default: do)"},
    {{"--bench"}, K::bench, {}, 0, 0, false, kEverywhere, "TESTS",
     "time forward passes as llama-bench does, and end: pp=512 tg=128 reps=5 warmup=1 d=0 npl=1 "
     "threads=0 are the defaults; pp=0 or tg=0 leaves that test out, d is tokens in the cache "
     "before tg, npl its sequences; lists (pp=128,512) give every combination"},
    {{"--trace"}, K::flag, &O::trace, 0, 0, false, kOnEfi | kInConfig, "",
     "after the run, or each test, print as lines of JSON what every layer's attention, feed-forward, boundary "
     "and stall took in each pass, of 4096 at most"},
    {{"--trace"}, K::path, &O::trace_file, 0, 0, false, kOnHost, "FILE",
     "write that to FILE"},
    {{"--noise"}, K::number, &O::noise_seconds, 0, 86400, false, kEverywhere, "SECONDS",
     "instead of a run: on every core at once, look for gaps of the time and repeat a fixed piece of work; a "
     "record of what interrupted each core (default: off)"},
    {{"--disturb"}, K::disturb, {}, 0, 0, false, kEverywhere, "WHAT",
     "break law 3 on purpose, to see what it is worth: tick=HZ interrupts layers, tick=HZ,evict=KIB walks a "
     "buffer each time; pages=4k; scatter puts 4 KiB pages of weights and state in another order; "
     "boundary=stage, layer or token says where tasks run (default: off)"},
    {{"-q", "--quiet"}, K::flag, &O::quiet, 0, 0, false, kEverywhere, "",
     "no progress and no timing table"},
    {{"--pages"}, K::pages, {}, 0, 0, false, kOnHost, "SIZE",
     "of the pages that weights and state are in: 4k, or 2m where Linux has them (default 2m)"},
    {{"-Cr", "--cpu-range"}, K::cpu_range, {}, 0, 0, false, kOnHost, "FIRST-LAST",
     "one worker on each of these CPUs, and no moving (default: wherever Linux puts them)"},
    {{"--json"}, K::path, &O::json, 0, 0, false, kOnHost, "FILE",
     "write the benchmark record to FILE"},
    {{"--logits"}, K::path, &O::logits, 0, 0, false, kOnHost, "FILE",
     "write the logits as rows of 32-bit floats to FILE"},
    {{"--tokenize"}, K::text, &O::tokenize, 0, 0, false, kOnHost, "TEXT",
     "print the token ids of TEXT on one line, and end"},
    {{"--tokenize-file"}, K::path, &O::tokenize_file, 0, 0, false, kOnHost, "FILE",
     "print the token ids of FILE's bytes on one line, and end"},
    {{"--perplexity"}, K::path, &O::perplexity, 0, 0, false, kOnHost, "FILE",
     "print the perplexity of FILE's text, and end"},
    {{"-h", "--help"}, K::flag, &O::help, 0, 0, false, kOnEfi | kOnHost, "", "print this, and end"},
    {{"--version"}, K::flag, &O::version, 0, 0, false, kOnEfi | kOnHost, "",
     "print the version, and end"},
};
// clang-format on

std::string_view without_dashes(std::string_view name) {
    while (!name.empty() && name[0] == '-') name.remove_prefix(1);
    return name;
}

// Edit distance with swaps of neighbours counted once (optimal string alignment).
constexpr size_t kMaxNameCompared = 32;
size_t distance(std::string_view a, std::string_view b) {
    size_t rows[3][kMaxNameCompared + 1] = {};
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.size(); j++) last[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.size(); j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t* oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b.size()];
}

template <class Allowed>
Status value_error(std::string_view shown, std::string_view value, const Allowed& allowed) {
    return error(Code::bad_option, "option ", shown, ": found ", Quoted{value}, ", allowed ",
                 allowed);
}

Status set_flag(const OptionSpec& spec, std::string_view shown, std::string_view value,
                Options* o) {
    if (value != "true" && value != "false") {
        return value_error(shown, value, "true or false, or the name alone");
    }
    o->*spec.target.flag = value == "true";
    return {};
}

Status set_count(const OptionSpec& spec, std::string_view shown, std::string_view value,
                 Options* o) {
    uint64_t n = 0;
    if (spec.minus_one && value == "-1") {
        n = uint64_t(spec.max);
    } else if (!parse_u64(value, &n) || double(n) < spec.min || double(n) > spec.max) {
        return value_error(shown, value,
                           Text<96>("a whole number from ", plain_number(spec.min), " to ",
                                    plain_number(spec.max), spec.minus_one ? ", or -1" : ""));
    }
    o->*spec.target.count = uint32_t(n);
    if (spec.target.count == &Options::n_predict) o->has_predict = true;
    if (spec.target.count == &Options::menu_seconds) o->has_menu = true;
    return {};
}

Status set_number(const OptionSpec& spec, std::string_view shown, std::string_view value,
                  Options* o) {
    double x = 0;
    // The condition is written so that a value that compares with nothing fails as well.
    if (!parse_f64(value, &x) || !(x >= spec.min && x <= spec.max)) {
        return value_error(
            shown, value,
            Text<96>("a number from ", plain_number(spec.min), " to ", plain_number(spec.max)));
    }
    o->*spec.target.number = float(x);
    return {};
}

Status set_path(const OptionSpec& spec, std::string_view shown, std::string_view value,
                Options* o) {
    bool clean = !value.empty();
    for (const char c : value) clean = clean && uint8_t(c) >= 0x20 && c != 0x7f;
    if (!clean) return value_error(shown, value, "a file name without control characters");
    o->*spec.target.text = value;
    return {};
}

Status set_isa(const OptionSpec& spec, std::string_view shown, std::string_view value, Options* o) {
    char names[96];
    Writer allowed(names, sizeof names);
    for (const KernelSet& set : kernel_sets(CpuFeatures{})) {
        if (value == set.kernels->name) {
            o->*spec.target.text = value;
            return {};
        }
        allowed.put(allowed.size() == 0 ? "" : ", ").put(set.kernels->name);
    }
    return value_error(shown, value, allowed.view());
}

// Numbers with commas between them; how many there are, 0 if there is anything else, or more than fit.
size_t parse_numbers(std::string_view text, std::span<uint64_t> out) {
    for (size_t n = 0; n < out.size(); n++) {
        const size_t comma = text.find(',');
        if (!parse_u64(text.substr(0, comma), &out[n])) return 0;
        if (comma == text.npos) return n + 1;
        text.remove_prefix(comma + 1);
    }
    return 0;
}

Status set_reading(std::string_view shown, std::string_view value, Options* o) {
    constexpr uint64_t kMaxAhead = 65536;
    uint64_t numbers[] = {0, 0, Reading::kMostTokens};
    const auto& [n_streams, ahead_bytes, n_tokens] = numbers;
    if (parse_numbers(value, numbers) < 2 || (n_streams != 1 && n_streams != 2 && n_streams != 4) ||
        ahead_bytes > kMaxAhead || n_tokens < 1 || n_tokens > Reading::kMostTokens) {
        return value_error(shown, value,
                           "1, 2 or 4, a comma, and 0..65536; then, if need be, a comma and 1..4");
    }
    o->reading = {uint32_t(n_streams), uint32_t(ahead_bytes), uint32_t(n_tokens)};
    return {};
}

Status set_cpu_range(std::string_view shown, std::string_view value, Options* o) {
    const size_t dash = value.find('-');
    uint64_t first = 0, last = 0;
    if (dash == value.npos || !parse_u64(value.substr(0, dash), &first) ||
        !parse_u64(value.substr(dash + 1), &last) || first > last || last >= CpuRange::kMaxCpus ||
        last - first >= Team::kMaxWorkers) {
        return value_error(shown, value,
                           Text<96>("FIRST-LAST, at most ", uint64_t{Team::kMaxWorkers},
                                    " CPUs below ", uint64_t{CpuRange::kMaxCpus}));
    }
    o->cpu_range = {uint32_t(first), uint32_t(last - first + 1)};
    return {};
}

// The one of these values that has this name.
template <class T, class NameOf>
Status set_choice(std::initializer_list<T> values, NameOf name_of, std::string_view shown,
                  std::string_view value, std::string_view allowed, T* out) {
    for (const T choice : values) {
        if (value != name_of(choice)) continue;
        *out = choice;
        return {};
    }
    return value_error(shown, value, allowed);
}

Status set_on_exit(std::string_view shown, std::string_view value, Options* o) {
    if (value == "shutdown") {
        o->on_exit = OnExit::shutdown;
    } else if (value == "reboot") {
        o->on_exit = OnExit::reboot;
    } else if (value == "halt") {
        o->on_exit = OnExit::halt;
    } else {
        return value_error(shown, value, "shutdown, reboot or halt");
    }
    return {};
}

}  // namespace

std::string_view keymap_name(Keymap keymap) {
    switch (keymap) {
        case Keymap::us:
            return "us";
        case Keymap::uk:
            return "uk";
        case Keymap::de:
            return "de";
        case Keymap::fr:
            return "fr";
    }
    AXIOM_PANIC("keymap");
}

std::string_view draft_name(Draft draft) {
    switch (draft) {
        case Draft::off:
            return "off";
        case Draft::lookup:
            return "lookup";
        case Draft::when_it_pays:
            return "auto";
    }
    AXIOM_PANIC("draft");
}

std::string_view stream_name(Stream stream) {
    switch (stream) {
        case Stream::off:
            return "off";
        case Stream::on:
            return "on";
        case Stream::when_needed:
            return "auto";
    }
    AXIOM_PANIC("stream");
}

std::span<const OptionSpec> option_table() {
    return kTable;
}

namespace {

template <class Spell>
const OptionSpec* find_spelt(std::string_view name, uint8_t place, Spell spell) {
    const OptionSpec* elsewhere = nullptr;
    for (const OptionSpec& spec : kTable) {
        for (const std::string_view own : spec.names) {
            if (name.empty() || spell(own) != name) continue;
            if ((spec.places & place) != 0) return &spec;
            elsewhere = &spec;
        }
    }
    return elsewhere;
}

}  // namespace

const OptionSpec* find_option(std::string_view name, uint8_t place) {
    return find_spelt(name, place, [](std::string_view own) { return own; });
}

const OptionSpec* find_option_key(std::string_view key) {
    return find_spelt(key, kInConfig, without_dashes);
}

std::string_view nearest_option(std::string_view name, uint8_t place) {
    const std::string_view wanted = without_dashes(name);
    std::string_view nearest;
    if (wanted.size() < 2 || wanted.size() > kMaxNameCompared) return nearest;
    size_t best = wanted.size() / 2 + 1;  // a name that shares less than half is no help
    for (const OptionSpec& spec : kTable) {
        if (!(spec.places & place)) continue;
        for (const std::string_view own : spec.names) {
            const std::string_view stem = without_dashes(own);
            if (stem.size() < 2) continue;
            const size_t d = distance(wanted, stem);
            if (d < best) {
                best = d;
                nearest = place == kInConfig ? stem : own;
            }
        }
    }
    return nearest;
}

Status set_option(const OptionSpec& spec, std::string_view shown, std::string_view value,
                  Options* options) {
    if (options->is_fixed(size_t(&spec - kTable))) {
        return error(Code::bad_option, "option ", shown, ": found ", Quoted{value},
                     ", allowed only what the image itself says, whose policy fixes it");
    }
    switch (spec.kind) {
        case OptionKind::flag:
            return set_flag(spec, shown, value, options);
        case OptionKind::count:
            return set_count(spec, shown, value, options);
        case OptionKind::number:
            return set_number(spec, shown, value, options);
        case OptionKind::path:
            return set_path(spec, shown, value, options);
        case OptionKind::isa:
            return set_isa(spec, shown, value, options);
        case OptionKind::draft:
            return set_choice({Draft::off, Draft::lookup, Draft::when_it_pays}, draft_name, shown,
                              value, "off, lookup or auto", &options->draft);
        case OptionKind::kv_type:
            return set_choice({KvType::f16, KvType::q8_0}, kv_type_name, shown, value,
                              "f16 or q8_0", &(options->*spec.target.kv_type));
        case OptionKind::stream:
            return set_choice({Stream::when_needed, Stream::off, Stream::on}, stream_name, shown,
                              value, "auto, off or on", &options->stream);
        case OptionKind::reading:
            return set_reading(shown, value, options);
        case OptionKind::on_exit:
            return set_on_exit(shown, value, options);
        case OptionKind::keymap:
            return set_choice({Keymap::us, Keymap::uk, Keymap::de, Keymap::fr}, keymap_name, shown,
                              value, "us, uk, de or fr", &options->keymap);
        case OptionKind::pages:
            if (value != "4k" && value != "2m") return value_error(shown, value, "4k or 2m");
            options->small_pages = value == "4k";
            return {};
        case OptionKind::cpu_range:
            return set_cpu_range(shown, value, options);
        case OptionKind::reasoning:
            if (value != "on" && value != "off") return value_error(shown, value, "on or off");
            options->reasoning = value == "on" ? format::Reasoning::on : format::Reasoning::off;
            return {};
        case OptionKind::date: {
            const CalendarDate date = parse_date(value);
            if (!date.known() || value.size() != 10) {
                return value_error(shown, value, "a date as 2026-02-01, from 1900 on");
            }
            options->date = date;
            return {};
        }
        case OptionKind::digest:
            if (!parse_digest(value, &options->required_root))
                return value_error(shown, value, "64 hexadecimal digits");
            options->has_required_root = true;
            return {};
        case OptionKind::disturb:
            return parse_disturb(shown, value, options);
        case OptionKind::bench:
            return parse_bench(shown, value, &options->bench);
        case OptionKind::wide:
            if (parse_u64(value, &(options->*spec.target.wide))) return {};
            return value_error(shown, value, "a whole number from 0 to 18446744073709551615");
        case OptionKind::text:
            options->*spec.target.text = value;
            // Where an empty value differs from its absence.
            if (spec.target.text == &Options::prompt) options->has_prompt = true;
            if (spec.target.text == &Options::tokenize) options->has_tokenize = true;
            return {};
    }
    AXIOM_PANIC("option kind");
}

Text<24> plain_number(double value) {
    const Text<24> full(Fixed{value, 6});
    std::string_view text = full.view();
    while (text.ends_with('0')) text.remove_suffix(1);
    if (text.ends_with('.')) text.remove_suffix(1);
    return Text<24>(text);
}

}  // namespace axiom
