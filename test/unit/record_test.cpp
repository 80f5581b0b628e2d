// SPDX-License-Identifier: MIT
// The record: valid JSON whatever is in it, null for what was not measured, the table, percentiles.
#include "model/report/record.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "test/unit/catch.h"

using namespace axiom;
using nlohmann::json;

namespace {

void append(void* to, std::string_view text) {
    static_cast<std::string*>(to)->append(text);
}

std::string line_of(const Record& r) {
    std::string out;
    print_json(r, append, &out);
    return out;
}

json json_of(const Record& r) {
    return json::parse(line_of(r));
}

std::string table_of(const Record& r) {
    std::string out;
    print_table(r, append, &out);
    return out;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// A run in which everything was measured.
struct FullRun {
    std::vector<uint64_t> samples = {100000000, 200000000, 300000000};
    std::vector<TaskCost> tasks = {{"console", 90, 45000, 2000}, {"keys", 90, 9000, 500}};
    std::vector<SlabMark> slabs = {{"kv", 4096, 60, 31}, {"x", 2304, 1, 1}};
    std::vector<LayerCost> layers = {{6e6, 40, 0, 0}, {6.5e6, 3e6, 10 << 20, 1.75}};
    std::vector<NodeShare> nodes = {{0, 2, 1 << 30, 98000000}, {7, 2, 1 << 30, 0}};
    FineLogHistogram times;
    Record r;

    FullRun() {
        r.stop_reason = "length";
        r.build_commit = "abc123";
        r.backend = "uefi";
        r.cpu_info = "Some CPU";
        r.machine = "EDK II 1.0";
        r.kernel_set = "avx2";
        r.type_k = r.type_v = "f16";
        r.kernel_choice = "timed";
        r.test_time = "2025-02-01T12:00:00Z";
        r.model_filename = "\\axiom\\model.axm";
        r.model_name = "SmolLM2 135M Instruct";
        r.model_type = "llama 135M Q4_1";
        r.axm_checksum = "0123456789abcdef";
        r.model_root = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        r.secure_boot = "on";
        r.tpm_options_pcr = r.tpm_model_pcr = r.model_root;
        r.model_size = 98000000;
        r.model_n_params = 134515008;
        r.rows_near = 0.96875;
        r.read_streams = 2;
        r.read_ahead_bytes = 8192;
        r.read_tokens = 4;
        r.read_choice = "forced";
        r.choice_ns = 4e7;
        r.n_threads = 1;
        r.n_cpus = 4;
        r.n_cpus_started = 2;
        r.core_balance = 0.98;
        r.n_siblings = 1;
        r.nodes = nodes;
        r.microcode = "0x1f";
        r.frequency_method = "HWP";
        r.frequency_before = 0.5;
        r.frequency_after = 1.5;
        r.frequency_slowest = 1.25;
        r.n_batch = 64;
        r.n_ctx = 2048;
        r.type_k = r.type_v = "q8_0";
        r.n_prompt = 37;
        r.n_gen = 4;
        r.tsc_hz = 2400000000;
        r.tsc_reference = "HPET";
        r.memory_bytes = 900000000;
        r.huge_page_bytes = 800000000;
        r.prefill_ns = 2e9;
        r.prefill_ts = 18.5;
        r.decode_ns = 600000000;
        r.decode_ts = 5;
        r.n_decode = 3;
        r.draft = "auto";
        r.tokens_per_pass = 1;
        r.decode_samples_ns = samples;
        r.decode_stddev_ns = 1e8;
        r.decode_gb_per_s = 0.49;
        r.decode_mmac_per_s = 670;
        for (int i = 0; i < 90; i++) times.add(i < 80 ? 1000 : 3000);
        r.token = {90, 9e7, 9.5e7, 9.8e7, 9.9e7, 1e8, &times};
        r.layer = {90, 6e6, 6.5e6, 7e6, 7.5e6, 8e6, &times};
        r.boundary = {90, 600, 700, 2500, 2750, 3000, &times};
        r.boundary_share = 0.0001;
        r.stall = {90, 40, 50, 900, Percentiles::kUnsupported, 5000};
        r.stall_share = 0.0002;
        r.stream = "on";
        r.n_streamed_layers = 1;
        r.resident_bytes = 60 << 20;
        r.disk_bytes = 30 << 20;
        r.disk_gb_per_s = 1.5;
        r.disk_start_gb_per_s = 2;
        r.disk_share = 0.75;
        r.disk_hidden = 0.25;
        r.disk_check_ns = 4e6;
        r.stream_m = 60;
        r.layer_costs = layers;
        r.sample_ns = 150000;
        r.tasks = tasks;
        r.phase_entry_ns = 3e9;
        r.phase_load_ns = 1e9;
        r.load_bytes = 98000000;
        r.phase_exit_ns = 1.2e9;
        r.phase_first_token_ns = 3.5e9;
        for (size_t i = 0; i < kNPhases; i++) r.boot_phase_ns[i] = 1000 * (i + 1);
        r.slabs = slabs;
        r.disturb = "tick=1000";
        r.n_disturb_ticks = 90;
        r.has_disturb_ticks = true;
        r.counters.set(Counter::nmi, 2);
        r.counters.set(Counter::smi, 4);
        r.counters.set(Counter::corrected_errors, 1);
        r.counters.set(Counter::cache_misses, 12345);
        r.logits_hash = 0x0123456789abcdef;
    }
    FullRun(const FullRun&) = delete;
};

// What print_table() and print_test() give for FullRun, to the character.
constexpr char kFacts[] =
    R"(model       SmolLM2 135M Instruct, llama 135M Q4_1, 93.5 MiB, 134.5 M parameters
machine     uefi, EDK II 1.0, Some CPU, 2 of 4 CPUs
kernels     avx2, timed, reading 2,8192,4, forced, 1 thread, context 2048, batch 64
)";
constexpr char kTable[] = R"(disturbed   tick=1000, 90 ticks
NMIs        2 came from elsewhere: the machine may be failing
hardware    1 error was corrected: memory, a cache or a bus may be failing

stage             amount        time   per token        rate
load            93.5 MiB     1.000 s              98.00 MB/s
prefill        37 tokens     2.000 s    54.05 ms   18.50 t/s
decode          3 tokens    600.0 ms    200.0 ms   5.000 t/s  +- 100.0 ms a token
              0.490 GB/s of weights, 670 million multiply-adds/s
sampling                                150.0 us

each                 p50         p99       p99.9         max     samples
token           90.00 ms    98.00 ms    99.00 ms    100.0 ms          90
layer           6.000 ms    7.000 ms    7.500 ms    8.000 ms          90
boundary          600 ns    2.500 us    2.750 us    3.000 us          90  0.010 % of decode
stall              40 ns      900 ns           -    5.000 us          90  0.020 % of decode

weights     60.0 MiB stay in memory, 1 of 2 layers streamed, covered by 60 tokens a pass
disk        30.0 MiB read, 1.500 GB/s, 75.0 % of its rate at the start, 25.0 % of reading hidden
layer            compute       stall       bytes        GB/s
0               6.000 ms       40 ns
1               6.500 ms    3.000 ms    10.0 MiB       1.750

task                mean         max       total        runs
console           500 ns    2.000 us    45.00 us          90
keys              100 ns      500 ns    9.000 us          90

memory            object     objects   most used       bytes
kv              4.00 KiB          60          31     240 KiB
x               2.25 KiB           1           1    2.25 KiB
given                                                858 MiB  of which classes take 242 KiB

start           firmware     console        find        load      verify        exit
                1.000 us    2.000 us    3.000 us    4.000 us    5.000 us    6.000 us
                  paging       cores      choice        slab     prefill       other
                7.000 us    8.000 us    9.000 us    10.00 us    11.00 us    12.00 us

times       entry 3.000 s after power-on, firmware left 1.200 s after entry, first token 3.500 s after entry
run         ok, length, 4 generated, logits hash 0123456789abcdef
)";
constexpr char kTest[] = R"(
test         repetitions        best        mean        rate
tg32                   3    100.0 ms    200.0 ms   195.6 t/s  1.250 GB/s  123.5 GMAC/s
disturbed   tick=1000, 90 ticks
NMIs        2 came from elsewhere: the machine may be failing
hardware    1 error was corrected: memory, a cache or a bus may be failing

