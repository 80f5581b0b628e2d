// SPDX-License-Identifier: MIT
// The page of axiom-compare as text: what it draws, says and lists of made-up records. What a browser
// makes of it: test/page.
#include "bench/compare/page/page.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/compare/page/charts.h"
#include "bench/compare/read.h"
#include "test/unit/catch.h"

using namespace axiom::compare;
using nlohmann::json;

namespace {

std::string record(double ts, json more = json::object()) {
    more.update({{"status", "ok"},
                 {"backend", "linux"},
                 {"test", "tg8"},
                 {"avg_ts", ts},
                 {"n_threads", 2},
                 {"cpu_info", "Some CPU"},
                 {"model_filename", "m/<script>alert(1).axm"},
                 {"model_type", "llama 1M Q4_0"}});
    std::string text = more.dump();
    return text.replace(0, 1, "{\"axiom\":1,") + "\n";
}

struct Page {
    Input input;
    Comparison result;
    std::vector<LayerPair> layers;

    explicit Page(const std::vector<std::string>& texts) {
        for (size_t i = 0; i < texts.size(); i++)
            read_text(std::string(1, char('a' + i)) + ".json", texts[i], &input);
        REQUIRE(!input.sides.empty());
        result = compare(input.sides, input.sides[0], {});
        layers = compare_layers(input.sides, input.sides[0], 0.95);
    }
    Results results() const { return {input, result, layers}; }
    std::vector<Chart> charts(const std::string& id) const {
        for (const Section& section : sections_of(results())) {
            if (section.id == id) return section.charts;
        }
        FAIL("no section " << id);
        throw 0;
    }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
}

json histogram(json counts) {
    return {{"from_ns", 1000}, {"per_doubling", 1}, {"counts", std::move(counts)}};
}

}  // namespace

TEST_CASE("the page fetches nothing, and texts of files are neither elements nor scripts") {
    const Page page({record(100) + record(101), record(90)});
    const std::string html = html_page(page.results());
    CHECK_FALSE(contains(html, "<script>alert"));
    CHECK(contains(html, "&lt;script&gt;alert(1)"));
    CHECK(contains(html, "\\u003cscript>alert(1)"));
    CHECK(contains(html, "default-src 'none'"));
    for (const char* outside : {" src=", "href=\"h", "url(", "@import", "import("})
        CHECK_FALSE(contains(html, outside));
    CHECK(contains(html, "a.json:2"));
    CHECK(contains(html, "100.000"));
    CHECK(why_no_charts().empty());
    CHECK(contains(html, "The MIT License"));
}

TEST_CASE("a curve of times steps at the upper end of each bin, all runs of a side together") {
    const Page page({record(100, {{"token_histogram", histogram({3, 0, 5})}}) +
                     record(100, {{"token_histogram", histogram({1, 1})}})});
    const std::vector<Chart> charts = page.charts("tokens");
    REQUIRE(charts.size() == 1);
    REQUIRE(charts[0].series.size() == 1);
    CHECK(charts[0].series[0].x == Values{2000, 4000, 8000});
    CHECK(charts[0].series[0].y == Values{0.4, 0.5, 1});
    // 10 times support a median, and no 90 %: 44 would.
    CHECK(charts[0].table.lines[0] ==
          std::vector<std::string>{"a", "10", "4 µs", "", "", "", "8 µs", ""});
}

TEST_CASE("a quantile is stated from as many times as it takes to have one above it with 99 %") {
    for (const int n : {458, 459}) {
        json raw = json::array();
        for (int i = 1; i <= n; i++) raw.push_back(i * 1000);
        const Page page({record(100, {{"avg_of", "decode"}, {"samples_ns", raw}})});
        const auto cells = page.charts("tokens").at(0).table.lines.at(0);
        INFO(n);
        CHECK(cells[3] == (n == 458 ? "413 µs" : "414 µs"));
        CHECK(cells[4] == (n == 458 ? "" : "455 µs"));
        CHECK(cells[5].empty());
    }
}

TEST_CASE("a curve of very many times keeps its ends and stays a curve") {
    json raw = json::array();
    for (int i = 1; i <= 20000; i++) raw.push_back(i * 10);
    const Page page({record(100, {{"avg_of", "decode"}, {"samples_ns", raw}})});
    const std::vector<Chart> charts = page.charts("tokens");
    const Series& curve = charts.at(0).series.at(0);
    CHECK((curve.x.size() > 100 && curve.x.size() <= 402));
    CHECK(curve.x.front() == 10);
    CHECK(curve.x.back() == 200000);
    CHECK(curve.y.back() == 1);
    for (size_t i = 0; i + 1 < curve.x.size(); i++)
        CHECK(curve.y[i] == Approx(curve.x[i] / 200000));
}

TEST_CASE("histograms that cannot be right are left out") {
    for (const json& bad : {json(5), json({{"from_ns", 0}, {"per_doubling", 1}, {"counts", {1}}}),
                            json({{"from_ns", 10}, {"per_doubling", 0}, {"counts", {1}}}),
                            json({{"from_ns", 10}, {"per_doubling", 1}, {"counts", {1, -1}}}),
                            json({{"from_ns", 10}, {"per_doubling", 1}, {"counts", {0, 0}}}),
                            json({{"from_ns", 10}, {"per_doubling", 1}, {"counts", {"x"}}}),
                            json({{"from_ns", 10}, {"per_doubling", 1}, {"counts", {{}}}})}) {
        INFO(bad.dump());
        CHECK(Page({record(100, {{"token_histogram", bad}})}).charts("tokens").empty());
    }
}

