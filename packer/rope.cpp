// SPDX-License-Identifier: MIT
#include "packer/rope.h"

#include <algorithm>
#include <cmath>

#include "packer/dequant.h"

namespace axiom::packer {
namespace {

constexpr std::string_view kFactors = "rope_freqs.weight";
constexpr std::string_view kLongFactors = "rope_factors_long.weight";
constexpr std::string_view kShortFactors = "rope_factors_short.weight";

// YaRN's ramp ends at the dimensions that turn this often over the original context.
constexpr float kBetaFast = 32, kBetaSlow = 1;

// A divisor of each pair's frequency; empty where the file has none.
Status read_factors(const gguf::File& file, std::string_view name, uint32_t n_dims, RopeSet* set,
                    std::vector<float>* factors) {
    const gguf::Tensor* tensor = file.tensor(name);
    if (!tensor) return {};
    set->sources.push_back(tensor);
    if (tensor->n_rows != 1 || tensor->n_cols != n_dims / 2) {
        return field_error(file.name(), Text<96>("tensor ", Quoted{name}, " shape"),
                           tensor->info_offset,
                           Text<64>("[", tensor->n_cols, ", ", tensor->n_rows, "]"),
                           Text<64>("[", n_dims / 2, "], half the rotated dimensions"));
    }
    factors->resize(tensor->n_cols);
    dequantize(gguf::TensorType(tensor->type), tensor->data.data(), tensor->n_cols,
               factors->data());
    for (size_t i = 0; i < factors->size(); i++) {
        const double factor = double((*factors)[i]);
        if (factor >= 1.0 / 65536 && factor <= 65536) continue;
        return field_error(file.name(), Text<96>("tensor ", Quoted{name}, " element ", i),
                           tensor->info_offset, Fixed{factor, 6}, "1/65536..65536");
    }
    return {};
}

// The dimension that turns n_turns times over the original context (YaRN, section 3.2). In
// binary32, as llama.cpp computes it: a floor and a ceiling follow.
float correction_dim(uint32_t n_dims, uint32_t n_ctx, float n_turns, float base) {
    return float(n_dims) * std::log(float(n_ctx) / (n_turns * 2 * float(M_PI))) /
           (2 * std::log(base));
}

}  // namespace

uint32_t RopeSet::add(const format::RopeTable& table, std::vector<double> radians) {
    tables.push_back(table);
    freqs.push_back(std::move(radians));
    return uint32_t(tables.size() - 1);
}

std::vector<double> RopeSet::stored() const {
    size_t widest = 0;
    for (const std::vector<double>& row : freqs) widest = std::max(widest, row.size());
    std::vector<double> all(freqs.size() * widest);
    for (size_t i = 0; i < freqs.size(); i++)
        std::copy(freqs[i].begin(), freqs[i].end(), all.begin() + ptrdiff_t(i * widest));
    return all;
}

Status read_rope_scaling(Keys& keys, uint32_t n_ctx_train, RopeScaling* out) {
    *out = {};
    if (Status s = keys.count("rope.scaling.original_context_length", 1, format::kMaxCtx,
                              n_ctx_train, &out->n_ctx_original);
        !s.ok()) {
        return s;
    }
    if (Status s = keys.number("rope.scaling.attn_factor", 1e-3, 256, 1, &out->attn_factor);
        !s.ok()) {
        return s;
    }
    const Result<std::string_view> type =
        keys.file().string(keys.name("rope.scaling.type"), "linear");
    if (!type.ok()) return type.status();
    out->longrope = type.value() == "longrope";
    out->yarn = type.value() == "yarn";
    if (!out->longrope && !out->yarn && type.value() != "none" && type.value() != "linear") {
        return keys.refuse("rope.scaling.type", Quoted{type.value()},
                           "\"none\", \"linear\", \"yarn\" or \"longrope\"");
    }
    if (type.value() == "none") return {};
    const std::string_view key =
        keys.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
    double factor = 0;  // 0: no scaling
    if (Status s = keys.number(key, 0, 65536, 0, &factor); !s.ok()) return s;
    if (factor != 0 && factor < 1.0 / 1024)
        return keys.wrong(key, Fixed{factor, 9}, "0, or 1/1024..65536");
    if (factor != 0) out->factor = factor;
    return {};
}

std::vector<double> rope_frequencies(double base, uint32_t n_dims, const RopeScaling& scaling,
                                     const std::vector<float>& factors) {
    float low = 0, high = 0;
    if (scaling.yarn) {
        low = std::max(0.0f, std::floor(correction_dim(n_dims, scaling.n_ctx_original, kBetaFast,
                                                       float(base))));
        high = std::min(float(n_dims - 1), std::ceil(correction_dim(n_dims, scaling.n_ctx_original,
                                                                    kBetaSlow, float(base))));
    }
    std::vector<double> freqs(n_dims / 2);
    for (size_t i = 0; i < freqs.size(); i++) {
        double freq = std::pow(base, -2.0 * double(i) / double(n_dims));
        if (!factors.empty()) freq /= double(factors[i]);
        // Where the ramp is 1 a rotation is fast enough to be kept as it is.
        double ramp = 0;
        if (scaling.yarn) {
            const double y =
                (double(i) - double(low)) / std::max(0.001, double(high) - double(low));
            ramp = 1 - std::clamp(y, 0.0, 1.0);
        }
        freqs[i] =
            ramp == 0 ? freq / scaling.factor : freq / scaling.factor * (1 - ramp) + freq * ramp;
    }
    return freqs;
}

double rope_magnitude(const RopeScaling& scaling) {
    // YaRN's attention temperature (section 3.4), on both queries and keys.
    const double yarn = scaling.yarn && scaling.factor > 1 ? 1 + 0.1 * std::log(scaling.factor) : 1;
    return yarn * scaling.attn_factor;
}

Status add_rope_tables(const Keys& keys, double base, uint32_t n_dims, const RopeScaling& scaling,
                       bool any_factors, RopeSet* out, uint32_t* first_table) {
    std::vector<float> always, longer, shorter;
    const gguf::File& file = keys.file();
    const bool by_length = any_factors || scaling.longrope;
    if (!scaling.longrope) {
        if (Status s = read_factors(file, kFactors, n_dims, out, &always); !s.ok()) return s;
    }
    if (by_length && always.empty()) {
        if (Status s = read_factors(file, kLongFactors, n_dims, out, &longer); !s.ok()) return s;
        if (Status s = read_factors(file, kShortFactors, n_dims, out, &shorter); !s.ok()) return s;
    }
    const auto table = [&](uint32_t max_ctx, uint32_t next) {
        return format::RopeTable{n_dims, float(rope_magnitude(scaling)), max_ctx, next};
    };
    const auto freqs = [&](const std::vector<float>& factors) {
        return rope_frequencies(base, n_dims, scaling, factors);
    };
    if (longer.empty() && shorter.empty()) {
        *first_table = out->add(table(0, format::kNone), freqs(always));
        return {};
    }
    *first_table = uint32_t(out->tables.size());
    out->add(table(scaling.n_ctx_original, *first_table + 1), freqs(shorter));
    out->add(table(0, format::kNone), freqs(longer));
    return {};
}

}  // namespace axiom::packer
