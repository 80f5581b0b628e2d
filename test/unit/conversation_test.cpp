// SPDX-License-Identifier: MIT
// Conversations: what a turn reads again and what not, what can be typed, how answers are stopped, and
// what becomes of a full context. A turn's logits are those of its whole conversation read anew.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/chat/chat.h"
#include "packer/chat/derive.h"
#include "test/unit/machine.h"
#include "test/unit/streamed.h"
#include "test/unit/talk.h"

using namespace axiom;
using namespace axiom::test;
using nlohmann::json;

namespace {

using Words = std::vector<std::string_view>;

// Of every logits vector of a run: its hash, and the token that temperature 0 takes.
struct Step {
    uint64_t hash;
    TokenId token;
    bool operator==(const Step&) const = default;
};
using Steps = std::vector<Step>;

void note_step(void* steps, std::span<const float> logits) {
    const auto largest = std::max_element(logits.begin(), logits.end());
    static_cast<Steps*>(steps)->push_back({hash_of(logits), TokenId(largest - logits.begin())});
}

std::string bytes_of(const Model& model, const Steps& steps) {
    std::string text;
    char buffer[format::kMaxTokenBytes];
    for (const Step& step : steps) text += model.tokenizer.decode(step.token, buffer);
    return text;
}

// Types lines, "^C" being none.
struct Typist final : ChatTerminal {
    std::vector<std::string> lines;
    size_t n_typed = 0, n_pauses = 0;
    Steps* steps = nullptr;
    std::vector<size_t> n_steps;  // before each line
    uint32_t n_saved_turns = 0;

    Next next(std::string_view prompt, std::string_view* line) override {
        CHECK(prompt == "> ");
        if (n_pauses++ % 2 == 0) return Next::none_now;
        n_steps.push_back(steps->size());
        if (n_typed == lines.size()) return Next::end;
        *line = lines[n_typed++];
        return *line == "^C" ? Next::stop : Next::line;
    }
    std::string_view models() const override { return "the only one"; }
    Status save(const Record& record, std::string_view* where) override {
        n_saved_turns = record.n_turns;
        CHECK(record.logits_hash != 0);
        *where = "saved";
        return {};
    }
};

// A conversation with exactly the memory that it says it needs.
struct Chat {
    Status status;
    Record record;
    json j;
    std::string text, notes;
    std::vector<Steps> turns;  // what each line made the model compute
    Typist typist;

    Chat(const Weights& weights, Words words, std::vector<std::string> lines,
         size_t stop_at = ~size_t{0}, DiskReader* disk = nullptr) {
        words.insert(words.end(), {"--chat", "-q"});
        const Options options = options_of(words);
        const Result<MemoryNeed> need = memory_needed(weights, options, 1);
        INFO(need.status().text());
        REQUIRE(need.ok());
        TestMachine m(need.value().wanted);
        Steps steps;
        m.stop_at = stop_at;
        m.machine.disk = disk;
        m.machine.on_logits = note_step;
        m.machine.on_logits_context = &steps;
        m.machine.note = [](void* to, std::string_view t) {
            static_cast<std::string*>(to)->append(t);
        };
        m.machine.note_context = &notes;
        typist.lines = std::move(lines);
        typist.steps = &steps;
        status = chat(m.machine, weights, options, typist, &record);
        for (size_t i = 0; i < typist.n_steps.size(); i++) {
            const size_t end = i + 1 < typist.n_steps.size() ? typist.n_steps[i + 1] : steps.size();
            turns.emplace_back(steps.begin() + ptrdiff_t(typist.n_steps[i]),
                               steps.begin() + ptrdiff_t(end));
        }
        std::string line;
        print_json(
            record, [](void* to, std::string_view t) { static_cast<std::string*>(to)->append(t); },
            &line);
        j = json::parse(line);
        text = m.text;
    }
};

// The same conversation, which the model reads anew for each answer: of the template's text, without any
// of a conversation's code.
struct Anew {
    const Model& model;
    const Weights& weights;
    std::vector<std::pair<ChatRole, std::string>> messages;
    std::vector<TokenId> ids, known;  // of this turn's prompt; and what the turn before left known

