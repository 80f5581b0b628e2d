// SPDX-License-Identifier: MIT
// The page as HTML. Texts come from files: everything is escaped, and a policy in the page forbids it
// to fetch anything.
#include "bench/compare/page/page.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "bench/compare/page/charts.h"

// assets.S
extern "C" {
extern const char axiom_page_script[], axiom_page_script_end[];
extern const char axiom_page_style[], axiom_page_style_end[];
extern const char axiom_page_uplot_script[], axiom_page_uplot_script_end[];
extern const char axiom_page_uplot_style[], axiom_page_uplot_style_end[];
extern const char axiom_page_uplot_licence[], axiom_page_uplot_licence_end[];
}

namespace axiom::compare {
namespace {

#define AXIOM_ASSET(name) \
    std::string_view(axiom_page_##name, size_t(axiom_page_##name##_end - axiom_page_##name))

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

// Inside a script element nothing may look like its end.
std::string script_json(const Json& json) {
    std::string out;
    for (const char c : json.dump(-1, ' ', true, Json::error_handler_t::replace))
        out += c == '<' ? std::string("\\u003c") : std::string(1, c);
    return out;
}

std::string element(const char* tag, const std::string& text, const std::string& attributes = "") {
    return "<" + std::string(tag) + (attributes.empty() ? "" : " " + attributes) + ">" +
           escaped(text) + "</" + tag + ">";
}

// `name` is what a screen reader says of it. Cells longer than a line are wrapped.
std::string html_table(const Table& table, const std::string& name, bool whole = false) {
    constexpr size_t kLong = 60;
    std::string out = "<div class=\"wide" + std::string(whole ? " whole" : "") +
                      "\" role=\"group\" tabindex=\"0\" aria-label=\"" + escaped(name) +
                      "\"><table aria-label=\"" + escaped(name) + "\"><thead><tr>";
    for (size_t i = 0; i < table.headings.size(); i++) {
        const std::string& text = table.headings[i];
        const std::string number = table.is_number(i) ? "class=\"num\"" : "";
        out += text.empty() ? "<td></td>" : element("th", text, "scope=\"col\" " + number);
    }
    out += "</tr></thead><tbody>\n";
    for (const auto& line : table.lines) {
        out += "<tr>";
        for (size_t i = 0; i < line.size(); i++)
            out += element("td", line[i],
                           table.is_number(i)       ? "class=\"num\""
                           : line[i].size() > kLong ? "class=\"long\""
                                                    : "");
        out += "</tr>\n";
    }
    return out + "</tbody></table></div>\n";
}

std::string list(const std::vector<std::string>& lines, const char* attributes) {
    if (lines.empty()) return {};
    std::string out = "<ul " + std::string(attributes) + ">\n";
    for (const std::string& text : lines) out += element("li", text) + "\n";
    return out + "</ul>\n";
}

std::string swatch(const std::string& colour, int dash, bool box) {
    return "<span class=\"swatch" + std::string(box ? " box" : "") +
           (dash == 0 ? "" : " d" + std::to_string(dash)) + "\" style=\"border-color:var(--" +
           colour + ")\"></span>";
}

std::string sides_list(const Results& r) {
    std::string out = "<ul class=\"sides\">\n";
    const std::vector<std::string> texts = sources(r);
    for (size_t i = 0; i < texts.size(); i++)
        out += "<li>" + swatch("side" + std::to_string(i % 8), 0, true) + escaped(texts[i]) +
               "</li>\n";
    return out + "</ul>\n";
}

std::string figure(const Chart& chart, size_t n) {
    const std::string id = "chart" + std::to_string(n);
    std::string out = "<figure id=\"" + id + "\"><figcaption>" + element("h3", chart.title) +
                      element("p", chart.text, "id=\"" + id + "-text\"") + "</figcaption>\n";
    const bool rows = !chart.y.rows.empty();
    if (!rows) {
        out += "<ul class=\"legend\">";
        for (const Series& s : chart.series)
            out += "<li>" + swatch(s.colour, s.dash, std::string_view(s.draw) == "stack") +
                   escaped(s.name) + "</li>";
        out += "</ul>\n";
    }
    if (why_no_charts().empty()) {
        out += (rows ? "" : element("p", chart.y.label, "class=\"axis\"")) +
               "<div class=\"chart\" data-chart=\"" + std::to_string(n) +
               "\" role=\"img\" aria-label=\"" + escaped("Chart: " + chart.title) +
               "\" aria-describedby=\"" + id + "-text\"></div>\n" +
               "<div class=\"tools\"><label>Read along <input type=\"range\" min=\"0\" max=\"0\" "
               "value=\"0\"></label><output></output></div>\n";
    }
    return out + "<details><summary>These figures as a table</summary>\n" +
           html_table(chart.table, chart.title + ", as a table") + "</details></figure>\n";
}

std::string section_html(const Section& section, size_t* n_charts, Json* charts) {
    std::string out = "<section id=\"" + section.id + "\">" + element("h2", section.title) + "\n";
    if (!section.text.empty()) out += element("p", section.text, "class=\"dim\"") + "\n";
    out += "<div class=\"charts\">\n";
    for (const Chart& chart : section.charts) {
        out += figure(chart, (*n_charts)++);
        charts->push_back(to_json(chart));
    }
    return out + "</div></section>\n";
}

std::string joined(const Values& values, const char* how) {
    std::string out;
    for (const double v : values) out += (out.empty() ? "" : " ") + format(how, v);
    return out;
}

std::string all_runs(const Results& r) {
    Table table;
    table.headings = {"side",    "from",    "at",          "model",    "test",
                      "threads", "kernels", "logits hash", "tokens/s", "of each repetition",
                      "command"};
    for (const Side& side : r.input.sides) {
        for (const Run& run : side.runs)
            table.lines.push_back({side.name, run.where, run.details.test_time, run.model.name(),
                                   run.test.name(), std::to_string(run.n_threads),
                                   run.details.kernel_set, run.logits_hash, format("%.3f", run.ts),
                                   joined(run.repetitions, "%.3f"), run.details.command});
    }
    return element("h3", "Every run") + html_table(table, "Every run");
}

// Tails as the records state them.
std::string all_times(const Results& r) {
    Table table;
    table.headings = {"side", "from", "test", "of", "times"};
    table.first_number = 4;
    for (const Quantile& quantile : kQuantiles) table.headings.push_back(quantile.name);
    table.headings.push_back("");
    const auto add = [&](const std::string& side, const std::string& where, const std::string& test,
                         const char* kind, const Times& times) {
        if (!times.has_quantiles()) return;
        std::vector<std::string> cells = {side, where, test, kind,
                                          std::isnan(times.n) ? "" : format("%.0f", times.n)};
        for (const double ns : times.quantiles)
            cells.push_back(std::isnan(ns) ? "" : time_text(ns));
        cells.push_back("");
        table.lines.push_back(std::move(cells));
    };
    for (const Side& side : r.input.sides) {
        for (const Run& run : side.runs) {
            add(side.name, run.where, run.test.name(), "token", run.details.token);
            add(side.name, run.where, run.test.name(), "layer", run.details.layer);
            add(side.name, run.where, run.test.name(), "boundary", run.details.boundary);
        }
        for (const Noise& noise : side.noise) {
            const std::string core = "core " + std::to_string(noise.core);
            add(side.name, noise.where, core, "gap", noise.gap);
            add(side.name, noise.where, core, "fixed work", noise.quantum);
        }
    }
    if (table.lines.empty()) return {};
    return element("h3", "Tails as each record states them") +
           html_table(table, "Tails as each record states them");
}

// Everything else that the charts are made of.
std::string all_others(const Results& r) {
    Table table;
    table.headings = {"side", "from", "what", "figures"};
    const auto add = [&](const Side& side, const std::string& where, const std::string& what,
                         const std::string& figures) {
        if (!figures.empty()) table.lines.push_back({side.name, where, what, figures});
    };
    const auto bins = [](const Histogram& h) {
        std::string out;
        for (size_t i = 0; i < h.counts.size(); i++) {
            if (h.counts[i] > 0)
                out += (out.empty() ? "" : ", ") + time_text(h.lower_ns(i)) + ": " +
                       format("%.0f", h.counts[i]);
        }
        return out;
    };
    for (const Side& side : r.input.sides) {
        for (const Run& run : side.runs) {
            const Details& d = run.details;
            const std::string of = run.test.name() + ", ";
            add(side, run.where, of + "tokens, ns", joined(d.token.raw, "%.0f"));
            add(side, run.where, of + "tokens from", bins(d.token.histogram));
            add(side, run.where, of + "layers from", bins(d.layer.histogram));
            add(side, run.where, of + "boundaries from", bins(d.boundary.histogram));
            add(side, run.where, of + "GB of weights a second",
                std::isnan(d.gb_per_s) ? "" : format("%.3f", d.gb_per_s));
            add(side, run.where, of + "layers compute, ns", joined(d.compute_ns, "%.0f"));
            add(side, run.where, of + "layers stall, ns", joined(d.stall_ns, "%.0f"));
            std::string boot;
            for (const Phase& phase : d.boot)
                boot += (boot.empty() ? "" : ", ") + phase.name + ": " + time_text(phase.ns);
            add(side, run.where, of + "start", boot);
        }
        for (const Noise& noise : side.noise) {
            const std::string core = "core " + std::to_string(noise.core) + ", ";
            add(side, noise.where, core + "gaps from", bins(noise.gap.histogram));
            add(side, noise.where, core + "fixed work from", bins(noise.quantum.histogram));
            std::string counters;
            for (const Phase& counter : noise.counters)
                counters += (counters.empty() ? "" : ", ") + counter.name + ": " +
                            format("%.0f", counter.ns);
            add(side, noise.where, core + "counters", counters);
        }
        for (const Trace& trace : side.traces) {
            Values ns;
            for (const Pass& pass : trace.passes) ns.push_back(pass.ns);
            add(side, trace.where, trace.test + ", passes, ns (each layer: in this file)",
                joined(ns, "%.0f"));
        }
    }
    if (table.lines.empty()) return {};
    return element("h3", "What the charts are made of") +
           html_table(table, "What the charts are made of");
}

}  // namespace

std::string why_no_charts() {
    if (!AXIOM_ASSET(uplot_script).empty()) return {};
    return "this axiom-compare was built without uPlot, which draws the charts: npm or the network "
           "was "
           "missing. The page has all figures as text and tables. To have charts, install npm and "
           "build again";
}

std::string html_page(const Results& r) {
    std::string body, contents;
    Json charts = Json::array();
    size_t n_charts = 0;
    const auto content = [&](const std::string& id, const std::string& title) {
        contents += "<li><a href=\"#" + id + "\">" + escaped(title) + "</a></li>\n";
    };
    if (!r.comparison.rows.empty()) {
        content("shown", "What is shown");
        body += "<section id=\"shown\"><h2>What is shown</h2>\n" +
                html_table(table_of(r.comparison), "What is shown", true) +
                element("p", legend(r.comparison), "class=\"dim\"") + "</section>\n";
    }
    for (const Section& section : sections_of(r)) {
        if (section.charts.empty()) continue;
        content(section.id, section.title);
        body += section_html(section, &n_charts, &charts);
    }
    content("figures", "Every figure");
    body += "<section id=\"figures\"><h2>Every figure</h2>\n" + all_runs(r) + all_times(r) +
            all_others(r) + "</section>\n";

    const bool drawn = why_no_charts().empty();
    std::string page =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        "<title>AXIOM: measurements compared</title>\n<style>\n";
    page += AXIOM_ASSET(uplot_style);
    page += AXIOM_ASSET(style);
    page +=
        "</style></head>\n<body><a class=\"skip\" href=\"#main\">To the results</a>\n"
        "<main id=\"main\" tabindex=\"-1\">\n<h1>Measurements compared</h1>\n" +
        sides_list(r) + list(remarks(r), "class=\"remarks\"");
    if (!drawn) page += list({"No charts: " + why_no_charts() + "."}, "class=\"remarks\"");
    page += "<nav aria-label=\"Contents\"><ul>\n" + contents + "</ul></nav>\n" + body;
    page += "<footer><p>Written by axiom-compare. This page fetches nothing.</p>\n";
    if (drawn) {
        page += "<details><summary>Charts are drawn by uPlot; its licence</summary><pre>";
        page += escaped(std::string(AXIOM_ASSET(uplot_licence)));
        page += "</pre></details>\n";
    }
    page += "</footer></main>\n";
    if (drawn) {
        page += "<script type=\"application/json\" id=\"charts\">" + script_json(charts) +
                "</script>\n<script>\n/*\n";
        page += AXIOM_ASSET(uplot_licence);
        page += "*/\n";
        page += AXIOM_ASSET(uplot_script);
        page += "</script>\n<script>\n";
        page += AXIOM_ASSET(script);
        page += "</script>\n";
    }
    return page + "</body></html>\n";
}

}  // namespace axiom::compare
