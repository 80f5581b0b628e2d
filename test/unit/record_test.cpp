// SPDX-License-Identifier: MIT
// The record: valid JSON whatever is in it, null for what was not measured, the table, percentiles.
#include "model/report/record.h"

#include <algorithm>
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
    Record r;

    FullRun() {
        r.stop_reason = "length";
        r.build_commit = "abc123";
        r.backend = "uefi";
        r.cpu_info = "Some CPU";
        r.machine = "EDK II 1.0";
        r.kernel_set = "avx2";
        r.kernel_choice = "timed";
        r.test_time = "2025-02-01T12:00:00Z";
        r.model_filename = "\\axiom\\model.axm";
        r.model_name = "SmolLM2 135M Instruct";
        r.model_type = "llama 135M Q4_1";
        r.axm_checksum = "0123456789abcdef";
        r.model_size = 98000000;
        r.model_n_params = 134515008;
        r.n_threads = 1;
        r.n_cpus = 4;
        r.n_cpus_started = 2;
        r.core_balance = 0.98;
        r.n_batch = 64;
        r.n_ctx = 2048;
        r.n_prompt = 37;
        r.n_gen = 4;
        r.tsc_hz = 2400000000;
        r.memory_bytes = 900000000;
        r.huge_page_bytes = 800000000;
        r.prefill_ns = 2e9;
        r.prefill_ts = 18.5;
        r.decode_ns = 600000000;
        r.decode_ts = 5;
        r.n_decode = 3;
        r.decode_samples_ns = samples;
        r.decode_stddev_ns = 1e8;
        r.decode_gb_per_s = 0.49;
        r.decode_mmac_per_s = 670;
        r.layer = {90, 6e6, 7e6, 8e6};
        r.boundary = {90, 600, 2500, 3000};
        r.boundary_share = 0.0001;
        r.stall = {90, 40, 900, 5000};
        r.stall_share = 0.0002;
        r.sample_ns = 150000;
        r.tasks = tasks;
        r.phase_entry_ns = 3e9;
        r.phase_load_ns = 1e9;
        r.load_bytes = 98000000;
        r.phase_exit_ns = 1.2e9;
        r.phase_first_token_ns = 3.5e9;
        r.slabs = slabs;
        r.logits_hash = 0x0123456789abcdef;
    }
    FullRun(const FullRun&) = delete;
};

}  // namespace

TEST_CASE("the record is one line that begins with its version") {
    const FullRun run;
    const std::string line = line_of(run.r);
    CHECK(line.starts_with("{\"axiom\":1,\"status\":\"ok\","));
    CHECK(line.ends_with("}\n"));
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

TEST_CASE("a record of a full run has no null but the error and what --bench measures") {
    const FullRun run;
    const json j = json_of(run.r);
    for (const auto& [name, value] : j.items()) {
        INFO(name);
        const bool of_bench = name == "test" || name == "weight_bytes_per_token" ||
                              name == "gb_per_s" || name == "gmac_per_s";
        CHECK(value.is_null() == (name == "error" || of_bench));
    }
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

TEST_CASE("averages are over the decode passes, as llama-bench averages repetitions") {
    const FullRun run;
    const json j = json_of(run.r);
    CHECK(j["avg_of"] == "decode");
    CHECK(j["samples_ns"] == json{100000000, 200000000, 300000000});
    CHECK(j["avg_ns"] == 200000000);
    CHECK(j["stddev_ns"] == 100000000);
    CHECK(j["samples_ts"] == json{10.0, 5.0, 3.333});
    // Mean of the rates 10, 5, 10/3 is 55/9; deviation with n-1.
    CHECK(j["avg_ts"].get<double>() == Approx(6.111).margin(0.0005));
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

TEST_CASE("the table shows the measured rates with their units") {
    const FullRun run;
    const std::string table = table_of(run.r);
    for (const char* part :
         {"98.00 MB/s", "18.50 t/s", "5.000 t/s", "37 tokens", "200.0 ms", "0.490 GB/s",
          "670 million", "6.000 ms", "600 ns", "0.010 % of decode", "kv", "console", "avx2, timed",
          "first token 3.500 s after entry", "0123456789abcdef"}) {
        INFO(part << "\n" << table);
        CHECK(contains(table, part));
    }
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
        run.r.layer = run.r.boundary = run.r.stall = {};
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

TEST_CASE("the table says how long layers waited for their weights") {
    const FullRun run;
    INFO(table_of(run.r));
    CHECK(contains(table_of(run.r), "stall              40 ns      900 ns    5.000 us"));
    CHECK(contains(table_of(run.r), "0.020 % of decode"));
}

TEST_CASE("a failed run's table says why") {
    Record r;
    r.outcome = Status(Code::bad_format, "model.axm: magic at offset 0x0");
    CHECK(json_of(r)["status"] == "error");
    CHECK(json_of(r)["error"] == "model.axm: magic at offset 0x0");
    CHECK(contains(table_of(r), "model.axm: magic at offset 0x0"));
}

TEST_CASE("percentiles are by nearest rank") {
    std::vector<uint64_t> ticks(100);
    for (size_t i = 0; i < 100; i++) ticks[i] = (i * 37) % 100 + 1;  // 1..100, shuffled
    const Percentiles p = percentiles(ticks, 1000000000);
    CHECK(p.n == 100);
    CHECK(p.p50_ns == 50);
    CHECK(p.p99_ns == 99);
    CHECK(p.max_ns == 100);
    CHECK(std::is_sorted(ticks.begin(), ticks.end()));
}

TEST_CASE("percentiles of one and of two samples are samples") {
    std::vector<uint64_t> one = {7};
    CHECK(percentiles(one, 1000000000).p50_ns == 7);
    CHECK(percentiles(one, 1000000000).p99_ns == 7);
    std::vector<uint64_t> two = {9, 4};
    const Percentiles p = percentiles(two, 1000000000);
    CHECK(p.p50_ns == 4);
    CHECK(p.p99_ns == 9);
}

TEST_CASE("percentiles of nothing are unset") {
    CHECK(percentiles({}, 1000).n == 0);
}

TEST_CASE("percentiles turn ticks into nanoseconds") {
    std::vector<uint64_t> ticks = {3000};
    CHECK(percentiles(ticks, 3000000000).p50_ns == 1000);
}

TEST_CASE("the sort orders whatever it is given") {
    std::mt19937_64 random(2);
    for (size_t n = 0; n < 70; n++) {
        std::vector<uint64_t> ticks(n);
        for (uint64_t& t : ticks) t = n % 3 ? random() : random() % 4;
        std::vector<uint64_t> sorted = ticks;
        std::sort(sorted.begin(), sorted.end());
        percentiles(ticks, 1);
        CHECK(ticks == sorted);
    }
}

TEST_CASE("percentiles need a clock") {
    std::vector<uint64_t> ticks = {1};
    CHECK_THROWS_AS(percentiles(ticks, 0), std::logic_error);
}
