// SPDX-License-Identifier: MIT
// The interpreter of chat templates. The expected texts follow Jinja's documentation, with
// trim_blocks and lstrip_blocks on; llama.cpp's templates are rendered in chat_golden_test.cpp.
#include "packer/chat/jinja.h"

#include "test/unit/catch.h"

using namespace axiom::packer::jinja;

namespace {

Rendered run(std::string_view source) {
    std::string error;
    const Template t = Template::parse(source, &error);
    if (!error.empty()) return {{}, "parse: " + error, false};
    const Value message = make(
        Map{{{"role", make("user")}, {"content", make(" h\xc3\xa9! \n")}, {"n", {int64_t(3)}}}});
    const Map variables{{{"m", message},
                         {"l", make(List{make("a"), make("b"), make("c")})},
                         {"yes", {true}},
                         {"nothing", {None{}}},
                         {"text", make("one two")}}};
    int64_t work = 1 << 20;
    return t.render(
        variables, [](std::string_view format) { return "<" + std::string(format) + ">"; }, &work);
}
std::string text_of(std::string_view source) {
    const Rendered r = run(source);
    INFO(source << ": " << r.error);
    CHECK(r.error.empty());
    return r.text;
}
// The error names what it met.
void check_fails(std::string_view source, std::string_view what) {
    const Rendered r = run(source);
    INFO(source << ": " << r.text << " / " << r.error);
    CHECK(r.error.find(what) != std::string::npos);
}

}  // namespace

TEST_CASE("a template's text stands as it is but for the blanks that tags take") {
    CHECK(text_of("a\n{{ text }}\nb\n") == "a\none two\nb");
    CHECK(text_of("a\n  {% if yes %}\nb\n  {% endif %}\nc") == "a\nb\nc");
    CHECK(text_of("a {% if yes %} b {% endif %} c") == "a  b  c");
    CHECK(text_of("a {%- if yes -%} b {%- endif -%} c") == "abc");
    CHECK(text_of("a \n {{- text -}} \n b") == "aone twob");
    CHECK(text_of("  {%+ if yes %}x{% endif %}") == "  x");
    CHECK(text_of("{% if yes +%}\nx{% endif %}") == "\nx");
    CHECK(text_of("a\r\nb\rc") == "a\nb\nc");
    CHECK(text_of("a{# a comment %} #}\nb {#- x -#} c") == "abc");
    CHECK(text_of("x {{ '}}' }} { {{ {'a': {'b': 1}}['a']['b'] }}") == "x }} { 1");
    CHECK(text_of("{{ text }}  {% if yes %}x{% endif %}") == "one two  x");
}

TEST_CASE("operators of templates bind as in Jinja") {
    CHECK(text_of("{{ 1 + 2 * 3 - 4 // 3 }} {{ 7 % 4 }} {{ -7 // 2 }} {{ -7 % 4 }}") == "6 3 -4 1");
    CHECK(text_of("{{ 'a' + ' b ' | trim + 'c' }}") == "abc");
    CHECK(text_of("{{ 'a' ~ 1 ~ 2 * 3 }}") == "a16");
    CHECK(text_of("{{ -m.n + 1 }} {{ (1 + 2) * 3 }}") == "-2 9");
}

TEST_CASE("conditions of templates") {
    CHECK(text_of("{{ not yes or 1 == 1 and 2 > 1 }}") == "True");
    CHECK(text_of("{{ 'x' if nothing else 'y' if text == 'z' else 'w' }}") == "w");
    CHECK(text_of("{{ 'x' if false }}") == "");
    CHECK(text_of("{{ 'ne t' in text }} {{ 'a' not in l }} {{ 'role' in m }}") ==
          "True False True");
    CHECK(text_of("{{ missing is defined }} {{ m.n is not none }} {{ nothing is none }}") ==
          "False True True");
    CHECK(text_of("{{ text is string and m is mapping and l is iterable }}") == "True");
    CHECK(text_of("{{ 4 is divisibleby 2 }} {{ 3 is odd }} {{ text is equalto('x') }}") ==
          "True True False");
    CHECK(text_of("{{ missing or 'else' }} {{ '' or nothing }}") == "else None");
    CHECK(text_of("{% if missing %}a{% elif m.n == 3 %}b{% else %}c{% endif %}") == "b");
    CHECK(text_of("{% if not missing is defined %}a{% endif %}") == "a");
}

