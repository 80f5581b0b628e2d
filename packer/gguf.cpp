// SPDX-License-Identifier: MIT
// The GGUF parser: one forward pass with a cursor that never leaves the file, then typed access.
#include "packer/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace axiom::gguf {
namespace {

constexpr uint64_t kMaxKeyBytes = 65535;  // as the specification says
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint64_t kMinKeyValueBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorInfoBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;

template <class T>
T load(const uint8_t* p) {
    T value{};
    AXIOM_CHECK(p != nullptr);
    memcpy(&value, p, sizeof value);
    return value;
}

// Bytes of a scalar; 0 for strings, arrays and unknown numbers.
size_t scalar_bytes(ValueType type) {
    switch (type) {
        case ValueType::u8:
        case ValueType::i8:
        case ValueType::boolean:
            return 1;
        case ValueType::u16:
        case ValueType::i16:
            return 2;
        case ValueType::u32:
        case ValueType::i32:
        case ValueType::f32:
            return 4;
        case ValueType::u64:
        case ValueType::i64:
        case ValueType::f64:
            return 8;
        case ValueType::string:
        case ValueType::array:
            return 0;
    }
    return 0;
}

const char* value_type_name(ValueType type) {
    static constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                             "bool", "string", "array", "u64", "i64", "f64"};
    return uint32_t(type) < std::size(kNames) ? kNames[uint32_t(type)] : "unknown";
}

bool is_integer(ValueType type) {
    return scalar_bytes(type) != 0 && type != ValueType::f32 && type != ValueType::f64 &&
           type != ValueType::boolean;
}

// One integer of any width; false if it is beyond int64.
bool load_integer(ValueType type, const uint8_t* p, int64_t* out) {
    switch (type) {
        case ValueType::u8:
            *out = *p;
            return true;
        case ValueType::i8:
            *out = int8_t(*p);
            return true;
        case ValueType::u16:
            *out = load<uint16_t>(p);
            return true;
        case ValueType::i16:
            *out = load<int16_t>(p);
            return true;
        case ValueType::u32:
            *out = load<uint32_t>(p);
            return true;
        case ValueType::i32:
            *out = load<int32_t>(p);
            return true;
        case ValueType::i64:
            *out = load<int64_t>(p);
            return true;
        case ValueType::u64:
            *out = load<int64_t>(p);
            return *out >= 0;
        default:
            return false;
    }
}

// Where the parser stands. Every read names what it wants, for the error.
class Cursor {
  public:
    Cursor(std::string_view file, std::span<const uint8_t> bytes) : file_(file), bytes_(bytes) {}

    uint64_t offset() const { return offset_; }
    uint64_t left() const { return bytes_.size() - offset_; }

    Status take(std::string_view what, uint64_t n_bytes, const uint8_t** out) {
        if (n_bytes > left()) {
            return field_error(file_, what, offset_, Text<64>(n_bytes, " bytes"),
                               Text<64>("at most the ", left(), " bytes left in the file"));
        }
        *out = bytes_.data() + offset_;
        offset_ += n_bytes;
        return {};
    }

    template <class T>
    Status number(std::string_view what, T* out) {
        const uint8_t* p = nullptr;
        if (Status s = take(what, sizeof(T), &p); !s.ok()) return s;
        *out = load<T>(p);
        return {};
    }

    Status text(std::string_view what, std::string_view* out) {
        uint64_t n_bytes;
        const uint64_t at = offset_;
        if (Status s = number(Text<128>(what, " length"), &n_bytes); !s.ok()) return s;
        if (n_bytes > left()) {
            return field_error(file_, Text<128>(what, " length"), at, n_bytes,
                               Text<64>("at most the ", left(), " bytes left in the file"));
        }
        const uint8_t* p = nullptr;
        if (Status s = take(what, n_bytes, &p); !s.ok()) return s;
        *out = {reinterpret_cast<const char*>(p), n_bytes};
        return {};
    }

  private:
    std::string_view file_;
    std::span<const uint8_t> bytes_;
    uint64_t offset_ = 0;
};

struct Head {
    uint32_t version;
    uint64_t n_tensors, n_values;
};

