// SPDX-License-Identifier: MIT
// Fuzz target: the first byte picks argument list, axiom.conf or UEFI command line; the rest is its
// text. What is accepted must keep its ranges; what is refused must say why and change nothing.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/team.h"
#include "model/format/format.h"
#include "model/report/options.h"

using namespace axiom;

namespace {

void require(bool condition) {
    if (!condition) abort();
}

void check_ranges(const Options& o) {
    require(o.n_predict <= format::kMaxCtx && o.n_ctx <= format::kMaxCtx);
    require(o.n_threads <= Team::kMaxWorkers && o.n_batch <= 4096);
    require(o.temperature >= 0 && o.temperature <= 100);
    require(o.top_k <= format::kMaxVocab && o.repeat_last_n <= format::kMaxCtx);
    require(o.top_p >= 0 && o.top_p <= 1 && o.min_p >= 0 && o.min_p <= 1);
    require(o.repeat_penalty > 0 && o.repeat_penalty <= 100);
    require(o.on_exit == OnExit::by_place || o.on_exit == OnExit::shutdown ||
            o.on_exit == OnExit::reboot || o.on_exit == OnExit::halt);
}

// Texts must view into what was given: touching them is the check, under AddressSanitizer.
void touch(std::string_view text) {
    volatile char last = 0;
    for (const char c : text) last = c;
    (void)last;
}

void check(const Status& status, const Options& o) {
    if (!status.ok()) {
        require(status.code() == Code::bad_option && !status.text().empty());
        require(o.n_predict == 77);
        return;
    }
    check_ranges(o);
    for (const std::string_view text : {o.model, o.prompt, o.system_prompt, o.isa, o.json, o.logits,
                                        o.tokenize, o.tokenize_file, o.perplexity}) {
        touch(text);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const uint8_t mode = data[0];
    std::vector<char> text(data + 1, data + size);  // exactly sized, so that a read past it is seen
    Options options;
    options.n_predict = 77;
    if (mode % 3 == 0) {
        const Status s = parse_config("axiom.conf", text, &options);
        check(s, options);
        return 0;
    }
    std::string_view words[16];
    size_t n_words = 0;
    if (mode % 3 == 1) {
        const Result<size_t> n = split_command_line(text, words);
        if (!n.ok()) {
            require(!n.status().text().empty());
            return 0;
        }
        n_words = n.value();
    } else {  // words end at NUL, as argv's do
        const std::string_view all(text.data(), text.size());
        for (size_t at = 0; at < all.size() && n_words < 16;) {
            const size_t end = std::min(all.find('\0', at), all.size());
            words[n_words++] = all.substr(at, end - at);
            at = end + 1;
        }
    }
    const Source source = mode & 0x80 ? Source::efi_command_line : Source::host_command_line;
    const Status s = parse_arguments({words, n_words}, source, &options);
    check(s, options);
    return 0;
}
