// SPDX-License-Identifier: MIT
#include "bench/compare/read.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "bench/compare/fields.h"
#include "bench/compare/pieces.h"

namespace axiom::compare {
namespace {

constexpr size_t kMostNotes = 20;  // of one file

// "dir/a.gguf" and "\dir\a.axm" are "a".
std::string stem(std::string path) {
    path = path.substr(path.find_last_of("/\\") + 1);
    const size_t dot = path.rfind('.');
    return dot == path.npos || dot == 0 ? path : path.substr(0, dot);
}

// "llama 135M Q4_1" and "llama ?B Q4_K - Medium": how weights are stored comes after two words.
std::string format_of(const std::string& model_type) {
    const size_t family = model_type.find(' ');
    const size_t size = family == model_type.npos ? family : model_type.find(' ', family + 1);
    return size == model_type.npos ? "" : model_type.substr(size + 1);
}

// llama-bench's names; f16 where a record does not say it.
std::string cache_of(const Json& object) {
    std::string keys = text_of(object, "type_k"), values = text_of(object, "type_v");
    if (keys.empty()) keys = "f16";
    if (values.empty()) values = keys;
    return keys == values ? keys : keys + "/" + values;
}

class Reader {
  public:
    Reader(const std::string& file, Input* input)
        : file_(file), input_(*input), first_side_(input->sides.size()) {}

    void read(std::string_view text) {
        find_pieces(text, [&](const Piece& piece) { take(piece); });
        if (n_notes_ > kMostNotes)
            input_.notes.push_back(file_ + ": and " + std::to_string(n_notes_ - kMostNotes) +
                                   " more of these");
        name_sides();
        if (!used_) damage(0, "found no measurement in it");
    }

  private:
    std::string where(size_t line) const {
        return line == 0 ? file_ : file_ + ":" + std::to_string(line);
    }
    void note(size_t line, const std::string& text) {
        if (n_notes_++ < kMostNotes) input_.notes.push_back(where(line) + ": " + text);
    }
    void damage(size_t line, const std::string& text) {
        input_.damaged = true;
        note(line, text);
    }

    void take(const Piece& piece) {
        line_ = piece.line;
        switch (piece.kind) {
            case Piece::Kind::cut:
                return damage(line_, "a record is cut off or damaged");
            case Piece::Kind::header:
                columns_ = csv_cells(piece.text);
                return;
            case Piece::Kind::row:
                if (std::count(piece.text.begin(), piece.text.end(), '"') % 2 != 0)
                    return damage(line_, "a row is cut off");
                return take_row(csv_cells(piece.text));
            case Piece::Kind::object:
                break;
        }
        const Json object = Json::parse(piece.text, nullptr, false);
        const bool looks_like_one = piece.text.find("\"avg_ts\"") != piece.text.npos ||
                                    piece.text.substr(0, 8) == "{\"axiom\"";
        if (object.is_discarded()) {
            if (looks_like_one) damage(line_, "a record is not JSON: damaged");
        } else {
            take_object(object, looks_like_one);
        }
    }

    void take_row(const std::vector<std::string>& cells) {
        if (cells.size() != columns_.size()) {
            return damage(line_, "found a row of " + std::to_string(cells.size()) +
                                     " cells, allowed " + std::to_string(columns_.size()));
        }
        Json object = Json::object();
        for (size_t i = 0; i < cells.size(); i++) object[columns_[i]] = cells[i];
        take_llama(object);
    }

    void take_object(const Json& object, bool looks_like_one) {
        if (object.contains("axiom_bench_peers")) return take_report(object);
        if (object.contains("axiom_bench_kernels")) return take_peaks(object);
        if (object.contains("axiom_peer_samples")) {
            machine_ = text_of(object, "cpu");
        } else if (object.contains("ts") && object.contains("record") &&
                   object.contains("program")) {
            take_peer_sample(object);
        } else if (object.contains("axiom")) {
            const std::string kind = text_of(object, "kind");
            if (kind == "noise") {
                take_noise(object);
            } else if (kind == "trace") {
                take_trace(object);
            } else {
                take_record(object);
            }
        } else if (object.contains("pass") && object.contains("layers")) {
            take_pass(object);
        } else if (looks_like_one) {
            take_llama(object);
        }
    }