Status parse_head(std::string_view file, Cursor& cursor, Head* head) {
    if (cursor.left() == 0) return field_error(file, "file size", 0, "0 bytes", "a GGUF file");
    const uint8_t* magic = nullptr;
    if (Status s = cursor.take("magic", 4, &magic); !s.ok()) return s;
    AXIOM_CHECK(magic != nullptr);
    if (memcmp(magic, "GGUF", 4) != 0) {
        const std::string_view found(reinterpret_cast<const char*>(magic), 4);
        return field_error(file, "magic", 0, Quoted{found}, "\"GGUF\"");
    }
    const uint64_t at_version = cursor.offset();
    if (Status s = cursor.number("version", &head->version); !s.ok()) return s;
    if (head->version != 2 && head->version != 3) {
        const bool swapped = head->version != 0 && (head->version & 0xffff) == 0;
        return field_error(file, "version", at_version,
                           Text<96>(head->version, swapped ? " (a big-endian file)" : ""),
                           "2 or 3, little-endian");
    }
    const uint64_t at_tensors = cursor.offset();
    if (Status s = cursor.number("tensor count", &head->n_tensors); !s.ok()) return s;
    const uint64_t at_values = cursor.offset();
    if (Status s = cursor.number("key-value count", &head->n_values); !s.ok()) return s;
    if (head->n_values > cursor.left() / kMinKeyValueBytes) {
        return field_error(
            file, "key-value count", at_values, head->n_values,
            Text<64>("at most ", cursor.left() / kMinKeyValueBytes, " in a file of this size"));
    }
    if (head->n_tensors > cursor.left() / kMinTensorInfoBytes) {
        return field_error(
            file, "tensor count", at_tensors, head->n_tensors,
            Text<64>("at most ", cursor.left() / kMinTensorInfoBytes, " in a file of this size"));
    }
    return {};
}

Status parse_array(std::string_view file, std::string_view what, Cursor& cursor, Value* value) {
    uint32_t element_type;
    const uint64_t at_type = cursor.offset();
    if (Status s = cursor.number(Text<128>(what, " element type"), &element_type); !s.ok())
        return s;
    value->element_type = ValueType(element_type);
    const size_t element_bytes = scalar_bytes(value->element_type);
    const bool strings = value->element_type == ValueType::string;
    if (element_bytes == 0 && !strings) {
        return field_error(file, Text<128>(what, " element type"), at_type,
                           value->element_type == ValueType::array
                               ? Text<64>("array (nested)")
                               : Text<64>("number ", element_type),
                           "a scalar or string type, 0..8 or 10..12");
    }
    const uint64_t at_count = cursor.offset();
    if (Status s = cursor.number(Text<128>(what, " element count"), &value->n); !s.ok()) return s;
    const uint64_t n_possible = cursor.left() / (strings ? 8 : element_bytes);
    if (value->n > n_possible) {
        return field_error(file, Text<128>(what, " element count"), at_count, value->n,
                           Text<64>("at most ", n_possible, " in the rest of the file"));
    }
    if (!strings) {
        const uint8_t* p = nullptr;
        if (Status s = cursor.take(what, value->n * element_bytes, &p); !s.ok()) return s;
        value->raw = {p, size_t(value->n * element_bytes)};
        return {};
    }
    value->strings.reserve(value->n);
    for (uint64_t i = 0; i < value->n; i++) {
        std::string_view text;
        if (Status s = cursor.text(Text<128>(what, "[", i, "]"), &text); !s.ok()) return s;
        value->strings.push_back(text);
    }
    return {};
}

Status parse_value(std::string_view file, std::string_view what, Cursor& cursor, Value* value) {
    uint32_t type;
    const uint64_t at_type = cursor.offset();
    if (Status s = cursor.number(Text<128>(what, " type"), &type); !s.ok()) return s;
    if (type > uint32_t(ValueType::f64)) {
        return field_error(file, Text<128>(what, " type"), at_type, type, "0..12");
    }
    value->type = ValueType(type);
    value->element_type = value->type;
    value->offset = cursor.offset();
    if (value->type == ValueType::array) return parse_array(file, what, cursor, value);
    if (value->type == ValueType::string) {
        std::string_view text;
        if (Status s = cursor.text(what, &text); !s.ok()) return s;
        value->strings.push_back(text);
        return {};
    }
    const uint8_t* p = nullptr;
    if (Status s = cursor.take(what, scalar_bytes(value->type), &p); !s.ok()) return s;
    value->raw = {p, scalar_bytes(value->type)};
    return {};
}

