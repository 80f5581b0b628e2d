// SPDX-License-Identifier: MIT
// The comparison as one page that fetches nothing and runs nothing: a plot of every run, drawn here as
// SVG, the table, what has to be known, and every raw figure.
#include <algorithm>
#include <cstdio>

#include "bench/compare/print.h"

namespace axiom::compare {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #59636d; --line: #d8dde2; --bg: #fff;
        --base: #59636d; --other: #1d5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --dim: #a4aeb8; --line: #343a41;
        --bg: #15181c; --base: #a4aeb8; --other: #6aa9ee; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--bg);
       max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .3rem; }
p, li { color: var(--dim); } ul { padding-left: 1.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--dim); font-size: .85rem; }
th, td { padding: .2rem .6rem; white-space: nowrap; border-top: 1px solid var(--line); }
td.num, th.num { text-align: right; }
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg line { stroke: var(--line); }
svg .median { stroke: var(--ink); stroke-width: 2; }
svg .base { fill: var(--base); } svg .other { fill: var(--other); }
@media print { body { margin: 0; max-width: none; font-size: 10px; } h2, svg { break-inside: avoid; } }
)";

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '&':
                out += "&amp;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += static_cast<unsigned char>(c) < 32 && c != '\n' ? '?' : c;
        }
    }
    return out;
}

std::string number(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", v);
    return text;
}

// What fits left of the axis; the table has it in full. Bytes of UTF-8 that begin a character are not
// cut from those that go on.
std::string shortened(const std::string& name) {
    constexpr size_t kMost = 44;
    if (name.size() <= kMost) return name;
    size_t n = kMost;
    while (n > 0 && (static_cast<unsigned char>(name[n]) & 0xc0) == 0x80) n--;
    return name.substr(0, n) + "...";
}

// Tokens per second of every run, a line for each side; the axis begins at 0.
class Plot {
  public:
    explicit Plot(const std::vector<const Row*>& rows) : rows_(rows) {
        for (const Row* row : rows) {
            for (const double ts : row->group.speeds()) most_ = std::max(most_, ts);
        }
    }
    std::string svg(const Side* baseline) const {
        const double height = kLine * double(rows_.size()) + 24;
        std::string out = "<svg viewBox=\"0 0 900 " + number(height) +
                          "\" role=\"img\" aria-label=\"tokens per second of every run\">";
        for (int i = 0; i <= 4; i++) {
            const double v = most_ * i / 4;
            out += line("", x(v), 0, x(v), height - 20);
            out += "<text text-anchor=\"middle\" x=\"" + number(x(v)) + "\" y=\"" +
                   number(height - 6) + "\">" + number(v) + "</text>";
        }
        for (size_t i = 0; i < rows_.size(); i++) {
            const Group& group = rows_[i]->group;
            const double y = kLine * (double(i) + 0.5);
            out += "<text x=\"0\" y=\"" + number(y + 4) + "\">" +
                   escaped(shortened(group.side->name)) + "</text>";
            for (const double ts : group.speeds())
                out += "<circle class=\"" + std::string(group.side == baseline ? "base" : "other") +
                       "\" cx=\"" + number(x(ts)) + "\" cy=\"" + number(y) +
                       "\" r=\"4\" fill-opacity=\".6\"><title>" + escaped(group.side->name) + ": " +
                       number(ts) + " tokens/s</title></circle>";
            const double middle = x(median(group.speeds()));
            out += line("median", middle, y - 9, middle, y + 9);
        }
        return out + "</svg>\n";
    }

  private:
    static constexpr double kLeft = 300, kRight = 870, kLine = 26;
    double x(double ts) const { return kLeft + (kRight - kLeft) * ts / most_; }
    static std::string line(const char* name, double x1, double y1, double x2, double y2) {
        return "<line class=\"" + std::string(name) + "\" x1=\"" + number(x1) + "\" y1=\"" +
               number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) + "\"/>";
    }

    const std::vector<const Row*>& rows_;
    double most_ = 0;
};

std::string plots(const Comparison& c) {
    std::string out;
    for (size_t i = 0; i < c.rows.size();) {
        std::vector<const Row*> rows = {&c.rows[i++]};
        while (i < c.rows.size() && c.rows[i].pair) rows.push_back(&c.rows[i++]);
        const Run& run = rows[0]->group.first();
        out += "<h2>" + escaped(run.model.name()) + ", " + escaped(run.test.name()) +
               ", threads: " + std::to_string(run.n_threads) + "</h2>\n" +
               Plot(rows).svg(c.baseline);
    }
    return out;
}

std::string html_table(const Table& table) {
    std::string out = "<div class=\"wide\" tabindex=\"0\"><table><tr>";
    const auto cell = [&](const char* tag, size_t column, const std::string& text) {
        out += "<" + std::string(tag) + (table.is_number(column) ? " class=\"num\">" : ">") +
               escaped(text) + "</" + tag + ">";
    };
    for (size_t i = 0; i < table.headings.size(); i++) cell("th", i, table.headings[i]);
    out += "</tr>\n";
    for (const auto& line : table.lines) {
        out += "<tr>";
        for (size_t i = 0; i < line.size(); i++) cell("td", i, line[i]);
        out += "</tr>\n";
    }
    return out + "</table></div>\n";
}

std::string raw_figures(const Comparison& c) {
    Table table;
    table.headings = {"model", "test", "threads", "side", "from", "tokens/s", "repetitions"};
    for (const Row& row : c.rows) {
        for (const Run* run : row.group.runs) {
            std::string repetitions;
            for (const double ts : run->repetitions)
                repetitions += (repetitions.empty() ? "" : " ") + number(ts);
            table.lines.push_back({run->model.name(), run->test.name(),
                                   std::to_string(run->n_threads), row.group.side->name, run->where,
                                   number(run->ts), repetitions});
        }
    }
    return "<details><summary>Every run</summary>\n" + html_table(table) + "</details>\n";
}

std::string list(const std::vector<std::string>& lines) {
    std::string out = "<ul>\n";
    for (const std::string& text : lines) out += "<li>" + escaped(text) + "</li>\n";
    return out + "</ul>\n";
}

}  // namespace

std::string html_page(const Results& r) {
    return "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
           "<meta name=\"viewport\" "
           "content=\"width=device-width\"><title>axiom-compare</title><style>" +
           std::string(kStyle) + "</style></head><body><main>\n<h1>Measurements compared</h1>\n" +
           list(sources(r)) + list(remarks(r)) + "<h2>What is shown</h2>\n" +
           html_table(table_of(r.comparison)) + "<p>" + escaped(legend(r.comparison)) +
           "</p>\n<p>Dots: one run each, in tokens per second; the stroke is the median.</p>\n" +
           plots(r.comparison) + raw_figures(r.comparison) + "</main></body></html>\n";
}

}  // namespace axiom::compare