    // What records of AXIOM and of llama-bench have in common; false: no speed.
    bool common(const Json& object, Run* run) {
        run->build = text_of(object, "build_commit");
        run->machine = text_of(object, "cpu_info");
        run->model = {stem(text_of(object, "model_filename")),
                      format_of(text_of(object, "model_type")), count_of(object, "model_n_params"),
                      text_of(object, "axm_checksum")};
        run->n_threads = count_of(object, "n_threads");
        run->cache = cache_of(object);
        run->ts = number_of(object, "avg_ts");
        run->repetitions = numbers_of(object, "samples_ts");
        return check_speed(run->ts, "avg_ts");
    }
    bool check_speed(double ts, const char* name) {
        if (std::isfinite(ts) && ts > 0) return true;
        damage(line_,
               std::string(name) + ": found " + text_of_number(ts) + ", allowed a positive number");
        return false;
    }

    void take_record(const Json& object) {
        // An answer of --prompts; what a Linux guest did beside the run (bench/suite/init.cpp).
        const std::string kind = text_of(object, "kind");
        if (kind == "result" || kind == "linux") return;
        const std::string status = text_of(object, "status");
        if (status == "error") return note(line_, "a run that failed: " + text_of(object, "error"));
        if (is_null(object, "avg_ts") && is_null(object, "serve_ts"))
            return note(line_, "a run of status " + status + " that measured nothing");
        if (status != "ok") note(line_, "a run of status " + status + ": used as far as it came");
        Run run;
        run.program = "axiom";
        run.backend = text_of(object, "backend");
        Test& test = run.test;
        const std::string name = text_of(object, "test");
        if (!is_null(object, "serve_ts")) {
            Json speed = object;
            speed["avg_ts"] = number_of(object, "serve_ts");
            if (!common(speed, &run)) return;
            run.repetitions.clear();
            test.kind = Test::Kind::many;
            test.n_prompt = count_of(object, "n_prompts");
            test.n_gen = count_of(object, "n_gen");
        } else {
            if (!common(object, &run)) return;
            if (name.empty()) {
                test.kind = Test::Kind::answer;
                test.n_prompt = count_of(object, "n_prompt");
                test.n_gen = count_of(object, "n_gen");
                run.repetitions.clear();  // tokens of one run
            } else if (!parse_test(name, &test)) {
                return damage(line_, "test: found " + name + ", which is no test");
            }
        }
        run.logits_hash = text_of(object, "logits_hash");
        run.disturb = text_of(object, "disturb");
        run.details = details_of(object);
        add(std::move(run));
    }

    void take_noise(const Json& object) {
        Run about;
        about.program = "axiom";
        about.backend = text_of(object, "backend");
        about.build = text_of(object, "build_commit");
        about.disturb = text_of(object, "disturb");
        Noise noise = noise_of(object);
        if (!noise.gap.has_distribution() && std::isnan(noise.n_gaps) &&
            !noise.quantum.has_distribution())
            return damage(line_, "noise: found neither gaps nor quanta of work");
        noise.where = where(line_);
        side_of(about, true).noise.push_back(std::move(noise));
    }

    void take_trace(const Json& object) {
        Trace trace;
        trace.where = where(line_);
        trace.test = text_of(object, "test");
        trace.model = {stem(text_of(object, "model_filename")), "", 0,
                       text_of(object, "axm_checksum")};
        trace.n_threads = count_of(object, "n_threads");
        trace.n_layer = count_of(object, "n_layer");
        Run about;
        about.program = "axiom";
        about.backend = text_of(object, "backend");
        about.build = text_of(object, "build_commit");
        about.disturb = text_of(object, "disturb");
        Side& side = side_of(about, true);
        side.traces.push_back(std::move(trace));
        trace_side_ = size_t(&side - input_.sides.data());
    }
    void take_pass(const Json& object) {
        Pass pass;
        if (trace_side_ == kNoSide)
            return damage(line_, "a pass of a trace, found no line before it that says of which");
        Trace& trace = input_.sides[trace_side_].traces.back();
        if (!pass_of(object, &pass) || pass.layers.size() != trace.n_layer)
            return damage(line_, "a pass of a trace: found other than four times for each of " +
                                     std::to_string(trace.n_layer) + " layers");
        trace.passes.push_back(std::move(pass));
    }

