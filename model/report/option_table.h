// SPDX-License-Identifier: MIT
// The one table of options: names, kind, range, where each is allowed, help. Parsing and --help
// both read it. Private to model/report/options*.cpp and model/report/option_table.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/report/options.h"

namespace axiom {

enum class OptionKind : uint8_t {
    flag,       // bool; alone, or true/false
    count,      // uint32_t in [min, max]
    wide,       // uint64_t, any
    number,     // float in [min, max]
    text,       // any bytes, may be empty; axiom.conf unescapes it
    path,       // not empty, no control characters
    isa,        // a kernel set's name
    draft,      // off, lookup, auto
    kv_type,    // f16, q8_0
    stream,     // auto, off, on
    reading,    // STREAMS,BYTES
    on_exit,    // shutdown, reboot, halt
    keymap,     // us, uk, de, fr
    bench,      // key=numbers
    disturb,    // key=value pairs
    pages,      // 4k, 2m
    cpu_range,  // FIRST-LAST
    reasoning,  // on, off
    date,       // YYYY-MM-DD
    digest,     // 64 hexadecimal digits
};

inline constexpr uint8_t kOnEfi = 1;     // axiom.efi's command line
inline constexpr uint8_t kInConfig = 2;  // axiom.conf
inline constexpr uint8_t kOnHost = 4;    // axiom-host's command line
inline constexpr uint8_t kEverywhere = kOnEfi | kInConfig | kOnHost;
constexpr uint8_t place_of(Source source) {
    return source == Source::efi_command_line ? kOnEfi
           : source == Source::config_file    ? kInConfig
                                              : kOnHost;
}

// Which field of Options a value goes to: the member that is not null decides.
struct OptionTarget {
    bool Options::*flag = nullptr;
    uint32_t Options::*count = nullptr;
    uint64_t Options::*wide = nullptr;
    float Options::*number = nullptr;
    std::string_view Options::*text = nullptr;
    KvType Options::*kv_type = nullptr;

    constexpr OptionTarget() = default;  // those that have no field type of their own
    constexpr OptionTarget(bool Options::*m) : flag(m) {}
    constexpr OptionTarget(uint32_t Options::*m) : count(m) {}
    constexpr OptionTarget(uint64_t Options::*m) : wide(m) {}
    constexpr OptionTarget(float Options::*m) : number(m) {}
    constexpr OptionTarget(std::string_view Options::*m) : text(m) {}
    constexpr OptionTarget(KvType Options::*m) : kv_type(m) {}
};

struct OptionSpec {
    std::string_view names[3];  // with dashes, as llama.cpp spells them; the last used is canonical
    OptionKind kind;
    OptionTarget target;
    double min, max;         // of count and number
    bool minus_one;          // count: -1 is accepted and means max, "no limit"
    uint8_t places;          // kOnEfi | kInConfig | kOnHost
    std::string_view value;  // placeholder in help; empty for a flag
    std::string_view help;   // {} stands for the default
};

std::span<const OptionSpec> option_table();

// The option that `name` (dashes included) is a name of at `place`, else elsewhere; nullptr if none.
const OptionSpec* find_option(std::string_view name, uint8_t place);
// The same for a key of axiom.conf, which has no dashes.
const OptionSpec* find_option_key(std::string_view key);
// The name nearest to a misspelt one among those allowed at `place`; empty if nothing is near.
std::string_view nearest_option(std::string_view name, uint8_t place);

// Checks and stores one value. `shown` is the name as the person wrote it, for messages.
Status set_option(const OptionSpec& spec, std::string_view shown, std::string_view value,
                  Options* options);

// The value of --bench: pieces separated by blanks or commas. One with = begins a key, one without
// is a further number of that key's list: "pp=128,512 tg=32", "pp=128,512,tg=32".
Status parse_bench(std::string_view shown, std::string_view value, BenchPlan* plan);

// The value of --disturb.
Status parse_disturb(std::string_view shown, std::string_view value, Options* options);

// What -t and threads= hold while one source is parsed and they have not been met.
inline constexpr uint32_t kThreadsNotGiven = ~uint32_t{0};

// A range bound or a default without superfluous zeros: "0.95", "16777216".
Text<24> plain_number(double value);

}  // namespace axiom
