// SPDX-License-Identifier: MIT
// Every model family against llama.cpp: random-weight GGUFs of awkward shapes, and the logits that
// llama.cpp computes from the same weights in F32 (test/golden/families).
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "packer/convert.h"
#include "packer/files.h"
#include "packer/writer.h"
#include "test/unit/catch.h"
#include "test/unit/engine.h"

using namespace axiom;
using test::build_path;

namespace {

constexpr const char* kGolden = "test/golden/families/";

// One line of cases.txt.
struct Case {
    std::string name, format;
    size_t n_ctx = 0;
    bool median = false;  // else over all positions together
    double own = 0;       // llama.cpp's own error on the quantized file
    std::map<std::string, double> off;  // feature -> error without it

    std::string file() const { return name + "-" + format; }
};

std::vector<Case> read_cases() {
    std::vector<Case> cases;
    std::ifstream in(std::string(kGolden) + "cases.txt");
    REQUIRE(in.good());
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        Case c;
        words >> c.name >> c.format;
        for (std::string word; words >> word;) {
            const size_t equals = word.find('=');
            const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
            if (key == "n_ctx") c.n_ctx = std::stoul(value);
            if (key == "measure") c.median = value == "median";
            if (key == "own") c.own = std::stod(value);
            if (key.starts_with("off:")) c.off[key.substr(4)] = std::stod(value);
        }
        cases.push_back(c);
    }
    REQUIRE(cases.size() > 40);
    return cases;
}

struct Golden {
    size_t n_positions = 0, n_vocab = 0, n_layer = 0, n_used = 0;
    std::vector<TokenId> tokens;
    std::vector<double> logits;     // [n_positions, n_vocab]
    std::vector<uint8_t> experts;   // [n_positions, n_layer, n_used]
};

Golden read_golden(const Case& c) {
    std::ifstream in(kGolden + c.file() + ".bin", std::ios::binary);
    REQUIRE(in.good());
    char magic[8];
    uint32_t counts[4];
    float scale;
    in.read(magic, 8);
    REQUIRE(memcmp(magic, "AXFAM1\0\0", 8) == 0);
    in.read(reinterpret_cast<char*>(counts), sizeof counts);
    in.read(reinterpret_cast<char*>(&scale), sizeof scale);
    Golden g;
    g.n_positions = counts[0], g.n_vocab = counts[1], g.n_layer = counts[2], g.n_used = counts[3];
    std::vector<uint16_t> tokens(g.n_positions);
    in.read(reinterpret_cast<char*>(tokens.data()), std::streamsize(2 * tokens.size()));
    g.tokens.assign(tokens.begin(), tokens.end());
    std::vector<int16_t> logits(g.n_positions * g.n_vocab);
    in.read(reinterpret_cast<char*>(logits.data()), std::streamsize(2 * logits.size()));
    for (const int16_t l : logits) g.logits.push_back(double(l) * double(scale));
    g.experts.resize(g.n_positions * g.n_layer * g.n_used);
    in.read(reinterpret_cast<char*>(g.experts.data()), std::streamsize(g.experts.size()));
    REQUIRE(in.good());
    return g;
}

// A case's GGUF, planned; the plan may be changed before it is packed.
struct Model {
    explicit Model(const Case& c) : gguf(test::AlignedBytes::read(build_path("families/" + c.file() + ".gguf"))) {
        Result<gguf::File> parsed = gguf::File::parse(c.file(), gguf.span());
        INFO(parsed.status().text());
        REQUIRE(parsed.ok());
        file = std::move(parsed.value());
        Result<packer::Plan> planned = packer::plan_from_gguf(file, {});
        INFO(planned.status().text());
        REQUIRE(planned.ok());
        plan = std::move(planned.value());
    }
    test::AlignedBytes gguf;
    gguf::File file;
    packer::Plan plan;
};

struct Packed {
    explicit Packed(const packer::Plan& plan) {
        const std::string path = (std::filesystem::temp_directory_path() / ("axiom-family-" + std::to_string(getpid()) + ".axm")).string();
        const Status written = packer::write_packed(plan, path, {}, nullptr);
        INFO(written.text());
        REQUIRE(written.ok());
        bytes = test::AlignedBytes::read(path);
        std::filesystem::remove(path);
        Result<Weights> opened = Weights::open("family.axm", bytes.span());
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        weights = opened.value();
    }
    test::AlignedBytes bytes;
    Weights weights;
};

std::vector<double> logits_of(const Weights& weights, const Golden& g, size_t n_ctx, size_t n_at_once) {
    test::Engine engine(weights, kScalarKernels, 1, n_ctx, n_at_once);
    std::vector<double> all;
    engine.run(g.tokens, n_at_once, [&](size_t, std::span<const float> logits) {
        all.insert(all.end(), logits.begin(), logits.end());
    });
    return all;
}

// Relative RMS error: over all positions, or the median of the positions' own.
double error_of(const Case& c, const Golden& g, const std::vector<double>& logits) {
    REQUIRE(logits.size() == g.logits.size());
    double off_all = 0, all = 0;
    std::vector<double> own;
    for (size_t p = 0; p < g.n_positions; p++) {
        double off = 0, of = 0;
        for (size_t v = 0; v < g.n_vocab; v++) {
            const double reference = g.logits[p * g.n_vocab + v];
            const double d = logits[p * g.n_vocab + v] - reference;
            off += d * d;
            of += reference * reference;
        }
        own.push_back(std::sqrt(off / of));
        off_all += off;
        all += of;
    }
    if (!c.median) return std::sqrt(off_all / all);
    std::nth_element(own.begin(), own.begin() + ptrdiff_t(own.size() / 2), own.end());
    return own[own.size() / 2];
}

}  // namespace

TEST_CASE("every family's logits are as near to F32 as llama.cpp's own", "[families]") {
    for (const Case& c : read_cases()) {
        const Golden g = read_golden(c);
        Model model(c);
        const Packed packed(model.plan);
        const double error = error_of(c, g, logits_of(packed.weights, g, c.n_ctx, 64));
        printf("%-22s error %.5f own %.5f ratio %.2f\n", c.file().c_str(), error, c.own, error / c.own);
        INFO(c.file());
        CHECK(error <= 1.15 * c.own);
    }
}
