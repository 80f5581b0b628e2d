// SPDX-License-Identifier: MIT
// A file of prompts: every byte is hostile. Lines count up, each is a request or an error that names
// it, and all that a request views lies in the file.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "model/report/prompts.h"

using namespace axiom;

namespace {

void require(bool good) {
    if (!good) abort();
}

// Texts must view into what was given: touching them is the check, under AddressSanitizer.
void touch(std::string_view text) {
    volatile char last = 0;
    for (const char c : text) last = c;
    (void)last;
}

void check(const Request& request) {
    if (!request.status.ok()) {
        require(request.status.code() == Code::bad_format ||
                request.status.code() == Code::bad_option);
        require(request.status.text().starts_with("p: line "));
        return;
    }
    const Options& o = request.options;
    require(o.n_predict <= 1u << 24 && o.temperature >= 0 && o.temperature <= 100);
    require(o.n_ctx == 77);
    touch(o.prompt);
    touch(o.system_prompt);
    touch(request.id.text);
    for (const std::string_view stop : request.all_stops()) {
        require(!stop.empty() && stop.size() <= kMaxStopBytes);
        touch(stop);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::vector<char> text(data, data + size);  // exactly sized, so that a read past it is seen
    Options defaults;
    defaults.n_ctx = 77;
    const uint64_t longest = PromptFile::longest_line({text.data(), text.size()});
    const size_t n_lines = size_t(std::count(text.begin(), text.end(), '\n')) + 1;
    PromptFile file("p", text, defaults);
    Request request;
    uint64_t line = 0;
    while (file.next(&request) == RequestSource::Next::request) {
        require(request.line > line && request.line <= n_lines);
        line = request.line;
        check(request);
        if (request.status.ok())
            require(request.options.prompt.size() + request.options.system_prompt.size() <=
                    longest);
    }
    return 0;
}
