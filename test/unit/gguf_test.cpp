// SPDX-License-Identifier: MIT
// The GGUF reader against well-formed and hostile files, built byte by byte.
#include "packer/gguf.h"

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/round.h"
#include "test/unit/catch.h"

using namespace axiom;
using gguf::File;
using gguf::TensorType;
using gguf::ValueType;

namespace {

// Appends what it is told, right or wrong.
struct Raw {
    std::vector<uint8_t> bytes;

    template <class T>
    Raw& number(T value) {
        const size_t at = bytes.size();
        bytes.resize(at + sizeof value);
        memcpy(bytes.data() + at, &value, sizeof value);
        return *this;
    }
    Raw& u32(uint64_t value) { return number(uint32_t(value)); }
    Raw& u64(uint64_t value) { return number(value); }
    Raw& literal(std::string_view text) {
        bytes.insert(bytes.end(), text.begin(), text.end());
        return *this;
    }
    Raw& text(std::string_view value) { return u64(value.size()).literal(value); }
    Raw& head(uint64_t n_tensors, uint64_t n_values, uint32_t version = 3) {
        return literal("GGUF").u32(version).u64(n_tensors).u64(n_values);
    }
    Raw& key(std::string_view name, ValueType type) { return text(name).u32(uint32_t(type)); }
    Raw& array(std::string_view name, ValueType element_type, uint64_t n) {
        return key(name, ValueType::array).u32(uint32_t(element_type)).u64(n);
    }
    Raw& info(std::string_view name, std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
        text(name).u32(dims.size());
        for (const uint64_t dim : dims) u64(dim);
        return u32(type).u64(offset);
    }
    Raw& info(std::string_view name, std::vector<uint64_t> dims, TensorType type, uint64_t offset) {
        return info(name, std::move(dims), uint32_t(type), offset);
    }
    // Padding to the alignment, then tensor data.
    Raw& data(size_t n_bytes, size_t alignment = 32) {
        bytes.resize(round_up(bytes.size(), alignment));
        bytes.resize(bytes.size() + n_bytes, 0x11);
        return *this;
    }
};

// A small file with every kind of value and two tensors.
Raw valid_file(uint32_t version = 3) {
    Raw raw;
    raw.head(2, 9, version);
    raw.key("general.architecture", ValueType::string).text("llama");
    raw.key("a.u8", ValueType::u8).number(uint8_t{200});
    raw.key("a.i16", ValueType::i16).number(int16_t{-5});
    raw.key("a.u64", ValueType::u64).u64(1ull << 40);
    raw.key("a.f32", ValueType::f32).number(0.5f);
    raw.key("a.bool", ValueType::boolean).number(uint8_t{1});
    raw.array("a.strings", ValueType::string, 2).text("one").text("");
    raw.array("a.floats", ValueType::f32, 2).number(1.5f).number(-2.0f);
    raw.array("a.ints", ValueType::i32, 3).number(7).number(-8).number(9);
    raw.info("m", {32, 3}, TensorType::q8_0, 0);
    raw.info("v", {5}, TensorType::f32, 128);
    return raw.data(128 + 20);
}

// Parsing fails, and the message holds every given part.
void refuses(const Raw& raw, std::initializer_list<std::string_view> parts) {
    const Result<File> file = File::parse("in.gguf", raw.bytes);
    REQUIRE_FALSE(file.ok());
    const std::string text(file.status().text());
    CAPTURE(text);
    CHECK(text.starts_with("in.gguf: "));
    for (const std::string_view part : parts) {
        CAPTURE(part);
        CHECK(text.find(part) != std::string::npos);
    }
}

}  // namespace

TEST_CASE("a valid GGUF of version 2 or 3 gives its values and tensors") {
    for (const uint32_t version : {2u, 3u}) {
        const Raw raw = valid_file(version);
        const Result<File> parsed = File::parse("in.gguf", raw.bytes);
        REQUIRE(parsed.ok());
        const File& file = parsed.value();
        CHECK(file.version() == version);
        CHECK(file.string("general.architecture").value() == "llama");
        CHECK(file.u64("a.u8").value() == 200);
        CHECK(file.u64("a.u64").value() == 1ull << 40);
        CHECK(file.f64("a.f32", 0).value() == 0.5);
        CHECK(file.boolean("a.bool", false).value());
        CHECK(file.strings("a.strings").value() == std::vector<std::string_view>{"one", ""});
        CHECK(file.floats("a.floats").value() == std::vector<float>{1.5f, -2.0f});
        CHECK(file.integers("a.ints").value() == std::vector<int64_t>{7, -8, 9});
        REQUIRE(file.tensors().size() == 2);
        REQUIRE(file.tensor("m") != nullptr);
        CHECK(file.tensor("m")->n_cols == 32);
        CHECK(file.tensor("m")->n_rows == 3);
        CHECK(file.tensor("m")->data.size() == 3 * 34);
        CHECK(file.tensor("v")->data.size() == 20);
        CHECK(file.tensor("x") == nullptr);
    }
}

