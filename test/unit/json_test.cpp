// SPDX-License-Identifier: MIT
// JSON in and out, and the requests of a file of prompts.
#include <string>
#include <vector>

#include "model/report/json_reader.h"
#include "model/report/json_writer.h"
#include "model/report/prompts.h"
#include "test/unit/catch.h"

using namespace axiom;

namespace {

using Kind = JsonValue::Kind;

// An object as "name=value;...", items of lists after commas, or the error with its column.
std::string read(std::string text) {
    JsonReader reader(text);
    std::string out;
    const auto failed = [&](const Status& s) {
        return std::to_string(reader.column()) + ": " + std::string(s.text());
    };
    const auto shown = [](const JsonValue& v) {
        const char* const marks[] = {"null ", "bool ", "number ", "", "list"};
        return marks[size_t(v.kind)] + std::string(v.text);
    };
    if (Status s = reader.open(); !s.ok()) return failed(s);
    for (;;) {
        std::string_view name;
        JsonValue value;
        const Result<bool> any = reader.member(&name, &value);
        if (!any.ok()) return failed(any.status());
        if (!any.value()) return out;
        out += std::string(name) + "=" + shown(value);
        while (value.kind == Kind::list) {
            JsonValue item;
            const Result<bool> more = reader.item(&item);
            if (!more.ok()) return failed(more.status());
            if (!more.value()) break;
            out += "," + shown(item);
        }
        out += ";";
    }
}

struct Requests {
    Options defaults;
    std::string text;
    std::vector<Request> all;

    explicit Requests(std::string_view t) : text(t) {
        PromptFile file("p.jsonl", text, defaults);
        Request request;
        while (file.next(&request) == RequestSource::Next::request) all.push_back(request);
        CHECK(file.next(&request) == RequestSource::Next::none_ever);
    }
};

std::string error_of(std::string_view line) {
    const Requests requests(line);
    REQUIRE(requests.all.size() == 1);
    return std::string(requests.all[0].status.text());
}

}  // namespace

TEST_CASE("a JSON object is read with all kinds of values") {
    CHECK(read("{}").empty());
    CHECK(read(" \t{ } \r").empty());
    CHECK(read(R"({"a":"x","b":-1.5e+3,"c":true,"d":false,"e":null})") ==
          "a=x;b=number -1.5e+3;c=bool true;d=bool false;e=null null;");
    CHECK(read(R"({"a":0,"b":10,"c":-0.0E5})") == "a=number 0;b=number 10;c=number -0.0E5;");
    CHECK(read(R"({ "a" : [ "[" , 1 , null ] , "b" : [] , "c":["]"]})") ==
          "a=list,[,number 1,null null;b=list;c=list,];");
}

TEST_CASE("escapes in JSON strings become UTF-8, surrogates in pairs") {
    CHECK(read(R"({"\u0061\t":"\"\\\/\b\f\n\r\t"})") == "a\t=\"\\/\b\f\n\r\t;");
    CHECK(read(R"({"a":"\u00e9\u20AC\ud83d\ude00\u007f\uFFFF"})") ==
          "a=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\xef\xbf\xbf;");
    CHECK(read(R"({"a":"\u0000"})") == std::string("a=\0;", 4));
    CHECK(read("{\"a\":\"\xff\xc3\"}") == "a=\xff\xc3;");  // bytes are the tokenizer's matter
    for (const char* bad : {R"({"a":"\ud83d"})", R"({"a":"\ud83dx"})", R"({"a":"\ud83d\u0041"})",
                            R"({"a":"\ude00"})", R"({"a":"\u00g0"})", R"({"a":"\u12"})",
                            R"({"a":"\x41"})", R"({"a":"\U0041"})", R"({"a":"\)"}) {
        INFO(bad);
        const std::string error = read(bad);
        CHECK(error.starts_with("7: found"));
        CHECK(error.find("surrogates in pairs") != error.npos);
    }
}

