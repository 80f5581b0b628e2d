// SPDX-License-Identifier: MIT
// Renders conversations with llama.cpp's own Jinja engine, for make_chat.py, which builds this
// against llama.cpp. Reads
// {"bos":..,"eos":..,"now":..,"cases":[{"messages":[..],"enable_thinking":.., "variables":{..}}]}
// from standard input, the template from the file named; writes a JSON list of texts.
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include <chat.h>
#include <log.h>

using json = nlohmann::ordered_json;

namespace {
time_t fixed_now = 0;
}

// strftime_now asks for the time of day, whatever the inputs say: everyone gets the fixed one.
extern "C" time_t time(time_t* out) noexcept {
    if (out != nullptr) *out = fixed_now;
    return fixed_now;
}

int main(int, char** argv) {
    common_log_pause(common_log_main());
    std::ifstream file(argv[1]);
    const std::string source{std::istreambuf_iterator<char>(file), {}};
    const json request = json::parse(std::cin);
    fixed_now = request["now"].get<time_t>();
    const auto templates =
        common_chat_templates_init(nullptr, source, request["bos"], request["eos"]);
    json texts = json::array();
    for (const json& c : request["cases"]) {
        common_chat_templates_inputs inputs;
        for (const json& m : c["messages"]) {
            common_chat_msg message;
            message.role = m["role"];
            message.content = m["content"];
            inputs.messages.push_back(message);
        }
        inputs.use_jinja = true;
        inputs.enable_thinking = c["enable_thinking"];
        for (const auto& [name, value] : c["variables"].items()) {
            inputs.chat_template_kwargs[name] = value.dump();
        }
        texts.push_back(common_chat_templates_apply(templates.get(), inputs).prompt);
    }
    std::cout << texts.dump() << "\n";
}