TEST_CASE("typed access refuses a wrong type and a value that does not fit") {
    const Raw raw = valid_file();
    const Result<File> parsed = File::parse("in.gguf", raw.bytes);
    REQUIRE(parsed.ok());
    const File& file = parsed.value();
    CHECK(file.u64("absent").status().code() == Code::not_found);
    CHECK(file.u64("absent", 3).value() == 3);
    CHECK(file.string("absent", "x").value() == "x");
    CHECK(file.strings("absent").value().empty());
    CHECK(file.u64("a.i16").status().code() == Code::bad_format);
    CHECK(file.u64("a.i16").status().text().find("found -5") != std::string_view::npos);
    CHECK(file.u64("a.f32").status().text().find("found f32, allowed an integer") !=
          std::string_view::npos);
    CHECK_FALSE(file.string("a.u8").ok());
    CHECK_FALSE(file.f64("a.u8", 0).ok());
    CHECK_FALSE(file.boolean("a.u8", false).ok());
    CHECK_FALSE(file.strings("a.ints").ok());
    CHECK_FALSE(file.floats("a.ints").ok());
    CHECK_FALSE(file.integers("a.floats").ok());
}

TEST_CASE("every proper prefix of a valid GGUF is refused") {
    const Raw raw = valid_file();
    REQUIRE(File::parse("in.gguf", raw.bytes).ok());
    for (size_t n = 0; n < raw.bytes.size(); n++) {
        // A copy of exact size, so that a sanitizer sees a read past the end.
        const std::vector<uint8_t> prefix(raw.bytes.begin(), raw.bytes.begin() + ptrdiff_t(n));
        const Result<File> file = File::parse("in.gguf", prefix);
        CAPTURE(n);
        CHECK_FALSE(file.ok());
        CHECK(file.status().text().find("at offset 0x") != std::string_view::npos);
    }
}

TEST_CASE("a GGUF with any one byte changed is parsed or refused without harm") {
    const Raw raw = valid_file();
    for (size_t at = 0; at < raw.bytes.size(); at++) {
        for (const uint8_t flip : {uint8_t{0x01}, uint8_t{0x80}, uint8_t{0xff}}) {
            std::vector<uint8_t> bytes = raw.bytes;
            bytes[at] ^= flip;
            const Result<File> file = File::parse("in.gguf", bytes);
            if (!file.ok()) CHECK_FALSE(file.status().text().empty());
        }
    }
}

TEST_CASE("an empty file is refused") {
    refuses(Raw(), {"file size at offset 0x0", "found 0 bytes"});
}

TEST_CASE("a wrong magic is refused") {
    refuses(Raw().literal("GGML").u32(3).u64(0).u64(0),
            {"magic at offset 0x0", "found \"GGML\"", "allowed \"GGUF\""});
}

TEST_CASE("versions other than 2 and 3 are refused, and a big-endian one is called so") {
    refuses(Raw().head(0, 0, 1), {"version at offset 0x4", "found 1", "allowed 2 or 3"});
    refuses(Raw().head(0, 0, 4), {"version at offset 0x4", "found 4"});
    refuses(Raw().head(0, 0, 0x03000000), {"version at offset 0x4", "big-endian"});
}

TEST_CASE("huge tensor and key counts are refused before anything is allocated") {
    refuses(Raw().head(uint64_t(1) << 60, 0),
            {"tensor count at offset 0x8", "1152921504606846976"});
    refuses(Raw().head(0, ~uint64_t{0}),
            {"key-value count at offset 0x10", "18446744073709551615"});
}

TEST_CASE("a key length past the end of the file is refused") {
    refuses(Raw().head(0, 1).u64(1000).literal("abcdefgh"),
            {"key 0 length at offset 0x18", "found 1000", "bytes left"});
    refuses(Raw().head(0, 1).u64(~uint64_t{0}).literal("abcdefgh"), {"key 0 length", "bytes left"});
    refuses(Raw().head(0, 1).text("").u32(0).u64(0), {"key 0 length", "found 0, allowed 1..65535"});
}

TEST_CASE("a string length past the end of the file is refused") {
    refuses(Raw().head(0, 1).key("name", ValueType::string).u64(9).literal("12345678"),
            {"key \"name\" length at offset 0x28", "found 9", "at most the 8 bytes left"});
}

TEST_CASE("an array count beyond the file or overflowing is refused") {
    refuses(Raw().head(0, 1).array("x", ValueType::f32, 3).number(1.0f).number(2.0f),
            {"key \"x\" element count at offset 0x29", "found 3", "at most 2"});
    refuses(Raw().head(0, 1).array("x", ValueType::u64, (uint64_t(1) << 61) + 1).u64(0),
            {"element count", "2305843009213693953"});
    refuses(Raw().head(0, 1).array("x", ValueType::string, uint64_t(1) << 61).u64(0),
            {"element count"});
    refuses(Raw().head(0, 1).array("x", ValueType::string, 2).text("aaaaaaaa").u64(5),
            {"key \"x\"[1] length", "found 5"});
}

