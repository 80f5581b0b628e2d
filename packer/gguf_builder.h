// SPDX-License-Identifier: MIT
// Writes GGUF v3 in memory: the vocabulary of synthetic models, and the files that tests need.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packer/gguf.h"

namespace axiom::gguf {

class Builder {
  public:
    Builder& string(std::string_view key, std::string_view value);
    Builder& u32(std::string_view key, uint32_t value);
    Builder& f32(std::string_view key, float value);
    Builder& boolean(std::string_view key, bool value);
    Builder& strings(std::string_view key, std::span<const std::string> values);
    Builder& integers(std::string_view key, std::span<const int32_t> values);
    Builder& booleans(std::string_view key, std::span<const uint8_t> values);
    Builder& floats(std::string_view key, std::span<const float> values);
    // dims as in the file: columns first. data is one byte per byte of the tensor.
    Builder& tensor(std::string_view name, TensorType type, std::span<const uint64_t> dims,
                    std::span<const uint8_t> data);

    // The file; tensor data aligned to 32 and unpadded at the end.
    std::vector<uint8_t> build() const;

  private:
    void key(std::string_view name, ValueType type);

    uint64_t n_values_ = 0, n_tensors_ = 0;
    std::vector<uint8_t> values_, infos_, data_;
};

}  // namespace axiom::gguf