TEST_CASE("what is no flat JSON object is refused with its column") {
    CHECK(read("") == "1: found the end, allowed a { that begins an object");
    CHECK(read("[1]") == "1: found \"[1]\", allowed a { that begins an object");
    CHECK(read("{") == "2: found the end, allowed a name in quotes");
    CHECK(read("{a:1}") == "2: found \"a:1}\", allowed a name in quotes");
    CHECK(read("{,}") == "2: found \",}\", allowed a name in quotes");
    CHECK(read(R"({"a"})") == "5: found \"}\", allowed a colon after the name");
    CHECK(read(R"({"a":1 "b":2})") ==
          "8: found \"\"b\":2}\", allowed a comma or a } that ends the object");
    CHECK(read(R"({"a":1,})") == "8: found \"}\", allowed a name in quotes");
    CHECK(read(R"({"a":1}x)") == "8: found \"x\", allowed nothing after the object");
    CHECK(read(R"({"a":"x)") == "8: found the end, allowed a quote that ends the string");
    CHECK(read("{\"a\":\"x\ty\"}").starts_with("8: found \"\\x09y\"}\", allowed no control"));
    CHECK(read(R"({"a":{}})").starts_with("6: found \"{}}\", allowed a string, a number"));
    CHECK(read(R"({"a":[[1]]})").starts_with("7: found \"[1]]}\", allowed a string, a number"));
    CHECK(read(R"({"a":[1,]})").starts_with("9: found \"]}\", allowed a string"));
    CHECK(read(R"({"a":[1 2]})") == "9: found \"2]}\", allowed a comma or a ] that ends the list");
    CHECK(read(R"({"a":[1)") == "8: found the end, allowed a comma or a ] that ends the list");
    CHECK(read(R"({"a":tru})") == "6: found \"tru}\", allowed true, false or null");
    for (const char* bad : {"-", "01", "1.", ".5", "+1", "1e", "1e+", "0x10", "-a", "NaN"}) {
        INFO(bad);
        CHECK(read(std::string("{\"a\":") + bad + "}").find(": found ") < 3);
    }
}

TEST_CASE("no prefix of a JSON object is one, and no changed byte breaks the reader") {
    const std::string whole =
        R"({"prompt":"a\"\u00e9\ud83d\ude00","n":-12.5e3,"stop":["x",null,true],"z":false})";
    REQUIRE(read(whole).ends_with("z=bool false;"));
    for (size_t n = 0; n < whole.size(); n++)
        CHECK(read(whole.substr(0, n)).find(": found ") != std::string::npos);
    for (size_t i = 0; i < whole.size(); i++) {
        for (int byte = 0; byte < 256; byte++) {
            std::string changed = whole;
            changed[i] = char(byte);
            read(changed);  // reading past the end is what the sanitizers look for
        }
    }
}

TEST_CASE("a JSON string may be written in parts that end inside a character") {
    std::string out;
    {
        JsonWriter writer([](void* c, std::string_view t) { *static_cast<std::string*>(c) += t; },
                          &out);
        writer.begin_string();
        for (const char c : std::string("a\"\xc3\xa9\n\xf0\x9f")) writer.string_part({&c, 1});
        writer.end_string();
    }
    CHECK(out == "\"a\\\"\xc3\xa9\\u000a\xef\xbf\xbd\"");
}

