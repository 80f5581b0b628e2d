// SPDX-License-Identifier: MIT
// What vouches for a run: a required Merkle root over every piece, a policy that fixes options, and where the
// image finds it.
#include <cstring>
#include <string>
#include <vector>

#include "core/sha256.h"
#include "efi/boot/image_section.h"
#include "model/report/options.h"
#include "model/weights/weights.h"
#include "test/unit/packed_file.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;

namespace {

class FileInMemory final : public ByteSource {
  public:
    explicit FileInMemory(std::span<const uint8_t> bytes) : bytes_(bytes) {}
    Status read(uint64_t offset, std::span<uint8_t> out) override {
        memcpy(out.data(), bytes_.data() + offset, out.size());
        return {};
    }

  private:
    std::span<const uint8_t> bytes_;
};

PackedFile model_file() {
    return PackedFile(synthetic_model("64,2,4,2,160,200", StoredType::q4).span());
}

FileLayout layout_of(const PackedFile& file) {
    return FileLayout::parse("m.axm", file.span(), file.size()).value();
}

// What a loader says of the file under this check of its root, whole and frame alone.
std::string loaded(const PackedFile& file, RootCheck root, bool whole = true) {
    FileInMemory source(file.span());
    const uint64_t n = whole ? file.size() : frame_bytes("m.axm", file.size(), source).value();
    const AlignedBytes to{size_t(n)};
    const Status status =
        whole ? load_packed(
                    "m.axm", file.size(), source, to.span(), [](void*, uint64_t) {}, nullptr, root)
              : load_frame(
                    "m.axm", file.size(), source, to.span(), [](void*, uint64_t) {}, nullptr, root);
    return std::string(status.text());
}

std::string policy(std::string text, Options* options) {
    static std::vector<std::string> kept;  // options view into it
    kept.push_back(std::move(text));
    return std::string(parse_policy("policy", kept.back(), options).text());
}

// A PE32+ image as in memory, with one section.
std::vector<uint8_t> image_with(std::string_view name, std::string_view content) {
    std::vector<uint8_t> image(0x2000);
    const auto put = [&](size_t at, uint64_t value, size_t n) { memcpy(&image[at], &value, n); };
    put(0x3c, 0x80, 4);
    memcpy(&image[0x80], "PE\0\0", 4);
    put(0x86, 1, 2);      // sections
    put(0x94, 240, 2);    // bytes of the optional header
    put(0x98, 0x20b, 2);  // PE32+
    const size_t section = 0x98 + 240;
    memcpy(&image[section], name.data(), name.size());
    put(section + 8, content.size(), 4);
    put(section + 12, 0x1000, 4);
    memcpy(&image[0x1000], content.data(), content.size());
    return image;
}

std::string section_of(const std::vector<uint8_t>& image, std::string_view name) {
    const auto found = efi::find_section(image, name);
    return {reinterpret_cast<const char*>(found.data()), found.size()};
}

}  // namespace

