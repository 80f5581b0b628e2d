// SPDX-License-Identifier: MIT
#include "packer/keys.h"

namespace axiom::packer {

uint64_t Keys::offset(std::string_view stem) const {
    const gguf::Value* value = file_.find(name(stem));
    return value ? value->offset : 0;
}

Status Keys::count(std::string_view stem, uint32_t low, uint32_t high,
                   std::optional<uint32_t> fallback, uint32_t* out) const {
    if (fallback && !has(stem)) {
        *out = *fallback;
        return {};
    }
    const Result<uint64_t> value = file_.u64(name(stem));
    if (!value.ok()) return value.status();
    if (value.value() < low || value.value() > high)
        return wrong(stem, value.value(), Text<32>(low, "..", high));
    *out = uint32_t(value.value());
    return {};
}

Status Keys::counts(std::string_view stem, size_t n_layer, uint32_t low, uint32_t high,
                    std::optional<uint32_t> fallback, std::vector<uint32_t>* out) const {
    const gguf::Value* const value = file_.find(name(stem));
    if (value == nullptr || value->type != gguf::ValueType::array) {
        uint32_t one = 0;
        if (Status s = count(stem, low, high, fallback, &one); !s.ok()) return s;
        out->assign(n_layer, one);
        return {};
    }
    const Result<std::vector<int64_t>> values = file_.integers(name(stem));
    if (!values.ok()) return values.status();
    if (values.value().size() != n_layer) {
        return wrong(stem, Text<48>("an array of ", uint64_t(values.value().size())),
                     Text<64>("a number, or one for each of ", uint64_t(n_layer), " layers"));
    }
    out->clear();
    for (const int64_t n : values.value()) {
        if (n < int64_t{low} || n > int64_t{high})
            return wrong(stem, n, Text<48>(low, "..", high, " for each layer"));
        out->push_back(uint32_t(n));
    }
    return {};
}

Status Keys::number(std::string_view stem, double low, double high, std::optional<double> fallback,
                    double* out) const {
    if (!fallback && !has(stem)) return file_.string(name(stem)).status();  // missing, by name
    const Result<double> value = file_.f64(name(stem), fallback.value_or(0));
    if (!value.ok()) return value.status();
    if (!(value.value() >= low && value.value() <= high)) {
        return wrong(stem, Fixed{value.value(), 9}, Text<64>(Fixed{low, 9}, "..", Fixed{high, 3}));
    }
    *out = value.value();
    return {};
}

Status Keys::number(std::string_view stem, double low, double high, std::optional<double> fallback,
                    float* out) const {
    double value = 0;
    const Status status = number(stem, low, high, fallback, &value);
    if (status.ok()) *out = float(value);
    return status;
}

void Keys::say_default(std::string_view stem, std::string_view taken) {
    say("key " + name(stem) + " is missing; taken: " + std::string(taken) +
        ", as llama.cpp does for this architecture");
}

}  // namespace axiom::packer
