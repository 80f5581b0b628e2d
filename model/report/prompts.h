// SPDX-License-Identifier: MIT
// Requests: prompts that are answered side by side, each with what of the options it says itself. They
// come from a source, at any time; the source of --prompts is a file with one on each line.
// Must not know: models, or how a request is answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/report/json_reader.h"
#include "model/report/options.h"

namespace axiom {

struct Request {
    static constexpr size_t kMaxStops = 8;

    uint64_t line = 0;  // where it comes from, counted from 1
    Status status;      // what is wrong with it: it is not run, and this is its answer
    JsonValue id;       // a string or a number, for whoever gets the answer; null: none
    Options options;
    std::string_view stops[kMaxStops];  // 1..kMaxStopBytes bytes each
    size_t n_stops = 0;

    std::span<const std::string_view> all_stops() const { return {stops, n_stops}; }
};

class RequestSource {
  public:
    enum class Next : uint8_t { request, none_now, none_ever };
    // Never waits. What the request views stays until the run has ended.
    virtual Next next(Request* request) = 0;
    // Asked between passes: whether nobody waits for the answer any more.
    virtual bool is_cancelled(const Request&) const { return false; }

  protected:
    ~RequestSource() = default;
};

// One request a line; empty lines count, but ask for nothing. A line that begins with a brace is a
// JSON object with the keys of kKeys (prompts.cpp), any other is a prompt as it stands.
class PromptFile final : public RequestSource {
  public:
    // Of a line, without its end. Longer ones are answered with an error.
    static constexpr size_t kMaxLineBytes = 1 << 20;

    // `name` for messages; `text` is written to, as JSON's escapes are replaced in place. Both
    // outlive the requests. What a line does not say is as in `defaults`.
    PromptFile(std::string_view name, std::span<char> text, const Options& defaults);

    Next next(Request* request) override;

    // Bytes of the longest line that is not too long, so of any text in it.
    static uint64_t longest_line(std::string_view text);

  private:
    std::string_view name_;
    std::span<char> rest_;
    const Options& defaults_;
    uint64_t n_lines_ = 0;
};

}  // namespace axiom
