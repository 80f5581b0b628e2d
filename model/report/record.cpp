// SPDX-License-Identifier: MIT
// The record's field table, its JSON line, and order statistics. record_table.cpp prints for
// people; bench/record.schema.json says what each field is.
#include "model/report/record.h"

#include "core/fmt.h"
#include "core/histogram.h"
#include "core/status.h"
#include "model/report/histogram_json.h"
#include "model/report/json_writer.h"
#include "model/report/samples.h"

namespace axiom {
namespace {

void put_samples(const Record& r, bool per_second, JsonWriter& out) {
    if (!r.has_samples) return out.put("null");
    const Samples samples(r);
    out.open("[");
    for (size_t i = 0; i < samples.size(); i++) {
        if (i) out.put(",");
        out.number(samples.value(i, per_second), per_second ? 3 : 0);
    }
    out.close("]");
}

// An object for each item, with what put(item) writes.
template <class T, class Put>
void put_objects(std::span<const T> items, JsonWriter& out, Put put) {
    out.open("[");
    for (size_t i = 0; i < items.size(); i++) {
        out.put(i ? "," : "");
        out.open("{");
        put(items[i]);
        out.close("}");
    }
    out.close("]");
}

void put_slabs(const Record& r, JsonWriter& out) {
    put_objects<SlabMark>(r.slabs, out, [&](const SlabMark& s) {
        out.name("name");
        out.string(s.name);
        out.name("object_bytes");
        out.number(s.object_bytes);
        out.name("capacity");
        out.number(s.capacity);
        out.name("high_water");
        out.number(s.high_water);
    });
}

void put_layers(const Record& r, JsonWriter& out) {
    if (r.layer_costs.empty()) return out.put("null");
    put_objects<LayerCost>(r.layer_costs, out, [&](const LayerCost& c) {
        out.name("compute_ns");
        out.number(c.compute_ns, 0);
        out.name("stall_ns");
        out.number(c.stall_ns, 0);
        out.name("bytes");
        out.number(c.n_bytes, 0);
        out.name("gb_per_s");
        if (c.gb_per_s > 0) {
            out.number(c.gb_per_s, 3);
        } else {
            out.put("null");
        }
    });
}

void put_tasks(const Record& r, JsonWriter& out) {
    put_objects<TaskCost>(r.tasks, out, [&](const TaskCost& t) {
        out.name("name");
        out.string(t.name);
        out.name("n_runs");
        out.number(t.n_runs);
        out.name("total_ns");
        out.number(t.total_ns, 0);
        out.name("max_ns");
        out.number(t.max_ns, 0);
    });
}

void put_turns(const Record& r, JsonWriter& out) {
    if (r.turns.empty()) return out.put("null");
    put_objects<TurnCost>(r.turns, out, [&](const TurnCost& t) {
        out.name("n_prompt");
        out.number(uint64_t{t.n_prompt});
        out.name("n_reused");
        out.number(uint64_t{t.n_reused});
        out.name("n_gen");
        out.number(uint64_t{t.n_gen});
        out.name("prefill_ns");
        out.number(t.prefill_ns, 0);
        out.name("decode_ns");
        out.number(t.decode_ns, 0);
        out.name("stop_reason");
        out.string(t.stop_reason);
    });
}

void put_nodes(const Record& r, JsonWriter& out) {
    if (r.nodes.empty()) return out.put("null");
    put_objects<NodeShare>(r.nodes, out, [&](const NodeShare& n) {
        out.name("domain");
        out.number(uint64_t{n.domain});
        out.name("n_cpus");
        out.number(uint64_t{n.n_cpus});
        out.name("memory_bytes");
        out.number(n.memory_bytes);
        out.name("model_bytes");
        out.number(n.model_bytes);
    });
}

template <Percentiles Record::*kTimes>
void put_histogram_of(const Record& r, JsonWriter& out) {
    const FineLogHistogram* const h = (r.*kTimes).histogram;
    if (h == nullptr) return out.put("null");
    put_histogram(*h, out);
}

void put_boot_phases(const Record& r, JsonWriter& out) {
    bool any = false;
    for (size_t i = 0; i < kNPhases; i++) {
        if (r.boot_phase_ns[i] == 0) continue;
        out.put(any ? "," : "[");
        any = true;
        out.open("{");
        out.name("name");
        out.string(kPhaseNames[i]);
        out.name("ns");
        out.number(r.boot_phase_ns[i]);
        out.close("}");
    }
    out.put(any ? "]" : "null");
}

void put_integer(uint64_t value, bool set, JsonWriter& out) {
    if (set) {
        out.number(value);
    } else {
        out.put("null");
    }
}

void put_counter(const Record& r, Counter counter, JsonWriter& out) {
    put_integer(r.counters.value(counter), r.counters.has(counter), out);
}

// Counts of --prompts, for which 0 is a value.
void put_served(const Record& r, uint64_t n, JsonWriter& out) {
    if (r.n_parallel == 0) return out.put("null");
    out.number(n);
}

// How a field's value is had and printed. The unit is the end of the name: _ns nanoseconds, _ts
// tokens per second, _bytes, _hz; shares are of one.
struct Value {
    std::string_view Record::*text = nullptr;
    uint64_t Record::*u64 = nullptr;
    uint32_t Record::*u32 = nullptr;
    double Record::*f64 = nullptr;
    Percentiles Record::*order = nullptr;
    uint64_t Percentiles::*order_n = nullptr;
    double Percentiles::*order_ns = nullptr;
    std::string_view (*computed_text)(const Record&) = nullptr;
    double (*computed)(const Samples&) = nullptr;
    void (*special)(const Record&, JsonWriter&) = nullptr;

