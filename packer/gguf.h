// SPDX-License-Identifier: MIT
// Reads GGUF v2 and v3 (ggml's docs/gguf.md) from bytes in memory. Everything in the file is
// hostile: counts, lengths, types, offsets and names are checked before use.
// Must not know: what a transformer is, or what will be stored.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace axiom::gguf {

enum class ValueType : uint32_t {
    u8 = 0,
    i8 = 1,
    u16 = 2,
    i16 = 3,
    u32 = 4,
    i32 = 5,
    f32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    u64 = 10,
    i64 = 11,
    f64 = 12
};

// ggml_type numbers of the tensor types we read.
enum class TensorType : uint32_t {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q4_k = 12,
    q5_k = 13,
    q6_k = 14,
    bf16 = 30
};
const char* tensor_type_name(uint32_t ggml_type);  // "Q4_K"; also names types we refuse
bool tensor_type_supported(uint32_t ggml_type);
// Columns and bytes of one block; {0, 0} for an unsupported type.
struct BlockShape {
    uint32_t n_cols, n_bytes;
};
BlockShape block_shape(uint32_t ggml_type);

struct Value {
    ValueType type;
    ValueType element_type;                 // arrays
    uint64_t n = 1;                         // elements of an array
    uint64_t offset = 0;                    // of the value in the file, for messages
    std::span<const uint8_t> raw;           // scalars and arrays of scalars: little-endian bytes
    std::vector<std::string_view> strings;  // string, or array of strings: views into the file
};

struct Tensor {
    std::string_view name;
    uint32_t type;                    // ggml_type
    uint32_t n_dims = 1;              // 1..4
    uint64_t n_cols = 1, n_rows = 1;  // ne[0], and the product of the other dimensions
    uint64_t info_offset = 0;         // of the tensor info in the file, for messages
    std::span<const uint8_t> data;    // exactly n_rows * n_cols worth of blocks
};

class File {
  public:
    // `bytes` outlive the File. Vocabulary-only files (no tensors) are fine.
    static Result<File> parse(std::string_view name, std::span<const uint8_t> bytes);

    std::string_view name() const { return name_; }
    uint32_t version() const { return version_; }
    const std::vector<Tensor>& tensors() const { return tensors_; }
    const Tensor* tensor(std::string_view name) const;  // nullptr if absent
    const Value* find(std::string_view key) const;      // nullptr if absent
    const std::map<std::string_view, Value>& values() const { return values_; }

    // Typed access. Integers of any width convert if the value fits. A missing key gives `fallback`
    // where one is passed and a not_found error otherwise; a wrong type is a bad_format error that
    // names key, offset, found and allowed.
    Result<uint64_t> u64(std::string_view key) const;
    Result<uint64_t> u64(std::string_view key, uint64_t fallback) const;
    Result<double> f64(std::string_view key, double fallback) const;
    Result<bool> boolean(std::string_view key, bool fallback) const;
    Result<std::string_view> string(std::string_view key) const;
    Result<std::string_view> string(std::string_view key, std::string_view fallback) const;
    // Whole arrays; empty when the key is missing.
    Result<std::vector<std::string_view>> strings(std::string_view key) const;
    Result<std::vector<float>> floats(std::string_view key) const;
    Result<std::vector<int64_t>> integers(std::string_view key) const;

  private:
    std::string_view name_;
    uint32_t version_ = 0;
    std::map<std::string_view, Value> values_;
    std::vector<Tensor> tensors_;
    std::map<std::string_view, size_t> by_name_;
};

}  // namespace axiom::gguf
