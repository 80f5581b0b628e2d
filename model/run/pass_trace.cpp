// SPDX-License-Identifier: MIT
#include "model/run/pass_trace.h"

#include "model/report/json_writer.h"

namespace axiom {
namespace {

void put_text(std::string_view name, std::string_view text, JsonWriter& out) {
    out.name(name);
    if (text.empty()) return out.put("null");
    out.string(text);
}

}  // namespace

void PassTrace::add(const TracedPass& pass) {
    if (n_passes_ == n_max_) {
        n_dropped_++;
        return;
    }
    uint64_t* word = memory_.data() + n_passes_ * n_words(1, n_layer_);
    *word++ = pass.ticks;
    *word++ = uint64_t{pass.n_rows} << 1 | (pass.stage == Stage::decode);
    for (size_t i = 0; i < n_layer_; i++) {
        *word++ = pass.attention[i];
        *word++ = pass.layer[i] - pass.attention[i];
        *word++ = pass.boundary[i];
        *word++ = pass.stall[i];
    }
    n_passes_++;
}

void PassTrace::print_head(const Record& r, TextSink write, void* context) const {
    JsonWriter out(write, context);
    out.open("{");
    out.name("axiom");
    out.put("1");
    put_text("kind", "trace", out);
    put_text("model_filename", r.model_filename, out);
    put_text("axm_checksum", r.axm_checksum, out);
    put_text("test", r.test, out);
    put_text("build_commit", r.build_commit, out);
    put_text("backend", r.backend, out);
    put_text("kernel_set", r.kernel_set, out);
    out.name("n_threads");
    out.number(uint64_t{r.n_threads});
    out.name("n_layer");
    out.number(uint64_t{n_layer_});
    out.name("tsc_hz");
    out.number(r.tsc_hz);
    out.name("n_passes");
    out.number(n_passes_);
    out.name("n_dropped");
    out.number(n_dropped_);
    out.close("}\n");
}

void PassTrace::print(const Record& record, const Clock& clock, TextSink write,
                      void* context) const {
    print_head(record, write, context);
    const uint64_t* word = memory_.data();
    for (uint64_t i = 0; i < n_passes_; i++) {
        JsonWriter out(write, context);
        const uint64_t ticks = *word++, rows = *word++;
        out.open("{");
        out.name("pass");
        out.number(i);
        out.name("stage");
        out.string((rows & 1) != 0 ? "decode" : "prefill");
        out.name("rows");
        out.number(rows >> 1);
        out.name("ns");
        out.number(clock.ns(ticks));
        out.name("layers");
        out.open("[");
        for (size_t layer = 0; layer < n_layer_; layer++) {
            for (size_t time = 0; time < kTimes; time++) {
                out.put(time != 0 ? "," : layer != 0 ? ",[" : "[");
                out.number(clock.ns(*word++));
            }
            out.put("]");
        }
        out.close("]");
        out.close("}\n");
    }
}

}  // namespace axiom
