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
    const char16_t first[] = {0xd800}, last[] = {0xdfff};
    CHECK(to_utf8({first, 1}).find("found 0xd800") != std::string::npos);
    CHECK(to_utf8({last, 1}).find("found 0xdfff") != std::string::npos);
    const char16_t wrong[] = {0xd83d, 0xe000}, wrong_too[] = {0xd83d, 0xdbff};
    CHECK(to_utf8({wrong, 2}).find("character 0: found 0xd83d") != std::string::npos);
    CHECK(to_utf8({wrong_too, 2}).find("character 0: found 0xd83d") != std::string::npos);
    CHECK(to_utf8({cut, 1}).find("found 0xd83d") != std::string::npos);
    CHECK(to_utf8(u"a\x01").find("found 0x1") != std::string::npos);
    CHECK(to_utf8(u"a\tb") == "a\tb");
    CHECK(to_utf8(u"\x1f").find("found 0x1f") != std::string::npos);
    CHECK(to_utf8(u" \x7f") == " \x7f");
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
    CHECK(std::string(utf8_to_utf16("name", "12345678", out).status().text()) ==
          "name: found 8 bytes, allowed 7 characters");
    CHECK(utf8_to_utf16("name", "1234567", out).ok());
}

TEST_CASE("a broken sequence on the console is one replacement and costs no other character") {
    CHECK(points("a\xe2\x82z") == std::vector<uint32_t>{'a', 0xfffd, 'z'});
    CHECK(points("\xe2\x82\xac") == std::vector<uint32_t>{0x20ac});
    CHECK(points("\xff\xf0\x9f\x98\x80") == std::vector<uint32_t>{0xfffd, 0x1f600});
}

TEST_CASE(
    "every character survives the way to UTF-16 and back, and reaches the console as itself") {
    for (uint32_t point = 0x20; point <= 0x10ffff; point++) {
        if (point >= 0xd800 && point < 0xe000) continue;
        if (point == 0xfffd) continue;  // what stands for a malformed sequence is refused in names
        char text[4];
        size_t n = 0;
        if (point < 0x80) {
            text[n++] = char(point);
        } else {
            const size_t n_more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
            constexpr unsigned kLeads[] = {0, 0xc0, 0xe0, 0xf0};
            text[n++] = char(kLeads[n_more] | point >> (6 * n_more));
            for (size_t i = n_more; i-- > 0;) text[n++] = char(0x80 | (point >> (6 * i) & 0x3f));
        }
        const std::string_view utf8(text, n);
        uint16_t wide[3];
        const Result<size_t> n_wide = utf8_to_utf16("name", utf8, wide);
        const bool forth = n_wide.ok() && n_wide.value() == (point < 0x10000 ? 1u : 2u);
        char back[4];
        const Result<size_t> n_back = utf16_to_utf8("name", wide, back);
        const bool same = n_back.ok() && std::string_view(back, n_back.value()) == utf8;
        const bool shown = points(utf8) == std::vector<uint32_t>{point};
        if (!forth || !same || !shown) FAIL("U+" << std::hex << point);
    }
}

TEST_CASE("what every byte means after the first of a pair, and as a first one") {
    for (unsigned byte = 0; byte < 256; byte++) {
        const char pair[] = {'\xc3', char(byte)};
        const std::vector<uint32_t> found = points({pair, 2});
        INFO(byte);
        if (byte >= 0x80 && byte < 0xc0) {
            CHECK(found == std::vector<uint32_t>{0xc0 + (byte & 0x3f)});
        } else {
            REQUIRE(!found.empty());
            CHECK(found[0] == 0xfffd);
        }
        const char alone = char(byte);
        const bool begins = byte >= 0xc2 && byte < 0xf5;
        const std::vector<uint32_t> one = points({&alone, 1});
        CHECK(one == (byte < 0x80 ? std::vector<uint32_t>{byte}
                      : begins    ? std::vector<uint32_t>{}
                                  : std::vector<uint32_t>{0xfffd}));
    }
}

TEST_CASE(
    "over-long forms, surrogates and numbers beyond Unicode are replacements on the console") {
    for (const std::string_view bad :
         {"\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80"}) {
        CHECK(points(bad) == std::vector<uint32_t>{0xfffd});
    }
    CHECK(points("\xe0\xa0\x80\xee\x80\x80") == std::vector<uint32_t>{0x800, 0xe000});
}