TEST_CASE("noise is gaps a second by their length, of each core") {
    const std::string noise =
        "{\"axiom\":1,\"kind\":\"noise\",\"backend\":\"linux\",\"core\":3,\"threshold_ns\":1000,"
        "\"duration_ns\":2000000000,\"n_gaps\":6,\"gap_ns\":12000,\"gap_max_ns\":3500,"
        "\"gap_histogram\":{\"from_ns\":1000,\"per_doubling\":2,\"counts\":[4,0,2]}}\n";
    const Page page({record(100) + noise});
    CHECK(page.input.sides.size() == 1);
    const std::vector<Chart> charts = page.charts("noise");
    REQUIRE(charts.size() == 1);
    CHECK(charts[0].series[0].name == "a, core 3");
    CHECK(charts[0].series[0].y == Values{2, 1});
    CHECK(charts[0].series[0].x[0] == Approx(1000 * std::exp2(0.25)));
    CHECK(contains(charts[0].text,
                   "a, core 3: 6 gaps, together 12 µs (0.0006 %), the longest 3.5 µs"));
}

TEST_CASE("the tails of noise say of how many gaps and pieces of work they are") {
    const Noise noise = noise_of(Json{{"n_gaps", 6}, {"n_fwq", 12}});
    CHECK(noise.gap.n == 6);
    CHECK(noise.quantum.n == 12);
}

TEST_CASE("fine bins of gaps are drawn as four a doubling, and none is lost") {
    json counts = json::array();
    for (int i = 0; i < 64; i++) counts.push_back(i % 16 == 0 ? 3 : 1);
    const json noise = {
        {"kind", "noise"},
        {"duration_ns", 1e9},
        {"gap_histogram", {{"from_ns", 1000}, {"per_doubling", 64}, {"counts", counts}}}};
    const Page page({record(100) + "{\"axiom\":1," + noise.dump().substr(1) + "\n"});
    const Series series = page.charts("noise").at(0).series.at(0);
    CHECK(series.y == Values{18, 18, 18, 18});
    CHECK(series.x[3] == Approx(1000 * std::exp2(3.5 / 4)));
}

TEST_CASE("phases of a start follow one another, from old records too") {
    const Page page(
        {record(100, {{"boot_phases",
                       {{{"name", "load"}, {"ns", 3000}}, {{"name", "exit"}, {"ns", 1000}}}}}),
         record(100,
                {{"phase_entry_ns", 50}, {"phase_exit_ns", 20}, {"phase_first_token_ns", 80}})});
    const std::vector<Chart> charts = page.charts("boot");
    REQUIRE(charts.size() == 2);
    CHECK(charts[0].series[1].x == Values{3000, 4000});
    CHECK(contains(charts[0].text, "The first token after 4 µs; the longest phase is load, 3 µs"));
    REQUIRE(charts[1].series.size() == 3);
    CHECK(charts[1].series[2].x == Values{70, 130});
}

TEST_CASE("bandwidth stands beside the peak of the same machine and threads, where that is known") {
    const std::string runs = record(100, {{"gb_per_s", 9}}) + record(100, {{"gb_per_s", 11}});
    const std::string peaks =
        "{\"axiom_bench_kernels\":1,\"cpu_info\":\"Some "
        "CPU\",\"read\":[{\"n_threads\":1,\"gb_per_s\":15},"
        "{\"n_threads\":2,\"gb_per_s\":18},{\"n_threads\":2,\"gb_per_s\":20}]}";
    const std::vector<Chart> known = Page({runs, peaks}).charts("bandwidth");
    REQUIRE(known.size() == 1);
    CHECK(known[0].limits == Values{20});
    CHECK(contains(known[0].text, "10.00 GB/s, 50 % of the limit"));
    const std::vector<Chart> unknown = Page({runs}).charts("bandwidth");
    CHECK(unknown.at(0).limits.empty());
    CHECK(contains(unknown.at(0).text, "axiom-bench-kernels --peaks --json"));
}

TEST_CASE("a disturbance costs what it takes from the undisturbed runs of its own file") {
    std::string base, other;
    for (int i = 0; i < 5; i++) {
        base += record(100 + i * 0.1) +
                record(90 + i * 0.1, {{"disturb", "tick=100"}, {"n_disturb_ticks", 7}});
        other += record(200 + i * 0.1) + record(199.9 + i * 0.1, {{"disturb", "scatter"}});
    }
    const Page page({base, other});
    const std::vector<Chart> charts = page.charts("ablation");
    REQUIRE(charts.size() == 2);
    CHECK(charts[0].series.back().x[0] == Approx(-9.98).margin(0.01));
    CHECK(charts[0].table.lines[0][2] == "7");
    CHECK(charts[0].table.lines[0].back() == "costs");
    CHECK(contains(charts[1].text, "scatter"));
    CHECK(charts[1].table.lines[0].back() == "nothing shown");
}
