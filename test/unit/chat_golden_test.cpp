// SPDX-License-Identifier: MIT
// Expansions against llama.cpp's Jinja renderings of the models' own templates
// (test/golden/chat/README.md says how they were made).
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/sha256.h"
#include "packer/chat/derive.h"
#include "packer/gguf.h"
#include "test/unit/read_file.h"
#include "test/unit/tokenizer_fixture.h"

using namespace axiom;
using json = nlohmann::ordered_json;  // conversations stand in the order of their renderings

namespace {

// Every template of llama.cpp's models/templates that belongs to a family that AXIOM runs, and
// those of the models of the tests.
const std::set<std::string> kCovered = {
    "Apriel-1.6-15b-Thinker-fixed",
    "Bielik-11B-v3.0-Instruct",
    "HuggingFaceTB-SmolLM3-3B",
    "MiMo-VL",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-QwQ-32B",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "Qwen3-Coder",
    "SmolLM2-135M-Instruct",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "fireworks-ai-llama-3-firefunction-v2",
    "google-gemma-2-2b-it",
    "ibm-granite-granite-3.3-2B-Instruct",
    "ibm-granite-granite-4.0",
    "ibm-granite-granite-4.1",
    "llama-cpp-deepseek-r1",
    "meetkai-functionary-medium-v3.1",
    "meetkai-functionary-medium-v3.2",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "microsoft-Phi-3.5-mini-instruct",
    "mistralai-Ministral-3-14B-Reasoning-2512",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "unsloth-Apriel-1.5",
    "unsloth-mistral-Devstral-Small-2507",
};

// Templates of other families that are not understood.
const std::set<std::string> kUnknown = {
    "ByteDance-Seed-OSS",
    "LFM2.5-Instruct",
    "NVIDIA-Nemotron-Nano-v2",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "tencent-Hy3",
};

std::string build_path(const std::string& name) {
    const char* directory = std::getenv("AXIOM_BUILD_DIR");
    return std::string(directory ? directory : "build") + "/" + name;
}

std::string sha256_of(std::string_view text) {
    std::string hex;
    for (const uint8_t byte : Sha256::of(text.data(), text.size()))
        hex += Text<4>(HexDigits{byte, 2}).view();
    return hex;
}

// As make_chat.py shortens what it writes: a long line becomes its length and hash.
std::string shortened(const std::string& text) {
    std::string out;
    for (size_t at = 0;;) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        out += line.size() <= 64
                   ? line
                   : "#" + std::to_string(line.size()) + ":" + sha256_of(line).substr(0, 16);
        if (end == text.size()) return out;
        out += '\n';
        at = end + 1;
    }
}

std::string template_of(const std::string& name, const json& entry) {
    if (!entry.contains("gguf")) return read_file(build_path("chat-templates/" + name + ".jinja"));
    const std::string path = build_path("models/" + entry["gguf"].get<std::string>());
    const std::string bytes = read_file(path);
    const auto file = gguf::File::parse(path, bytes_of(bytes));
    REQUIRE(file.ok());
    return std::string(file.value().string("tokenizer.chat_template", "").value());
}

// The derived data, opened.
struct Derived {
    Derived(std::string_view source, const packer::SpecialTexts& special)
        : derived(packer::derive_chat(source, special)) {
        INFO(derived.problem);
        REQUIRE(derived.problem.empty());
        const auto opened = ChatTemplate::open("chat.axm", 0, derived.section);
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        chat = opened.value();
    }
    packer::DerivedChat derived;
    ChatTemplate chat;
};

// A conversation of the golden file, expanded; everything is kept that the segments view into.
struct Expansion {
    Expansion(const ChatTemplate& chat, const json& conversation, const ChatStyle& style)
        : room(ChatText::max_segments(conversation.size())), text(room) {
        for (const json& m : conversation) contents.push_back(m["content"]);
        std::vector<ChatMessage> messages;
        for (size_t i = 0; i < contents.size(); i++) {
            const std::string role = conversation[i]["role"];
            messages.push_back({role == "system" ? ChatRole::system
                                : role == "user" ? ChatRole::user
                                                 : ChatRole::assistant,
                                contents[i]});
        }
        const Status s = chat.expand(messages, style, text);
        INFO(s.text());
        REQUIRE(s.ok());
        for (const auto& segment : text.segments()) whole += segment.text;
    }
    std::vector<std::string> contents;
    std::vector<Tokenizer::Segment> room;
    ChatText text;
    std::string whole;
};

json golden_file() {
    return json::parse(read_file("test/golden/chat/renderings.json"));
}

}  // namespace