    explicit Anew(const Model& m, std::string_view system = "") : Anew(m, m.weights, system) {}
    Anew(const Model& m, const Weights& w, std::string_view system) : model(m), weights(w) {
        add(ChatRole::system, system);
    }
    void add(ChatRole role, std::string_view content) { messages.emplace_back(role, content); }
    std::string text() const {
        const Result<ChatTemplate> chat = ChatTemplate::open("test.axm", 0, weights.chat);
        REQUIRE(chat.ok());
        std::vector<ChatMessage> views;
        for (const auto& [role, content] : messages) views.push_back({role, content});
        std::vector<Tokenizer::Segment> room(ChatText::max_segments(views.size()));
        ChatText segments(room);
        REQUIRE(chat.value().expand(views, {.default_system = false, .date = {}}, segments).ok());
        std::string all;
        for (const Tokenizer::Segment& s : segments.segments()) all += s.text;
        return all;
    }
    // What the model computes when this is said, and how many of the tokens it need not read.
    Steps hear(std::string_view message, std::string_view n, size_t* n_known) {
        add(ChatRole::user, message);
        const std::string prompt = text();
        ids.resize(4 * prompt.size() + 8);
        AlignedBytes scratch(Tokenizer::scratch_bytes(prompt.size()));
        const Tokenizer::Segment segment{prompt, Tokenizer::Specials::parse};
        const Result<size_t> n_ids =
            model.tokenizer.encode({&segment, 1}, true, ids, scratch.span());
        REQUIRE(n_ids.ok());
        ids.resize(n_ids.value());
        const size_t most = std::min(known.size(), ids.size() - 1);
        *n_known = size_t(
            std::mismatch(known.begin(), known.begin() + ptrdiff_t(most), ids.begin()).first -
            known.begin());

        const Options options = options_of({"-p", prompt, "--raw", "-n", n, "--isa", "scalar",
                                            "--draft", "off", "-c", "400", "-q"});
        const Result<MemoryNeed> need = memory_needed(model.weights, options, 1);
        REQUIRE(need.ok());
        TestMachine m(need.value().wanted);
        Steps steps;
        m.machine.on_logits = note_step;
        m.machine.on_logits_context = &steps;
        Record record;
        REQUIRE(generate(m.machine, model.weights, options, &record).ok());
        answered(steps);
        return steps;
    }
    void answered(const Steps& steps) {
        add(ChatRole::assistant, bytes_of(model, steps));
        known = ids;  // the last token of an answer has not been read
        for (size_t i = 0; i + 1 < steps.size(); i++) known.push_back(steps[i].token);
    }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

const std::vector<std::string> kLines = {"What is the capital of France?", "And?",
                                         "\xc3\xa9t\xc3\xa9 < >", "And the first again?"};

}  // namespace

TEST_CASE(
    "each turn computes what its conversation read anew computes, and reads only what is new") {
    const Model model;
    Anew anew(model, "Be brief.");
    std::vector<Steps> expected;
    std::vector<size_t> n_known(kLines.size()), n_prompt;
    for (size_t i = 0; i < kLines.size(); i++) {
        expected.push_back(anew.hear(kLines[i], "12", &n_known[i]));
        n_prompt.push_back(anew.ids.size() - n_known[i]);
    }
    const auto check = [&](const Chat& chat) {
        INFO(chat.status.text());
        REQUIRE(chat.status.ok());
        REQUIRE(chat.j["turns"].size() == kLines.size());
        size_t n_read = 0, n_all_known = 0;
        for (size_t i = 0; i < kLines.size(); i++) {
            INFO("turn " << i);
            CHECK(chat.turns[i] == expected[i]);
            const json& turn = chat.j["turns"][i];
            CHECK(turn["n_gen"] == expected[i].size());
            CHECK(turn["n_reused"] == n_known[i]);
            CHECK(turn["n_prompt"] == n_prompt[i]);
            n_read += n_prompt[i];
            n_all_known += n_known[i];
        }
        CHECK(chat.j["n_turns"] == kLines.size());
        CHECK(chat.j["n_prompt"] == n_read);
        CHECK(chat.j["n_reused"] == n_all_known);
    };
    // Later turns begin where the earlier ones ended, but for bytes that are no text.
    CHECK(n_known[0] == 0);
    for (size_t i = 1; i < kLines.size(); i++) CHECK(n_known[i] > 20);

    const Words common = {"-n", "12", "-c", "400", "-sys", "Be brief."};
    const auto with = [&](Words more) {
        more.insert(more.end(), common.begin(), common.end());
        return more;
    };
    const CpuFeatures features = decode_features(read_cpu_words());
    for (const KernelSet& set : kernel_sets(features)) {
        if (!set.usable) continue;
        INFO(set.kernels->name);
        check(Chat(model.weights, with({"--isa", set.kernels->name}), kLines));
    }
    for (const char* draft : {"lookup", "off"})
        check(Chat(model.weights, with({"--isa", "scalar", "--draft", draft, "-b", "7"}), kLines));
    const Frame frame(model.file.span());
    FakeDisk disk(model.file.span());
    check(Chat(frame.weights, with({"--isa", "scalar", "--resident-mib", "0"}), kLines, ~size_t{0},
               &disk));
}

TEST_CASE("where a template changes earlier turns, a turn is read from there on") {
    // The system message stands before the last user's message.
    const packer::DerivedChat derived = packer::derive_chat(
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] "
        "%}"
        "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}"
        "{%- endif %}{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
        "{%- if loop.last and system_message is defined %}{{- '[' + system_message + ': ' + "
        "message['content'] + ']' }}{%- else %}{{- '[' + message['content'] + ']' }}{%- endif %}"
        "{%- else %}{{- message['content'] + ';' }}{%- endif %}{%- endfor %}",
        {});
    INFO(derived.problem);
    REQUIRE(derived.problem.empty());
    const Model model;
    Weights weights = model.weights;
    weights.chat = derived.section;
    const std::vector<std::string> lines = {"abc", "def", "ghi"};
    const Chat chat(weights, {"-n", "6", "-c", "400", "--isa", "scalar", "-sys", "Be brief."},
                    lines);
    REQUIRE(chat.status.ok());
    Anew anew(model, weights, "Be brief.");
    for (size_t i = 0; i < lines.size(); i++) {
        INFO("turn " << i);
        size_t n_known;
        CHECK(chat.turns[i] == anew.hear(lines[i], "6", &n_known));
        CHECK(chat.j["turns"][i]["n_reused"] == n_known);
        // All up to the last answer's question.
        const std::string end = "[Be brief.: ";
        if (i > 0) CHECK(n_known < anew.ids.size() - end.size() - 3);
        if (i == 1) CHECK(n_known == 1);
    }
}