// What a tensor info says before the data section's place is known.
struct TensorInfo {
    Tensor tensor;
    uint64_t data_offset = 0;  // from the start of the data section
    uint64_t data_bytes = 0;
};

Status parse_tensor_info(std::string_view file, uint64_t index, Cursor& cursor, TensorInfo* info) {
    Tensor& tensor = info->tensor;
    const Text<64> nameless("tensor info ", index);
    tensor.info_offset = cursor.offset();
    if (Status s = cursor.text(Text<80>(nameless.view(), " name"), &tensor.name); !s.ok()) return s;
    if (tensor.name.empty() || tensor.name.size() > kMaxNameBytes) {
        return field_error(file, Text<80>(nameless.view(), " name length"), tensor.info_offset,
                           tensor.name.size(), Text<32>("1..", kMaxNameBytes));
    }
    const Text<128> what("tensor ", Quoted{tensor.name});
    const uint64_t at_dims = cursor.offset();
    if (Status s = cursor.number(Text<160>(what.view(), " dimensions"), &tensor.n_dims); !s.ok()) {
        return s;
    }
    if (tensor.n_dims < 1 || tensor.n_dims > kMaxDims) {
        return field_error(file, Text<160>(what.view(), " dimensions"), at_dims, tensor.n_dims,
                           Text<32>("1..", kMaxDims));
    }
    uint64_t n_elements = 1;
    for (uint32_t i = 0; i < tensor.n_dims; i++) {
        uint64_t dim;
        const Text<160> field(what.view(), " ne[", i, "]");
        const uint64_t at = cursor.offset();
        if (Status s = cursor.number(field, &dim); !s.ok()) return s;
        if (dim == 0) return field_error(file, field, at, dim, "at least 1");
        if (!checked_mul(n_elements, dim, &n_elements)) {
            return field_error(file, field, at, dim, "dimensions whose product fits 64 bits");
        }
        if (i == 0) {
            tensor.n_cols = dim;
        } else {
            tensor.n_rows *= dim;
        }
    }
    const uint64_t at_type = cursor.offset();
    if (Status s = cursor.number(Text<160>(what.view(), " type"), &tensor.type); !s.ok()) return s;
    const BlockShape block = block_shape(tensor.type);
    if (block.n_cols == 0) {
        return error(Code::unsupported, file, ": ", what.view(), " type at offset ", Hex{at_type},
                     ": found ", tensor_type_name(tensor.type), " (", tensor.type,
                     "), allowed F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K");
    }
    if (tensor.n_cols % block.n_cols != 0) {
        return field_error(
            file, Text<160>(what.view(), " columns"), at_dims + 4, tensor.n_cols,
            Text<64>("a multiple of ", block.n_cols, " for ", tensor_type_name(tensor.type)));
    }
    if (!checked_mul(n_elements / block.n_cols, block.n_bytes, &info->data_bytes)) {
        return field_error(file, Text<160>(what.view(), " elements"), at_dims, n_elements,
                           "a size in bytes that fits 64 bits");
    }
    return cursor.number(Text<160>(what.view(), " data offset"), &info->data_offset);
}

// Data ranges inside the file, aligned, and no two overlapping.
Status place_data(std::string_view file, std::span<const uint8_t> data, uint64_t alignment,
                  std::vector<TensorInfo>& infos) {
    for (TensorInfo& info : infos) {
        const Text<160> field("tensor ", Quoted{info.tensor.name}, " data offset");
        if (info.data_offset % alignment != 0) {
            return field_error(file, field, info.tensor.info_offset, Hex{info.data_offset},
                               Text<64>("a multiple of ", alignment));
        }
        uint64_t end;
        if (!checked_add(info.data_offset, info.data_bytes, &end) || end > data.size()) {
            return field_error(file, field, info.tensor.info_offset,
                               Text<96>(Hex{info.data_offset}, " + ", info.data_bytes, " bytes"),
                               Text<96>("within the ", data.size(), " bytes of tensor data"));
        }
        info.tensor.data = data.subspan(info.data_offset, info.data_bytes);
    }
    std::vector<const TensorInfo*> order;
    order.reserve(infos.size());
    for (const TensorInfo& info : infos) order.push_back(&info);
    std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
        return a->data_offset < b->data_offset;
    });
    for (size_t i = 1; i < order.size(); i++) {
        const uint64_t end = order[i - 1]->data_offset + order[i - 1]->data_bytes;
        if (order[i]->data_offset < end) {
            return field_error(file,
                               Text<160>("tensor ", Quoted{order[i]->tensor.name}, " data offset"),
                               order[i]->tensor.info_offset, Hex{order[i]->data_offset},
                               Text<160>("at least ", Hex{end}, ", the end of ",
                                         Quoted{order[i - 1]->tensor.name}));
        }
    }
    return {};
}

}  // namespace