TEST_CASE("conversations expand as llama.cpp renders them with the model's own template") {
    const json golden = golden_file();
    std::set<std::string> names;
    for (const auto& [name, entry] : golden["templates"].items()) names.insert(name);
    CHECK(names == kCovered);
    for (const auto& [name, entry] : golden["templates"].items()) {
        INFO(name);
        const std::string source = template_of(name, entry);
        REQUIRE(sha256_of(source) == entry["sha256"].get<std::string>());
        const Derived d(source, {entry["bos"], entry["eos"], false});
        CHECK(d.chat.source() == source);
        const bool switches = entry.contains("on") || entry.contains("off");
        CHECK(d.chat.can_switch_reasoning() == switches);
        for (const Reasoning reasoning : {Reasoning::by_template, Reasoning::on, Reasoning::off}) {
            if (reasoning != Reasoning::by_template && !switches) continue;
            const char* const kModes[] = {"default", "on", "off"};
            const char* mode = kModes[size_t(reasoning)];
            const json& texts = entry.contains(mode) ? entry[mode] : entry["default"];
            REQUIRE(texts.size() == golden["conversations"].size());
            size_t i = 0;
            for (const auto& [title, conversation] : golden["conversations"].items()) {
                INFO("reasoning " << mode << ": " << title);
                const ChatStyle style{reasoning, true,
                                      parse_date(golden["date"].get<std::string>())};
                CHECK(shortened(Expansion(d.chat, conversation, style).whole) ==
                      texts[i++].get<std::string>());
            }
        }
    }
}

TEST_CASE("of llama.cpp's other templates each is understood or said to be unknown") {
    std::set<std::string> unknown;
    size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(build_path("chat-templates"))) {
        const packer::DerivedChat d =
            packer::derive_chat(read_file(entry.path()), {"<s>", "</s>", false});
        if (!d.problem.empty()) unknown.insert(entry.path().stem());
        n++;
    }
    CHECK(n == 70);
    CHECK(unknown == kUnknown);
}

namespace {

// Segments are tokenized as one text, so only what spells a special token inside a message is read
// differently from the text as a whole.
void check_ids(const PackedTokenizer& packed, std::string_view source,
               const packer::SpecialTexts& special) {
    const Derived d(source, special);
    const json golden = golden_file();
    for (const auto& [title, conversation] : golden["conversations"].items()) {
        if (title == "text of all kinds") continue;  // spells special tokens on purpose
        INFO(title);
        const Expansion e(d.chat, conversation, {Reasoning::by_template, true, {2025, 4, 18}});
        CHECK(packed.encode(e.text.segments()) == packed.encode(e.whole));
    }
}

PackedTokenizer vocabulary(const std::string& name) {
    const std::string path = build_path(name);
    return PackedTokenizer(path, bytes_of(read_file(path)));
}

}  // namespace

TEST_CASE("an expansion in segments has the ids of the rendered text as a whole") {
    const auto named = [](const char* name) {
        return read_file(build_path("chat-templates/" + std::string(name) + ".jinja"));
    };
    const PackedTokenizer spm = vocabulary("vocab/llama-spm.gguf");
    for (const bool adds_bos : {false, true}) {
        const packer::SpecialTexts special{"<s>", "</s>", adds_bos};
        // Llama 2's way: text of a turn touches what was written, on both sides, across blanks.
        check_ids(spm,
                  "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + "
                  "m.content.strip() + ' [/INST]' }}{% elif m.role == 'assistant' %}{{ ' ' + "
                  "m.content.strip() + ' ' + eos_token }}{% else %}{{ raise_exception('x') }}"
                  "{% endif %}{% endfor %}",
                  special);
        check_ids(vocabulary("vocab/phi-3.gguf"), named("microsoft-Phi-3.5-mini-instruct"),
                  special);
        check_ids(vocabulary("vocab/tekken.gguf"), named("mistralai-Mistral-Nemo-Instruct-2407"),
                  special);
    }
    check_ids(vocabulary("vocab/gemma3.gguf"), named("google-gemma-2-2b-it"),
              {"<bos>", "<eos>", true});
    check_ids(vocabulary("vocab/llama-bpe.gguf"), named("meta-llama-Llama-3.2-3B-Instruct"),
              {"<|begin_of_text|>", "<|eot_id|>", true});
    check_ids(vocabulary("vocab/qwen3.gguf"), named("Qwen-Qwen3-0.6B"),
              {"<|endoftext|>", "<|im_end|>", false});
    check_ids(vocabulary("vocab/refact.gguf"), named("ibm-granite-granite-3.3-2B-Instruct"),
              {"<|endoftext|>", "<|endoftext|>", false});
    check_ids(vocabulary("models/default.gguf"), named("Qwen-Qwen2.5-7B-Instruct"),
              {"<|im_start|>", "<|im_end|>", false});
}