TEST_CASE("drafts change nothing of a conversation with draws, and the record counts all of it") {
    const Model model;
    const auto chat = [&](const char* draft) {
        return Chat(model.weights,
                    {"-n", "20", "-c", "400", "--temp", "1.2", "--top-k", "3", "--seed", "5",
                     "--ignore-eos", "--isa", "scalar", "--draft", draft},
                    {"abcabcabc", "abcabc", "/seed 6", "abc"});
    };
    const Chat plain = chat("off"), drafted = chat("lookup");
    CHECK(plain.text == drafted.text);
    CHECK(plain.j["logits_hash"] == drafted.j["logits_hash"]);
    CHECK(drafted.j["n_drafted"] > 0);
    CHECK(plain.j["n_gen"] == 60);
    CHECK(plain.j["n_decode"] == 57);
    CHECK(plain.j["samples_ns"].size() == 57);
    CHECK(plain.j["stop_reason"] == "length");
    CHECK(contains(plain.notes, "seed 6"));
}

TEST_CASE("an answer that is stopped stays as far as it came, and the conversation goes on") {
    const Model model;
    const Words words = {"-n", "12", "-c", "400", "--isa", "scalar", "--draft", "off"};
    // Three layers, so three boundaries a pass. The second answer's fourth pass is stopped.
    const Chat whole(model.weights, words, {"abc", "def", "ghi"});
    REQUIRE(whole.turns[0].size() == 12);
    const size_t stop_at = 3 * (1 + 11 + 1 + 3) + 1 + 4;  // and the polls between lines
    const Chat chat(model.weights, words, {"abc", "def", "ghi"}, stop_at);
    REQUIRE(chat.status.ok());
    CHECK(chat.j["status"] == "ok");
    const size_t n = chat.turns[1].size();
    REQUIRE(n > 0);
    REQUIRE(n < 12);
    CHECK(chat.j["turns"][1]["stop_reason"] == "interrupted");
    CHECK(chat.j["turns"][1]["n_gen"] == n);

    Anew anew(model);
    size_t n_known;
    CHECK(chat.turns[0] == anew.hear("abc", "12", &n_known));
    CHECK(chat.turns[1] == anew.hear("def", std::to_string(n), &n_known));
    CHECK(chat.turns[2] == anew.hear("ghi", "12", &n_known));
    CHECK(chat.j["turns"][2]["n_gen"] == chat.turns[2].size());
}

TEST_CASE("a message whose reading is stopped is forgotten") {
    const Model model;
    const Words words = {"-n", "4", "-c", "400", "--isa", "scalar", "--draft", "off", "-b", "8"};
    const std::string long_one(100, 'x');
    const Chat chat(model.weights, words, {long_one, "abc"}, 5);
    REQUIRE(chat.status.ok());
    CHECK(chat.turns[0].empty());
    CHECK(contains(chat.notes, "forgotten"));
    CHECK(chat.j["n_turns"] == 1);
    Anew anew(model);
    size_t n_known;
    CHECK(chat.turns[1] == anew.hear("abc", "4", &n_known));
}

