// SPDX-License-Identifier: MIT
#include "core/date.h"

#include "core/fmt.h"
#include "core/status.h"

namespace axiom {

namespace {

constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr uint8_t kMonthDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

bool is_leap(uint32_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

uint32_t day_of_year(CalendarDate d) {
    uint32_t days = d.day;
    for (uint32_t m = 1; m < d.month; m++) days += kMonthDays[m - 1];
    return days + (d.month > 2 && is_leap(d.year) ? 1 : 0);
}

// 0 is Sunday; 1 January 1900 was a Monday.
uint32_t day_of_week(CalendarDate d) {
    const uint32_t y = d.year - 1900u;
    uint32_t leaps = 0;
    for (uint32_t year = 1900; year < d.year; year++) leaps += is_leap(year);
    return (y * 365 + leaps + day_of_year(d)) % 7;
}

void put_number(Writer& w, uint32_t value, uint32_t width, char padding) {
    char digits[12];
    Writer text(digits, sizeof digits);
    text.put(value);
    if (padding != '-') {
        for (size_t n = text.size(); n < width; n++) w.put(padding);
    }
    w.put(text.view());
}

// One conversion; false if it is not known. unpadded: %-d.
bool put_conversion(Writer& w, CalendarDate d, char conversion, bool unpadded) {
    const char zero = unpadded ? '-' : '0', blank = unpadded ? '-' : ' ';
    switch (conversion) {
        case 'Y':
            put_number(w, d.year, 4, zero);
            return true;
        case 'y':
            put_number(w, d.year % 100u, 2, zero);
            return true;
        case 'm':
            put_number(w, d.month, 2, zero);
            return true;
        case 'd':
            put_number(w, d.day, 2, zero);
            return true;
        case 'e':
            put_number(w, d.day, 2, blank);
            return true;
        case 'j':
            put_number(w, day_of_year(d), 3, zero);
            return true;
        case 'b':
        case 'h':
            w.put(kMonths[d.month - 1].substr(0, 3));
            return true;
        case 'B':
            w.put(kMonths[d.month - 1]);
            return true;
        case 'a':
            w.put(kDays[day_of_week(d)].substr(0, 3));
            return true;
        case 'A':
            w.put(kDays[day_of_week(d)]);
            return true;
        case 'F':
            return !unpadded && put_conversion(w, d, 'Y', false) &&
                   put_conversion(w.put('-'), d, 'm', false) &&
                   put_conversion(w.put('-'), d, 'd', false);
        case 'D':
            return !unpadded && put_conversion(w, d, 'm', false) &&
                   put_conversion(w.put('/'), d, 'd', false) &&
                   put_conversion(w.put('/'), d, 'y', false);
        case '%':
            w.put('%');
            return !unpadded;
        default:
            return false;
    }
}

bool put_date(Writer& w, CalendarDate date, std::string_view format) {
    for (size_t i = 0; i < format.size(); i++) {
        if (format[i] != '%') {
            w.put(format[i]);
            continue;
        }
        const bool unpadded = i + 1 < format.size() && format[i + 1] == '-';
        i += unpadded ? 2 : 1;
        if (i >= format.size() || !put_conversion(w, date, format[i], unpadded)) return false;
    }
    return !w.truncated();
}

// -1 unless all are digits.
int32_t digits(std::string_view text) {
    int32_t n = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return -1;
        n = 10 * n + (c - '0');
    }
    return n;
}

}  // namespace

CalendarDate parse_date(std::string_view text) {
    if (text.size() < 10 || text[4] != '-' || text[7] != '-') return {};
    if (text.size() > 10 && text[10] != 'T' && text[10] != ' ') return {};
    const int32_t year = digits(text.substr(0, 4)), month = digits(text.substr(5, 2)),
                  day = digits(text.substr(8, 2));
    if (year < 1900 || month < 1 || month > 12 || day < 1) return {};
    const bool leap_day = month == 2 && is_leap(uint32_t(year));
    if (day > kMonthDays[month - 1] + (leap_day ? 1 : 0)) return {};
    return {uint16_t(year), uint8_t(month), uint8_t(day)};
}

bool is_date_format(std::string_view format) {
    // The longest of everything: a Wednesday in September, in a year and a month of two digits.
    char buffer[kMaxDateBytes];
    Writer w(buffer, sizeof buffer);
    return put_date(w, {2026, 9, 30}, format);
}

size_t format_date(CalendarDate date, std::string_view format, std::span<char, kMaxDateBytes> out) {
    Writer w(out.data(), out.size());
    AXIOM_CHECK(date.known() && put_date(w, date, format));
    return w.size();
}

}  // namespace axiom
