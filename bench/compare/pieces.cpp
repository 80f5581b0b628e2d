// SPDX-License-Identifier: MIT
#include "bench/compare/pieces.h"

#include <algorithm>

namespace axiom::compare {
namespace {

constexpr std::string_view kRecordBegin = "{\"axiom\":";
// These bound how often a byte is looked at.
constexpr int kMaxDepth = 64, kMaxCut = 64;

// The length of the object that begins the text; 0: it does not end, or is no JSON object.
size_t object_length(std::string_view text, bool in_one_line) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (c == '\n' && (in_string || in_one_line)) return 0;
        if (in_string) {
            if (c == '\\') i++;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > kMaxDepth) return 0;
        } else if (c == '}' || c == ']') {
            if (--depth == 0) return i + 1;
        }
    }
    return 0;
}

// What is not closed was perhaps to be a record.
bool began_as_record(std::string_view text) {
    size_t i = 1;  // after the brace
    while (i < text.size() && (text[i] == ' ' || text[i] == '\r' || text[i] == '\n')) i++;
    for (const std::string_view name :
         {"\"build_commit\"", "\"axiom_", "\"program\"", "\"pass\""}) {
        if (text.substr(i, name.size()) == name) return true;
    }
    return false;
}

class Finder {
  public:
    Finder(std::string_view text, const std::function<void(const Piece&)>& found)
        : text_(text), found_(found) {}

    void run() {
        while (at_ < text_.size()) {
            const std::string_view line = line_at(at_);
            if (is_header(line)) {
                give(Piece::Kind::header, at_, line.size());
                in_table_ = true;
                go_to(at_ + line.size() + 1);
            } else if (in_table_ && !line.empty() && line.front() == '"') {
                give(Piece::Kind::row, at_, line.size());
                go_to(at_ + line.size() + 1);
            } else {
                line_of_objects(line.size());
            }
        }
    }

  private:
    std::string_view line_at(size_t at) const {
        return text_.substr(at, std::min(text_.find('\n', at), text_.size()) - at);
    }
    static bool is_header(std::string_view line) {
        return line.substr(0, 13) == "build_commit," && line.find("avg_ts") != line.npos;
    }
    void give(Piece::Kind kind, size_t begin, size_t n) {
        std::string_view text = text_.substr(begin, n);
        while (!text.empty() && (text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
        found_({kind, text, line_});
    }
    void go_to(size_t at) {
        at = std::min(at, text_.size());
        const std::string_view passed = text_.substr(at_, at - at_);
        line_ += size_t(std::count(passed.begin(), passed.end(), '\n'));
        at_ = at;
    }

    // The objects that begin in this line; goes on after the last of them.
    void line_of_objects(size_t n_line) {
        size_t end = at_ + n_line;
        bool at_begin = true;  // only blanks, brackets and whole objects so far
        int n_cut = 0;
        while (at_ < end) {
            const bool record = text_.substr(at_, kRecordBegin.size()) == kRecordBegin;
            if (record || (at_begin && text_[at_] == '{')) {
                const size_t n = object_length(text_.substr(at_), record);
                if (n != 0) {
                    in_table_ = false;
                    give(Piece::Kind::object, at_, n);
                    go_to(at_ + n);
                    end = at_ + line_at(at_).size();
                    at_begin = true;
                    continue;
                }
                // Another one may begin inside it: a line that was cut and one that goes on there.
                const size_t next = text_.substr(0, end).find(kRecordBegin, at_ + 1);
                if (record || began_as_record(text_.substr(at_)))
                    give(Piece::Kind::cut, at_, std::min(next, end) - at_);
                if (++n_cut > kMaxCut) break;
            }
            if (at_begin && !is_blank(text_[at_])) at_begin = false;
            if (at_begin) {
                at_++;
            } else {
                at_ = std::min(text_.substr(0, end).find(kRecordBegin, at_ + 1), end);
            }
        }
        go_to(end + 1);
    }
    static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == ',' || c == '[' || c == ']';
    }

    std::string_view text_;
    const std::function<void(const Piece&)>& found_;
    size_t at_ = 0, line_ = 1;
    bool in_table_ = false;  // rows of CSV follow
};

}  // namespace

void find_pieces(std::string_view text, const std::function<void(const Piece&)>& found) {
    Finder(text, found).run();
}

}  // namespace axiom::compare
