// SPDX-License-Identifier: MIT
#include "model/report/noise_record.h"

#include "core/fmt.h"
#include "model/report/histogram_json.h"
#include "model/report/text_table.h"

namespace axiom {
namespace {

constexpr struct {
    std::string_view name;
    double p;
} kQuantiles[] = {{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"p999_ns", 0.999}};

constexpr struct {
    std::string_view name;
    Counter counter;
} kCounters[] = {{"n_nmi", Counter::nmi},
                 {"smi_count", Counter::smi},
                 {"aperf", Counter::aperf},
                 {"mperf", Counter::mperf},
                 {"n_voluntary_switches", Counter::voluntary_switches},
                 {"n_involuntary_switches", Counter::involuntary_switches},
                 {"n_minor_faults", Counter::minor_faults},
                 {"n_major_faults", Counter::major_faults},
                 {"steal_ns", Counter::steal_ns}};

constexpr int kDecimals = 1;  // of nanoseconds

class Object {
  public:
    Object(TextSink write, void* context) : out_(write, context) {
        out_.open("{");
        out_.name("axiom");
        out_.put("1");
    }
    ~Object() { out_.close("}\n"); }
    Object(const Object&) = delete;

    void text(std::string_view name, std::string_view value) {
        out_.name(name);
        if (value.empty()) return out_.put("null");
        out_.string(value);
    }
    void whole(std::string_view name, uint64_t value, bool known = true) {
        out_.name(name);
        if (!known) return out_.put("null");
        out_.number(value);
    }
    void ns(std::string_view name, double value, bool known) {
        out_.name(name);
        if (!known) return out_.put("null");
        out_.number(value, kDecimals);
    }
    // `prefix`_p50_ns and so on where there are enough samples, the longest, and the histogram.
    template <class Histogram>
    void order(std::string_view prefix, const Histogram& times) {
        for (const auto& q : kQuantiles) {
            ns(Text<32>(prefix, "_", q.name), times.quantile(q.p), times.n() >= least_samples(q.p));
        }
        ns(Text<32>(prefix, "_max_ns"), times.max_ns(), times.n() != 0);
        out_.name(Text<32>(prefix, "_histogram"));
        put_histogram(times, out_);
    }