TEST_CASE("values of templates are taken apart as in Python") {
    CHECK(text_of("{{ l[0] }}{{ l[-1] }}{{ l[1:] | join }}{{ l[::-1] | join('-') }}") ==
          "acbcc-b-a");
    CHECK(text_of("{{ l[:-1] | join }} {{ text[4:] }} {{ m['content'][1:3] }}") ==
          "ab two h\xc3\xa9");
    CHECK(text_of("{{ l[9] is defined }} {{ m.none is defined }}") == "False False");
    CHECK(text_of("{{ m.content | length }} {{ l | length }} {{ m | count }}") == "6 3 3");
    CHECK(text_of("{% for k, v in m.items() %}{{ k }};{% endfor %}") == "role;content;n;");
    CHECK(text_of("{{ m.get('role') }} {{ m.get('x') }} {{ m.get('x', 'y') }}") == "user None y");
    CHECK(text_of("{{ range(3) | join }} {{ range(1, 3) | join }} {{ range(3, 0, -2) | join }}") ==
          "012 12 31");
    CHECK(text_of("{{ (1, 2)[1] }} {{ [] or 'empty' }} {{ {'a': 1} == {'a': 1} }}") ==
          "2 empty True");
}

TEST_CASE("methods and filters of templates") {
    CHECK(text_of("{{ 'xxaxbxx'.strip('x') }} {{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|") ==
          "axb a | a|");
    CHECK(text_of("{{ 'a</t>b</t>c'.split('</t>')[-1] }} {{ 'a,b,c'.split(',', 1)[1] }}") ==
          "c b,c");
    CHECK(text_of("{{ text.startswith('one') and text.endswith('two') }}") == "True");
    CHECK(text_of("{{ text.replace('o', '0') }} {{ 'aBc' | upper }}{{ 'aBc'.lower() }}") ==
          "0ne tw0 ABCabc");
    CHECK(text_of("{{ 'one two' | title }} {{ 'oNE' | capitalize }}") == "One Two One");
    CHECK(text_of("{{ missing | default('d') }}{{ '' | default('e', true) }}{{ '' | d('f') }}") ==
          "de");
    CHECK(text_of("{{ l | first }}{{ l | last }}{{ ', '.join(l) }}{{ l | reverse | join }}") ==
          "aca, b, ccba");
    CHECK(text_of(
              "{{ [m, {'role': 'x'}] | selectattr('role', 'equalto', 'user') | list | length }}") ==
          "1");
    CHECK(text_of("{{ [m] | rejectattr('role', 'equalto', 'user') | list | length }}") == "0");
    CHECK(text_of("{{ [m] | map(attribute='role') | join }}{{ [' a '] | map('trim') | join }}") ==
          "usera");
    CHECK(text_of("{% filter upper | trim %} ab {% endfilter %}") == "AB");
    CHECK(text_of("{{ 5 | string + '!' }}") == "5!");
    CHECK(text_of("{{ strftime_now('%Y') }}") == "<%Y>");
}

TEST_CASE("loops, assignments and macros of templates have Jinja's scopes") {
    CHECK(
        text_of("{% for x in l %}{{ loop.index }}{{ x }}{{ ',' if not loop.last }}{% endfor %}") ==
        "1a,2b,3c");
    CHECK(text_of("{% for x in l if x != 'b' %}{{ loop.index0 }}{{ loop.length }}{% endfor %}") ==
          "0212");
    CHECK(text_of("{% for x in [] %}a{% else %}none{% endfor %}") == "none");
    CHECK(text_of("{% for x in l %}{% if x == 'b' %}{% break %}{% endif %}{{ x }}{% endfor %}") ==
          "a");
    CHECK(
        text_of("{% for x in l %}{% if x == 'b' %}{% continue %}{% endif %}{{ x }}{% endfor %}") ==
        "ac");
    CHECK(text_of("{% for x in l %}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}") ==
          "b;ac;b;");
    CHECK(text_of("{% set x = 1 %}{% for y in l %}{% set x = 2 %}{% endfor %}{{ x }}") == "1");
    CHECK(text_of("{% if yes %}{% set x = 2 %}{% endif %}{{ x }}") == "2");
    CHECK(text_of("{% set n = namespace(x=1) %}{% for y in l %}{% set n.x = n.x + 1 %}{% endfor %}"
                  "{{ n.x }}") == "4");
    CHECK(text_of("{% set x %}a{{ text }}{% endset %}{{ x }}") == "aone two");
    CHECK(text_of("{% set a, b = [1, 2] %}{{ b }}{{ a }}") == "21");
    CHECK(text_of("{% macro f(a, b='x') %}{{ a }}{{ b }}{{ text }}{% endmacro %}{{ f(1) }} {{ f(1, "
                  "b=2) }}") == "1xone two 12one two");
    CHECK(text_of("{% set y = 1 %}{% for y in [2] %}{% macro g() %}{{ y }}{% endmacro %}{{ g() }}"
                  "{% endfor %}") == "1");
    CHECK(text_of("{% generation %}a{% endgeneration %}") == "a");
}