TEST_CASE("commands change what follows, and are no messages") {
    const Model model;
    const Words words = {"-n", "6", "-c", "400", "--isa", "scalar", "-sys", "One."};
    const Chat chat(
        model.weights, words,
        {"/help",   "/system",      "abc",       "/stats", "/system Two.", "def",   "/temp hot",
         "/temp",   "/bogus x",     "/reset",    "ghi",    "/reset now",   "//x",   "",
         "/models", "/save-record", "/system -", "/reset", "jkl",          "/exit", "never"});
    REQUIRE(chat.status.ok());
    CHECK(chat.typist.n_typed == 20);
    for (const char* part :
         {"/save-record", "One.", "1 turns", "allowed a number from 0 to 100", "temperature 0.00",
          "found \"/bogus\"", "begins anew", "allowed nothing after it", "the only one", "saved"}) {
        INFO(part);
        CHECK(contains(chat.notes, part));
    }
    CHECK(chat.typist.n_saved_turns == 4);
    CHECK(chat.j["n_turns"] == 5);
    size_t n_known;
    Anew first(model, "One.");
    CHECK(chat.turns[2] == first.hear("abc", "6", &n_known));
    Anew second(model, "Two.");
    second.add(ChatRole::user, "abc");
    second.answered(chat.turns[2]);
    CHECK(chat.turns[5] == second.hear("def", "6", &n_known));
    Anew third(model, "Two.");
    CHECK(chat.turns[10] == third.hear("ghi", "6", &n_known));
    CHECK(chat.turns[12] == third.hear("/x", "6", &n_known));
    Anew fourth(model);
    CHECK(chat.turns[18] == fourth.hear("jkl", "6", &n_known));
    for (const size_t i : {0, 1, 3, 4, 6, 7, 8, 9, 11, 13, 14, 15, 16, 17})
        CHECK(chat.turns[i].empty());
}

TEST_CASE("a full context leaves the choice of what to forget") {
    const Model model;
    const Words words = {"-n", "8", "-c", "160", "--ignore-eos", "--isa", "scalar"};
    const std::string line(20, 'a');
    const Chat chat(model.weights, words,
                    {line, line, line, line, "/drop", "b", std::string(200, 'c'), "/reset", "d"});
    INFO(chat.notes);
    REQUIRE(chat.status.ok());
    CHECK(contains(chat.notes, "the context 160."));
    CHECK(contains(chat.notes, "turns are forgotten."));
    CHECK(chat.turns[3].empty());
    CHECK_FALSE(chat.turns[4].empty());  // the message that waited is answered
    CHECK_FALSE(chat.turns[5].empty());
    CHECK(chat.turns[6].empty());
    size_t n_known;
    Anew anew(model);
    CHECK(chat.turns[8] == anew.hear("d", "8", &n_known));
}

TEST_CASE("a message that is longer than the context is refused and forgotten") {
    const Model model;
    const Chat chat(model.weights, {"-n", "4", "-c", "96", "--isa", "scalar"},
                    {std::string(90, 'a'), std::string(9000, 'a'), "b"});
    INFO(chat.notes);
    REQUIRE(chat.status.ok());
    CHECK(contains(chat.notes, "the context 96: it is too long."));
    CHECK_FALSE(contains(chat.notes, "/drop"));
    size_t n_known;
    Anew anew(model);
    CHECK(chat.turns[2] == anew.hear("b", "4", &n_known));
}

TEST_CASE("an answer may be as long as the context, which then is full") {
    const Model model;
    const Chat chat(model.weights, {"-c", "64", "--ignore-eos", "--isa", "scalar"}, {"a", "b"});
    REQUIRE(chat.status.ok());
    CHECK(chat.j["turns"][0]["stop_reason"] == "context_full");
    CHECK(contains(chat.notes, "The context is full."));
    CHECK(chat.turns[1].empty());
}

TEST_CASE("-p is the first message, and two Ctrl-C in a row end a conversation") {
    const Model model;
    const Chat chat(model.weights, {"-p", "abc", "-n", "4", "-c", "400", "--isa", "scalar"},
                    {"^C", "def", "^C", "^C", "never"});
    REQUIRE(chat.status.ok());
    CHECK(chat.typist.n_typed == 4);
    CHECK(chat.j["n_turns"] == 2);
    CHECK(chat.j["status"] == "ok");
    CHECK(contains(chat.notes, "Ctrl-C once more"));
}

TEST_CASE("without a template texts go on one after another") {
    const Model model;
    const Chat chat(model.weights, {"--raw", "-n", "5", "-c", "400", "--isa", "scalar"},
                    {"abc", "def"});
    REQUIRE(chat.status.ok());
    const json& turns = chat.j["turns"];
    CHECK(turns[0]["n_prompt"] == 3);
    CHECK(turns[1]["n_reused"].get<size_t>() >= 3);
}
