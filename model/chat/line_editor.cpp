// SPDX-License-Identifier: MIT
#include "model/chat/line_editor.h"

#include <algorithm>
#include <cstring>

#include "core/fmt.h"
#include "core/status.h"
#include "core/text_width.h"

namespace axiom {
namespace {

constexpr uint8_t ctrl(char letter) {
    return uint8_t(letter - 'A' + 1);
}
constexpr uint8_t kEscape = 0x1b, kDelete = 0x7f, kBackspace = 0x08;

}  // namespace

LineEditor::LineEditor(const Setup& setup)
    : text_(setup.text.first(setup.text.size() / 2)),
      displaced_(setup.text.subspan(setup.text.size() / 2)),
      history_(setup.history),
      write_(setup.write),
      write_context_(setup.write_context) {}

void LineEditor::set_size(size_t n_columns, size_t n_rows) {
    n_columns_ = std::max(n_columns, kMinColumns);
    n_rows_ = std::max<size_t>(n_rows, 1);
}

void LineEditor::begin(std::string_view prompt) {
    prompt_ = prompt;
    n_ = cursor_ = n_displaced_ = 0;
    recalled_ = n_history_;
    escape_ = Escape::none;
    utf8_ = Utf8Stream();
    redraw();
}

void LineEditor::redraw() {
    first_row_ = 0;
    shown_ = {};
    refresh();
}

LineEditor::Event LineEditor::feed(uint8_t byte) {
    // Whatever came before an Escape, it begins anew.
    if (escape_ != Escape::none && byte != kEscape) {
        escape(byte);
        return Event::none;
    }
    if (byte < 0x20 || byte == kDelete) return control(byte);
    utf8_.put({reinterpret_cast<const char*>(&byte), 1},
              [&](std::string_view character) { insert(character); });
    return Event::none;
}

LineEditor::Event LineEditor::control(uint8_t byte) {
    switch (byte) {
        case '\r':
        case '\n':
            remember();
            finish("\n");
            return Event::line;
        case ctrl('C'):
            finish("^C\n");
            n_ = cursor_ = 0;
            return Event::cancelled;
        case ctrl('D'):
            if (n_ == 0) {
                finish("\n");
                return Event::end;
            }
            erase(cursor_, after(cursor_));
            break;
        case kDelete:
        case kBackspace:
            erase(before(cursor_), cursor_);
            break;
        case ctrl('A'):
            move(0);
            break;
        case ctrl('B'):
            move(before(cursor_));
            break;
        case ctrl('E'):
            move(n_);
            break;
        case ctrl('F'):
            move(after(cursor_));
            break;
        case ctrl('K'):
            erase(cursor_, n_);
            break;
        case ctrl('N'):
            recall(false);
            break;
        case ctrl('P'):
            recall(true);
            break;
        case ctrl('U'):
            erase(0, cursor_);
            break;
        case ctrl('W'):
            erase(word_before(cursor_), cursor_);
            break;
        case '\t':
            insert(" ");
            break;
        case kEscape:
            escape_ = Escape::begun;
            break;
        default:
            break;
    }
    return Event::none;
}

// CSI and SS3 sequences, as terminals of the VT family send them for keys.
void LineEditor::escape(uint8_t byte) {
    switch (escape_) {
        case Escape::begun:
            escape_ = byte == '[' ? Escape::csi : byte == 'O' ? Escape::ss3 : Escape::none;
            number_ = 0;
            return;
        case Escape::csi:
            if (byte >= '0' && byte <= '9') {
                number_ = std::min(number_ * 10 + (byte - '0'), 1000u);
                return;
            }
            // Of "1;5C" (with Ctrl held) only the last number is kept, and none of ours has two.
            if (byte == ';') number_ = 0;
            if (byte < 0x40) return;  // parameters and intermediates
            break;
        case Escape::ss3:
        case Escape::none:
            break;
    }
    escape_ = Escape::none;
    key(byte, number_);
}

void LineEditor::key(uint8_t final, unsigned number) {
    switch (final) {
        case 'A':
            return recall(true);
        case 'B':
            return recall(false);
        case 'C':
            return move(after(cursor_));
        case 'D':
            return move(before(cursor_));
        case 'H':
            return move(0);
        case 'F':
            return move(n_);
        case '~':
            if (number == 1 || number == 7) move(0);
            if (number == 3) erase(cursor_, after(cursor_));
            if (number == 4 || number == 8) move(n_);
            return;
        default:
            return;
    }
}

void LineEditor::insert(std::string_view character) {
    const uint32_t point = utf8_point(character);
    if (point >= 0x80 && point < 0xa0) return;  // control characters, too
    if (n_ + character.size() > text_.size()) return write("\a");
    const bool at_end = cursor_ == n_;
    memmove(&text_[cursor_] + character.size(), &text_[cursor_], n_ - cursor_);
    memcpy(&text_[cursor_], character.data(), character.size());
    n_ += character.size();
    cursor_ += character.size();
    const size_t width = columns_of(point);
    if (!at_end || width == 0 || shown_.column + width >= n_columns_) return refresh();
    write(character);  // the usual case costs a character, not a line
    shown_.column += width;
}

void LineEditor::erase(size_t from, size_t to) {
    if (from == to) return;
    memmove(&text_[from], text_.data() + to, n_ - to);
    n_ -= to - from;
    cursor_ = from;
    refresh();
}

void LineEditor::move(size_t to) {
    if (cursor_ == to) return;
    cursor_ = to;
    const Place place = place_of(cursor_);
    if (place.row < first_row_ || place.row >= first_row_ + n_rows_) return refresh();
    go({place.row - first_row_, place.column});
}

// ---- history -------------------------------------------------------------------------------

void LineEditor::recall(bool older) {
    const auto line_start = [&](size_t end) {  // of the line whose '\n' is at end - 1
        size_t at = end - 1;
        while (at > 0 && history_[at - 1] != '\n') at--;
        return at;
    };
    size_t to = recalled_;
    if (older) {
        if (recalled_ == 0) return;
        to = line_start(recalled_);
    } else {
        if (recalled_ == n_history_) return;
        while (history_[to++] != '\n') {
        }
    }
    if (recalled_ == n_history_) {
        memcpy(displaced_.data(), text_.data(), n_);
        n_displaced_ = n_;
    }
    recalled_ = to;
    if (to == n_history_) {
        n_ = n_displaced_;
        memcpy(text_.data(), displaced_.data(), n_);
    } else {
        const char* const begin = &history_[to];
        n_ = size_t(static_cast<const char*>(memchr(begin, '\n', n_history_ - to)) - begin);
        memcpy(text_.data(), begin, n_);
    }
    cursor_ = n_;
    refresh();
}

void LineEditor::remember() {
    const size_t n_bytes = n_ + 1;
    if (n_ == 0 || n_bytes > history_.size()) return;
    const bool is_last = n_history_ >= n_bytes &&
                         (n_history_ == n_bytes || history_[n_history_ - n_bytes - 1] == '\n') &&
                         memcmp(&history_[n_history_ - n_bytes], text_.data(), n_) == 0;
    if (is_last) return;
    while (n_history_ + n_bytes > history_.size()) {
        const auto* const end =
            static_cast<const char*>(memchr(history_.data(), '\n', n_history_)) + 1;
        const size_t n_oldest = size_t(end - history_.data());
        memmove(history_.data(), end, n_history_ - n_oldest);
        n_history_ -= n_oldest;
    }
    memcpy(history_.data() + n_history_, text_.data(), n_);
    history_[n_history_ + n_] = '\n';
    n_history_ += n_bytes;
}

// ---- where characters are ------------------------------------------------------------------

// Of the character at `at` without the marks that belong to it.
size_t LineEditor::width_at(size_t at, size_t* n_bytes) const {
    *n_bytes = utf8_length(uint8_t(text_[at]));
    return columns_of(utf8_point({&text_[at], *n_bytes}));
}

size_t LineEditor::before(size_t at) const {
    while (at > 0) {
        at--;
        size_t n_bytes;
        const bool leads = (uint8_t(text_[at]) & 0xc0) != 0x80;
        if (leads && width_at(at, &n_bytes) > 0) break;
    }
    return at;
}

size_t LineEditor::after(size_t at) const {
    size_t n_bytes;
    if (at == n_) return at;
    width_at(at, &n_bytes);
    at += n_bytes;
    while (at < n_ && width_at(at, &n_bytes) == 0) at += n_bytes;
    return at;
}

size_t LineEditor::word_before(size_t at) const {
    while (at > 0 && text_[at - 1] == ' ') at--;
    while (at > 0 && text_[at - 1] != ' ') at--;
    return at;
}

// Where the next character goes when one of that width is put at `from`, or behind it where it does
// not fit there any more.
LineEditor::Place LineEditor::next_place(Place from, size_t width) const {
    if (from.column + width > n_columns_) from = {from.row + 1, 0};
    from.column += width;
    return from.column == n_columns_ ? Place{from.row + 1, 0} : from;
}

LineEditor::Place LineEditor::place_of(size_t at) const {
    Place place;
    for (size_t i = 0; i < prompt_.size();) {
        const size_t n_bytes = utf8_length(uint8_t(prompt_[i]));
        place = next_place(place, columns_of(utf8_point(prompt_.substr(i, n_bytes))));
        i += n_bytes;
    }
    size_t n_bytes;
    for (size_t i = 0; i < at; i += n_bytes) {
        const size_t width = width_at(i, &n_bytes);
        place = next_place(place, width);
    }
    // A wide character that does not fit behind goes to the next row, and the cursor with it.
    if (at < n_ && place.column + width_at(at, &n_bytes) > n_columns_) place = {place.row + 1, 0};
    return place;
}

// ---- drawing -------------------------------------------------------------------------------

void LineEditor::go(Place to) {
    if (to.row < shown_.row) write(Text<24>("\x1b[", shown_.row - to.row, "A"));
    for (size_t row = shown_.row; row < to.row; row++) write("\n");
    if (to.row > shown_.row) shown_.column = 0;
    if (to.column < shown_.column) {
        write("\r");
        shown_.column = 0;
    }
    if (to.column > shown_.column) write(Text<24>("\x1b[", to.column - shown_.column, "C"));
    shown_ = to;
}

void LineEditor::refresh() {
    go({0, 0});
    write("\r\x1b[J");
    const size_t row = place_of(cursor_).row;
    if (row < first_row_) first_row_ = row;
    if (row >= first_row_ + n_rows_) first_row_ = row + 1 - n_rows_;
    draw_rows();
    const Place place = place_of(cursor_);
    go({place.row - first_row_, place.column});
}

void LineEditor::draw_rows() {
    Place place;  // of the next character
    if (first_row_ == 0) write(prompt_);
    for (size_t i = 0; i < prompt_.size();) {
        const size_t n_bytes = utf8_length(uint8_t(prompt_[i]));
        place = next_place(place, columns_of(utf8_point(prompt_.substr(i, n_bytes))));
        i += n_bytes;
    }
    const size_t last_row = first_row_ + n_rows_ - 1;
    size_t from = 0;  // what is not yet written begins here
    const auto put = [&](size_t to) {
        if (place.row >= first_row_) write({text_.data() + from, to - from});
        from = to;
    };
    const auto begin_row = [&](size_t i, Place next) {
        put(i);
        place = next;
        if (place.row > first_row_) write("\n");
    };
    for (size_t i = 0; i < n_;) {
        size_t n_bytes;
        const size_t width = width_at(i, &n_bytes);
        if (place.column + width > n_columns_) {
            if (place.row == last_row) return put(i), void(shown_ = {n_rows_ - 1, n_columns_});
            begin_row(i, {place.row + 1, 0});
        }
        const Place next = next_place(place, width);
        i += n_bytes;
        if (next.row != place.row) {
            // Marks of the last character in the row belong there, too.
            while (i < n_ && width_at(i, &n_bytes) == 0) i += n_bytes;
            if (place.row == last_row) return put(i), void(shown_ = {n_rows_ - 1, n_columns_});
            begin_row(i, next);
        } else {
            place = next;
        }
    }
    put(n_);
    shown_ = {place.row - first_row_, place.column};
}

void LineEditor::finish(std::string_view mark) {
    // The row after the last one that shows.
    cursor_ = n_;
    const Place place = place_of(n_);
    if (place.row >= first_row_ + n_rows_)
        refresh();
    else
        go({place.row - first_row_, place.column});
    // Behind a row that is full the next one has begun.
    const bool has_new_row = mark == "\n" && place.row > 0 && place.column == 0;
    if (!has_new_row) write(mark);
}

}  // namespace axiom