TEST_CASE("literals of templates") {
    CHECK(text_of("{{ 'a\\n\\t\\'\\\"\\\\\\x41\\u00e9' }}") == "a\n\t'\"\\A\xc3\xa9");
    CHECK(text_of("{{ 'a' 'b' \"c\" }}") == "abc");
    CHECK(text_of("{{ 'a\\d' }}") == "a\\d");
    CHECK(text_of("{{ true }} {{ False }} {{ none }} {{ missing }}{{ 12 }}") ==
          "True False None 12");
}

TEST_CASE("a template that refuses says so, with its own words") {
    const Rendered r = run("{{ raise_exception('System role not supported') }}");
    CHECK(r.raised);
    CHECK(r.error == "System role not supported");
    CHECK_FALSE(run("{{ nonsense() }}").raised);
}

TEST_CASE("what a template uses and is not known is an error by name, once it is reached") {
    CHECK(text_of("{% if false %}{{ text | tojson }}{{ text.format(1) }}{{ 1.5 }}{% endif %}x") ==
          "x");
    check_fails("{{ text | tojson }}", "filter tojson");
    check_fails("{{ text.format(1) }}", "method format");
    check_fails("{{ text is lower }}", "test lower");
    check_fails("{{ 1.5 }}", "fraction");
    check_fails("{{ nonsense(1) }}", "call of nonsense");
    check_fails("{{ missing.role }}", "undefined");
    check_fails("{{ text + 1 }}", "operator +");
    check_fails("{{ 1 / 0 }}", "operator /");
    check_fails("{{ l }}", "as text");
    check_fails("{{ cycler() }}", "call of cycler");
    check_fails("{% for x in nothing %}{% endfor %}", "loop");
    check_fails("{% for a, b in l %}{% endfor %}", "unpacking");
    check_fails("{% set text.x = 1 %}", "field of text");
    for (const auto& [source, what] :
         {std::pair<const char*, const char*>{"{% include 'x' %}", "include"},
          {"{% if yes %}", "endif missing"},
          {"{{ text ", "without an end"},
          {"{# text ", "without an end"},
          {"{{ 'text }}", "without an end"},
          {"{{ }}", "expression missing"},
          {"{{ 1 < 2 < 3 }}", "chain"},
          {"{% endif %}", "endif"},
          {"{{ a b }}", "does not end"},
          {"{{ $ }}", "character $"}}) {
        const Rendered r = run(source);
        INFO(source << ": " << r.error);
        CHECK(r.error.starts_with("parse: "));
        CHECK(r.error.find(what) != std::string::npos);
    }
}

TEST_CASE("a hostile template ends with an error, soon") {
    const auto repeated = [](std::string_view text, size_t n) {
        std::string out;
        for (size_t i = 0; i < n; i++) out += text;
        return out;
    };
    check_fails(repeated("{% if yes %}", 5000), "deep");
    check_fails("{{ " + repeated("(", 5000) + "x }}", "deep");
    check_fails("{{ " + repeated("not ", 5000) + "x }}", "deep");
    check_fails("{{ x" + repeated(" + x", 5000) + " }}", "deep");
    check_fails("{{ x" + repeated(" | trim", 5000) + " }}", "deep");
    check_fails("{{ x" + repeated(".a", 5000) + " }}", "deep");
    check_fails(repeated("{% filter trim %}", 500), "deep");
    check_fails(std::string(Template::kMaxBytes + 1, 'x'), "bytes");
    check_fails("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
                "work");
    check_fails(
        "{% set n = namespace(s='ab') %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor "
        "%}",
        "too");
    check_fails(
        "{% set n = namespace(s=[1]) %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor "
        "%}",
        "too");
    check_fails("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "macros");
    check_fails("{{ range(999999) | join }}", "too");
    check_fails("{% set s = '" + std::string(100000, 'x') + "' %}{% set l = [s" +
                    repeated(",s", 20000) + "] %}{{ l | length }}",
                "work");
    check_fails("{{ 9999999999999999999 }}", "number");
    check_fails("{{ 4000000000 * 4000000000 * 4 }}", "operator *");
    check_fails("{{ l[::0] | join }}", "step 0");
    CHECK(text_of("{{ l[-9:9:2] | join }}{{ l[9:-9:-1] | join }}") == "accba");
    CHECK(text_of("{{ l[999999999999:] | join }}{{ l[::999999999999] | join }}") == "a");
}