  private:
    JsonWriter out_;
};

template <class Histogram>
Text<24> quantile_cell(const Histogram& times, double p) {
    return times.n() >= least_samples(p) ? duration(times.quantile(p)) : Text<24>("-");
}

void print_counters(std::span<const CoreNoise> cores, Table& t) {
    constexpr std::string_view kShort[] = {"nmi",       "smi",    "aperf", "mperf", "waited",
                                           "preempted", "faults", "major", "stolen"};
    static_assert(std::size(kShort) == std::size(kCounters));
    const auto shown = [&](Counter counter) {
        return counter != Counter::aperf && counter != Counter::mperf && !cores.empty() &&
               cores[0].counters.has(counter);
    };
    t.end();
    t.label("core");
    for (size_t i = 0; i < std::size(kCounters); i++)
        if (shown(kCounters[i].counter)) t.cell(kShort[i]);
    const bool has_speed = !cores.empty() && cores[0].counters.has(Counter::mperf);
    if (has_speed) t.cell("speed");
    t.end();
    for (const CoreNoise& core : cores) {
        t.label(Text<16>(core.core));
        for (const auto& c : kCounters) {
            if (!shown(c.counter)) continue;
            const uint64_t value = core.counters.value(c.counter);
            t.cell(c.counter == Counter::steal_ns ? duration(double(value)) : Text<24>(value));
        }
        const double mperf = double(core.counters.value(Counter::mperf));
        if (has_speed && mperf > 0)
            t.cell(Text<24>(Fixed{double(core.counters.value(Counter::aperf)) / mperf, 3}, " x"));
        t.end();
    }
}

}  // namespace

void print_json(const NoiseFacts& facts, const CoreNoise& core, TextSink write, void* context) {
    const bool interrupted = facts.outcome.code() == Code::interrupted;
    Object o(write, context);
    o.text("kind", "noise");
    o.text("status", facts.outcome.ok() ? "ok" : interrupted ? "interrupted" : "error");
    o.text("error", facts.outcome.ok() || interrupted ? "" : facts.outcome.text());
    o.text("build_commit", facts.build_commit);
    o.text("backend", facts.backend);
    o.text("cpu_info", facts.cpu_info);
    o.text("machine", facts.machine);
    o.text("test_time", facts.test_time);
    o.whole("tsc_hz", facts.tsc_hz);
    o.whole("n_threads", facts.n_threads);
    o.whole("core", core.core);
    o.ns("threshold_ns", facts.threshold_ns, true);
    o.ns("duration_ns", core.gaps_duration_ns, true);
    o.ns("least_step_ns", core.least_step_ns, core.least_step_ns > 0);
    o.whole("n_gaps", core.gaps.n());
    o.ns("gap_ns", core.gaps.sum_ns(), true);
    o.order("gap", core.gaps);
    o.whole("fwq_work", facts.fwq_work);
    o.whole("n_fwq", core.quanta.n());
    o.ns("fwq_ns", core.quanta.sum_ns(), core.quanta.n() != 0);
    o.ns("fwq_min_ns", core.least_quantum_ns, core.quanta.n() != 0);
    o.order("fwq", core.quanta);
    for (const auto& c : kCounters)
        o.whole(c.name, core.counters.value(c.counter), core.counters.has(c.counter));
}

void print_table(const NoiseFacts& facts, std::span<const CoreNoise> cores, TextSink write,
                 void* context) {
    Table t(write, context);
    t.label("machine")
        .put(facts.backend)
        .put(", ")
        .put(facts.machine)
        .put(", ")
        .put(facts.cpu_info);
    t.end();
    const double seconds = cores.empty() ? 0 : cores[0].gaps_duration_ns * 1e-9;
    t.label("gaps").put("of the TSC, longer than ").put(duration(facts.threshold_ns));
    t.put(", in ").put(Fixed{seconds, 2}).put(" s on each of ").put(uint64_t(cores.size()));
    t.put(cores.size() == 1 ? " core" : " cores, all at once").end();
    t.label("core")
        .cell("gaps")
        .cell("of the time")
        .cell("p50")
        .cell("p99")
        .cell("p99.9")
        .cell("max");
    t.end();
    for (const CoreNoise& core : cores) {
        t.label(Text<16>(core.core)).cell(Text<24>(core.gaps.n()));
        const double share = core.gaps.sum_ns() / core.gaps_duration_ns;
        t.cell(core.gaps_duration_ns > 0 ? Text<24>(Fixed{share * 100, 4}, " %") : Text<24>("-"));
        for (const double p : {0.5, 0.99, 0.999}) t.cell(quantile_cell(core.gaps, p));
        t.cell(core.gaps.n() != 0 ? duration(core.gaps.max_ns()) : Text<24>("-")).end();
    }
    t.end();
    t.label("quanta").put("of fixed work, ").put(facts.fwq_work).put(" steps").end();
    t.label("core")
        .cell("quanta")
        .cell("least")
        .cell("p50")
        .cell("p99")
        .cell("p99.9")
        .cell("max")
        .end();
    for (const CoreNoise& core : cores) {
        t.label(Text<16>(core.core)).cell(Text<24>(core.quanta.n()));
        t.cell(core.quanta.n() != 0 ? duration(core.least_quantum_ns) : Text<24>("-"));
        for (const double p : {0.5, 0.99, 0.999}) t.cell(quantile_cell(core.quanta, p));
        t.cell(core.quanta.n() != 0 ? duration(core.quanta.max_ns()) : Text<24>("-")).end();
    }
    print_counters(cores, t);
}

}  // namespace axiom
