// SPDX-License-Identifier: MIT
// UTF-16 <-> UTF-8 at the firmware's border.
#include "efi/dev/text.h"

#include <string>
#include <vector>

#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

std::vector<uint16_t> units(std::u16string_view text) {
    return {text.begin(), text.end()};
}

std::string to_utf8(std::u16string_view text) {
    char out[256];
    const auto from = units(text);
    const Result<size_t> n = utf16_to_utf8("text", from, out);
    return n.ok() ? std::string(out, n.value()) : "error: " + std::string(n.status().text());
}

std::vector<uint32_t> points(std::string_view bytes) {
    Utf8Stream stream;
    std::vector<uint32_t> all;
    for (const char c : bytes) {
        uint32_t out[2];
        const size_t n = stream.feed(uint8_t(c), out);
        all.insert(all.end(), out, out + n);
    }
    return all;
}

}  // namespace

TEST_CASE("UTF-16 of one to four UTF-8 bytes a character becomes UTF-8") {
    CHECK(to_utf8(u"a\u00e9\u20ac\U0001f600") == "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST_CASE("UTF-16 ends at the first NUL") {
    CHECK(to_utf8(std::u16string_view(u"ab\0cd", 5)) == "ab");
    CHECK(to_utf8(u"") == "");
}

TEST_CASE("unpaired surrogates and control characters are refused with their place") {
    const char16_t lone_high[] = {u'a', 0xd83d, u'b'};
    const char16_t lone_low[] = {0xde00};
    const char16_t cut[] = {0xd83d};
    CHECK(to_utf8({lone_high, 3}).find("character 1: found 0xd83d") != std::string::npos);
    CHECK(to_utf8({lone_low, 1}).find("found 0xde00") != std::string::npos);
    CHECK(to_utf8({cut, 1}).find("found 0xd83d") != std::string::npos);
    CHECK(to_utf8(u"a\x01").find("found 0x1") != std::string::npos);
    CHECK(to_utf8(u"a\tb") == "a\tb");
}

TEST_CASE("UTF-8 that does not fit its buffer is an error and never cut") {
    char out[3];
    const auto from = units(u"\u20ac\u20ac");
    CHECK(utf16_to_utf8("text", from, out).status().code() == Code::no_memory);
}

TEST_CASE("UTF-8 becomes NUL-terminated UTF-16 with surrogates") {
    uint16_t out[8];
    const Result<size_t> n = utf8_to_utf16("name", "\\a\xf0\x9f\x98\x80", out);
    REQUIRE(n.ok());
    CHECK(n.value() == 4);
    CHECK(out[0] == u'\\');
    CHECK(out[2] == 0xd83d);
    CHECK(out[3] == 0xde00);
    CHECK(out[4] == 0);
}

TEST_CASE("malformed, cut and over-long UTF-8 names are refused") {
    uint16_t out[8];
    for (const std::string_view bad :
         {"\x80", "\xc0\x80", "a\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
        CHECK(utf8_to_utf16("name", bad, out).status().code() == Code::bad_option);
    }
    CHECK(utf8_to_utf16("name", std::string_view("a\0b", 3), out).status().code() ==
          Code::bad_option);
    CHECK(utf8_to_utf16("name", "12345678", out).status().code() == Code::no_memory);
    CHECK(utf8_to_utf16("name", "1234567", out).ok());
}

TEST_CASE("a broken sequence on the console is one replacement and costs no other character") {
    CHECK(points("a\xe2\x82z") == std::vector<uint32_t>{'a', 0xfffd, 'z'});
    CHECK(points("\xe2\x82\xac") == std::vector<uint32_t>{0x20ac});
    CHECK(points("\xff\xf0\x9f\x98\x80") == std::vector<uint32_t>{0xfffd, 0x1f600});
}
