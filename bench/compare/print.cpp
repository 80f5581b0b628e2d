// SPDX-License-Identifier: MIT
#include "bench/compare/print.h"

#include <algorithm>
#include <cmath>

#include "bench/compare/fields.h"

namespace axiom::compare {
namespace {

using Cells = std::vector<std::string>;

constexpr size_t kFirstNumber = 4;  // of table_of()'s columns
constexpr size_t kMostLayers = 8;   // for people; JSON and the page have all

std::string verdict(const Pair& pair) {
    if (!pair.differs) return "~";
    return pair.ratio < 1 ? "slower" : "faster";
}

std::string joined(const std::vector<std::string>& parts) {
    std::string out;
    for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
    return out;
}

Cells headings(const Comparison& c) {
    return {"model",    "test",  "threads",
            "side",     "runs",  "tokens/s",
            "min..max", "ratio", format("%g %%", c.confidence * 100),
            "p",        ""};
}
std::string where_from(const Side& side) {
    std::string out = side.name + ": " + side.file + ", " + side.program;
    if (!side.backend.empty()) out += " " + side.backend;
    if (!side.build.empty()) out += ", build " + side.build;
    if (!side.disturb.empty()) out += ", disturbed: " + side.disturb;
    if (!side.runs.empty()) out += ", " + side.runs.front().machine;
    return plain(out);
}

Json to_json(const Pair& pair) {
    return {{"baseline_side", pair.base.side->name},
            {"ratio", pair.ratio},
            {"ratio_low", number_or_null(pair.interval.low)},
            {"ratio_high", number_or_null(pair.interval.high)},
            {"u", pair.test.u},
            {"p", pair.test.p},
            {"exact", pair.test.exact},
            {"verdict", verdict(pair)},
            {"too_few", pair.too_few},
            {"unfair", pair.unfair}};
}

Json to_json(const Group& group, double confidence) {
    const Run& run = group.first();
    const Values speeds = group.speeds();
    const Interval of_median = quantile_interval(speeds, 0.5, confidence);
    Json runs = Json::array();
    for (const Run* of : group.runs)
        runs.push_back({{"where", of->where},
                        {"ts", of->ts},
                        {"repetitions", of->repetitions},
                        {"logits_hash", of->logits_hash}});
    return {{"side", group.side->name},
            {"model", run.model.name()},
            {"test", run.test.name()},
            {"n_threads", run.n_threads},
            {"machine", run.machine},
            {"n_runs", speeds.size()},
            {"median_ts", median(speeds)},
            {"median_low", number_or_null(of_median.low)},
            {"median_high", number_or_null(of_median.high)},
            {"p25_ts", quantile(speeds, 0.25)},
            {"p75_ts", quantile(speeds, 0.75)},
            {"min_ts", quantile(speeds, 0)},
            {"max_ts", quantile(speeds, 1)},
            {"runs", std::move(runs)}};
}

std::string csv_cell(const std::string& text) {
    std::string out = "\"";
    for (const char c : plain(text)) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + "\"";
}

std::string text_of_table(const Table& table) {
    std::vector<Cells> lines = table.lines;
    lines.insert(lines.begin(), table.headings);
    std::vector<size_t> widths(lines[0].size());
    for (const Cells& cells : lines) {
        for (size_t i = 0; i < cells.size(); i++) widths[i] = std::max(widths[i], cells[i].size());
    }
    std::string out;
    for (const Cells& cells : lines) {
        std::string line;
        for (size_t i = 0; i < cells.size(); i++) {
            const std::string blanks(widths[i] - cells[i].size(), ' ');
            const bool right = table.is_number(i);
            line += (i == 0 ? "" : "  ") + (right ? blanks + cells[i] : cells[i] + blanks);
        }
        out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return out;
}

std::string markdown_of_table(const Table& table) {
    const auto line = [](const Cells& cells) {
        std::string out = "|";
        for (const std::string& cell : cells) {
            out += ' ';
            for (const char c : cell) {
                if (c == '|' || c == '\\') out += '\\';
                out += c;
            }
            out += " |";
        }
        return out + "\n";
    };
    std::string out = line(table.headings) + "|";
    for (size_t i = 0; i < table.headings.size(); i++) out += table.is_number(i) ? "---:|" : "---|";
    out += "\n";
    for (const Cells& cells : table.lines) out += line(cells);
    return out;
}

}  // namespace

std::string plain(std::string text) {
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
    }
    return text;
}

std::string format(const char* how, double v) {
    char text[64];
    std::snprintf(text, sizeof text, how, v);
    return text;
}

std::string rate(double v) {
    return format(v >= 1000 ? "%.0f" : v >= 100 ? "%.1f" : v >= 1 ? "%.2f" : "%.3g", v);
}

std::string range(const Interval& interval) {
    return (interval.low ? format("%.3f", *interval.low) : "?") + ".." +
           (interval.high ? format("%.3f", *interval.high) : "?");
}

std::string probability(double p) {
    return p < 1e-4 ? "<0.0001" : format("%.4f", p);
}

Json number_or_null(const std::optional<double>& v) {
    return v ? Json(*v) : Json();
}

Table table_of(const Comparison& c) {
    Table out{headings(c), {}, kFirstNumber};
    const Run* before = nullptr;
    for (const Row& row : c.rows) {
        const Run& run = row.group.first();
        const Values speeds = row.group.speeds();
        const auto [least, most] = std::minmax_element(speeds.begin(), speeds.end());
        const bool goes_on = before != nullptr && row.pair.has_value();
        before = &run;
        Cells cells = {goes_on ? "" : run.model.name(),
                       goes_on ? "" : run.test.name(),
                       goes_on ? "" : std::to_string(run.n_threads),
                       row.group.side->name,
                       std::to_string(speeds.size()),
                       rate(median(speeds)),
                       rate(*least) + ".." + rate(*most)};
        if (row.pair) {
            const Pair& pair = *row.pair;
            cells.insert(cells.end(), {format("%.3f", pair.ratio), range(pair.interval),
                                       probability(pair.test.p),
                                       verdict(pair) + (pair.unfair.empty() ? "" : ", UNFAIR")});
        } else {
            cells.insert(cells.end(), {"", "", "", row.group.side == c.baseline ? "baseline" : ""});
        }
        for (std::string& cell : cells) cell = plain(cell);
        out.lines.push_back(std::move(cells));
    }
    return out;
}

std::vector<std::string> sources(const Results& r) {
    std::vector<std::string> out;
    for (const Side& side : r.input.sides) out.push_back(where_from(side));
    return out;
}

std::vector<std::string> remarks(const Results& r) {
    std::vector<std::string> out;
    const Comparison& c = r.comparison;
    for (const std::string& text : c.loud) out.push_back("OTHER LOGITS: " + text);
    size_t n_pairs = 0, n_few = 0;
    for (const Row& row : c.rows) {
        if (!row.pair) continue;
        n_pairs++;
        n_few += row.pair->too_few;
        if (!row.pair->unfair.empty())
            out.push_back("UNFAIR: " + row.pair->other.side->name + ", " +
                          row.pair->other.first().test.name() + ": other " +
                          joined(row.pair->unfair));
    }
    for (const Pair& pair : c.refused)
        out.push_back("refused: " + pair.base.side->name + ", " + pair.base.first().model.name() +
                      ", " + pair.base.first().test.name() + " beside " + pair.other.side->name +
                      ": other " + joined(pair.unfair) + "; --force compares them");
    if (n_few != 0) {
        const std::string least = std::to_string(fewest_values(c.confidence));
        out.push_back("too few runs: " + std::to_string(n_few) + " of " + std::to_string(n_pairs) +
                      " pairs could show no difference, whatever it is; " + least +
                      " runs of each side can (repetitions inside a run do not count)");
    }
    for (const Side& side : r.input.sides) {
        const bool compared = std::any_of(
            r.layers.begin(), r.layers.end(),
            [&](const LayerPair& p) { return p.base.side == &side || p.other.side == &side; });
        if (!side.traces.empty() && r.input.sides.size() > 1 && !compared)
            out.push_back("traces of " + side.name +
                          ": no other has passes of the same weights, test, threads and rows");
    }
    for (const std::string& text : r.input.notes) out.push_back(text);
    for (std::string& text : out) text = plain(text);
    return out;
}

std::string legend(const Comparison& c) {
    return "ratio: of the baseline's tokens/s, the median of all ratios of two runs; " +
           format("%g %%", c.confidence * 100) +
           ": its interval, by inverting the U test; p: Mann-Whitney U, two-sided; ~: no "
           "difference "
           "shown. A run is one value, whatever its repetitions.";
}

std::string text_table(const Results& r) {
    std::string out;
    for (const std::string& text : sources(r)) out += text + "\n";
    if (!r.comparison.rows.empty())
        out += "\n" + text_of_table(table_of(r.comparison)) + "\n" + legend(r.comparison) + "\n";
    for (const LayerPair& pair : r.layers)
        out += "\n" + plain(title_of(pair)) + "\n" +
               text_of_table(table_of(pair, r.comparison.confidence, kMostLayers)) + legend(pair) +
               "\n";
    for (const std::string& text : remarks(r)) out += text + "\n";
    return out;
}

std::string markdown_table(const Results& r) {
    std::string out;
    if (!r.comparison.rows.empty())
        out += markdown_of_table(table_of(r.comparison)) + "\n" + legend(r.comparison) + "\n\n";
    for (const LayerPair& pair : r.layers)
        out += plain(title_of(pair)) + "\n\n" +
               markdown_of_table(table_of(pair, r.comparison.confidence, kMostLayers)) + "\n" +
               legend(pair) + "\n\n";
    for (const std::string& text : sources(r)) out += "- " + text + "\n";
    for (const std::string& text : remarks(r)) out += "- " + text + "\n";
    return out;
}

std::string csv_text(const Results& r) {
    std::string out =
        "model,test,threads,machine,side,program,backend,build,n_runs,median_ts,min_ts,max_ts,"
        "ratio,"
        "ratio_low,ratio_high,p,verdict,unfair\n";
    const auto number = [](const std::optional<double>& v) {
        return v ? format("%.17g", *v) : std::string();
    };
    for (const Row& row : r.comparison.rows) {
        const Run& run = row.group.first();
        const Side& side = *row.group.side;
        const Values speeds = row.group.speeds();
        Cells cells;
        for (const std::string& text : {run.model.name(), run.test.name()})
            cells.push_back(csv_cell(text));
        cells.push_back(std::to_string(run.n_threads));
        for (const std::string& text :
             {run.machine, side.name, side.program, side.backend, side.build})
            cells.push_back(csv_cell(text));
        cells.push_back(std::to_string(speeds.size()));
        for (const double q : {0.5, 0.0, 1.0}) cells.push_back(number(quantile(speeds, q)));
        if (row.pair) {
            const Pair& pair = *row.pair;
            for (const auto& v : {std::optional(pair.ratio), pair.interval.low, pair.interval.high,
                                  std::optional(pair.test.p)})
                cells.push_back(number(v));
            cells.push_back(csv_cell(verdict(pair)));
            cells.push_back(csv_cell(joined(pair.unfair)));
        } else {
            cells.resize(cells.size() + 6);
        }
        for (size_t i = 0; i < cells.size(); i++) out += (i == 0 ? "" : ",") + cells[i];
        out += "\n";
    }
    return out;
}

std::string json_text(const Results& r) {
    const Comparison& c = r.comparison;
    Json out = {
        {"axiom_compare", 1},     {"confidence", c.confidence}, {"baseline", c.baseline->name},
        {"sides", Json::array()}, {"rows", Json::array()},      {"refused", Json::array()},
        {"loud", c.loud},         {"notes", r.input.notes}};
    for (const Side& side : r.input.sides)
        out["sides"].push_back({{"name", side.name},
                                {"file", side.file},
                                {"program", side.program},
                                {"backend", side.backend},
                                {"build", side.build},
                                {"n_runs", side.runs.size()}});
    for (const Row& row : c.rows) {
        Json line = to_json(row.group, c.confidence);
        line["pair"] = row.pair ? to_json(*row.pair) : Json();
        out["rows"].push_back(std::move(line));
    }
    out["layers"] = Json::array();
    for (const LayerPair& pair : r.layers) out["layers"].push_back(to_json(pair));
    for (const Pair& pair : c.refused)
        out["refused"].push_back({{"baseline_side", pair.base.side->name},
                                  {"side", pair.other.side->name},
                                  {"model", pair.other.first().model.name()},
                                  {"test", pair.other.first().test.name()},
                                  {"unfair", pair.unfair}});
    return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace axiom::compare
