// SPDX-License-Identifier: MIT
// axiom-bench-kernels: every operation of every usable kernel set over real shapes, beside the
// peaks of this machine. Figures are of one thread unless --peaks says otherwise.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/host_machine.h"
#include "bench/kernel_cases.h"
#include "bench/peaks.h"
#include "core/fmt.h"

namespace {

using namespace axiom;
using kernel_bench::Arena;
using kernel_bench::Case;
using nlohmann::json;

constexpr char kHelp[] =
    "usage: axiom-bench-kernels [options]\n\n"
    "Times every operation of every kernel set this CPU may run, and prints the median and\n"
    "best time of a call, GB/s of weights, GMAC/s and the share of this machine's peak: of the\n"
    "read bandwidth for matrix products of one token, of the fastest 8-bit dot product for\n"
    "those of more. Weights come from memory, as in a forward pass; all else is in the caches.\n\n"
    "  --set NAME       only this kernel set (as --isa of axiom-host names it)\n"
    "  --op TEXT        only operations whose name holds TEXT: matmul, rms_norm, ...\n"
    "  --type NAME      only this stored type: q4, q4m, q8, ...\n"
    "  --shape TEXT     only shapes whose model, matrix or size holds TEXT: ffn_gate, smollm2\n"
    "  --tokens N       only matrix products of N tokens\n"
    "  --cached         the same matrix each time: what fits the caches comes from there\n"
    "  --time MS        at least so long for each row, 1..60000 (default 60)\n"
    "  --peaks          measure the peaks only, with 1..N threads\n"
    "  --threads N      the most threads for --peaks (default: all cores)\n"
    "  --only-threads N the peaks with exactly N threads\n"
    "  --buffer MIB     read by --peaks, 16..65536 (default 512): more than the caches hold\n"
    "  --no-peaks       no peaks, and so no shares\n"
    "  --json FILE      all of it as one JSON object; - is standard output, without the table\n"
    "  --list           names what would be timed, and ends\n"
    "  -q, --quiet      no progress\n"
    "  -h, --help       print this, and end\n";

struct Arguments {
    std::string set, op, type, shape, json;
    uint64_t n_tokens = 0, time_ms = 60, n_threads = 0, only_threads = 0, buffer_mib = 512;
    bool cached = false, peaks_only = false, no_peaks = false, list = false, quiet = false;
    bool help = false;
};

Status parse(int argc, char** argv, Arguments* out) {
    const struct {
        const char* name;
        std::string Arguments::*text;
        uint64_t Arguments::*number;
        bool Arguments::*flag;
        uint64_t min, max;
    } options[] = {
        {"--set", &Arguments::set, nullptr, nullptr, 0, 0},
        {"--op", &Arguments::op, nullptr, nullptr, 0, 0},
        {"--type", &Arguments::type, nullptr, nullptr, 0, 0},
        {"--shape", &Arguments::shape, nullptr, nullptr, 0, 0},
        {"--json", &Arguments::json, nullptr, nullptr, 0, 0},
        {"--tokens", nullptr, &Arguments::n_tokens, nullptr, 1, 4096},
        {"--time", nullptr, &Arguments::time_ms, nullptr, 1, 60000},
        {"--threads", nullptr, &Arguments::n_threads, nullptr, 1, Team::kMaxWorkers},
        {"--only-threads", nullptr, &Arguments::only_threads, nullptr, 1, Team::kMaxWorkers},
        {"--buffer", nullptr, &Arguments::buffer_mib, nullptr, 16, 65536},
        {"--cached", nullptr, nullptr, &Arguments::cached, 0, 0},
        {"--peaks", nullptr, nullptr, &Arguments::peaks_only, 0, 0},
        {"--no-peaks", nullptr, nullptr, &Arguments::no_peaks, 0, 0},
        {"--list", nullptr, nullptr, &Arguments::list, 0, 0},
        {"-q", nullptr, nullptr, &Arguments::quiet, 0, 0},
        {"--quiet", nullptr, nullptr, &Arguments::quiet, 0, 0},
        {"-h", nullptr, nullptr, &Arguments::help, 0, 0},
        {"--help", nullptr, nullptr, &Arguments::help, 0, 0},
    };
    for (int i = 1; i < argc; i++) {
        const std::string word = argv[i];
        const auto found = std::find_if(std::begin(options), std::end(options),
                                        [&](const auto& o) { return word == o.name; });
        if (found == std::end(options)) {
            return error(Code::bad_option, "option: found ", Quoted{word},
                         ", allowed the names that --help lists");
        }
        if (found->flag != nullptr) {
            out->*found->flag = true;
            continue;
        }
        if (++i == argc)
            return error(Code::bad_option, "option ", word, ": found nothing after it");
        if (found->text != nullptr) {
            out->*found->text = argv[i];
            continue;
        }
        uint64_t n = 0;
        if (!parse_u64(argv[i], &n) || n < found->min || n > found->max) {
            return error(Code::bad_option, "option ", word, ": found ", Quoted{argv[i]},
                         ", allowed a whole number from ", found->min, " to ", found->max);
        }
        out->*found->number = n;
    }
    if (!out->set.empty()) {
        bool known = false;
        std::string names;
        for (const KernelSet& s : kernel_sets(decode_features(read_cpu_words()))) {
            if (!s.usable) continue;
            known = known || out->set == s.kernels->name;
            names += (names.empty() ? "" : ", ") + std::string(s.kernels->name);
        }
        if (!known) {
            return error(Code::bad_option, "option --set: found ", Quoted{out->set}, ", allowed ",
                         std::string_view(names));
        }
    }
    return {};
}

volatile sig_atomic_t g_interrupted = 0;
void on_interrupt(int) {
    if (g_interrupted) _exit(130);
    g_interrupted = 1;
}

double seconds_now() {
    using Clock = std::chrono::steady_clock;
    return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// Two seconds of silence are enough.
void show_progress(const Arguments& a, const std::string& what) {
    if (!a.quiet && isatty(STDERR_FILENO)) fprintf(stderr, "\r\x1b[K%.78s", what.c_str());
}
void clear_progress(const Arguments& a) {
    show_progress(a, "");
}

// ---- peaks -----------------------------------------------------------------------------------

json json_of(const peak::Read& r) {
    return {{"n_threads", r.n_threads},
            {"pages", peak::page_name(r.pages)},
            {"buffer_bytes", r.n_bytes},
            {"huge_page_bytes", r.n_huge_bytes},
            {"gb_per_s", r.best_gb_per_s},
            {"median_gb_per_s", r.median_gb_per_s},
            {"loop", r.loop}};
}
json json_of(const peak::Dot& d) {
    return {{"n_threads", d.n_threads},
            {"instruction", d.instruction},
            {"gmac_per_s", d.best_gmac_per_s},
            {"median_gmac_per_s", d.median_gmac_per_s}};
}

struct Peaks {
    std::vector<peak::Read> reads;
    std::vector<peak::Dot> dots;

    double read() const {  // one thread, the better of both page sizes
        double best = 0;
        for (const peak::Read& r : reads)
            if (r.n_threads == 1) best = std::max(best, r.best_gb_per_s);
        return best;
    }
    double dot() const {
        double best = 0;
        for (const peak::Dot& d : dots)
            if (d.n_threads == 1) best = std::max(best, d.best_gmac_per_s);
        return best;
    }
};

Status measure_peaks(const Arguments& a, size_t first_threads, size_t last_threads,
                     std::initializer_list<host::PageSize> page_sizes, Peaks* out) {
    const CpuFeatures features = decode_features(read_cpu_words());
    for (size_t n = first_threads; n <= last_threads && !g_interrupted; n++) {
        const std::string who = std::to_string(n) + (n == 1 ? " thread" : " threads");
        show_progress(a, "dot products, " + who);
        for (peak::Dot& d : peak::measure_dots(features, n)) out->dots.push_back(std::move(d));
        for (const host::PageSize pages : page_sizes) {
            if (g_interrupted) break;
            show_progress(a, "reading memory, " + who + ", pages " + peak::page_name(pages));
            Result<peak::Read> read = peak::measure_read(features, n, pages, a.buffer_mib << 20);
            if (!read.ok()) return read.status();
            out->reads.push_back(std::move(read.value()));
        }
    }
    clear_progress(a);
    return {};
}

void print_peaks(const Peaks& peaks, FILE* to) {
    fprintf(to, "%-34s %7s %12s %12s\n", "8-bit dot products", "threads", "best GMAC/s", "median");
    for (const peak::Dot& d : peaks.dots)
        fprintf(to, "%-34s %7zu %12.1f %12.1f\n", d.instruction.c_str(), d.n_threads,
                d.best_gmac_per_s, d.median_gmac_per_s);
    fprintf(to, "\n%-9s %5s %7s %12s %12s  %s\n", "reading", "pages", "threads", "best GB/s",
            "median", "fastest loop");
    for (const peak::Read& r : peaks.reads) {
        fprintf(to, "%5llu MiB %5s %7zu %12.2f %12.2f  %s",
                static_cast<unsigned long long>(r.n_bytes >> 20), peak::page_name(r.pages),
                r.n_threads, r.best_gb_per_s, r.median_gb_per_s, r.loop.c_str());
        if (r.pages == host::PageSize::huge && r.n_huge_bytes < r.n_bytes)
            fprintf(to, " (%.0f %% in 2 MiB pages)",
                    100.0 * double(r.n_huge_bytes) / double(r.n_bytes));
        fprintf(to, "\n");
    }
}

// ---- kernels ---------------------------------------------------------------------------------

bool wanted(const Arguments& a, const Case& c) {
    const auto holds = [](const std::string& text, const std::string& part) {
        return part.empty() || text.find(part) != std::string::npos;
    };
    return holds(c.op, a.op) && (a.type.empty() || c.type == a.type) &&
           (holds(c.shape, a.shape) || holds(c.model, a.shape)) &&
           (a.n_tokens == 0 || (c.op == "matmul" && c.n_tokens == a.n_tokens));
}

struct Timing {
    double best = 0, median = 0;  // seconds of one call
    size_t n_samples = 0;
};

// Samples of several calls each, so that the clock's resolution does not show.
Timing time_case(const Case& c, const Kernels& kernels, Arena& arena, double seconds_wanted) {
    constexpr double kSampleSeconds = 100e-6;
    constexpr size_t kMinSamples = 5;
    c.prepare(arena);
    double begin = seconds_now();
    c.call(kernels, arena);  // also the warm-up
    const double first = seconds_now() - begin;
    const size_t n_calls = size_t(std::clamp(kSampleSeconds / std::max(first, 1e-9), 1.0, 1e6));
    std::vector<double> samples;
    const double end = seconds_now() + seconds_wanted;
    while (samples.size() < kMinSamples || seconds_now() < end) {
        begin = seconds_now();
        for (size_t i = 0; i < n_calls; i++) c.call(kernels, arena);
        samples.push_back((seconds_now() - begin) / double(n_calls));
        if (g_interrupted) break;
    }
    std::sort(samples.begin(), samples.end());
    return {samples.front(), samples[samples.size() / 2], samples.size()};
}

struct Row {
    const Case* c;
    const char* set;
    Timing timing;
    double share = 0;  // of the peak that bounds it; 0: none measured
};

void print_row(const Row& r) {
    const Case& c = *r.c;
    char gb[16] = "", gmac[16] = "", share[32] = "", tokens[16] = "";
    if (c.weight_bytes > 0)
        snprintf(gb, sizeof gb, "%.2f", c.weight_bytes / r.timing.median * 1e-9);
    if (c.macs > 0) snprintf(gmac, sizeof gmac, "%.1f", c.macs / r.timing.median * 1e-9);
    if (c.elements > 0)
        snprintf(gmac, sizeof gmac, "%.2f Gel", c.elements / r.timing.median * 1e-9);
    if (c.op == "matmul") snprintf(tokens, sizeof tokens, "%zu", c.n_tokens);
    if (r.share > 0)
        snprintf(share, sizeof share, "%.0f %% %s", r.share * 100,
                 c.n_tokens == 1 ? "of read" : "of dot");
    printf("%-16s %-4s %-14s %-30s %6s %-8s %11.2f %11.2f %8s %9s  %s\n", c.op.c_str(),
           c.type.c_str(), c.model.c_str(), c.shape.c_str(), tokens, r.set, r.timing.median * 1e6,
           r.timing.best * 1e6, gb, gmac, share);
    fflush(stdout);
}

json json_of(const Row& r) {
    const Case& c = *r.c;
    const auto rate = [&](double amount) {
        return amount > 0 ? json(amount / r.timing.median * 1e-9) : json(nullptr);
    };
    return {{"op", c.op},
            {"type", c.type.empty() ? json(nullptr) : json(c.type)},
            {"model", c.model},
            {"shape", c.shape},
            {"n_tokens", c.n_tokens},
            {"kernel_set", r.set},
            {"median_ns", r.timing.median * 1e9},
            {"best_ns", r.timing.best * 1e9},
            {"n_samples", r.timing.n_samples},
            {"gb_per_s", rate(c.weight_bytes)},
            {"gmac_per_s", rate(c.macs)},
            {"gelement_per_s", rate(c.elements)},
            {"peak_share", r.share > 0 ? json(r.share) : json(nullptr)},
            {"peak", r.share > 0 ? json(c.n_tokens == 1 ? "read" : "dot") : json(nullptr)}};
}

Status time_kernels(const Arguments& a, const std::vector<Case>& cases, const Peaks& peaks,
                    bool table, std::vector<Row>* rows) {
    constexpr size_t kWeightBytes = 256u << 20, kActBytes = 32u << 20;
    Arena arena;
    Result<host::Memory> weights = host::Memory::map(kWeightBytes, "weights");
    Result<host::Memory> acts = host::Memory::map(kActBytes, "activations");
    if (!weights.ok()) return weights.status();
    if (!acts.ok()) return acts.status();
    arena.weights = std::move(weights.value());
    arena.weights_bytes = kWeightBytes;
    arena.acts = std::move(acts.value());
    arena.cached = a.cached;

    if (table) {
        printf("%-16s %-4s %-14s %-30s %6s %-8s %11s %11s %8s %9s  %s\n", "operation", "type",
               "model", "shape", "tokens", "set", "median us", "best us", "GB/s", "GMAC/s",
               "share of peak");
    }
    for (const Case& c : cases) {
        for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
            if (!set.usable || (!a.set.empty() && a.set != set.kernels->name)) continue;
            if (g_interrupted) return error(Code::interrupted, "interrupted");
            show_progress(a, c.op + " " + c.type + " " + c.shape + " " + set.kernels->name);
            Row row{&c, set.kernels->name,
                    time_case(c, *set.kernels, arena, double(a.time_ms) * 1e-3)};
            if (c.op == "matmul" && c.n_tokens == 1 && peaks.read() > 0)
                row.share = c.weight_bytes / row.timing.median * 1e-9 / peaks.read();
            if (c.op == "matmul" && c.n_tokens > 1 && peaks.dot() > 0)
                row.share = c.macs / row.timing.median * 1e-9 / peaks.dot();
            rows->push_back(row);
            clear_progress(a);
            if (table) print_row(row);
        }
    }
    return {};
}

Status write_json(const Arguments& a, const Peaks& peaks, const std::vector<Row>& rows,
                  const char* status) {
    json out = {
        {"axiom_bench_kernels", 1}, {"status", status},      {"cpu_info", read_cpu_words().brand},
        {"cached", a.cached},       {"read", json::array()}, {"dot", json::array()},
        {"kernels", json::array()}};
    for (const peak::Read& r : peaks.reads) out["read"].push_back(json_of(r));
    for (const peak::Dot& d : peaks.dots) out["dot"].push_back(json_of(d));
    for (const Row& r : rows) out["kernels"].push_back(json_of(r));
    if (a.json == "-") {
        printf("%s\n", out.dump(1).c_str());
        return {};
    }
    std::ofstream file(a.json);
    file << out.dump(1) << "\n";
    file.close();
    if (!file) return error(Code::io, std::string_view(a.json), ": cannot write");
    return {};
}

Status run(const Arguments& a) {
    std::vector<Case> cases;
    if (!a.peaks_only) {
        for (Case& c : kernel_bench::all_cases())
            if (wanted(a, c)) cases.push_back(std::move(c));
        if (cases.empty())
            return error(Code::bad_option,
                         "options: found filters that nothing passes, allowed "
                         "what --list names");
    }
    if (a.list) {
        for (const Case& c : cases)
            printf("%s %s %s %s %zu\n", c.op.c_str(), c.type.empty() ? "-" : c.type.c_str(),
                   c.model.c_str(), c.shape.c_str(), c.n_tokens);
        return {};
    }
    struct sigaction action = {};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, nullptr);