TEST_CASE("digests are read and written as 64 hexadecimal digits") {
    const Sha256Digest digest = Sha256::of("abc", 3);
    const Text<64> text = digest_text(digest);
    CHECK(text.view() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Sha256Digest read{};
    REQUIRE(parse_digest(text, &read));
    CHECK(read == digest);
    REQUIRE(
        parse_digest("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", &read));
    CHECK(read == digest);
    for (const std::string_view wrong : {"", "ba",
                                         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9"
                                         "cb410ff61f20015ag"}) {
        CHECK_FALSE(parse_digest(wrong, &read));
    }
    CHECK_FALSE(parse_digest(std::string(text.view()) + "0", &read));
}

TEST_CASE("a required root is that of the file, or the file is refused, whole and frame alone") {
    const PackedFile file = model_file();
    const Sha256Digest own = layout_of(file).root();
    Sha256Digest other = own;
    other[31] ^= 1;
    for (const bool whole : {true, false}) {
        CHECK(loaded(file, {true, &own}, whole).empty());
        CHECK(loaded(file, {true, nullptr}, whole).empty());
        const std::string refused = loaded(file, {true, &other}, whole);
        CHECK(refused.find("Merkle root") != refused.npos);
        CHECK(refused.find(std::string(digest_text(other).view()) + " (required)") != refused.npos);
    }
    CHECK_FALSE(layout_of(file).by_digest);
}

TEST_CASE("a forged piece that its XXH64 agrees with is found under a root, and by nothing else") {
    for (const bool in_frame : {true, false}) {
        const PackedFile file = model_file();
        const Sha256Digest own = layout_of(file).root();
        const auto& e = file.extents()[in_frame ? 4 : FileLayout::kFirstLayer];
        file.data()[e.offset + 5] ^= 0x10;
        file.seal(Seal::sums);
        CHECK(loaded(file, {}).empty());
        const std::string found = loaded(file, {true, &own});
        CHECK(found.find("SHA-256") != found.npos);
        CHECK((loaded(file, {true, &own}, false).find("SHA-256") != found.npos) == in_frame);
    }
}

TEST_CASE("SHA-256 is the same by the CPU's instructions") {
    if (!decode_features(read_cpu_words()).sha) {
        WARN("this CPU has no SHA extensions");
        return;
    }
    std::vector<uint8_t> bytes(3 * 64 + 17);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = uint8_t(i * 37 + i / 64);
    for (size_t n = 0; n <= bytes.size(); n++) {
        REQUIRE(choose_sha256(CpuFeatures{}).name == std::string_view("plain"));
        const Sha256Digest plain = Sha256::of(bytes.data(), n);
        CpuFeatures features;
        features.sha = true;
        REQUIRE(choose_sha256(features).name == std::string_view("sha_ni"));
        CHECK(Sha256::of(bytes.data(), n) == plain);
    }
    choose_sha256(CpuFeatures{});
}

TEST_CASE("SHA instructions need SSSE3 and SSE4.1 beside them") {
    CpuWords words;
    words.leaf7_ebx = 1u << 29;
    CHECK_FALSE(decode_features(words).sha);
    words.leaf1_ecx = 1u << 9 | 1u << 19;
    CHECK(decode_features(words).sha);
}

TEST_CASE("what a policy gives no later source may give again") {
    Options options;
    REQUIRE(policy("temp 0.5\n-s 7\n", &options).find("allowed") != std::string::npos);
    REQUIRE(policy("temp 0.5\ns 7\n", &options).empty());
    CHECK(options.temperature == 0.5f);
    CHECK(options.seed == 7);
    const auto refused = [&](std::vector<std::string_view> words) {
        Options later = options;
        const Status status = parse_arguments(words, Source::efi_command_line, &later);
        return std::string(status.text());
    };
    CHECK(refused({"--temp", "0.9"}) ==
          "option --temp: found \"0.9\", allowed only what the image itself says, whose policy "
          "fixes it");
    CHECK(refused({"--seed", "7"}).find("policy") != std::string::npos);
    CHECK(refused({"-n", "5", "-p", "x"}).empty());
    std::string conf = "n 3\ntemp 0.5\n";
    const Status status = parse_config("axiom.conf", conf, &options);
    CHECK(std::string(status.text()).find("axiom.conf: line 2") == 0);
    // What can be set while a run goes on is no way around it.
    CHECK_FALSE(set_option_by_name("--temp", "/temp", "1", &options).ok());
    CHECK(options.temperature == 0.5f);
}

TEST_CASE("a policy's number of threads is that of --bench, too, and the other way around") {
    const auto refused = [](std::string fixed, std::string conf,
                            std::vector<std::string_view> words) {
        Options options;
        REQUIRE(policy(std::move(fixed), &options).empty());
        const Status of_conf = parse_config("axiom.conf", conf, &options);
        if (!of_conf.ok()) return std::string(of_conf.text());
        return std::string(parse_arguments(words, Source::efi_command_line, &options).text());
    };
    CHECK(refused("t 2\n", "", {"--bench", "pp=1 tg=1 threads=1,2"}) ==
          "option -t, or threads= of --bench: found another than 2, allowed only what the image "
          "itself says, whose policy fixes it");
    CHECK(refused("t 2\n", "", {"--bench", "pp=1 tg=1 threads=2"}).empty());
    CHECK(refused("t 2\n", "", {"--bench", "pp=1 tg=1"}).empty());
    const std::string bench = "bench pp=1 tg=1 threads=1,2\n";
    CHECK(refused(bench, "", {"-t", "2"}).find("found another than 1,2,") != std::string::npos);
    CHECK(refused("bench pp=1 tg=1 threads=0\n", "", {"-t", "2"}).find("another than 0,") !=
          std::string::npos);
    // Where it fixes none, later sources win as ever.
    CHECK(refused("bench pp=1 tg=1\n", "t 2\n", {"-t", "4"}).empty());
    CHECK(refused("temp 0\n", "t 2\n", {"-t", "2", "--bench", "pp=1 threads=2"}).empty());
}

TEST_CASE("a policy's required root is read, and a wrong one named") {
    Options options;
    const std::string digits(64, 'a');
    CHECK(policy("require abc\n", &options) ==
          "policy: line 1, column 9: option require: found \"abc\", allowed 64 hexadecimal digits");
    CHECK_FALSE(options.has_required_root);
    REQUIRE(policy("require " + digits + "\n", &options).empty());
    CHECK(options.has_required_root);
    CHECK(options.required_root[31] == 0xaa);
    CHECK(policy("require " + digits + "\n", &options).find("policy fixes it") !=
          std::string::npos);
}

TEST_CASE("a section of an image is found by its name, and nothing outside the image") {
    const std::vector<uint8_t> good = image_with(".policy", "temp 0\n");
    CHECK(section_of(good, ".policy") == "temp 0\n");
    CHECK(section_of(good, ".polic").empty());
    CHECK(section_of(good, ".policy2").empty());
    for (size_t n = 0; n < 0x1007; n += n < 0x200 ? 1 : 97) {
        CHECK(section_of({good.begin(), good.begin() + ptrdiff_t(n)}, ".policy").empty());
    }
    const auto changed = [&](size_t at, uint8_t value) {
        std::vector<uint8_t> image = good;
        image[at] = value;
        return section_of(image, ".policy");
    };
    CHECK(changed(0x80, 'N').empty());              // no PE
    CHECK(changed(0x99, 1).empty());                // PE32
    CHECK(changed(0x3f, 0xff).empty());             // headers far outside
    CHECK(changed(0x98 + 240 + 15, 0xff).empty());  // a section far outside
    CHECK(changed(0x98 + 240 + 11, 0xff).empty());  // a section that is too long
}
