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

// "tg32 x8 @ d2000", "tg4@pp8" of ik_llama.cpp, "pp512"; false: something else.
bool parse_test(const std::string& name, Test* test) {
    std::string letters;  // without blanks
    std::vector<uint64_t> numbers;
    for (size_t i = 0; i < name.size();) {
        if (std::isdigit(static_cast<unsigned char>(name[i]))) {
            uint64_t n = 0;
            for (; i < name.size() && std::isdigit(static_cast<unsigned char>(name[i])); i++)
                n = std::min<uint64_t>(n * 10 + uint64_t(name[i] - '0'), uint64_t{1} << 32);
            numbers.push_back(n);
            letters += '#';
        } else {
            if (name[i] != ' ') letters += name[i];
            i++;
        }
    }
    *test = {};
    test->kind = letters[0] == 't' ? Test::Kind::generation : Test::Kind::prompt;
    (test->kind == Test::Kind::prompt ? test->n_prompt : test->n_gen) =
        numbers.empty() ? 0 : numbers[0];
    if (letters == "pp#" || letters == "tg#") return true;
    if (letters == "tg#x#") test->n_sequences = numbers[1];
    if (letters == "tg#@d#" || letters == "pp#@d#" || letters == "tg#@pp#")
        test->n_depth = numbers[1];
    if (letters == "tg#x#@d#") test->n_sequences = numbers[1], test->n_depth = numbers[2];
    if (letters == "pp#+tg#") test->kind = Test::Kind::both, test->n_gen = numbers[1];
    return test->n_depth != 0 || test->n_sequences > 1 || test->n_gen != 0;
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
        if (input_.sides.size() == first_side_) damage(0, "found no measurement in it");
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
        if (object.contains("axiom_peer_samples")) {
            machine_ = text_of(object, "cpu");
        } else if (object.contains("ts") && object.contains("record") &&
                   object.contains("program")) {
            take_peer_sample(object);
        } else if (object.contains("axiom")) {
            take_record(object);
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
        add(std::move(run));
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
        }
        add(std::move(run));
    }

    // Every sample of a report was a process of its own: a run.
    void take_report(const Json& report) {
        const std::string machine = text_of(report, "cpu");
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
        for (size_t i = first_side_; i < input_.sides.size(); i++) {
            Side& side = input_.sides[i];
            if (side.program == run.program && side.backend == run.backend &&
                side.build == run.build)
                return side.runs.push_back(std::move(run));
        }
        Side side;
        side.file = file_;
        side.program = run.program;
        side.backend = run.backend;
        side.build = run.build;
        side.runs.push_back(std::move(run));
        input_.sides.push_back(std::move(side));
    }

    // The file's name, and of program, backend and build what is not the same for all its sides.
    void name_sides() {
        const std::span<Side> mine = std::span(input_.sides).subspan(first_side_);
        for (Side& side : mine) {
            side.name = stem(file_);
            for (std::string Side::*part : {&Side::program, &Side::backend, &Side::build}) {
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