    const bool table = a.json != "-";
    Peaks peaks;
    std::vector<Row> rows;
    Status status;
    if (a.peaks_only) {
        const size_t most = a.n_threads != 0 ? size_t(a.n_threads) : host::HostMachine::n_cores();
        const size_t first = a.only_threads != 0 ? size_t(a.only_threads) : 1;
        status = measure_peaks(a, first, a.only_threads != 0 ? first : most,
                               {host::PageSize::huge, host::PageSize::small}, &peaks);
    } else if (!a.no_peaks) {
        status = measure_peaks(a, 1, 1, {host::PageSize::huge}, &peaks);
    }
    if (status.ok() && table && !a.no_peaks) print_peaks(peaks, stdout);
    if (status.ok() && !a.peaks_only) {
        if (table && !a.no_peaks) printf("\n");
        status = time_kernels(a, cases, peaks, table, &rows);
    }
    if (status.ok() && g_interrupted) status = error(Code::interrupted, "interrupted");
    if (!a.json.empty() && (status.ok() || status.code() == Code::interrupted)) {
        const Status written = write_json(a, peaks, rows, status.ok() ? "ok" : "interrupted");
        if (!written.ok()) return written;
    }
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    Status status = parse(argc, argv, &arguments);
    if (status.ok() && arguments.help) {
        fputs(kHelp, stdout);
        return 0;
    }
    if (status.ok()) status = run(arguments);
    if (status.ok() && fflush(stdout) != 0)
        status = error(Code::io, "standard output: cannot write");
    if (status.ok()) return 0;
    fflush(stdout);
    fprintf(stderr, "axiom-bench-kernels: error: %.*s\n", int(status.text().size()),
            status.text().data());
    return status.code() == Code::bad_option ? 2 : status.code() == Code::interrupted ? 130 : 1;
}