    // The better of both page sizes.
    void take_peaks(const Json& object) {
        for (const Json& read : array_of(object, "read"))
            add_peak({text_of(object, "cpu_info"), count_of(read, "n_threads"),
                      number_of(read, "gb_per_s")});
    }
    void add_peak(const ReadPeak& peak) {
        if (!(peak.gb_per_s > 0)) return;
        used_ = true;
        for (ReadPeak& known : input_.peaks) {
            if (known.machine == peak.machine && known.n_threads == peak.n_threads) {
                known.gb_per_s = std::max(known.gb_per_s, peak.gb_per_s);
                return;
            }
        }
        input_.peaks.push_back(peak);
    }

    void take_llama(const Json& object) {
        Run run;
        if (!common(object, &run)) return;
        run.program = "llama-bench";
        Test& test = run.test;
        test.n_prompt = count_of(object, "n_prompt");
        test.n_gen = count_of(object, "n_gen");
        test.n_depth = count_of(object, "n_depth");
        Test named;
        if (parse_test(text_of(object, "test"), &named)) {
            test = named;  // ik_llama.cpp's -gp has its depth in n_prompt
        } else {
            test.kind = test.n_prompt == 0 ? Test::Kind::generation
                        : test.n_gen == 0  ? Test::Kind::prompt
                                           : Test::Kind::both;
        }
        if (test.n_prompt == 0 && test.n_gen == 0)
            return damage(line_, "n_prompt and n_gen: found 0 in both, allowed one of them");
        add(std::move(run));
    }

    void take_peer_sample(const Json& object) {
        Run run;
        run.program = text_of(object, "program");
        run.build = text_of(object, "identity").substr(0, 12);
        run.machine = machine_;
        run.model = {text_of(object, "shape") + "-" + text_of(object, "format"),
                     text_of(object, "format"), 0, ""};
        run.n_threads = count_of(object, "n_threads");
        run.ts = number_of(object, "ts");
        if (!check_speed(run.ts, "ts")) return;
        if (!parse_test(text_of(object, "test"), &run.test))
            return damage(line_, "test: found " + text_of(object, "test") + ", which is no test");
        const Json& record = object.at("record");
        if (run.program == "axiom" && record.is_object()) {
            run.backend = text_of(record, "backend");
            run.build = text_of(record, "build_commit");
            run.logits_hash = text_of(record, "logits_hash");
            run.details = details_of(record);
        }
        add(std::move(run));
    }

    // Every sample of a report was a process of its own: a run.
    void take_report(const Json& report) {
        const std::string machine = text_of(report, "cpu");
        for (const Json& peak : array_of(report, "peaks")) {
            const Json* read = object_of(peak, "read_gb_per_s");
            if (read != nullptr)
                add_peak({machine, count_of(peak, "n_threads"), number_of(*read, "median")});
        }
        for (const Json& row : array_of(report, "rows")) {
            Run run;
            run.machine = machine;
            run.model = {text_of(row, "shape") + "-" + text_of(row, "format"),
                         text_of(row, "format"), 0, ""};
            run.n_threads = count_of(row, "n_threads");
            if (!parse_test(text_of(row, "test"), &run.test)) {
                damage(line_, "rows: test: found " + text_of(row, "test") + ", which is no test");
                continue;
            }
            const Json* programs = object_of(row, "programs");
            if (programs == nullptr) continue;
            for (const auto& [program, figures] : programs->items()) {
                run.program = program;
                run.build.clear();
                if (program == "axiom") run.build = text_of(figures, "build_commit");
                run.backend = program == "axiom" ? "linux" : "";
                const Json& hashes = array_of(figures, "logits_hashes");
                run.details.gb_per_s = number_of(figures, "gb_per_s");
                run.logits_hash = hashes.size() == 1 && hashes[0].is_string()
                                      ? hashes[0].get<std::string>()
                                      : std::string();
                for (const double ts : numbers_of(figures, "samples_ts")) {
                    run.ts = ts;
                    if (check_speed(ts, "samples_ts")) add(run);
                }
            }
        }
    }