const char* tensor_type_name(uint32_t ggml_type) {
    static constexpr const char* kNames[] = {
        "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
        "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
        "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
        "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
        "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
        "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4"};
    return ggml_type < std::size(kNames) ? kNames[ggml_type] : "an unknown type";
}

BlockShape block_shape(uint32_t ggml_type) {
    switch (TensorType(ggml_type)) {
        case TensorType::f32:
            return {1, 4};
        case TensorType::f16:
            return {1, 2};
        case TensorType::bf16:
            return {1, 2};
        case TensorType::q4_0:
            return {32, 18};
        case TensorType::q4_1:
            return {32, 20};
        case TensorType::q5_0:
            return {32, 22};
        case TensorType::q5_1:
            return {32, 24};
        case TensorType::q8_0:
            return {32, 34};
        case TensorType::q4_k:
            return {256, 144};
        case TensorType::q5_k:
            return {256, 176};
        case TensorType::q6_k:
            return {256, 210};
    }
    return {0, 0};
}

bool tensor_type_supported(uint32_t ggml_type) {
    return block_shape(ggml_type).n_cols != 0;
}

Result<File> File::parse(std::string_view name, std::span<const uint8_t> bytes) {
    static_assert(std::endian::native == std::endian::little);
    File file;
    file.name_ = name;
    Cursor cursor(name, bytes);

    Head head{};
    if (Status s = parse_head(name, cursor, &head); !s.ok()) return s;
    file.version_ = head.version;

    for (uint64_t i = 0; i < head.n_values; i++) {
        std::string_view key;
        const uint64_t at = cursor.offset();
        if (Status s = cursor.text(Text<64>("key ", i), &key); !s.ok()) return s;
        if (key.empty() || key.size() > kMaxKeyBytes) {
            return field_error(name, Text<64>("key ", i, " length"), at, key.size(),
                               Text<32>("1..", kMaxKeyBytes));
        }
        const Text<128> what("key ", Quoted{key});
        Value value{};
        if (Status s = parse_value(name, what, cursor, &value); !s.ok()) return s;
        if (!file.values_.emplace(key, std::move(value)).second) {
            return field_error(name, what, at, "a second time", "once");
        }
    }

    Result<uint64_t> alignment = file.u64("general.alignment", kDefaultAlignment);
    if (!alignment.ok()) return alignment.status();
    if (!std::has_single_bit(alignment.value()) || alignment.value() > kMaxAlignment) {
        return field_error(name, "key \"general.alignment\"",
                           file.find("general.alignment")->offset, alignment.value(),
                           Text<64>("a power of two, 1..", kMaxAlignment));
    }

    std::vector<TensorInfo> infos(head.n_tensors);
    for (uint64_t i = 0; i < head.n_tensors; i++) {
        if (Status s = parse_tensor_info(name, i, cursor, &infos[i]); !s.ok()) return s;
        const Tensor& tensor = infos[i].tensor;
        if (!file.by_name_.emplace(tensor.name, i).second) {
            return field_error(name, Text<128>("tensor ", Quoted{tensor.name}), tensor.info_offset,
                               "a second time", "once");
        }
    }
    if (infos.empty()) return file;

    const uint64_t padding = (0 - cursor.offset()) & (alignment.value() - 1);
    const uint8_t* skipped = nullptr;
    if (Status s = cursor.take("padding before tensor data", padding, &skipped); !s.ok()) return s;
    if (Status s = place_data(name, bytes.subspan(cursor.offset()), alignment.value(), infos);
        !s.ok()) {
        return s;
    }
    for (TensorInfo& info : infos) file.tensors_.push_back(info.tensor);
    return file;
}