each                 p50         p99       p99.9         max     samples
token           90.00 ms    98.00 ms    99.00 ms    100.0 ms          90
layer           6.000 ms    7.000 ms    7.500 ms    8.000 ms          90
boundary          600 ns    2.500 us    2.750 us    3.000 us          90  0.010 % of the test
stall              40 ns      900 ns           -    5.000 us          90  0.020 % of the test

weights     60.0 MiB stay in memory, 1 of 2 layers streamed, covered by 60 tokens a pass
disk        30.0 MiB read, 1.500 GB/s, 75.0 % of its rate at the start, 25.0 % of reading hidden
layer            compute       stall       bytes        GB/s
0               6.000 ms       40 ns
1               6.500 ms    3.000 ms    10.0 MiB       1.750

times       entry 3.000 s after power-on, firmware left 1.200 s after entry, first token 3.500 s after entry
run         ok, length, logits hash 0123456789abcdef
)";

}  // namespace

TEST_CASE(
    "the summary has facts, stages and outcome, and nothing that pushes an answer off a screen") {
    const FullRun run;
    std::string summary, table;
    print_summary(run.r, append, &summary);
    print_table(run.r, append, &table);
    CHECK(summary.starts_with(kFacts));
    CHECK(contains(summary, "\ndecode          3 tokens "));
    CHECK(contains(summary, "\nrun         ok, length, 4 generated, "));
    CHECK_FALSE(contains(summary, "\ntask "));
    CHECK_FALSE(contains(summary, "\nmemory "));
    CHECK(std::count(summary.begin(), summary.end(), '\n') <= 15);
    CHECK(std::count(table.begin(), table.end(), '\n') > 25);
}