    constexpr Value(std::string_view Record::*m) : text(m) {}
    constexpr Value(uint64_t Record::*m) : u64(m) {}
    constexpr Value(uint32_t Record::*m) : u32(m) {}
    constexpr Value(double Record::*m) : f64(m) {}
    constexpr Value(Percentiles Record::*p, uint64_t Percentiles::*m) : order(p), order_n(m) {}
    constexpr Value(Percentiles Record::*p, double Percentiles::*m) : order(p), order_ns(m) {}
    constexpr Value(std::string_view (*f)(const Record&)) : computed_text(f) {}
    constexpr Value(double (*f)(const Samples&)) : computed(f) {}
    constexpr Value(void (*f)(const Record&, JsonWriter&)) : special(f) {}
};

struct Field {
    std::string_view name;
    Value value;
    int decimals = 0;            // of doubles
    bool zero_is_value = false;  // otherwise 0 means not measured: null
};

using R = Record;
using P = Percentiles;

constexpr Field kFields[] = {
    {"status", +[](const R& r) { return r.status(); }},
    {"error", +[](const R& r) { return r.error(); }},
    {"stop_reason",
     +[](const R& r) {
         return r.outcome.code() == Code::interrupted ? r.status() : r.stop_reason;
     }},
    {"build_commit", &R::build_commit},
    {"backend", &R::backend},
    {"cpu_info", &R::cpu_info},
    {"machine", &R::machine},
    {"kernel_set", &R::kernel_set},
    {"kernel_choice", &R::kernel_choice},
    {"read_streams", &R::read_streams},
    {"read_ahead_bytes", &R::read_ahead_bytes, 0, true},
    {"read_tokens", &R::read_tokens},
    {"read_choice", &R::read_choice},
    {"choice_ns", &R::choice_ns},
    {"test_time", &R::test_time},
    {"model_filename", &R::model_filename},
    {"model_name", &R::model_name},
    {"model_type", &R::model_type},
    {"axm_checksum", &R::axm_checksum},
    {"model_root", &R::model_root},
    {"secure_boot", &R::secure_boot},
    {"tpm_options_pcr", &R::tpm_options_pcr},
    {"tpm_model_pcr", &R::tpm_model_pcr},
    {"model_size", &R::model_size},
    {"model_n_params", &R::model_n_params},
    {"n_batch", &R::n_batch},
    {"n_threads", &R::n_threads},
    {"n_cpus", &R::n_cpus},
    {"n_cpus_started", &R::n_cpus_started},
    {"n_siblings",
     +[](const R& r, JsonWriter& out) { put_integer(r.n_siblings, r.n_cpus != 0, out); }},
    {"nodes", put_nodes},
    {"rows_near",
     +[](const R& r, JsonWriter& out) {
         if (r.rows_near < 0) return out.put("null");
         out.number(r.rows_near, 3);
     }},
    {"core_balance", &R::core_balance, 3},
    {"n_ctx", &R::n_ctx},
    {"type_k", &R::type_k},
    {"type_v", &R::type_v},
    {"n_prompt", &R::n_prompt, 0, true},
    {"n_gen", &R::n_gen, 0, true},
    {"n_turns", &R::n_turns},
    {"n_reused",
     +[](const R& r, JsonWriter& out) {
         if (r.n_turns == 0) return out.put("null");
         out.number(r.n_reused);
     }},
    {"turns", put_turns},
    {"n_parallel", &R::n_parallel},
    {"n_prompts", +[](const R& r, JsonWriter& out) { put_served(r, r.n_prompts, out); }},
    {"n_ok", +[](const R& r, JsonWriter& out) { put_served(r, r.n_ok, out); }},
    {"n_failed", +[](const R& r, JsonWriter& out) { put_served(r, r.n_failed, out); }},
    {"n_cancelled", +[](const R& r, JsonWriter& out) { put_served(r, r.n_cancelled, out); }},
    {"n_interrupted", +[](const R& r, JsonWriter& out) { put_served(r, r.n_interrupted, out); }},
    {"n_shared", +[](const R& r, JsonWriter& out) { put_served(r, r.n_shared, out); }},
    {"n_preempted", +[](const R& r, JsonWriter& out) { put_served(r, r.n_preempted, out); }},
    {"n_passes", &R::n_passes},
    {"n_prompt_rows", &R::n_prompt_rows},
    {"n_decode_rows", &R::n_decode_rows},
    {"rows_per_pass", &R::rows_per_pass, 3},
    {"passes_ns", &R::passes_ns},
    {"serve_ts", &R::serve_ts, 3},
    {"n_positions", &R::n_positions},
    {"test", &R::test},
    {"n_depth", &R::n_depth, 0, true},
    {"n_sequences", &R::n_sequences},
    {"n_warmup", &R::n_warmup, 0, true},
    {"weight_bytes_per_token", &R::weight_bytes_per_token},
    {"gb_per_s", &R::gb_per_s, 3},
    {"gmac_per_s", &R::gmac_per_s, 3},
    {"microcode", &R::microcode},
    {"frequency_method", &R::frequency_method},
    {"frequency_before", &R::frequency_before, 3},
    {"frequency_after", &R::frequency_after, 3},
    {"frequency_slowest", &R::frequency_slowest, 3},
    {"tsc_hz", &R::tsc_hz},
    {"tsc_reference", &R::tsc_reference},
    {"memory_bytes", &R::memory_bytes},
    {"huge_page_bytes", &R::huge_page_bytes},
    {"avg_of",
     +[](const R& r, JsonWriter& out) {
         const Samples s(r);
         if (s.size())
             out.string(s.of);
         else
             out.put("null");
     }},
    {"avg_ns", +[](const Samples& s) { return s.mean(false); }},
    {"stddev_ns", +[](const Samples& s) { return s.deviation(false); }, 0, true},
    {"avg_ts", +[](const Samples& s) { return s.speed(); }, 3},
    {"stddev_ts", +[](const Samples& s) { return s.deviation(true); }, 3, true},
    {"prefill_ns", &R::prefill_ns},
    {"prefill_ts", &R::prefill_ts, 3},
    {"n_decode", &R::n_decode, 0, true},
    {"draft", &R::draft},
    {"n_drafted", &R::n_drafted, 0, true},
    {"n_accepted", &R::n_accepted, 0, true},
    {"tokens_per_pass", &R::tokens_per_pass, 3},
    {"decode_ns", &R::decode_ns},
    {"decode_stddev_ns", &R::decode_stddev_ns},
    {"decode_ts", &R::decode_ts, 3},
    {"decode_gb_per_s", &R::decode_gb_per_s, 3},
    {"decode_mmac_per_s", &R::decode_mmac_per_s, 3},
    {"token_n", {&R::token, &P::n}},
    {"token_p50_ns", {&R::token, &P::p50_ns}},
    {"token_p90_ns", {&R::token, &P::p90_ns}},
    {"token_p99_ns", {&R::token, &P::p99_ns}},
    {"token_p999_ns", {&R::token, &P::p999_ns}},
    {"token_max_ns", {&R::token, &P::max_ns}},
    {"token_histogram", put_histogram_of<&R::token>},
    {"layer_n", {&R::layer, &P::n}},
    {"layer_p50_ns", {&R::layer, &P::p50_ns}},
    {"layer_p90_ns", {&R::layer, &P::p90_ns}},
    {"layer_p99_ns", {&R::layer, &P::p99_ns}},
    {"layer_p999_ns", {&R::layer, &P::p999_ns}},
    {"layer_max_ns", {&R::layer, &P::max_ns}},
    {"layer_histogram", put_histogram_of<&R::layer>},
    {"boundary_n", {&R::boundary, &P::n}},
    {"boundary_p50_ns", {&R::boundary, &P::p50_ns}},
    {"boundary_p90_ns", {&R::boundary, &P::p90_ns}},
    {"boundary_p99_ns", {&R::boundary, &P::p99_ns}},
    {"boundary_p999_ns", {&R::boundary, &P::p999_ns}},
    {"boundary_max_ns", {&R::boundary, &P::max_ns}},
    {"boundary_share", &R::boundary_share, 6},
    {"boundary_histogram", put_histogram_of<&R::boundary>},
    {"stall_n", {&R::stall, &P::n}},
    {"stall_p50_ns", {&R::stall, &P::p50_ns}},
    {"stall_p90_ns", {&R::stall, &P::p90_ns}},
    {"stall_p99_ns", {&R::stall, &P::p99_ns}},
    {"stall_p999_ns", {&R::stall, &P::p999_ns}},
    {"stall_max_ns", {&R::stall, &P::max_ns}},
    {"stall_share", &R::stall_share, 6},
    {"stream", &R::stream},
    {"n_streamed_layers", &R::n_streamed_layers},
    {"resident_bytes", &R::resident_bytes},
    {"disk_bytes", &R::disk_bytes},
    {"disk_gb_per_s", &R::disk_gb_per_s, 3},
    {"disk_start_gb_per_s", &R::disk_start_gb_per_s, 3},
    {"disk_share", &R::disk_share, 3},
    {"disk_hidden", &R::disk_hidden, 3},
    {"disk_check_ns", &R::disk_check_ns},
    {"disk_retries",
     +[](const R& r, JsonWriter& out) {
         if (r.n_streamed_layers == 0 && r.disk_bytes == 0) return out.put("null");
         out.number(r.disk_retries);
     }},
    {"stream_m", &R::stream_m},
    {"layers", put_layers},
    {"sample_ns", &R::sample_ns},
    {"phase_entry_ns", &R::phase_entry_ns},
    {"phase_load_ns", &R::phase_load_ns},
    {"load_bytes", &R::load_bytes},
    {"phase_exit_ns", &R::phase_exit_ns},
    {"phase_first_token_ns", &R::phase_first_token_ns},
    {"boot_phases", put_boot_phases},
    {"logits_hash",
     +[](const R& r, JsonWriter& out) {
         if (r.logits_hash)
             out.string(Text<16>(HexDigits{r.logits_hash, 16}));
         else
             out.put("null");
     }},
    {"disturb", &R::disturb},
    {"n_disturb_ticks",
     +[](const R& r, JsonWriter& out) {
         put_integer(r.n_disturb_ticks, r.has_disturb_ticks, out);
     }},
    {"n_nmi", +[](const R& r, JsonWriter& out) { put_counter(r, Counter::nmi, out); }},
    {"n_smi", +[](const R& r, JsonWriter& out) { put_counter(r, Counter::smi, out); }},
    {"n_corrected_errors",
     +[](const R& r, JsonWriter& out) { put_counter(r, Counter::corrected_errors, out); }},
    {"n_cache_misses",
     +[](const R& r, JsonWriter& out) { put_counter(r, Counter::cache_misses, out); }},
    {"slabs", put_slabs},
    {"tasks", put_tasks},
    {"samples_ns", +[](const R& r, JsonWriter& out) { put_samples(r, false, out); }},
    {"samples_ts", +[](const R& r, JsonWriter& out) { put_samples(r, true, out); }},
};

void put_double(double value, int decimals, bool set, JsonWriter& out) {
    if (set) {
        out.number(value, decimals);
    } else {
        out.put("null");
    }
}

void put_value(const Record& r, const Field& field, JsonWriter& out) {
    const Value& v = field.value;
    const bool zero = field.zero_is_value;
    if (v.text || v.computed_text) {
        const std::string_view text = v.text ? r.*v.text : v.computed_text(r);
        return text.empty() ? out.put("null") : out.string(text);
    }
    if (v.u64) return put_integer(r.*v.u64, zero || r.*v.u64 != 0, out);
    if (v.u32) return put_integer(r.*v.u32, zero || r.*v.u32 != 0, out);
    if (v.f64) return put_double(r.*v.f64, field.decimals, zero || r.*v.f64 != 0, out);
    if (v.order) {
        const Percentiles& p = r.*v.order;
        if (v.order_n) return put_integer(p.n, p.n != 0, out);
        return put_double(p.*v.order_ns, field.decimals, p.n != 0, out);
    }
    if (v.computed) {
        const Samples samples(r);
        return put_double(v.computed(samples), field.decimals, samples.size() != 0, out);
    }
    v.special(r, out);
}

}  // namespace

std::string_view Record::status() const {
    return outcome.ok() ? "ok" : outcome.code() == Code::interrupted ? "interrupted" : "error";
}

std::string_view Record::error() const {
    return status() == "error" ? outcome.text() : std::string_view();
}

void print_json(const Record& record, TextSink write, void* context) {
    JsonWriter out(write, context);
    out.open("{");
    out.name("axiom");
    out.put("1");
    for (const Field& field : kFields) {
        out.name(field.name);
        put_value(record, field, out);
    }
    out.close("}\n");
}

Percentiles percentiles(const FineLogHistogram& times) {
    static constexpr struct {
        double quantile;
        double Percentiles::*ns;
        uint64_t least = least_samples(quantile);
    } kQuantiles[] = {
        {0.5, &P::p50_ns}, {0.9, &P::p90_ns}, {0.99, &P::p99_ns}, {0.999, &P::p999_ns}};
    Percentiles p;
    p.n = times.n();
    p.max_ns = times.max_ns();
    p.histogram = &times;
    for (const auto& q : kQuantiles)
        if (p.n >= q.least) p.*q.ns = times.quantile(q.quantile);
    return p;
}

}  // namespace axiom