const Tensor* File::tensor(std::string_view name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

const Value* File::find(std::string_view key) const {
    const auto it = values_.find(key);
    return it == values_.end() ? nullptr : &it->second;
}

namespace {

Status missing(std::string_view file, std::string_view key) {
    return error(Code::not_found, file, ": key ", Quoted{key}, " is missing");
}

Status wrong_type(std::string_view file, std::string_view key, const Value& value,
                  const char* allowed) {
    const bool array = value.type == ValueType::array;
    return field_error(file, Text<128>("key ", Quoted{key}, " type"), value.offset,
                       array ? Text<64>("array of ", value_type_name(value.element_type))
                             : Text<64>(value_type_name(value.type)),
                       allowed);
}

}  // namespace

Result<uint64_t> File::u64(std::string_view key) const {
    const Value* value = find(key);
    if (!value) return missing(name_, key);
    if (!is_integer(value->type)) return wrong_type(name_, key, *value, "an integer");
    if (value->type == ValueType::u64) return load<uint64_t>(value->raw.data());
    int64_t number = 0;
    if (!load_integer(value->type, value->raw.data(), &number) || number < 0) {
        return field_error(name_, Text<128>("key ", Quoted{key}), value->offset, number,
                           "a number that is not negative");
    }
    return uint64_t(number);
}

Result<uint64_t> File::u64(std::string_view key, uint64_t fallback) const {
    return find(key) ? u64(key) : Result<uint64_t>(fallback);
}

Result<double> File::f64(std::string_view key, double fallback) const {
    const Value* value = find(key);
    if (!value) return fallback;
    if (value->type == ValueType::f32) return double(load<float>(value->raw.data()));
    if (value->type == ValueType::f64) return load<double>(value->raw.data());
    return wrong_type(name_, key, *value, "f32 or f64");
}

Result<bool> File::boolean(std::string_view key, bool fallback) const {
    const Value* value = find(key);
    if (!value) return fallback;
    if (value->type != ValueType::boolean) return wrong_type(name_, key, *value, "bool");
    if (value->raw[0] > 1) {
        return field_error(name_, Text<128>("key ", Quoted{key}), value->offset,
                           uint32_t(value->raw[0]), "0 or 1");
    }
    return value->raw[0] == 1;
}

Result<std::string_view> File::string(std::string_view key) const {
    const Value* value = find(key);
    if (!value) return missing(name_, key);
    if (value->type != ValueType::string) return wrong_type(name_, key, *value, "string");
    return value->strings[0];
}

Result<std::string_view> File::string(std::string_view key, std::string_view fallback) const {
    return find(key) ? string(key) : Result<std::string_view>(fallback);
}

Result<std::vector<std::string_view>> File::strings(std::string_view key) const {
    const Value* value = find(key);
    if (!value) return std::vector<std::string_view>();
    if (value->type != ValueType::array || value->element_type != ValueType::string) {
        return wrong_type(name_, key, *value, "array of string");
    }
    return value->strings;
}

Result<std::vector<float>> File::floats(std::string_view key) const {
    const Value* value = find(key);
    std::vector<float> out;
    if (!value) return out;
    const ValueType type = value->element_type;
    if (value->type != ValueType::array || (type != ValueType::f32 && type != ValueType::f64)) {
        return wrong_type(name_, key, *value, "array of f32 or f64");
    }
    out.reserve(value->n);
    for (uint64_t i = 0; i < value->n; i++) {
        const uint8_t* p = value->raw.data() + i * scalar_bytes(type);
        out.push_back(type == ValueType::f32 ? load<float>(p) : float(load<double>(p)));
    }
    return out;
}

Result<std::vector<int64_t>> File::integers(std::string_view key) const {
    const Value* value = find(key);
    std::vector<int64_t> out;
    if (!value) return out;
    if (value->type != ValueType::array || !is_integer(value->element_type)) {
        return wrong_type(name_, key, *value, "array of integers");
    }
    const size_t width = scalar_bytes(value->element_type);
    out.reserve(value->n);
    for (uint64_t i = 0; i < value->n; i++) {
        int64_t number = 0;
        if (!load_integer(value->element_type, value->raw.data() + i * width, &number)) {
            return field_error(name_, Text<128>("key ", Quoted{key}, "[", i, "]"),
                               value->offset + 12 + i * width, uint64_t(number),
                               "at most 9223372036854775807");
        }
        out.push_back(number);
    }
    return out;
}

}  // namespace axiom::gguf