TEST_CASE("nested arrays are refused") {
    refuses(Raw().head(0, 1).array("x", ValueType::array, 1).u32(0).u64(0),
            {"key \"x\" element type at offset 0x25", "array (nested)"});
}

TEST_CASE("unknown value types are refused") {
    refuses(Raw().head(0, 1).text("x").u32(13).u64(0), {"key \"x\" type at offset", "found 13"});
    refuses(Raw().head(0, 1).array("x", ValueType(99), 1).u64(0), {"element type", "number 99"});
}

TEST_CASE("duplicate keys are refused") {
    refuses(Raw().head(0, 2).key("x", ValueType::u32).u32(1).key("x", ValueType::u32).u32(1),
            {"key \"x\" at offset 0x29", "a second time"});
}

TEST_CASE("duplicate tensors are refused") {
    refuses(Raw()
                .head(2, 0)
                .info("t", {4}, TensorType::f32, 0)
                .info("t", {4}, TensorType::f32, 32)
                .data(64),
            {"tensor \"t\" at offset", "a second time"});
}

TEST_CASE("unknown and unsupported tensor types are refused by name") {
    refuses(Raw().head(1, 0).info("t", {256}, 10u, 0).data(84),
            {"tensor \"t\" type", "Q2_K (10)", "Q6_K"});
    refuses(Raw().head(1, 0).info("t", {256}, 4u, 0).data(84), {"Q4_2 (4)"});
    refuses(Raw().head(1, 0).info("t", {256}, 1000u, 0).data(84), {"an unknown type (1000)"});
}

TEST_CASE("tensor names, dimensions and sizes are checked") {
    refuses(Raw().head(1, 0).info("", {4}, TensorType::f32, 0).data(16),
            {"name length", "found 0"});
    refuses(Raw().head(1, 0).info(std::string(65, 'n'), {4}, TensorType::f32, 0).data(16),
            {"name length", "found 65, allowed 1..64"});
    refuses(Raw().head(1, 0).info("t", {}, TensorType::f32, 0).data(16), {"dimensions", "found 0"});
    refuses(Raw().head(1, 0).info("t", {1, 1, 1, 1, 1}, TensorType::f32, 0).data(16),
            {"dimensions", "found 5, allowed 1..4"});
    refuses(Raw().head(1, 0).info("t", {4, 0}, TensorType::f32, 0).data(16), {"ne[1]", "found 0"});
    refuses(Raw()
                .head(1, 0)
                .info("t", {uint64_t(1) << 33, uint64_t(1) << 33}, TensorType::f32, 0)
                .data(16),
            {"tensor \"t\" ne[1]", "found 8589934592", "product fits 64 bits"});
    refuses(Raw().head(1, 0).info("t", {uint64_t(1) << 63}, TensorType::f32, 0).data(16),
            {"elements", "size in bytes that fits 64 bits"});
    refuses(Raw().head(1, 0).info("t", {33, 2}, TensorType::q4_0, 0).data(64),
            {"tensor \"t\" columns", "found 33", "a multiple of 32 for Q4_0"});
    refuses(Raw().head(1, 0).info("t", {32}, TensorType::q6_k, 0).data(256),
            {"columns", "a multiple of 256 for Q6_K"});
}

TEST_CASE("tensor data that is misaligned, outside the file or overlapping is refused") {
    refuses(Raw().head(1, 0).info("t", {4}, TensorType::f32, 16).data(64),
            {"tensor \"t\" data offset", "found 0x10", "a multiple of 32"});
    refuses(Raw().head(1, 0).info("t", {4}, TensorType::f32, 64).data(64),
            {"data offset", "found 0x40 + 16 bytes", "within the 64 bytes"});
    refuses(Raw().head(1, 0).info("t", {4}, TensorType::f32, ~uint64_t{0} - 31).data(64),
            {"data offset"});
    refuses(Raw()
                .head(2, 0)
                .info("t", {16}, TensorType::f32, 0)
                .info("u", {4}, TensorType::f32, 32)
                .data(64),
            {"tensor \"u\" data offset", "at least 0x40, the end of \"t\""});
}

TEST_CASE("an alignment that is zero or no power of two is refused") {
    for (const uint32_t alignment : {0u, 3u, 33u, 0x80000000u}) {
        Raw raw;
        raw.head(1, 1).key("general.alignment", ValueType::u32).u32(alignment);
        raw.info("t", {4}, TensorType::f32, 0).data(16);
        refuses(raw, {"key \"general.alignment\"", "a power of two"});
    }
    Raw raw;
    raw.head(1, 1).key("general.alignment", ValueType::u32).u32(64);
    raw.info("t", {4}, TensorType::f32, 0).data(16, 64);
    CHECK(File::parse("in.gguf", raw.bytes).ok());
}