TEST_CASE("the record is one line that begins with its version") {
    const FullRun run;
    const std::string line = line_of(run.r);
    CHECK(line.starts_with("{\"axiom\":1,\"status\":\"ok\","));
    CHECK(line.ends_with("}\n"));
    CHECK(contains(line, "\"layer_p50_ns\":6000000,"));
    CHECK(contains(line, "\"avg_ns\":200000000,"));
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
}

TEST_CASE("every name of llama-bench's record that applies here is in ours") {
    const FullRun run;
    const json j = json_of(run.r);
    for (const char* name :
         {"build_commit", "cpu_info", "model_filename", "model_type", "model_size",
          "model_n_params", "n_batch", "n_threads", "n_prompt", "n_gen", "test_time", "avg_ns",
          "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts"}) {
        INFO(name);
        CHECK(j.contains(name));
        CHECK_FALSE(j[name].is_null());
    }
}

TEST_CASE(
    "a record of a full run has no null but the error and what --bench, --prompts and --chat "
    "measure") {
    const FullRun run;
    const json j = json_of(run.r);
    for (const auto& [name, value] : j.items()) {
        INFO(name);
        const bool of_bench = name == "test" || name == "n_sequences" ||
                              name == "weight_bytes_per_token" || name == "gb_per_s" ||
                              name == "gmac_per_s";
        const bool of_prompts =
            name == "n_parallel" || name == "n_prompts" || name == "n_ok" || name == "n_failed" ||
            name == "n_cancelled" || name == "n_interrupted" || name == "n_shared" ||
            name == "n_preempted" || name == "n_passes" || name == "n_prompt_rows" ||
            name == "n_decode_rows" || name == "rows_per_pass" || name == "passes_ns" ||
            name == "serve_ts" || name == "n_positions";
        const bool of_chat = name == "n_turns" || name == "n_reused" || name == "turns";
        const bool unsupported = name == "stall_p999_ns";
        CHECK(value.is_null() ==
              (name == "error" || unsupported || of_bench || of_prompts || of_chat));
    }
}

