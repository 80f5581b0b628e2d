// SPDX-License-Identifier: MIT
// The record as a table for people: ASCII, at most 80 columns where names allow, and a line only
// for what was measured.
#include "core/fmt.h"
#include "model/report/record.h"
#include "model/report/text_table.h"

namespace axiom {
namespace {

// Joins what is known with commas.
class Phrase {
  public:
    explicit Phrase(Table& table) : table_(table) {}
    template <class... Parts>
    void add(bool known, const Parts&... parts) {
        if (!known) return;
        if (any_) table_.put(", ");
        any_ = true;
        (table_.put(parts), ...);
    }

  private:
    Table& table_;
    bool any_ = false;
};

void print_facts(const Record& r, Table& t) {
    if (!r.model_name.empty() || !r.model_type.empty() || r.model_size) {
        Phrase p(t.label("model"));
        p.add(!r.model_name.empty(), r.model_name);
        p.add(!r.model_type.empty(), r.model_type);
        p.add(r.model_size != 0, Bytes{r.model_size});
        p.add(r.model_n_params != 0, Fixed{double(r.model_n_params) / 1e6, 1}, " M parameters");
        t.end();
    }
    if (!r.backend.empty() || !r.machine.empty() || !r.cpu_info.empty()) {
        Phrase p(t.label("machine"));
        p.add(!r.backend.empty(), r.backend);
        p.add(!r.machine.empty(), r.machine);
        p.add(!r.cpu_info.empty(), r.cpu_info);
        p.add(r.n_cpus != 0, r.n_cpus_started, " of ", r.n_cpus, r.n_cpus == 1 ? " CPU" : " CPUs");
        t.end();
    }
    if (!r.kernel_set.empty()) {
        Phrase p(t.label("kernels"));
        p.add(true, r.kernel_set);
        p.add(!r.kernel_choice.empty(), r.kernel_choice);
        p.add(r.read_streams != 0, "reading ", r.read_streams, ",", r.read_ahead_bytes, ",",
              r.read_tokens);
        p.add(!r.read_choice.empty(), r.read_choice);
        p.add(r.n_threads != 0, r.n_threads, r.n_threads == 1 ? " thread" : " threads");
        p.add(r.n_ctx != 0, "context ", r.n_ctx);
        p.add(r.n_batch != 0, "batch ", r.n_batch);
        t.end();
    }
}

// What makes the figures others than those of a run left alone.
void print_disturbance(const Record& r, Table& t) {
    if (!r.disturb.empty()) {
        Phrase p(t.label("disturbed"));
        p.add(true, r.disturb);
        p.add(r.has_disturb_ticks, r.n_disturb_ticks, " ticks");
        t.end();
    }
    const uint64_t n_nmis = r.counters.value(Counter::nmi);
    if (n_nmis != 0)
        t.label("NMIs").put(n_nmis).put(" came from elsewhere: the machine may be failing").end();
    const uint64_t n_corrected = r.counters.value(Counter::corrected_errors);
    if (n_corrected != 0) {
        t.label("hardware")
            .put(n_corrected)
            .put(n_corrected == 1 ? " error was" : " errors were")
            .put(" corrected: memory, a cache or a bus may be failing")
            .end();
    }
}

void print_stages(const Record& r, Table& t) {
    const bool loaded = r.phase_load_ns > 0 && r.load_bytes != 0;
    const bool prefilled = r.prefill_ns > 0;
    const bool decoded = r.n_decode != 0 && r.decode_ns > 0;
    if (loaded || prefilled || decoded) {
        t.end();
        t.label("stage").cell("amount").cell("time").cell("per token").cell("rate").end();
    }
    if (loaded) {
        t.label("load")
            .cell(Text<16>(Bytes{r.load_bytes}))
            .cell(duration(r.phase_load_ns))
            .cell("");
        t.cell(rate(double(r.load_bytes) * 1e3 / r.phase_load_ns, " MB/s")).end();
    }
    if (prefilled) {
        t.label("prefill").cell(Text<24>(r.n_prompt, " tokens")).cell(duration(r.prefill_ns));
        t.cell(r.n_prompt ? duration(r.prefill_ns / r.n_prompt) : Text<24>());
        t.cell(r.prefill_ts > 0 ? rate(r.prefill_ts, " t/s") : Text<24>()).end();
    }
    if (decoded) {
        t.label("decode").cell(Text<24>(r.n_decode, " tokens")).cell(duration(r.decode_ns));
        t.cell(duration(r.decode_ns / r.n_decode));
        t.cell(r.decode_ts > 0 ? rate(r.decode_ts, " t/s") : Text<24>());
        if (r.n_decode > 1) t.put("  +- ").put(duration(r.decode_stddev_ns)).put(" a token");
        t.end();
    }
    if (decoded && (r.decode_gb_per_s > 0 || r.decode_mmac_per_s > 0)) {
        Phrase p(t.label("").put("  "));
        p.add(r.decode_gb_per_s > 0, Fixed{r.decode_gb_per_s, 3}, " GB/s of weights");
        p.add(r.decode_mmac_per_s > 0, Fixed{r.decode_mmac_per_s, 0}, " million multiply-adds/s");
        t.end();
    }
    if (decoded && r.n_drafted != 0) {
        Phrase p(t.label("").put("  "));
        p.add(true, r.n_accepted, " of ", r.n_drafted, " drafted tokens accepted");
        p.add(r.tokens_per_pass > 0, Fixed{r.tokens_per_pass, 2}, " tokens a pass");
        t.end();
    }
    if (r.sample_ns > 0) t.label("sampling").cell("").cell("").cell(duration(r.sample_ns)).end();
}

void print_served(const Record& r, Table& t) {
    if (r.n_parallel == 0) return;
    t.end();
    Phrase prompts(t.label("prompts"));
    prompts.add(true, r.n_ok, " of ", r.n_prompts, " answered");
    prompts.add(r.n_failed != 0, r.n_failed, " failed");
    prompts.add(r.n_cancelled != 0, r.n_cancelled, " cancelled");
    prompts.add(r.n_interrupted != 0, r.n_interrupted, " interrupted");
    prompts.add(true, r.n_parallel, " at a time");
    prompts.add(r.serve_ts > 0, rate(r.serve_ts, " t/s"));
    t.end();
    Phrase tokens(t.label("tokens"));
    tokens.add(true, r.n_prompt, " of prompts");
    tokens.add(r.n_shared != 0, r.n_shared, " of these shared");
    tokens.add(true, r.n_gen, " generated");
    t.end();
    if (r.n_passes == 0) return;
    Phrase passes(t.label("passes"));
    passes.add(true, r.n_passes);
    passes.add(r.passes_ns > 0, duration(r.passes_ns));
    passes.add(r.rows_per_pass > 0, Fixed{r.rows_per_pass, 2}, " rows a pass");
    passes.add(r.n_preempted != 0, r.n_preempted, " sequences dropped and read again");
    t.end();
}

void print_repetitions(const Record& r, Table& t) {
    t.end();
    t.label("test").cell("repetitions").cell("best").cell("mean").cell("rate").end();
    double best = 0, sum = 0, sum_ts = 0;
    for (const uint64_t ns : r.test_samples_ns) {
        if (ns == 0) continue;
        best = best == 0 || double(ns) < best ? double(ns) : best;
        sum += double(ns);
        sum_ts += double(r.n_test_tokens) * 1e9 / double(ns);
    }
    const size_t n = r.test_samples_ns.size();
    t.label(r.test).cell(Text<24>(n));
    if (sum > 0) {
        t.cell(duration(best)).cell(duration(sum / double(n)));
        t.cell(rate(sum_ts / double(n), " t/s"));
        if (r.gb_per_s > 0) t.put("  ").put(rate(r.gb_per_s, " GB/s"));
        if (r.gmac_per_s > 0) t.put("  ").put(rate(r.gmac_per_s, " GMAC/s"));
    }
    t.end();
}

void print_order(const char* name, const Percentiles& p, double share, const char* of, Table& t) {
    if (p.n == 0) return;
    t.label(name);
    for (const double ns : {p.p50_ns, p.p99_ns, p.p999_ns, p.max_ns})
        t.cell(ns >= 0 ? duration(ns) : Text<24>("-"));
    t.cell(Text<24>(p.n));
    if (share > 0) t.put("  ").put(Fixed{share * 100, 3}).put(" % of ").put(of);
    t.end();
}

void print_layers(const Record& r, Table& t) {
    if (r.layer.n == 0) return;
    t.end();
    t.label("each").cell("p50").cell("p99").cell("p99.9").cell("max").cell("samples").end();
    const char* const of = !r.test.empty() ? "the test" : r.n_parallel != 0 ? "passes" : "decode";
    print_order("token", r.token, 0, of, t);
    print_order("layer", r.layer, 0, of, t);
    print_order("boundary", r.boundary, r.boundary_share, of, t);
    print_order("stall", r.stall, r.stall_share, of, t);
}

void print_disk(const Record& r, Table& t) {
    if (r.layer_costs.empty()) return;
    t.end();
    Phrase where(t.label("weights"));
    where.add(true, Bytes{r.resident_bytes}, " stay in memory");
    where.add(true, r.n_streamed_layers, " of ", uint64_t(r.layer_costs.size()),
              " layers streamed");
    where.add(r.stream_m != 0, "covered by ", r.stream_m, " tokens a pass");
    t.end();
    if (r.disk_bytes == 0) return;
    Phrase disk(t.label("disk"));
    disk.add(true, Bytes{r.disk_bytes}, " read");
    disk.add(r.disk_gb_per_s > 0, Fixed{r.disk_gb_per_s, 3}, " GB/s");
    disk.add(r.disk_share > 0, Fixed{r.disk_share * 100, 1}, " % of its rate at the start");
    disk.add(true, Fixed{r.disk_hidden * 100, 1}, " % of reading hidden");
    disk.add(r.disk_retries != 0, r.disk_retries, r.disk_retries == 1 ? " retry" : " retries");
    t.end();
    t.label("layer").cell("compute").cell("stall").cell("bytes").cell("GB/s").end();
    for (size_t i = 0; i < r.layer_costs.size(); i++) {
        const LayerCost& c = r.layer_costs[i];
        t.label(Text<16>(uint64_t(i))).cell(duration(c.compute_ns)).cell(duration(c.stall_ns));
        if (c.n_bytes > 0) t.cell(Text<16>(Bytes{uint64_t(c.n_bytes)}));
        if (c.gb_per_s > 0) t.cell(rate(c.gb_per_s, ""));
        t.end();
    }
}

void print_tasks(const Record& r, Table& t) {
    bool any = false;
    for (const TaskCost& task : r.tasks) {
        if (task.n_runs == 0) continue;
        if (!any) t.end();
        if (!any) t.label("task").cell("mean").cell("max").cell("total").cell("runs").end();
        any = true;
        t.label(task.name).cell(duration(task.total_ns / double(task.n_runs)));
        t.cell(duration(task.max_ns))
            .cell(duration(task.total_ns))
            .cell(Text<24>(task.n_runs))
            .end();
    }
}

void print_memory(const Record& r, Table& t) {
    if (r.slabs.empty() && r.memory_bytes == 0) return;
    t.end();
    t.label("memory").cell("object").cell("objects").cell("most used").cell("bytes").end();
    uint64_t total = 0;
    for (const SlabMark& s : r.slabs) {
        const uint64_t bytes = s.object_bytes * s.capacity;
        total += bytes;
        t.label(s.name).cell(Text<16>(Bytes{s.object_bytes})).cell(Text<24>(s.capacity));
        t.cell(Text<24>(s.high_water)).cell(Text<16>(Bytes{bytes})).end();
    }
    if (r.memory_bytes == 0) return;
    t.label("given").cell("").cell("").cell("").cell(Text<16>(Bytes{r.memory_bytes}));
    if (total) t.put("  of which classes take ").put(Bytes{total});
    t.end();
}

// From power-on, or program start, to the first token: two rows of names over their times.
void print_boot(const Record& r, Table& t) {
    constexpr size_t kInARow = 6;
    size_t known[kNPhases], n = 0;
    for (size_t i = 0; i < kNPhases; i++)
        if (r.boot_phase_ns[i] != 0) known[n++] = i;
    if (n == 0) return;
    t.end();
    for (size_t begin = 0; begin < n; begin += kInARow) {
        const size_t end = begin + kInARow < n ? begin + kInARow : n;
        t.label(begin == 0 ? "start" : "");
        for (size_t i = begin; i < end; i++) t.cell(kPhaseNames[known[i]]);
        t.end();
        t.label("");
        for (size_t i = begin; i < end; i++) t.cell(duration(double(r.boot_phase_ns[known[i]])));
        t.end();
    }
}

void print_outcome(const Record& r, Table& t) {
    t.end();
    if (r.phase_entry_ns > 0 || r.phase_exit_ns > 0 || r.phase_first_token_ns > 0) {
        Phrase p(t.label("times"));
        p.add(r.phase_entry_ns > 0, "entry ", duration(r.phase_entry_ns), " after power-on");
        p.add(r.phase_exit_ns > 0, "firmware left ", duration(r.phase_exit_ns), " after entry");
        p.add(r.phase_first_token_ns > 0, "first token ", duration(r.phase_first_token_ns),
              " after entry");
        t.end();
    }
    Phrase p(t.label("run"));
    p.add(true, r.status());
    p.add(!r.stop_reason.empty() && r.outcome.ok(), r.stop_reason);
    p.add(r.n_turns != 0, r.n_turns, " turns");
    p.add(r.n_gen != 0 && r.test.empty() && r.n_parallel == 0, r.n_gen, " generated");
    p.add(r.logits_hash != 0, "logits hash ", HexDigits{r.logits_hash, 16});
    t.end();
    if (!r.error().empty()) t.label("error").put(r.error()).end();
}

}  // namespace

void print_table(const Record& record, TextSink write, void* context) {
    Table table(write, context);
    print_facts(record, table);
    print_disturbance(record, table);
    print_stages(record, table);
    print_served(record, table);
    print_layers(record, table);
    print_disk(record, table);
    print_tasks(record, table);
    print_memory(record, table);
    print_boot(record, table);
    print_outcome(record, table);
}

void print_summary(const Record& record, TextSink write, void* context) {
    Table table(write, context);
    print_facts(record, table);
    print_stages(record, table);
    print_served(record, table);
    print_outcome(record, table);
}

void print_test(const Record& record, uint32_t n_threads_before, TextSink write, void* context) {
    Table table(write, context);
    if (record.n_threads != n_threads_before) print_facts(record, table);
    print_repetitions(record, table);
    print_disturbance(record, table);
    print_layers(record, table);
    print_disk(record, table);
    if (n_threads_before == 0) print_boot(record, table);
    print_outcome(record, table);
}

}  // namespace axiom
