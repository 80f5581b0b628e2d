// SPDX-License-Identifier: MIT
// How code reports what went wrong: Status/Result for anything that came from outside,
// panic() for a broken invariant of ours. There is no third style.
// Must not know: where messages are printed. The platform supplies panic_handler().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/fmt.h"

namespace axiom {

enum class Code : uint8_t {
    ok,
    bad_option,   // a command line or configuration value
    bad_format,   // bytes that are not what their format promises
    unsupported,  // well-formed, but something we do not do; always named
    not_found,    // a file, device or table that is not there
    no_memory,    // a need that exceeds what the machine has, with both numbers
    io,           // a device or file system failed
    interrupted,  // a person stopped it
};

// Outcome plus a message for people. The text lives inside (no allocation); longer ones are cut.
// [[nodiscard]]: an ignored error is a defect.
class [[nodiscard]] Status {
  public:
    static constexpr size_t kMaxText = 383;

    Status() = default;
    Status(Code code, std::string_view text);

    bool ok() const { return code_ == Code::ok; }
    Code code() const { return code_; }
    std::string_view text() const { return {text_, n_text_}; }

  private:
    Code code_ = Code::ok;
    uint16_t n_text_ = 0;
    char text_[kMaxText + 1] = {};
};

// Builds an error from parts: error(Code::no_memory, "needs ", n, " bytes").
// Parts are anything Writer::put() takes.
template <class... Parts>
Status error(Code code, const Parts&... parts) {
    char buffer[Status::kMaxText];
    Writer w(buffer, sizeof buffer);
    (w.put(parts), ...);
    return Status(code, w.view());
}

// The one form for hostile bytes: "FILE: FIELD at offset 0x48: found FOUND, allowed ALLOWED".
// Found and Allowed are anything Writer::put() takes.
template <class Found, class Allowed>
Status field_error(std::string_view file, std::string_view field, uint64_t offset,
                   const Found& found, const Allowed& allowed) {
    return error(Code::bad_format, file, ": ", field, " at offset ", Hex{offset}, ": found ", found,
                 ", allowed ", allowed);
}

// A value, or the Status that says why there is none. T must be default constructible.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}
    Result(const Status& status) : status_(status) {}

    bool ok() const { return status_.ok(); }
    const Status& status() const { return status_; }
    T& value() { return value_; }
    const T& value() const { return value_; }

  private:
    Status status_;
    T value_{};
};

// a*b and a+b in size_t; false if the true result does not fit. `out` is written only on success.
[[nodiscard]] inline bool checked_mul(uint64_t a, uint64_t b, uint64_t* out) {
    return !__builtin_mul_overflow(a, b, out);
}
[[nodiscard]] inline bool checked_add(uint64_t a, uint64_t b, uint64_t* out) {
    return !__builtin_add_overflow(a, b, out);
}

// A broken invariant of ours: never returns. Supplied by the platform (efi/, bench/, test/).
[[noreturn]] void panic_handler(const char* file, int line, const char* what);

}  // namespace axiom

#define AXIOM_PANIC(what) ::axiom::panic_handler(__FILE__, __LINE__, what)
#define AXIOM_CHECK(cond)                \
    do {                                 \
        if (!(cond)) AXIOM_PANIC(#cond); \
    } while (0)