TEST_CASE("a file of prompts has one on each line, as text or as an object") {
    const Requests r(
        "\xEF\xBB\xBFplain \\n text\r\n"
        "\n \t\n"
        R"({"prompt":"two\nlines","id":"a","n":7,"seed":18446744073709551615,)"
        R"("temp":0.5,"stop":["x","yy"],"system":"s"})"
        "\n  leading blanks\n"
        R"( {"prompt":"","id":12.50,"stop":"z","n":-1})");
    REQUIRE(r.all.size() == 4);
    for (const Request& request : r.all) CHECK(request.status.ok());
    CHECK(r.all[0].line == 1);
    CHECK(r.all[0].options.prompt == "plain \\n text");
    CHECK(r.all[0].id.kind == Kind::null);
    CHECK(r.all[0].options.n_predict == r.defaults.n_predict);
    const Request& object = r.all[1];
    CHECK(object.line == 4);
    CHECK(object.options.prompt == "two\nlines");
    CHECK(object.id.kind == Kind::string);
    CHECK(object.id.text == "a");
    CHECK(object.options.n_predict == 7);
    CHECK(object.options.seed == ~uint64_t{0});
    CHECK(object.options.temperature == 0.5f);
    CHECK(object.options.system_prompt == "s");
    REQUIRE(object.n_stops == 2);
    CHECK(object.stops[1] == "yy");
    CHECK(r.all[2].line == 5);
    CHECK(r.all[2].options.prompt == "  leading blanks");
    CHECK(r.all[3].options.prompt.empty());
    CHECK(r.all[3].id.text == "12.50");
    CHECK(r.all[3].n_stops == 1);
    CHECK(r.all[3].options.n_predict == (1u << 24));
    CHECK(Requests("").all.empty());
    CHECK(Requests("\n\n \n").all.empty());
}

TEST_CASE("a bad line of a file of prompts names line and column, and the others go on") {
    CHECK(error_of(R"({"prompt":"x","foo":1})") ==
          "p.jsonl: line 1, column 15: found the key \"foo\", allowed prompt, system, id, n, seed, "
          "temp, stop");
    CHECK(error_of(R"({"n":1})") ==
          "p.jsonl: line 1, column 2: found no prompt, allowed objects with one");
    CHECK(error_of(R"({"prompt":1})") ==
          "p.jsonl: line 1, column 2: prompt: found 1, allowed a string");
    CHECK(error_of(R"({"prompt":"","prompt":""})") ==
          "p.jsonl: line 1, column 14: found prompt twice, allowed each key once");
    CHECK(error_of(R"({"prompt":"","id":[]})") ==
          "p.jsonl: line 1, column 14: id: found a list, allowed a string or a number");
    CHECK(error_of(R"({"prompt":"","n":1.5})") ==
          "p.jsonl: line 1, column 14: option n: found \"1.5\", allowed a whole number from 0 to "
          "16777216, or -1");
    CHECK(error_of(R"({"prompt":"","temp":101})")
              .find("option temp: found \"101\", allowed a "
                    "number from 0 to 100") != std::string::npos);
    CHECK(error_of(R"({"prompt":"","temp":"1"})").ends_with("found a string, allowed a number"));
    CHECK(error_of(R"({"prompt":"","seed":-1})").find("seed") != std::string::npos);
    CHECK(error_of(R"({"prompt":"","stop":""})")
              .ends_with("of 0 bytes, allowed strings of 1 to 128"));
    CHECK(error_of(R"({"prompt":"","stop":[1]})").find("line 1, column 22: stop: found 1") !=
          std::string::npos);
    CHECK(error_of("{\"prompt\":\"\",\"stop\":\"" + std::string(129, 'x') + "\"}")
              .find("of 129 bytes") != std::string::npos);
    CHECK(error_of(R"({"prompt":"","stop":["1","2","3","4","5","6","7","8","9"]})")
              .ends_with("allowed at most 8"));
    const Requests r("one\n{\"prompt\":\ntwo\n");
    REQUIRE(r.all.size() == 3);
    CHECK(
        r.all[1].status.text() ==
        "p.jsonl: line 2, column 11: found the end, allowed a string, a number, true, false, null "
        "or a list of these");
    CHECK(r.all[2].status.ok());
    CHECK(r.all[2].line == 3);
}

TEST_CASE("a line that is too long is an error of that line, and needs no memory") {
    const std::string text = "short\n" + std::string(PromptFile::kMaxLineBytes + 1, 'x') +
                             "\n{\"prompt\":\"in between\"}\n";
    CHECK(PromptFile::longest_line(text) == 23);
    const Requests r(text);
    REQUIRE(r.all.size() == 3);
    CHECK(r.all[1].status.text() ==
          "p.jsonl: line 2: found 1048577 bytes, allowed at most 1048576");
    CHECK(r.all[2].status.ok());
}
