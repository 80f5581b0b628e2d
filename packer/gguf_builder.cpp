// SPDX-License-Identifier: MIT
#include "packer/gguf_builder.h"

#include <cstring>

#include "core/round.h"

namespace axiom::gguf {
namespace {

constexpr size_t kAlignment = 32;

template <class T>
void append(std::vector<uint8_t>& out, T value) {
    uint8_t bytes[sizeof value];
    memcpy(bytes, &value, sizeof value);
    out.insert(out.end(), bytes, bytes + sizeof value);
}

void append_text(std::vector<uint8_t>& out, std::string_view text) {
    append<uint64_t>(out, text.size());
    out.insert(out.end(), text.begin(), text.end());
}

}  // namespace

void Builder::key(std::string_view name, ValueType type) {
    n_values_++;
    append_text(values_, name);
    append(values_, uint32_t(type));
}

Builder& Builder::string(std::string_view name, std::string_view value) {
    key(name, ValueType::string);
    append_text(values_, value);
    return *this;
}

Builder& Builder::u32(std::string_view name, uint32_t value) {
    key(name, ValueType::u32);
    append(values_, value);
    return *this;
}

Builder& Builder::f32(std::string_view name, float value) {
    key(name, ValueType::f32);
    append(values_, value);
    return *this;
}

Builder& Builder::boolean(std::string_view name, bool value) {
    key(name, ValueType::boolean);
    append(values_, uint8_t(value));
    return *this;
}

Builder& Builder::strings(std::string_view name, std::span<const std::string> values) {
    key(name, ValueType::array);
    append(values_, uint32_t(ValueType::string));
    append<uint64_t>(values_, values.size());
    for (const std::string& value : values) append_text(values_, value);
    return *this;
}

Builder& Builder::integers(std::string_view name, std::span<const int32_t> values) {
    key(name, ValueType::array);
    append(values_, uint32_t(ValueType::i32));
    append<uint64_t>(values_, values.size());
    for (const int32_t value : values) append(values_, value);
    return *this;
}

Builder& Builder::booleans(std::string_view name, std::span<const uint8_t> values) {
    key(name, ValueType::array);
    append(values_, uint32_t(ValueType::boolean));
    append<uint64_t>(values_, values.size());
    values_.insert(values_.end(), values.begin(), values.end());
    return *this;
}

Builder& Builder::floats(std::string_view name, std::span<const float> values) {
    key(name, ValueType::array);
    append(values_, uint32_t(ValueType::f32));
    append<uint64_t>(values_, values.size());
    for (const float value : values) append(values_, value);
    return *this;
}

Builder& Builder::tensor(std::string_view name, TensorType type, std::span<const uint64_t> dims,
                         std::span<const uint8_t> data) {
    n_tensors_++;
    append_text(infos_, name);
    append(infos_, uint32_t(dims.size()));
    for (const uint64_t dim : dims) append(infos_, dim);
    append(infos_, uint32_t(type));
    data_.resize(round_up(data_.size(), kAlignment));
    append<uint64_t>(infos_, data_.size());
    data_.insert(data_.end(), data.begin(), data.end());
    return *this;
}

std::vector<uint8_t> Builder::build() const {
    std::vector<uint8_t> out = {'G', 'G', 'U', 'F'};
    append<uint32_t>(out, 3);
    append(out, n_tensors_);
    append(out, n_values_);
    out.insert(out.end(), values_.begin(), values_.end());
    out.insert(out.end(), infos_.begin(), infos_.end());
    if (n_tensors_ == 0) return out;
    out.resize(round_up(out.size(), kAlignment));
    out.insert(out.end(), data_.begin(), data_.end());
    return out;
}

}  // namespace axiom::gguf