TEST_CASE("the record of many prompts has its counts, zeros too, and its own lines in the table") {
    Record r;
    r.n_parallel = 4;
    r.n_prompts = 7;
    r.n_ok = 5;
    r.n_failed = 1;
    r.n_interrupted = 1;
    r.n_prompt = 90;
    r.n_gen = 60;
    r.n_shared = 30;
    r.n_preempted = 2;
    r.n_passes = 20;
    r.n_prompt_rows = 60;
    r.n_decode_rows = 55;
    r.rows_per_pass = 5.75;
    r.passes_ns = 1.5e9;
    r.serve_ts = 37.5;
    const json j = json_of(r);
    CHECK(j["n_ok"] == 5);
    CHECK(j["n_cancelled"] == 0);
    CHECK(j["rows_per_pass"] == 5.75);
    CHECK(j["serve_ts"] == 37.5);
    CHECK(contains(table_of(r), R"(
prompts     5 of 7 answered, 1 failed, 1 interrupted, 4 at a time, 37.50 t/s
tokens      90 of prompts, 30 of these shared, 60 generated
passes      20, 1.500 s, 5.75 rows a pass, 2 sequences dropped and read again

run         ok
)"));
}

TEST_CASE(
    "the record's schema has the fields of the code, in their order, with the units of their "
    "names") {
    std::ifstream file("bench/record.schema.json");
    REQUIRE(file);
    using Ordered = nlohmann::ordered_json;
    const Ordered schema = Ordered::parse(file)["$defs"];
    std::vector<std::string> described, written;
    for (const auto& [name, field] : schema["record"]["properties"].items()) {
        INFO(name);
        described.push_back(name);
        CHECK_FALSE(field["description"].get<std::string>().empty());
        const std::string unit = field.contains("unit") ? field["unit"].get<std::string>() : "";
        const std::pair<std::string, std::string> ends[] = {
            {"_ns", "ns"}, {"_ts", "tokens/s"},  {"_bytes", "bytes"},
            {"_hz", "Hz"}, {"gb_per_s", "GB/s"}, {"_share", "of one"}};
        for (const auto& [end, of_end] : ends) {
            if (name.ends_with(end)) CHECK(unit == of_end);
        }
    }
    const FullRun run;
    const Ordered line = Ordered::parse(line_of(run.r));
    for (const auto& [name, value] : line.items()) written.push_back(name);
    CHECK(described == written);
    std::vector<std::string> phases;
    for (const auto& name : schema["phase"]["properties"]["name"]["enum"]) phases.push_back(name);
    CHECK(phases == std::vector<std::string>(kPhaseNames.begin(), kPhaseNames.end()));
}

TEST_CASE("values keep their types and digits") {
    const FullRun run;
    const json j = json_of(run.r);
    CHECK(j["logits_hash"] == "0123456789abcdef");
    CHECK(j["model_size"] == 98000000);
    CHECK(j["model_filename"] == "\\axiom\\model.axm");
    CHECK(j["tsc_hz"] == 2400000000u);
    CHECK(j["prefill_ts"] == 18.5);
    CHECK(j["boundary_share"] == 0.0001);
    CHECK(j["layer_p50_ns"] == 6000000);
    CHECK(j["layer_p99_ns"] == 7000000);
    CHECK(j["layer_max_ns"] == 8000000);
    CHECK(j["layer_n"] == 90);
    CHECK(j["boundary_max_ns"] == 3000);
    CHECK(j["slabs"][0] ==
          json{{"name", "kv"}, {"object_bytes", 4096}, {"capacity", 60}, {"high_water", 31}});
    CHECK(j["tasks"][1] ==
          json{{"name", "keys"}, {"n_runs", 90}, {"total_ns", 9000}, {"max_ns", 500}});
    CHECK(j["slabs"].size() == 2);
}

TEST_CASE("averages are over the decoded tokens, speed over all of their time") {
    const FullRun run;
    const json j = json_of(run.r);
    CHECK(j["avg_of"] == "decode");
    CHECK(j["samples_ns"] == json{100000000, 200000000, 300000000});
    CHECK(j["avg_ns"] == 200000000);
    CHECK(j["stddev_ns"] == 100000000);
    CHECK(j["samples_ts"] == json{10.0, 5.0, 3.333});
    // The deviation is that of the rates 10, 5, 10/3, with n-1.
    CHECK(j["avg_ts"] == 5.0);  // three tokens in 600 ms
    CHECK(j["stddev_ts"].get<double>() == Approx(3.469).margin(0.0006));
}

TEST_CASE("averages are of prefill when nothing was decoded") {
    Record r;
    r.n_prompt = 100;
    r.prefill_ns = 5e8;
    r.prefill_ts = 200;
    const json j = json_of(r);
    CHECK(j["avg_of"] == "prefill");
    CHECK(j["avg_ns"] == 500000000);
    CHECK(j["avg_ts"] == 200.0);
    CHECK(j["stddev_ns"] == 0);
    CHECK(j["samples_ns"] == json{500000000});
    CHECK(j["samples_ts"] == json{200.0});
    CHECK(j["stddev_ts"] == 0);
    CHECK(j["decode_ns"].is_null());
}

TEST_CASE("what was not measured is null and not zero") {
    const json j = json_of(Record{});
    for (const char* name :
         {"error", "cpu_info", "test_time", "model_size", "avg_of", "avg_ns", "avg_ts", "stddev_ns",
          "prefill_ts", "decode_ts", "layer_p50_ns", "layer_n", "boundary_share", "phase_entry_ns",
          "logits_hash", "memory_bytes"}) {
        INFO(name);
        CHECK(j[name].is_null());
    }
    CHECK(j["n_gen"] == 0);
    CHECK(j["samples_ns"] == json::array());
    CHECK(j["slabs"] == json::array());
}

TEST_CASE("numbers that are not finite are null") {
    Record r;
    for (const double x :
         {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
          std::numeric_limits<double>::quiet_NaN()}) {
        r.decode_ts = x;
        r.phase_load_ns = x;
        CHECK(json_of(r)["decode_ts"].is_null());
        CHECK(json_of(r)["phase_load_ns"].is_null());
    }
}

TEST_CASE("very large and very small numbers are still JSON") {
    Record r;
    r.decode_ns = 1e300;
    r.decode_ts = 1e-300;
    r.tsc_hz = UINT64_MAX;
    const json j = json_of(r);
    CHECK(j["decode_ns"].get<double>() == Approx(1e300).epsilon(1e-5));
    CHECK(j["decode_ts"] == 0.0);
    CHECK(j["tsc_hz"] == UINT64_MAX);
}

TEST_CASE("every byte in a string survives as JSON") {
    std::string all;
    for (int c = 0; c < 128; c++) all.push_back(char(c));
    all += "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    Record r;
    r.outcome = Status(Code::io, all);
    const std::string line = line_of(r);
    CHECK(json::parse(line)["error"] == all);
    for (const char c : line) CHECK((uint8_t(c) >= 0x20 || c == '\n'));
}

TEST_CASE("invalid UTF-8 becomes the replacement character") {
    const std::string fffd = "\xEF\xBF\xBD";
    const auto out = [](std::string_view text) {
        Record r;
        r.outcome = Status(Code::io, text);
        return json_of(r)["error"].get<std::string>();
    };
    CHECK(out("a\x80z") == "a" + fffd + "z");  // lone continuation
    CHECK(out("a\xE2\x82") == "a" + fffd);     // cut short
    CHECK(out("\xC3(") == fffd + "(");         // wrong continuation
    CHECK(out("\xFFz") == fffd + "z");
    CHECK(out("\xF0\x9F\x98\"") == fffd + "\"");  // a quote right after a cut sequence
    // Overlong, surrogate, past U+10FFFF: valid JSON, nothing of the original left.
    for (const char* text :
         {"\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80"}) {
        std::string s = out(text);
        while (s.starts_with(fffd)) s.erase(0, 3);
        CHECK(s.empty());
    }
}

TEST_CASE("random bytes in every string keep the line valid") {
    std::mt19937 random(1);
    for (int i = 0; i < 200; i++) {
        std::string bytes(random() % 700, '\0');
        for (char& c : bytes) c = char(random());
        Record r;
        r.cpu_info = r.machine = r.model_name = bytes;
        r.outcome = Status(Code::io, bytes);
        CHECK_NOTHROW(json_of(r));
    }
}

TEST_CASE("the table of a full run is this table") {
    const FullRun run;
    CHECK(table_of(run.r) == std::string(kFacts) + kTable);
}

TEST_CASE("the table of a test is this table, with the facts before the first one") {
    FullRun run;
    run.r.test = "tg32";
    run.r.n_test_tokens = 32;
    run.r.test_samples_ns = run.samples;
    run.r.gb_per_s = 1.25;
    run.r.gmac_per_s = 123.45;
    std::string out;
    print_test(run.r, run.r.n_threads, append, &out);
    CHECK(out == kTest);
    out.clear();
    print_test(run.r, run.r.n_threads + 1, append, &out);
    CHECK(out == std::string(kFacts) + kTest);
    out.clear();
    print_test(run.r, 0, append, &out);
    CHECK(contains(out, std::string(kFacts)));
    CHECK(contains(out, "\nstart           firmware "));
    run.r.test_samples_ns = {};  // stopped before the first repetition was done
    run.r.layer = {};
    out.clear();
    print_test(run.r, run.r.n_threads, append, &out);
    CHECK(contains(out, "tg32                   0\n"));
}

TEST_CASE("each line and each part of the table is there only if it was measured") {
    // A record with one thing in it, and what the table then is.
    const auto only = [](auto set) {
        Record r;
        set(r);
        return table_of(r);
    };
    const std::string end = "\nrun         ok\n";
    CHECK(only([](Record&) {}) == end);
    CHECK(only([](Record& r) { r.model_size = 2048; }) == "model       2.00 KiB\n" + end);
    CHECK(only([](Record& r) { r.model_type = "llama"; }) == "model       llama\n" + end);
    CHECK(only([](Record& r) { r.backend = "uefi"; }) == "machine     uefi\n" + end);
    CHECK(only([](Record& r) { r.machine = "EDK"; }) == "machine     EDK\n" + end);
    CHECK(only([](Record& r) { r.cpu_info = "CPU", r.n_cpus = r.n_cpus_started = 1; }) ==
          "machine     CPU, 1 of 1 CPU\n" + end);
    CHECK(only([](Record& r) { r.kernel_set = "sse"; }) == "kernels     sse\n" + end);
    CHECK(only([](Record& r) { r.kernel_set = "sse", r.n_threads = 2, r.n_ctx = r.n_batch = 1; }) ==
          "kernels     sse, 2 threads, context 1, batch 1\n" + end);
    CHECK(contains(only([](Record& r) { r.load_bytes = 5000000; }), "load") == false);
    CHECK(contains(only([](Record& r) { r.phase_load_ns = 1e9; }), "load") == false);
    CHECK(contains(only([](Record& r) { r.phase_load_ns = 1e9, r.load_bytes = 1 << 20; }),
                   "\nload            1.00 MiB     1.000 s              1.049 MB/s\n"));
    CHECK(contains(only([](Record& r) { r.prefill_ns = 999; }),
                   "\nprefill         0 tokens      999 ns\n"));
    CHECK(
        contains(only([](Record& r) { r.n_decode = 1, r.decode_ns = 1e3, r.decode_gb_per_s = 9; }),
                 "\ndecode          1 tokens    1.000 us    1.000 us\n              9.000 GB/s of "
                 "weights\n"));
    CHECK(contains(
        only([](Record& r) { r.n_decode = 2, r.decode_ns = 2e6, r.decode_mmac_per_s = 7; }),
        "\ndecode          2 tokens    2.000 ms    1.000 ms              +- 0 ns a token\n"
        "              7 million multiply-adds/s\n"));
    CHECK(contains(only([](Record& r) { r.boundary = {1, 1, 1, 1, 1, 1}; }), "boundary") == false);
    CHECK(contains(only([](Record& r) { r.memory_bytes = 1024; }),
                   "\ngiven                                               1.00 KiB\n"));
    CHECK(only([](Record& r) { r.phase_entry_ns = 5e9; }) ==
          "\ntimes       entry 5.000 s after power-on\nrun         ok\n");
    CHECK(only([](Record& r) { r.phase_exit_ns = 5e6; }) ==
          "\ntimes       firmware left 5.000 ms after entry\nrun         ok\n");
    CHECK(only([](Record& r) { r.phase_first_token_ns = 5e3; }) ==
          "\ntimes       first token 5.000 us after entry\nrun         ok\n");
    CHECK(only([](Record& r) { r.n_gen = 1; }) == "\nrun         ok, 1 generated\n");
    CHECK(only([](Record& r) { r.outcome = Status(Code::io, "lost\x7f\x1f "); }) ==
          "\nrun         error\nerror       lost??\n");
}

TEST_CASE("the table is plain ASCII without blanks at line ends") {
    const FullRun run;
    const std::string table = table_of(run.r);
    for (const char c : table) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
    CHECK_FALSE(contains(table, " \n"));
}

TEST_CASE("a hostile model name begins no line of the table and sends no escape codes") {
    Record r;
    r.model_name = "x\n{\"axiom\":1,\"status\":\"ok\"}\x1b[2J\xc2\x9b";
    const std::string table = table_of(r);
    INFO(table);
    CHECK(table.find("\n{\"axiom\"") == std::string::npos);
    for (const char c : table) CHECK((c == '\n' || (c >= 0x20 && c <= 0x7e)));
}

TEST_CASE("the table leaves out what was not measured") {
    const std::string table = table_of(Record{});
    for (const char* part : {"prefill", "decode", "load", "layer", "boundary", "memory", "GB/s",
                             "hash", "nan", "inf"}) {
        INFO(part << "\n" << table);
        CHECK_FALSE(contains(table, part));
    }
}

TEST_CASE("the table shows decoding only if passes were counted and timed") {
    FullRun run;
    CHECK(contains(table_of(run.r), "\ndecode          3 tokens"));
    CHECK(contains(table_of(run.r), "million multiply-adds/s"));
    for (const bool counted : {false, true}) {
        run.r.n_decode = counted ? 3 : 0;
        run.r.decode_ns = counted ? 0 : 6e8;
        run.r.token = run.r.layer = run.r.boundary = run.r.stall = {};
        INFO(table_of(run.r));
        CHECK_FALSE(contains(table_of(run.r), "decode"));
        CHECK_FALSE(contains(table_of(run.r), "multiply-adds"));
    }
}

TEST_CASE("how a run ended is told by its outcome, and why text ended only if it did") {
    Record r;
    r.stop_reason = "length";
    CHECK(json_of(r)["status"] == "ok");
    CHECK(json_of(r)["stop_reason"] == "length");
    CHECK(contains(table_of(r), "ok, length"));
    r.outcome = Status(Code::interrupted, "interrupted");
    CHECK(json_of(r)["status"] == "interrupted");
    CHECK(json_of(r)["stop_reason"] == "interrupted");
    CHECK(json_of(r)["error"].is_null());
    CHECK_FALSE(contains(table_of(r), "length"));
    CHECK_FALSE(contains(table_of(r), "error"));
}

TEST_CASE("a failed run's table says why") {
    Record r;
    r.outcome = Status(Code::bad_format, "model.axm: magic at offset 0x0");
    CHECK(json_of(r)["status"] == "error");
    CHECK(json_of(r)["error"] == "model.axm: magic at offset 0x0");
    CHECK(contains(table_of(r), "model.axm: magic at offset 0x0"));
}

TEST_CASE("a percentile is stated only with the samples that support it") {
    FineLogHistogram times;
    const auto at = [&](uint64_t n) {
        while (times.n() < n) times.add(1000);
        return percentiles(times);
    };
    CHECK(at(0).n == 0);
    CHECK(std::isnan(at(6).p50_ns));
    CHECK(at(7).p50_ns == 1000);
    CHECK(std::isnan(at(43).p90_ns));
    CHECK(at(44).p90_ns == 1000);
    CHECK(std::isnan(at(458).p99_ns));
    CHECK(at(459).p99_ns == 1000);
    CHECK(std::isnan(at(4602).p999_ns));
    CHECK(at(4603).p999_ns == 1000);
    CHECK(at(1).max_ns == 1000);
    Record r;
    r.layer = percentiles(times);
    FineLogHistogram few;
    few.add(5);
    r.boundary = percentiles(few);
    const json j = json_of(r);
    CHECK(j["layer_p999_ns"] == 1000);
    CHECK(j["boundary_p50_ns"].is_null());
    CHECK(j["boundary_max_ns"] == 5);
    CHECK(j["token_n"].is_null());
    CHECK(j["token_max_ns"].is_null());
}

TEST_CASE("a histogram in the record has all samples, in bins that begin where it says") {
    FineLogHistogram times;
    times.add(1000);
    times.add(1001);
    times.add(4096);
    Record r;
    r.token = percentiles(times);
    const json h = json_of(r)["token_histogram"];
    CHECK(h["per_doubling"] == 64);
    const double from = h["from_ns"];
    CHECK((from <= 1000 && 1000 < from * std::exp2(1.0 / 64)));
    CHECK(h["counts"].front() == 2);
    CHECK(h["counts"].back() == 1);
    const double last = from * std::exp2(double(h["counts"].size() - 1) / 64);
    CHECK(last == Approx(4096));
    CHECK(json_of(Record{})["token_histogram"].is_null());
}

TEST_CASE("the phases of a start add up to all of it, whatever was moved between them") {
    BootPhases phases(100);
    phases.end(Phase::find, 150);
    phases.end(Phase::load, 1150);
    phases.move(Phase::load, Phase::verify, 400);
    phases.end(Phase::other, 1151);
    phases.end(Phase::load, 1161);
    phases.close(Phase::prefill, 1200);
    phases.end(Phase::other, 5000);
    phases.close(Phase::prefill, 6000);
    CHECK(phases.is_closed());
    uint64_t sum = 0;
    for (size_t i = 0; i < kNPhases; i++) sum += phases.ticks(i);
    CHECK(sum == 1100);
    CHECK(phases.ticks(size_t(Phase::load)) == 610);
    CHECK(phases.ticks(size_t(Phase::verify)) == 400);
    CHECK(phases.ticks(size_t(Phase::prefill)) == 39);
    phases.move(Phase::find, Phase::verify, 1000);  // no more than there is
    CHECK(phases.ticks(size_t(Phase::find)) == 0);
    CHECK(phases.ticks(size_t(Phase::verify)) == 450);

    Record r;
    CHECK(json_of(r)["boot_phases"].is_null());
    r.boot_phase_ns[size_t(Phase::load)] = 610;
    r.boot_phase_ns[size_t(Phase::prefill)] = 39;
    CHECK(json_of(r)["boot_phases"] ==
          json::array({{{"name", "load"}, {"ns", 610}}, {{"name", "prefill"}, {"ns", 39}}}));
}

TEST_CASE("the table says what became of drafts, if there were any") {
    FullRun run;
    CHECK_FALSE(contains(table_of(run.r), "drafted"));
    CHECK(json_of(run.r)["n_drafted"] == 0);
    CHECK(json_of(run.r)["n_accepted"] == 0);
    run.r.draft = "lookup";
    run.r.n_drafted = 5;
    run.r.n_accepted = 2;
    run.r.tokens_per_pass = 1.5;
    CHECK(contains(table_of(run.r),
                   "\n              2 of 5 drafted tokens accepted, 1.50 tokens a pass\n"));
    CHECK(json_of(run.r)["draft"] == "lookup");
    CHECK(json_of(run.r)["n_drafted"] == 5);
    CHECK(json_of(run.r)["n_accepted"] == 2);
    CHECK(json_of(run.r)["tokens_per_pass"] == 1.5);
}

TEST_CASE("the average speed of decoding is tokens over time, whatever passes shared") {
    // Three tokens of one pass of 30 ms, and one of a pass of 90 ms: 4 tokens in 120 ms. The mean of
    // their own speeds would be 77.8.
    const uint64_t samples[] = {10000000, 10000000, 10000000, 90000000};
    FullRun run;
    run.r.decode_samples_ns = samples;
    const json j = json_of(run.r);
    CHECK(j["avg_of"] == "decode");
    CHECK(j["avg_ns"] == 30000000);
    CHECK(j["avg_ts"].get<double>() == Approx(33.333).margin(0.0005));
    // Repetitions of a test keep llama-bench's meaning, the mean of their speeds.
    run.r.test = "tg4";
    run.r.n_test_tokens = 4;
    run.r.test_samples_ns = samples;
    CHECK(json_of(run.r)["avg_ts"].get<double>() == Approx(4 * 77.7778).margin(0.0005));
}
