// SPDX-License-Identifier: MIT
// The option parser: argument lists, axiom.conf, UEFI command lines, --help.
#include "model/report/options.h"

#include <string>
#include <vector>

#include "model/format/format.h"
#include "test/unit/catch.h"

using namespace axiom;

namespace {

using Words = std::vector<std::string_view>;

struct Parsed {
    Status status;
    Options options;
};

Parsed parse(const Words& words, Source source = Source::host_command_line) {
    Parsed p;
    p.status = parse_arguments(words, source, &p.options);
    return p;
}

std::string failure(const Words& words, Source source = Source::host_command_line) {
    const Parsed p = parse(words, source);
    CHECK(p.status.code() == Code::bad_option);
    return std::string(p.status.text());
}

struct ParsedConfig {
    std::string text;  // the options view into it
    Status status;
    Options options;

    explicit ParsedConfig(std::string t) : text(std::move(t)) {
        status = parse_config("axiom.conf", text, &options);
    }
    ParsedConfig(const ParsedConfig&) = delete;
};

std::string config_failure(const std::string& text) {
    const ParsedConfig c(text);
    CHECK(c.status.code() == Code::bad_option);
    return std::string(c.status.text());
}

std::string help_of(Source source) {
    std::string out;
    print_help(
        "axiom", source,
        [](void* to, std::string_view text) { static_cast<std::string*>(to)->append(text); }, &out);
    return out;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("no arguments leave every default in place") {
    const Parsed p = parse({});
    REQUIRE(p.status.ok());
    CHECK(p.options.n_predict == 128);
    CHECK(p.options.temperature == 0.0f);
    CHECK(p.options.prompt.empty());
    CHECK(p.options.on_exit == OnExit::by_place);
    CHECK(p.options.keymap == Keymap::us);
}

TEST_CASE("llama.cpp's spellings reach their fields") {
    const Parsed p = parse({"-m",
                            "a.axm",
                            "-p",
                            "Hello you",
                            "-sys",
                            "Be brief",
                            "-n",
                            "7",
                            "-c",
                            "512",
                            "-t",
                            "2",
                            "-b",
                            "16",
                            "--temp",
                            "0.75",
                            "--top-k",
                            "3",
                            "--top-p",
                            "0.5",
                            "--min-p",
                            "0.25",
                            "--repeat-penalty",
                            "1.5",
                            "--repeat-last-n",
                            "9",
                            "-s",
                            "42",
                            "-sp",
                            "--ignore-eos",
                            "--raw",
                            "-q",
                            "--isa",
                            "scalar"});
    REQUIRE(p.status.ok());
    const Options& o = p.options;
    CHECK(o.model == "a.axm");
    CHECK(o.prompt == "Hello you");
    CHECK(o.system_prompt == "Be brief");
    CHECK(o.n_predict == 7);
    CHECK(o.n_ctx == 512);
    CHECK(o.n_threads == 2);
    CHECK(o.n_batch == 16);
    CHECK(o.temperature == 0.75f);
    CHECK(o.top_k == 3);
    CHECK(o.top_p == 0.5f);
    CHECK(o.min_p == 0.25f);
    CHECK(o.repeat_penalty == 1.5f);
    CHECK(o.repeat_last_n == 9);
    CHECK(o.seed == 42);
    CHECK(o.special);
    CHECK(o.ignore_eos);
    CHECK(o.raw);
    CHECK(o.quiet);
    CHECK(o.isa == "scalar");
}

TEST_CASE("reasoning and the date of chat templates") {
    const Parsed by_default = parse({});
    CHECK(by_default.options.reasoning == format::Reasoning::by_template);
    CHECK_FALSE(by_default.options.date.known());
    const Parsed on = parse({"--reasoning", "on", "--date", "2026-02-03"});
    REQUIRE(on.status.ok());
    CHECK(on.options.reasoning == format::Reasoning::on);
    CHECK((on.options.date.year == 2026 && on.options.date.month == 2 && on.options.date.day == 3));
    CHECK(parse({"--reasoning=off"}).options.reasoning == format::Reasoning::off);
    const Parsed wrong = parse({"--reasoning", "auto"});
    CHECK(wrong.status.text() == "option --reasoning: found \"auto\", allowed on or off");
    for (const char* date : {"", "today", "2026-02-30", "2026-02-03T12:00:00Z"}) {
        const Parsed p = parse({"--date", date});
        CHECK(p.status.text().starts_with("option --date: found \""));
    }
}

TEST_CASE("long names mean what short names mean") {
    const Parsed p =
        parse({"--model",   "b",       "--prompt",     "P",        "--system-prompt", "S",
               "--predict", "1",       "--n-predict",  "2",        "--ctx-size",      "3",
               "--threads", "4",       "--batch-size", "5",        "--seed",          "0xff",
               "--special", "--quiet", "--help",       "--version"});
    REQUIRE(p.status.ok());
    CHECK(p.options.model == "b");
    CHECK(p.options.prompt == "P");
    CHECK(p.options.system_prompt == "S");
    CHECK(p.options.n_predict == 2);
    CHECK(p.options.n_ctx == 3);
    CHECK(p.options.n_threads == 4);
    CHECK(p.options.n_batch == 5);
    CHECK(p.options.seed == 255);
    CHECK(p.options.help);
    CHECK(p.options.version);
}

TEST_CASE("a value may follow an equals sign and may hold one") {
    const Parsed p = parse({"--prompt=a=b", "--n-predict=3", "--raw=false", "--system-prompt="});
    REQUIRE(p.status.ok());
    CHECK(p.options.prompt == "a=b");
    CHECK(p.options.n_predict == 3);
    CHECK_FALSE(p.options.raw);
    CHECK(p.options.system_prompt.empty());
}

TEST_CASE("the last of an option given twice wins") {
    const Parsed p = parse({"-n", "1", "-n", "2", "--raw", "--raw=false"});
    REQUIRE(p.status.ok());
    CHECK(p.options.n_predict == 2);
    CHECK_FALSE(p.options.raw);
}

TEST_CASE("a value that begins with a dash is still a value") {
    const Parsed p = parse({"-p", "-n", "-n", "-1", "--repeat-last-n", "-1"});
    REQUIRE(p.status.ok());
    CHECK(p.options.prompt == "-n");
    CHECK(p.options.n_predict == format::kMaxCtx);
    CHECK(p.options.repeat_last_n == format::kMaxCtx);
}

TEST_CASE("a value outside its range is refused with the range") {
    CHECK(failure({"--temp", "abc"}) ==
          "option --temp: found \"abc\", allowed a number from 0 to 100");
    CHECK(failure({"--temp", "100.5"}) ==
          "option --temp: found \"100.5\", allowed a number from 0 to 100");
    CHECK(failure({"--top-p", "-0.1"}) ==
          "option --top-p: found \"-0.1\", allowed a number from 0 to 1");
    CHECK(failure({"--repeat-penalty", "0"}) ==
          "option --repeat-penalty: found \"0\", allowed a number from 0.01 to 100");
    CHECK(failure({"-b", "4097"}) ==
          "option -b: found \"4097\", allowed a whole number from 0 to 4096");
    CHECK(failure({"-t", "1025"}) ==
          "option -t: found \"1025\", allowed a whole number from 0 to 1024");
    CHECK(failure({"-n", "-2"}) ==
          "option -n: found \"-2\", allowed a whole number from 0 to 16777216, or -1");
    CHECK(
        failure({"--n-predict=16777217"}) ==
        "option --n-predict: found \"16777217\", allowed a whole number from 0 to 16777216, or -1");
    CHECK(failure({"-c", "18446744073709551616"}) ==
          "option -c: found \"18446744073709551616\", allowed a whole number from 0 to 16777216");
    CHECK(failure({"-s", "-1"}) ==
          "option -s: found \"-1\", allowed a whole number from 0 to 18446744073709551615");
    CHECK(failure({"--raw=yes"}) ==
          "option --raw: found \"yes\", allowed true or false, or the name alone");
}

TEST_CASE("no spelling of a number that is none gets through") {
    for (const char* text :
         {"", " ", "nan", "inf", "-inf", "1e999", "1e", "1.2.3", "0x", "1 ", "+1"}) {
        INFO(text);
        CHECK_FALSE(parse({"--temp", text}).status.ok());
        CHECK_FALSE(parse({"-n", text}).status.ok());
    }
}

TEST_CASE("the bounds of a range are inside it") {
    CHECK(parse({"--temp", "0"}).status.ok());
    CHECK(parse({"--temp", "100"}).status.ok());
    CHECK(parse({"--top-p", "1"}).status.ok());
    CHECK(parse({"-b", "0"}).status.ok());
    CHECK(parse({"-b", "4096"}).status.ok());
    CHECK(parse({"-s", "18446744073709551615"}).status.ok());
}

TEST_CASE("a missing value names the option") {
    CHECK(failure({"-m"}) == "option -m: found nothing after it, allowed FILE");
    CHECK(failure({"-p", "x", "--temp"}) == "option --temp: found nothing after it, allowed X");
}

TEST_CASE("an unknown option is refused and the nearest name suggested") {
    CHECK(contains(failure({"--tmep", "1"}), "found \"--tmep\""));
    CHECK(contains(failure({"--tmep", "1"}), "nearest is --temp"));
    CHECK(contains(failure({"--n-predcit", "1"}), "nearest is --n-predict"));
    CHECK(contains(failure({"--batchsize", "1"}), "nearest is --batch-size"));
    CHECK_FALSE(contains(failure({"--zzzzzzzzzzzz"}), "nearest"));
    CHECK_FALSE(contains(failure({"--" + std::string(5000, 'a')}), "nearest"));
}

TEST_CASE("an option is not suggested where it is not allowed") {
    CHECK(contains(failure({"--jsom"}, Source::host_command_line), "nearest is --json"));
    CHECK_FALSE(contains(failure({"--jsom"}, Source::efi_command_line), "json"));
}

TEST_CASE("a word without a dash is refused") {
    CHECK(contains(failure({"Hello"}), "found \"Hello\""));
    CHECK(contains(failure({"-p", "What", "is"}), "found \"is\""));
    CHECK(contains(failure({""}), "found \"\""));
    CHECK(contains(failure({"-"}), "found \"-\""));
}

TEST_CASE("-ctk and -ctv are f16 or q8_0, by the names that llama.cpp has") {
    CHECK(parse({}).options.cache_type_k == KvType::f16);
    CHECK(parse({}).options.cache_type_v == KvType::f16);
    const Options options = parse({"-ctk", "q8_0", "--cache-type-v", "q8_0"}).options;
    CHECK(options.cache_type_k == KvType::q8_0);
    CHECK(options.cache_type_v == KvType::q8_0);
    CHECK(parse({"--cache-type-k", "q8_0", "-ctk", "f16"}).options.cache_type_k == KvType::f16);
    CHECK(contains(failure({"-ctv", "q4_0"}), "option -ctv: found \"q4_0\", allowed f16 or q8_0"));
}

TEST_CASE("--draft is off, lookup or auto, --draft-max 1 to 64") {
    CHECK(parse({}).options.draft == Draft::when_it_pays);
    CHECK(parse({}).options.n_draft_max == 8);
    CHECK(parse({"--draft", "lookup"}).options.draft == Draft::lookup);
    CHECK(parse({"--draft", "lookup", "--draft", "off"}).options.draft == Draft::off);
    CHECK(parse({"--draft", "off", "--draft", "auto"}).options.draft == Draft::when_it_pays);
    CHECK(parse({"--draft-max", "64"}).options.n_draft_max == 64);
    CHECK(contains(failure({"--draft", "on"}),
                   "option --draft: found \"on\", allowed off, lookup or auto"));
    CHECK(contains(failure({"--draft-max", "0"}), "allowed"));
    CHECK(contains(failure({"--draft-max", "65"}), "allowed"));
}

TEST_CASE("--reading takes streams and bytes, perhaps tokens, nothing else") {
    const Options o = parse({"--reading", "2,8192"}).options;
    CHECK(o.reading.n_streams == 2);
    CHECK(o.reading.ahead_bytes == 8192);
    CHECK(parse({"--reading", "1,0"}).options.reading == Reading{1, 0, 4});
    CHECK(parse({"--reading", "1,0,1"}).options.reading == Reading{1, 0, 1});
    CHECK(parse({"--reading", "4,65536"}).status.ok());
    CHECK(parse({}).options.reading.n_streams == 0);
    for (const char* bad : {"", "4", "4,", ",0", "3,0", "8,0", "0,0", "1,65537", "1,-1", "1,0,0",
                            "1,0,5", "1,0,", "1,0,1,", "1, 0"}) {
        INFO(bad);
        CHECK(contains(failure({"--reading", bad}), "allowed 1, 2 or 4, a comma, and 0..65536"));
    }
}

TEST_CASE("a kernel set must be one that exists") {
    CHECK(parse({"--isa", "avx2"}).status.ok());
    const std::string text = failure({"--isa", "mmx"});
    CHECK(contains(text, "option --isa: found \"mmx\", allowed "));
    CHECK(contains(text, "scalar"));
    CHECK(contains(text, "avx2"));
}

TEST_CASE("a path may not be empty or hold control characters") {
    CHECK(contains(failure({"-m", ""}), "option -m: found \"\""));
    CHECK(contains(failure({"-m", "a\nb"}), "found \"a\\x0ab\""));
    CHECK(contains(failure({"-m", std::string_view("a\0b", 3)}), "\\x00"));
    CHECK(parse({"-m",
                 "\\axiom\\m\xC3\xB6"
                 "del.axm"})
              .status.ok());
}

TEST_CASE("options of axiom-host are refused by the EFI image and the reverse") {
    CHECK(failure({"--json", "f"}, Source::efi_command_line) ==
          "option --json: found on axiom.efi's command line, allowed on axiom-host's command line "
          "only");
    CHECK(
        failure({"--on-exit", "halt"}, Source::host_command_line) ==
        "option --on-exit: found on axiom-host's command line, allowed on axiom.efi's command line "
        "and axiom.conf only");
    CHECK(parse({"--on-exit", "halt"}, Source::efi_command_line).options.on_exit == OnExit::halt);
    CHECK(parse({"--on-exit", "reboot"}, Source::efi_command_line).options.on_exit ==
          OnExit::reboot);
    CHECK(failure({"--on-exit", "sleep"}, Source::efi_command_line) ==
          "option --on-exit: found \"sleep\", allowed shutdown, reboot or halt");
    for (const char* name : {"--logits", "--tokenize", "--tokenize-file", "--perplexity"}) {
        CHECK_FALSE(parse({name, "x"}, Source::efi_command_line).status.ok());
        CHECK(parse({name, "x"}, Source::host_command_line).status.ok());
    }
}

TEST_CASE("--bench has llama-bench's defaults and takes its keys in any order") {
    CHECK_FALSE(parse({}).options.bench.wanted);
    for (const std::string_view text : {"", " ", ","}) {
        const BenchPlan plan = parse({"--bench", text}).options.bench;
        CHECK(plan.wanted);
        CHECK((plan.n_prompt == 512 && plan.n_gen == 128 && plan.n_reps == 5));
        CHECK((plan.n_warmup == 1 && plan.n_depth == 0 && plan.n_threads == 0));
        CHECK(plan.n_sequences == 1);
    }
    for (const std::string_view text :
         {"pp=128 tg=32 reps=7 warmup=2 threads=3 d=64 npl=8",
          "depth=64,threads=3,npl=8,warmup=2,tg=32,pp=128,reps=7",
          "  tg=32, reps=7 ,npl=8,d=64\twarmup=2 pp=128  threads=3 "}) {
        INFO(text);
        const Parsed p = parse({"--bench", text});
        REQUIRE(p.status.ok());
        const BenchPlan& plan = p.options.bench;
        CHECK((plan.n_prompt == 128 && plan.n_gen == 32 && plan.n_reps == 7));
        CHECK((plan.n_warmup == 2 && plan.n_depth == 64 && plan.n_threads == 3));
        CHECK(plan.n_sequences == 8);
        CHECK(p.options.n_threads == 3);
    }
    CHECK(parse({"--bench=pp=0,tg=4"}).options.bench.n_prompt == 0);
    const ParsedConfig c("bench pp=8 tg=2\nquiet\n");
    REQUIRE(c.status.ok());
    CHECK((c.options.bench.n_prompt == 8 && c.options.bench.n_gen == 2));
}

TEST_CASE("a piece of --bench with = begins a key, one without goes on with its list") {
    const auto list = [](const BenchList& l) { return std::vector<uint32_t>(l.begin(), l.end()); };
    using V = std::vector<uint32_t>;
    for (const std::string_view text :
         {"pp=128,512 tg=32,128 threads=1,2 d=0,2000 npl=1,8 reps=3",
          "pp=128,512,tg=32,128,threads=1,2,d=0,2000,npl=1,8,reps=3",
          " pp=128 512, tg=32 ,128,reps=3 npl=1 8 d=0,,2000 threads=1\t2"}) {
        INFO(text);
        const Parsed p = parse({"--bench", text});
        INFO(p.status.text());
        REQUIRE(p.status.ok());
        const BenchPlan& plan = p.options.bench;
        CHECK(list(plan.n_prompt) == V{128, 512});
        CHECK(list(plan.n_gen) == V{32, 128});
        CHECK(list(plan.n_threads) == V{1, 2});
        CHECK(list(plan.n_depth) == V{0, 2000});
        CHECK(list(plan.n_sequences) == V{1, 8});
        CHECK(plan.n_reps == 3);
        CHECK(p.options.n_threads == 2);  // as many are started as the largest test takes
    }
    CHECK(parse({"--bench", "threads=1,0,2"}).options.n_threads == 0);  // all
    CHECK(contains(failure({"--bench", "threads=1,2", "-t", "2"}),
                   "found threads=1,2, allowed 2 as -t says"));
    ParsedConfig kept("bench pp=1 threads=1,2\n");
    REQUIRE(parse_arguments(Words{"-n", "4"}, Source::efi_command_line, &kept.options).ok());
    CHECK(list(kept.options.bench.n_threads) == V{1, 2});
}

TEST_CASE("--trace takes a file on Linux and nothing in the image") {
    const Parsed host = parse({"--trace", "t.jsonl"}, Source::host_command_line);
    REQUIRE(host.status.ok());
    CHECK(host.options.trace_file == "t.jsonl");
    CHECK(host.options.trace_wanted());
    const Parsed efi = parse({"--trace", "-n", "4"}, Source::efi_command_line);
    REQUIRE(efi.status.ok());
    CHECK((efi.options.trace && efi.options.trace_wanted() && efi.options.n_predict == 4));
    const ParsedConfig config("trace\n");
    CHECK((config.status.ok() && config.options.trace));
    CHECK_FALSE(parse({}).options.trace_wanted());
}

TEST_CASE("--bench refuses what it does not know by key, found and allowed") {
    struct {
        std::string_view text;
        std::vector<std::string> parts;
    } const cases[] = {
        {"pp=x", {"--bench", "pp", "\"x\"", "a whole number from 0 to 16777216"}},
        {"pp=-1", {"pp", "\"-1\""}},
        {"pp", {"found \"pp\"", "pp, tg, reps"}},
        {"pp=", {"pp", "found \"\""}},
        {"128 pp=1", {"found \"128\"", "pp, tg, reps"}},
        {"pp=1,tg", {"pp", "found \"tg\"", "a whole number"}},
        {"pp=1,16777217", {"pp", "16777217"}},
        {"reps=1,2", {"reps", "found \"2\" after 1 value", "no more"}},
        {"tg=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", {"tg", "\"17\" after 16 values"}},
        {"tg=16777217", {"tg", "16777217", "0 to 16777216"}},
        {"reps=0", {"reps", "\"0\"", "1 to 1000"}},
        {"warmup=1001", {"warmup", "0 to 1000"}},
        {"threads=1025", {"threads", "0 to 1024"}},
        {"npl=0", {"npl", "\"0\"", "1 to 64"}},
        {"npl=65", {"npl", "\"65\"", "1 to 64"}},
        {"ngl=3", {"ngl=3", "pp, tg, reps, warmup, d (depth), npl and threads"}},
        {"=3", {"\"=3\""}},
        {"pp=1;tg=2", {"pp", "\"1;tg=2\""}},
        {"pp=1 pp=1", {"pp", "each key once"}},
        {"d=1 depth=1", {"depth", "each key once"}},
        {"pp=0 tg=0", {"pp=0 and tg=0", "at least one test"}},
        {"pp=0,0 tg=0", {"pp=0 and tg=0", "at least one test"}},
    };
    for (const auto& c : cases) {
        const std::string text = failure({"--bench", c.text});
        for (const std::string& part : c.parts) {
            INFO(text << " lacks " << part);
            CHECK(contains(text, part));
        }
    }
}

TEST_CASE("--pages is 4k or 2m") {
    CHECK_FALSE(parse({}).options.small_pages);
    CHECK(parse({"--pages", "4k"}).options.small_pages);
    CHECK_FALSE(parse({"--pages", "4k", "--pages", "2m"}).options.small_pages);
    CHECK(contains(failure({"--pages", "4K"}), "allowed 4k or 2m"));
}

TEST_CASE("--cpu-range is a first and a last CPU") {
    CHECK(parse({}).options.cpu_range.count == 0);
    const CpuRange range = parse({"--cpu-range", "2-5"}).options.cpu_range;
    CHECK(range.first == 2);
    CHECK(range.count == 4);
    CHECK(parse({"-Cr", "1023-1023"}).options.cpu_range.count == 1);
    for (const char* wrong : {"", "3", "2-1", "0-1024", "-1-2", "0-1-2", "a-b"}) {
        CAPTURE(wrong);
        CHECK(contains(failure({"--cpu-range", wrong}), "allowed FIRST-LAST"));
    }
}

TEST_CASE("threads= and -t are one setting") {
    CHECK(parse({"--bench", "pp=1", "-t", "2"}).options.bench.n_threads == 2);
    CHECK(parse({"-t", "2", "--bench", "threads=2"}).options.n_threads == 2);
    CHECK(parse({"--bench", "threads=4"}).options.n_threads == 4);
    CHECK(contains(failure({"--bench", "threads=3", "-t", "2"}), "found threads=3, allowed 2"));
    // The later source wins, whichever of the two names it used.
    for (const Words& words : {Words{"-t", "2"}, Words{"--bench", "threads=2"}}) {
        for (const char* const file : {"threads 3\n", "bench threads=3\n"}) {
            ParsedConfig c(file);
            REQUIRE(c.status.ok());
            CHECK((c.options.n_threads == 3 && c.options.bench.n_threads == 3));
            REQUIRE(parse_arguments(words, Source::efi_command_line, &c.options).ok());
            CHECK((c.options.n_threads == 2 && c.options.bench.n_threads == 2));
        }
    }
    ParsedConfig kept("threads 3\n");
    REQUIRE(
        parse_arguments(Words{"--bench", "pp=1"}, Source::efi_command_line, &kept.options).ok());
    CHECK(kept.options.n_threads == 3);
    CHECK(contains(config_failure("threads 2\nbench threads=3\n"), "axiom.conf: option --bench"));
}

TEST_CASE("an empty text to tokenize is a text") {
    CHECK_FALSE(parse({}).options.has_tokenize);
    const Parsed p = parse({"--tokenize", ""});
    REQUIRE(p.status.ok());
    CHECK(p.options.has_tokenize);
    CHECK(p.options.tokenize.empty());
}

TEST_CASE("a prompt, if empty, and a length are known to be given") {
    const Parsed none = parse({"--chat"});
    CHECK((none.options.chat && !none.options.has_prompt && !none.options.has_predict));
    const Parsed both = parse({"-p", "", "-n", "128"});
    CHECK((both.options.has_prompt && both.options.has_predict && !both.options.chat));
    CHECK(ParsedConfig("prompt\nn -1\n").options.has_prompt);
    CHECK_FALSE(ParsedConfig("prompts x\n").options.has_prompt);
    CHECK_FALSE(ParsedConfig("keep-record false\nmenu 0\n").options.keep_record);
    CHECK(ParsedConfig("menu 5\n").options.has_menu);
    CHECK_FALSE(ParsedConfig("n 5\n").options.has_menu);
}

TEST_CASE("a failed parse changes nothing") {
    Options o;
    o.n_predict = 5;
    const Words words = {"-n", "9", "--temp", "x"};
    CHECK_FALSE(parse_arguments(words, Source::host_command_line, &o).ok());
    CHECK(o.n_predict == 5);
}

TEST_CASE("axiom.conf takes names without dashes, comments, blanks and line ends of every kind") {
    const ParsedConfig c(
        "\xEF\xBB\xBF# a comment\r\n\n  model   \\axiom\\model.axm\t\r\n\tn 12\n"
        "temp 0.5\n   # another\nraw\nspecial true\nignore-eos false\non-exit reboot\n"
        "prompt  What is # this?  ");
    REQUIRE(c.status.ok());
    CHECK(c.options.model == "\\axiom\\model.axm");
    CHECK(c.options.n_predict == 12);
    CHECK(c.options.temperature == 0.5f);
    CHECK(c.options.raw);
    CHECK(c.options.special);
    CHECK_FALSE(c.options.ignore_eos);
    CHECK(c.options.on_exit == OnExit::reboot);
    CHECK(c.options.prompt == "What is # this?");
}

TEST_CASE("every name of an option is a key of axiom.conf") {
    for (const char* key : {"n", "predict", "n-predict"}) {
        CHECK(ParsedConfig(std::string(key) + " 3").options.n_predict == 3);
    }
}

TEST_CASE("escapes in axiom.conf's texts are undone and those in its paths are not") {
    const ParsedConfig c(
        "prompt \\sa\\nb\\tc\\rd\\\\n \\s\nsystem-prompt \\\\\nmodel \\new\\table.axm\n");
    REQUIRE(c.status.ok());
    CHECK(c.options.prompt == " a\nb\tc\rd\\n  ");
    CHECK(c.options.system_prompt == "\\");
    CHECK(c.options.model == "\\new\\table.axm");
}

TEST_CASE("an empty prompt in axiom.conf is an empty prompt") {
    const ParsedConfig c("prompt\nn 4\n");
    REQUIRE(c.status.ok());
    CHECK(c.options.prompt.empty());
    CHECK(c.options.n_predict == 4);
}

TEST_CASE("an error in axiom.conf names file, line and column") {
    CHECK(
        config_failure("n 5\n  temp  hot\n") ==
        "axiom.conf: line 2, column 9: option temp: found \"hot\", allowed a number from 0 to 100");
    CHECK(contains(config_failure("n 5\n\n tepm 1"),
                   "axiom.conf: line 3, column 2: option: found \"tepm\""));
    CHECK(contains(config_failure("tepm 1"), "nearest is temp"));
    CHECK(contains(config_failure("--temp 1"), "line 1, column 1: option: found \"--temp\""));
    CHECK(contains(config_failure("temp"), "line 1, column 5: option temp: found \"\""));
    CHECK(contains(config_failure("prompt ab\\qc"),
                   "line 1, column 10: option prompt: found \"\\q\""));
    CHECK(
        contains(config_failure("prompt ab\\"), "line 1, column 10: option prompt: found \"\\\""));
    CHECK(contains(config_failure(std::string("n 5\nn \0", 7)),
                   "line 2, column 3: found a NUL byte"));
    CHECK(contains(config_failure("raw maybe"), "line 1, column 5: option raw: found \"maybe\""));
}

TEST_CASE("axiom.conf refuses what belongs on a command line") {
    CHECK(contains(config_failure("help"), "option help: found on axiom.conf"));
    CHECK(contains(config_failure("json x"), "option json: found on axiom.conf"));
}

TEST_CASE("an empty axiom.conf changes nothing") {
    CHECK(ParsedConfig("").status.ok());
    CHECK(ParsedConfig("\n\n").status.ok());
    CHECK(ParsedConfig("#").status.ok());
    CHECK(ParsedConfig("\xEF\xBB\xBF").status.ok());
}

namespace {

struct Split {
    std::string text;
    std::string_view words[8];
    Result<size_t> n;
    explicit Split(std::string t) : text(std::move(t)), n(split_command_line(text, words)) {}
    Split(const Split&) = delete;
    std::vector<std::string> list() const {
        REQUIRE(n.ok());
        return {words, words + n.value()};
    }
};
using List = std::vector<std::string>;

}  // namespace

TEST_CASE("a command line is split at blanks outside quotes") {
    CHECK(Split("").list().empty());
    CHECK(Split("  \t ").list().empty());
    CHECK(Split(" a  b\tc\r\n").list() == List{"a", "b", "c"});
    CHECK(Split("-p \"two words\" -n 3").list() == List{"-p", "two words", "-n", "3"});
    CHECK(Split("a\"b c\"d \"\"").list() == List{"ab cd", ""});
    CHECK(Split("-m \\axiom\\model.axm").list() == List{"-m", "\\axiom\\model.axm"});
}

TEST_CASE("a caret makes the next character ordinary, inside and outside quotes") {
    CHECK(Split("a^ b").list() == List{"a b"});
    CHECK(Split("\"say ^\"hi^\"\"").list() == List{"say \"hi\""});
    CHECK(Split("^^ \"^^\"").list() == List{"^", "^"});
}

TEST_CASE("a command line that does not end properly is refused with the place") {
    CHECK(contains(std::string(Split("-p \"abc").n.status().text()), "column 4"));
    CHECK(contains(std::string(Split("abc^").n.status().text()), "column 4"));
    const Split many("1 2 3 4 5 6 7 8 9");
    CHECK(many.n.status().code() == Code::bad_option);
    CHECK(contains(std::string(many.n.status().text()), "allowed at most 8"));
    CHECK(Split("1 2 3 4 5 6 7 8 ").list().size() == 8);
}

TEST_CASE("help is at most 80 columns wide and shows defaults") {
    for (const Source source : {Source::efi_command_line, Source::host_command_line}) {
        const std::string help = help_of(source);
        size_t begin = 0;
        while (begin < help.size()) {
            const size_t end = help.find('\n', begin);
            REQUIRE(end != std::string::npos);
            INFO(help.substr(begin, end - begin));
            CHECK(end - begin <= 80);
            CHECK((end == begin || help[end - 1] != ' '));
            begin = end + 1;
        }
        CHECK(contains(help, "-n, --predict, --n-predict N"));
        CHECK(contains(help, "(default 128)"));
        CHECK(contains(help, "0.95"));
        CHECK(contains(help, "scalar, "));
        CHECK_FALSE(contains(help, "{}"));
    }
}

TEST_CASE("help lists what the program accepts and nothing else") {
    CHECK(contains(help_of(Source::host_command_line), "--perplexity"));
    CHECK_FALSE(contains(help_of(Source::host_command_line), "--on-exit"));
    CHECK(contains(help_of(Source::efi_command_line), "--on-exit"));
    CHECK_FALSE(contains(help_of(Source::efi_command_line), "--perplexity"));
}