    void add(Run run) {
        run.where = where(line_);
        Side& side = side_of(run, false);
        side.runs.push_back(std::move(run));
    }

    // The side that such a run belongs to, perhaps a new one. Noise and traces may say less than a run
    // does: what one does not say is no difference. A trace often lies beside the file of its run.
    Side& side_of(const Run& run, bool says_little) {
        used_ = true;
        for (size_t i = 0; i < input_.sides.size(); i++) {
            Side& side = input_.sides[i];
            const bool little = says_little || side.runs.empty();
            const auto same = [&](const std::string& a, const std::string& b) {
                return a == b || (little && (a.empty() || b.empty()));
            };
            const bool near = i >= first_side_ || (little && stem(side.file) == stem(file_));
            if (!near || side.program != run.program || !same(side.backend, run.backend) ||
                !same(side.build, run.build) || side.disturb != run.disturb)
                continue;
            if (side.backend.empty()) side.backend = run.backend;
            if (side.build.empty()) side.build = run.build;
            return side;
        }
        Side side;
        side.file = file_;
        side.program = run.program;
        side.backend = run.backend;
        side.build = run.build;
        side.disturb = run.disturb;
        input_.sides.push_back(std::move(side));
        return input_.sides.back();
    }

    // The file's name, and of program, backend, build and disturbance what is not the same for all its sides.
    void name_sides() {
        const std::span<Side> mine = std::span(input_.sides).subspan(first_side_);
        for (Side& side : mine) {
            side.name = stem(file_);
            for (std::string Side::*part :
                 {&Side::program, &Side::backend, &Side::build, &Side::disturb}) {
                const bool differs = std::any_of(mine.begin(), mine.end(), [&](const Side& other) {
                    return other.*part != mine.front().*part;
                });
                if (differs && !(side.*part).empty()) side.name += ":" + side.*part;
            }
        }
    }

    const std::string& file_;
    Input& input_;
    size_t first_side_;
    size_t line_ = 0, n_notes_ = 0;
    std::vector<std::string> columns_;
    std::string machine_;  // of the samples of bench-peers that follow
    static constexpr size_t kNoSide = ~size_t{0};
    size_t trace_side_ = kNoSide;  // that passes belong to
    bool used_ = false;            // something of the file
};

}  // namespace

void read_text(const std::string& file, std::string_view text, Input* input) {
    Reader(file, input).read(text);
    // Files of one name in several folders, or with several endings.
    for (size_t i = 1; i < input->sides.size(); i++) {
        const auto named = [&](const std::string& name) {
            return std::any_of(input->sides.begin(), input->sides.begin() + std::ptrdiff_t(i),
                               [&](const Side& other) { return other.name == name; });
        };
        const std::string name = input->sides[i].name;
        for (int n = 2; named(input->sides[i].name); n++)
            input->sides[i].name = name + "#" + std::to_string(n);
    }
}

void read_file(const std::string& path, Input* input) {
    std::ostringstream text;
    if (path == "-") {
        text << std::cin.rdbuf();
    } else {
        std::ifstream file(path, std::ios::binary);
        // A folder opens and cannot be read; an empty file gives nothing, which is no failure.
        if (!file || (text << file.rdbuf(), file.bad())) {
            input->damaged = true;
            input->notes.push_back(path + ": cannot be read");
            return;
        }
    }
    read_text(path == "-" ? "standard input" : path, text.view(), input);
}

}  // namespace axiom::compare
