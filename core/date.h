// SPDX-License-Identifier: MIT
// Days of the calendar, and texts of them: strftime's conversions of days, in the C locale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace axiom {

struct CalendarDate {
    uint16_t year = 0;  // 1900 to 9999; 0: not known
    uint8_t month = 0;  // 1 to 12
    uint8_t day = 0;    // 1 to 31

    bool known() const { return year != 0; }
};

// From the start of an ISO 8601 text, "2026-02-01" or with a time after it; no date if it has none.
CalendarDate parse_date(std::string_view text);

// A format's text is at most this long.
constexpr size_t kMaxDateBytes = 64;

// Only text and %Y %y %m %d %e %b %h %B %a %A %j %F %D %%, with or without the - that leaves
// padding out, and never longer than kMaxDateBytes. Times of day are not known here.
bool is_date_format(std::string_view format);

// Writes `date` as `format` says; returns the bytes written. `format` is_date_format().
size_t format_date(CalendarDate date, std::string_view format, std::span<char, kMaxDateBytes> out);

}  // namespace axiom
