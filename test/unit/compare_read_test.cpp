// SPDX-License-Identifier: MIT
// What axiom-compare finds in files: real ones (test/golden/compare/README.md) and damaged ones.
#include "bench/compare/read.h"

#include "test/unit/catch.h"
#include "test/unit/read_file.h"

using namespace axiom::compare;

namespace {

std::string golden(const std::string& name) {
    return read_file("test/golden/compare/" + name);
}
Input input_of(const std::string& text, const std::string& name = "dir/some.json") {
    Input input;
    read_text(name, text, &input);
    return input;
}
// "pp16 18.83" of every run, sides one after another.
std::vector<std::string> runs_of(const Input& input) {
    std::vector<std::string> out;
    for (const Side& side : input.sides) {
        for (const Run& run : side.runs) {
            char text[96];
            std::snprintf(text, sizeof text, "%s %.2f", run.test.name().c_str(), run.ts);
            out.push_back(text);
        }
    }
    return out;
}
using Runs = std::vector<std::string>;

// One record line of axiom-host.
std::string a_record() {
    const std::string all = golden("axiom-host.jsonl");
    return all.substr(0, all.find('\n'));
}
bool mentions(const Input& input, const std::string& part) {
    for (const std::string& note : input.notes) {
        if (note.find(part) != note.npos) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("llama-bench of three builds is read in every format it writes") {
    struct {
        const char* name;
        std::vector<const char*> endings;
        size_t n_runs;
        const char* tests;
    } const cases[] = {
        {"llama-cpp-python-0.3.36", {"json", "jsonl", "csv"}, 4, "pp16,tg4,pp16 @ d8,tg4 @ d8,"},
        {"llama-cpp-python-0.3.7", {"json", "jsonl", "csv"}, 2, "pp16,tg4,"},
        {"ik_llama.cpp", {"json", "csv"}, 4, "pp16,tg4,pp8+tg4,tg4 @ d8,"},
    };
    for (const auto& c : cases) {
        for (const char* ending : c.endings) {
            INFO(c.name << "." << ending);
            const Input input = input_of(golden(std::string(c.name) + "." + ending));
            CHECK_FALSE(input.damaged);
            CHECK(input.notes.empty());
            REQUIRE(input.sides.size() == 1);
            const Side& side = input.sides[0];
            REQUIRE(side.runs.size() == c.n_runs);
            std::string tests;
            for (const Run& run : side.runs) {
                tests += run.test.name() + ",";
                CHECK(run.ts > 0);
                CHECK(run.n_threads == 1);
                CHECK(run.machine == "Intel(R) Xeon(R) Processor");
                CHECK(run.model.name() == "smollm2-135m-Q4_K_M");
                CHECK(run.repetitions.size() == (std::string(ending) == "csv" ? 0u : 2u));
            }
            CHECK(tests == c.tests);
        }
    }
    const std::string json = golden("llama-cpp-python-0.3.36.json");
    CHECK(runs_of(input_of(json)).at(0) == "pp16 18.83");  // as the file says
    CHECK(runs_of(input_of(json + json)).size() == 8);     // appended files
    CHECK(runs_of(input_of("load: some noise\n" + json + "\ndone")).size() == 4);
}

TEST_CASE("records of AXIOM say test, hash and backend, and are one run each") {
    const Input input = input_of(golden("axiom-host.jsonl"));
    REQUIRE(input.sides.size() == 1);
    CHECK(runs_of(input) == Runs{"pp16 983.35", "tg4 @ d8 123.33"});
    const Run& run = input.sides[0].runs[1];
    CHECK((run.program == "axiom" && run.backend == "linux" && run.build == "497383c45c06"));
    CHECK(run.logits_hash == "e81668983a34af2e");
    CHECK(run.repetitions == std::vector<double>{123.330, 123.335});
    CHECK(
        run.model.same_as(input_of(golden("llama-cpp-python-0.3.36.csv")).sides[0].runs[0].model));
}

TEST_CASE("a report of bench-peers has a side for each program and a run for each sample") {
    const Input input = input_of(golden("bench-peers.report.json"));
    CHECK_FALSE(input.damaged);
    REQUIRE(input.sides.size() == 3);
    CHECK(input.sides[0].program == "axiom");
    for (const Side& side : input.sides) {
        INFO(side.name);
        REQUIRE(side.runs.size() == 5);
        CHECK(side.runs[4].test.name() == "tg8 x8");
    }
    CHECK(runs_of(input).at(3) == "tg8 @ d300 54.30");
}

TEST_CASE("every whole record in a serial capture is found, whatever stands around it") {
    const std::string record = a_record(), cut = record.substr(0, 700);
    const std::string text = "\x1b[2J\x1b[01;01HBdsDxe: starting Boot0001\r\n{ garbage\r\n" +
                             record + "\r\n" + cut +
                             "\r\nSeaBIOS {0.5} [x]\r\n\0\xff\xfe{\"a\":1}\r\nnoise " + record +
                             " noise\r\n" + cut + record + "\r\n" + cut;
    const Input input = input_of(text);
    CHECK(runs_of(input) == Runs(3, "pp16 983.35"));
    CHECK(input.damaged);
    CHECK(input.notes == Runs{"dir/some.json:4: a record is cut off or damaged",
                              "dir/some.json:7: a record is cut off or damaged",
                              "dir/some.json:8: a record is cut off or damaged"});
}

TEST_CASE("what is damaged in a file is named by line, and the rest is used") {
    const std::string json = golden("llama-cpp-python-0.3.36.json");
    const size_t third = json.find("{", json.find("{", json.find("{") + 1) + 1);
    const Input half = input_of(json.substr(0, third + 200));
    CHECK(runs_of(half).size() == 2);
    CHECK(mentions(half, "dir/some.json:94: a record is cut off or damaged"));

    std::string negative = json;
    negative.replace(negative.find("18.833938"), 9, "-1");
    const Input wrong = input_of(negative);
    CHECK(runs_of(wrong).size() == 3);
    CHECK(mentions(wrong, "dir/some.json:2: avg_ts: found -1, allowed a positive number"));

    const std::string csv = golden("llama-cpp-python-0.3.36.csv");
    const Input row = input_of(csv.substr(0, csv.size() - 100));
    CHECK(runs_of(row).size() == 3);
    CHECK(mentions(row, "dir/some.json:5: "));

    for (const char* text : {"", "\n\n", "no record at all", "{}", "[1,2,[3]]", "{\"axiom\":1}"}) {
        INFO(text);
        const Input none = input_of(text);
        CHECK(none.sides.empty());
        CHECK(none.damaged);
        CHECK(mentions(none, "dir/some.json: found no measurement in it"));
    }
    Input missing;
    read_file("no/such/file.json", &missing);
    CHECK(missing.notes == Runs{"no/such/file.json: cannot be read"});
    CHECK(missing.damaged);
}

TEST_CASE("a record whose fields have other types is refused or read as unknown") {
    for (const char* fields :
         {"\"avg_ts\":\"fast\"", "\"avg_ts\":[1]", "\"avg_ts\":{}", "\"avg_ts\":1e999",
          "\"avg_ts\":true", "\"avg_ts\":0", "\"avg_ts\":5,\"test\":\"xx9\"",
          "\"avg_ts\":5,\"test\":\"\\u0000\"", "\"serve_ts\":\"x\""}) {
        INFO(fields);
        CHECK(
            input_of("{\"axiom\":1,\"status\":\"ok\"," + std::string(fields) + "}").sides.empty());
    }
    const Input odd = input_of(
        "{\"axiom\":1,\"status\":7,\"avg_ts\":5,\"test\":\"tg4\",\"n_threads\":-3,\"samples_ts\":"
        "[1,\"2\",null,{}],\"model_filename\":[],\"model_type\":\"x\",\"logits_hash\":5}");
    REQUIRE(odd.sides.size() == 1);
    const Run& run = odd.sides[0].runs[0];
    CHECK((run.n_threads == 0 && run.model.file.empty() && run.logits_hash.empty()));
    CHECK(run.repetitions == std::vector<double>{1, 2});
}

TEST_CASE("a file made to be slow is read in a time that its length decides") {
    // Without bounds each of these would look at its bytes as often as it has lines.
    constexpr size_t kBytes = 1'000'000;
    for (const std::string& piece :
         {std::string("{\n"), std::string("{\"axiom\":"), std::string("{\"axiom\":\""),
          std::string("[{\"build_commit\"\n"), std::string("{\"a\":[{}\n"), std::string("\"")}) {
        INFO(piece);
        std::string text;
        while (text.size() < kBytes) text += piece;
        const Input input = input_of(text);
        CHECK(input.sides.empty());
        CHECK(input.notes.size() <= 22);
    }
}
