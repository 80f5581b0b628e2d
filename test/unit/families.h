// SPDX-License-Identifier: MIT
// The golden data of the model families: test/golden/families (README there has the formats).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "test/unit/read_file.h"

namespace axiom::test {

// One line of cases.txt.
struct FamilyCase {
    std::string name, format;  // "gemma2", "q4_k"
    std::string architecture;  // general.architecture
    size_t n_ctx = 0;
    bool by_median = false;  // errors are medians over positions, not over all of them together
    double own_error = 0;    // llama.cpp's, from the quantized file
    std::map<std::string, double> without;  // a feature -> the error if it is switched off

    std::string stem() const { return name + "-" + format; }
    std::string gguf() const { return "families/" + stem() + ".gguf"; }  // in the build folder

    static std::vector<FamilyCase> read_all() {
        std::vector<FamilyCase> cases;
        std::istringstream lines(read_file("test/golden/families/cases.txt"));
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            FamilyCase c;
            REQUIRE((words >> c.name >> c.format));
            for (std::string word; words >> word;) {
                const size_t equals = word.find('=');
                REQUIRE(equals != std::string::npos);
                const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
                if (key == "arch") c.architecture = value;
                if (key == "n_ctx") c.n_ctx = std::stoul(value);
                if (key == "measure") c.by_median = value == "median";
                if (key == "own") c.own_error = std::stod(value);
                if (key.starts_with("off:")) c.without[key.substr(4)] = std::stod(value);
            }
            REQUIRE((c.n_ctx > 0 && c.own_error > 0 && !c.architecture.empty()));
            cases.push_back(c);
        }
        return cases;
    }
};

// The reference: llama.cpp's logits of the same weights in F32.
struct FamilyGolden {
    uint32_t n_vocab = 0, n_layer = 0, n_used = 0;
    std::vector<uint32_t> tokens;
    std::vector<float> logits;     // [n_positions, n_vocab]
    std::vector<uint8_t> experts;  // [n_positions, n_layer, n_used]; empty without experts

    static FamilyGolden read(const FamilyCase& c) {
        const std::string bytes = read_file("test/golden/families/" + c.stem() + ".bin");
        size_t at = 0;
        const auto take = [&](auto* to, size_t count) {
            REQUIRE(count * sizeof *to <= bytes.size() - at);
            if (count == 0) return;  // an empty vector has no address to copy to
            memcpy(to, &bytes[at], count * sizeof *to);
            at += count * sizeof *to;
        };
        FamilyGolden g;
        char magic[8];
        uint32_t n_positions;
        float scale;
        take(magic, sizeof magic);
        REQUIRE(memcmp(magic, "AXFAM1\0", 8) == 0);
        take(&n_positions, 1);
        take(&g.n_vocab, 1);
        take(&g.n_layer, 1);
        take(&g.n_used, 1);
        take(&scale, 1);
        std::vector<uint16_t> ids(n_positions);
        std::vector<int16_t> steps(size_t{n_positions} * g.n_vocab);
        g.experts.resize(size_t{n_positions} * g.n_layer * g.n_used);
        take(ids.data(), ids.size());
        take(steps.data(), steps.size());
        take(g.experts.data(), g.experts.size());
        REQUIRE(at == bytes.size());
        g.tokens.assign(ids.begin(), ids.end());
        for (const int16_t step : steps) g.logits.push_back(scale * float(step));
        return g;
    }

    // The relative RMS error of logits [n_positions, n_vocab], as cases.txt measures it.
    double error(const FamilyCase& c, std::span<const float> found) const {
        REQUIRE(found.size() == logits.size());
        std::vector<double> of_position;
        double all = 0, all_reference = 0;
        for (size_t first = 0; first < logits.size(); first += n_vocab) {
            double sum = 0, reference = 0;
            for (size_t i = first; i < first + n_vocab; i++) {
                const double difference = double(found[i]) - double(logits[i]);
                sum += difference * difference;
                reference += double(logits[i]) * double(logits[i]);
            }
            of_position.push_back(std::sqrt(sum / reference));
            all += sum;
            all_reference += reference;
        }
        if (!c.by_median) return std::sqrt(all / all_reference);
        // Of an even number the mean of the middle two, as numpy has it.
        std::sort(of_position.begin(), of_position.end());
        const size_t n = of_position.size();
        return (of_position[(n - 1) / 2] + of_position[n / 2]) / 2;
    }

    // The share of positions x layers where the chosen experts are the reference's, in any order.
    double same_routes(std::span<const uint8_t> found) const {
        REQUIRE((n_used > 0 && found.size() == experts.size()));
        size_t n_same = 0;
        for (size_t first = 0; first < experts.size(); first += n_used) {
            n_same += std::is_permutation(&found[first], &found[first] + n_used, &experts[first]);
        }
        return double(n_same) / double(experts.size() / n_used);
    }
};

}  // namespace axiom::test
