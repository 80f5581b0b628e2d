// SPDX-License-Identifier: MIT
#include "model/run/serve.h"

#include <algorithm>
#include <new>

#include "core/clock.h"
#include "model/run/pass_stats.h"
#include "model/run/prompt.h"
#include "model/run/scheduler.h"

namespace axiom {
namespace {

// How memory is split: first one sequence of the whole context, which always can go on; then slots, of
// which there are fewer only when not even that sequence fits beside them; blocks of keys and values
// get the rest, as far as the prompts can use it. So a slot is no share of memory: short sequences
// fill all slots where one long one would fill the blocks.
RunNeed serve_need(const RunRequest& request, uint64_t n_ctx) {
    const uint64_t n_slots = request.n_slots;
    RunNeed need;
    need.engine = engine_shape(request, n_ctx);
    need.engine.n_ctx_asked = size_t(default_context(request.weights, request.options));
    need.engine.n_batch = std::max<size_t>(need.engine.n_batch, size_t(n_slots));
    need.n_streamed_batch = most_batch(request, n_ctx);
    need.engine.n_logit_rows = need.engine.n_sequences = size_t(n_slots);
    need.engine.n_positions = size_t(std::max(request.n_positions, n_ctx));
    need.n_prompt_tokens = max_tokens(request.n_text_bytes);
    need.n_encoder_bytes = Tokenizer::scratch_bytes(size_t(request.n_text_bytes));
    need.n_history_tokens = n_slots * (n_ctx + 1);
    need.n_candidates = request.weights.config.n_vocab;
    need.n_traced_passes = traced_passes(request.options, PassTrace::kMaxPasses);
    need.n_slot_bytes = n_slots * sizeof(Slot);
    return need;
}

uint64_t most_slots(const Options& options) {
    return options.n_parallel != 0 ? options.n_parallel : kDefaultParallel;
}

// Positions that prompts can use: nobody needs memory for contexts that are never filled. A guess is
// enough, as too few blocks cost only time.
uint64_t useful_positions(const RunRequest& request, uint64_t n_ctx) {
    const uint64_t of_one = request.n_text_bytes + request.options.n_predict + kKvPositions;
    return std::max(n_ctx, request.n_slots * std::min(n_ctx, of_one));
}

// What of it the slab holds: completes the request, and says the context.
Result<uint64_t> fit(RunRequest& request, const Slab& slab) {
    const Options& options = request.options;
    const uint64_t wanted_ctx = default_context(request.weights, options);
    const auto holds_slots = [&](uint64_t n_slots) {
        request.n_slots = n_slots;
        return fits(request, serve_need(request, wanted_ctx), slab);
    };
    const uint64_t n_slots = most_slots(options);
    request.n_slots = options.n_parallel != 0 ? n_slots : largest_that(1, n_slots, holds_slots);
    const Result<uint64_t> n_ctx =
        fitting_context(request, serve_need, slab, wanted_ctx, options.n_ctx == 0);
    if (!n_ctx.ok()) return n_ctx;
    request.n_positions =
        largest_that(n_ctx.value(), useful_positions(request, n_ctx.value()), [&](uint64_t n) {
            request.n_positions = n;
            return fits(request, serve_need(request, n_ctx.value()), slab);
        });
    return n_ctx;
}

// How a request ended, as its line says and the record counts.
struct Ending {
    std::string_view name;
    uint32_t Record::*count;
};
constexpr Ending kOk{"ok", &Record::n_ok}, kFailed{"error", &Record::n_failed},
    kCancelled{"cancelled", &Record::n_cancelled},
    kInterrupted{"interrupted", &Record::n_interrupted};

class Serving : public RunBase {
  public:
    Serving(const Machine& machine, const Weights& weights, const Options& options, Record* record)
        : RunBase(machine, weights, options, record) {}
    ~Serving() {
        for (Slot& slot : slots_) slot.~Slot();
    }
    Status run(RequestSource& source, uint64_t n_text_bytes);

  private:
    Status prepare(uint64_t n_text_bytes);
    Status serve(RequestSource& source);
    bool take_requests(RequestSource& source);
    Status start(Request& request);
    Status pass();
    void go_on(Slot& slot, std::span<const float> logits);
    void end_cancelled(const RequestSource& source);
    // `outcome`: what failed, if something did.
    void end(Slot& slot, const Ending& ending, const Status& outcome = {});
    void print_result(const Slot& slot, const Ending& ending, const Status& outcome);
    bool interrupted() const;
    // To the person, if there is one.
    void note(std::string_view line) const {
        if (!o_.quiet && m_.note != nullptr) m_.note(m_.note_context, line);
    }
    void print_failure(const Request& request);
    void note_progress();
    void fill_record(uint64_t took_ticks);

    Result<Texts> texts_{Status()};
    std::span<Slot> slots_;
    std::optional<Scheduler> scheduler_;
    Request next_;
    PassStats stats_;
    uint64_t begin_ticks_ = 0, next_note_ticks_ = 0;
};

Status Serving::prepare(uint64_t n_text_bytes) {
    texts_ = open_texts(w_);
    if (!texts_.ok()) return texts_.status();
    if (Status s = check_vocabulary(w_, texts_.value()); !s.ok()) return s;
    if (Status s = check_shape(w_, o_); !s.ok()) return s;
    if (Status s = begin(); !s.ok()) return s;
    RunRequest asked = request(prompt_bytes(w_, o_, n_text_bytes));
    const Result<uint64_t> n_ctx = fit(asked, *m_.slab);
    if (!n_ctx.ok()) return n_ctx.status();
    const RunNeed need = serve_need(asked, n_ctx.value());
    if (Status s = create(need); !s.ok()) return s;

    const size_t n_slots = need.engine.n_sequences, n_history = need.engine.n_ctx + 1;
    Slot* const first = reinterpret_cast<Slot*>(memory_.slots.data());
    for (size_t i = 0; i < n_slots; i++) {
        Slot* const slot = new (first + i)
            Slot(transformer(), memory_.pool, texts_.value().tokenizer,
                 memory_.history.subspan(i * n_history, n_history), memory_.candidates);
        slots_ = {first, i + 1};
        if (Status s = slot->session.open(); !s.ok()) return s;
    }
    const ChatTemplate& chat = texts_.value().chat;
    if (!o_.raw && !chat.present() && !chat.source().empty())
        note("the model's chat template is not understood: prompts go on as they are\n");
    scheduler_.emplace(slots_, memory_.pool, pass_size().rows());
    stats_ = pass_stats();
    begin_layers();
    r_->n_parallel = uint32_t(n_slots);
    r_->n_positions = uint32_t(need.engine.n_positions);
    return {};
}

Status Serving::run(RequestSource& source, uint64_t n_text_bytes) {
    if (Status s = prepare(n_text_bytes); !s.ok()) return s;
    end_phase(Phase::other);
    begin_ticks_ = ticks_now();
    next_note_ticks_ = begin_ticks_ + 2 * m_.clock.ticks_per_second;
    const Status status = serve(source);
    const Ending& ending = status.code() == Code::interrupted ? kInterrupted : kFailed;
    while (!scheduler_->live().empty()) end(*scheduler_->live()[0], ending, status);
    fill_record(ticks_now() - begin_ticks_);
    return status;
}

bool Serving::interrupted() const {
    return m_.interrupted != nullptr && m_.interrupted->load(std::memory_order_relaxed);
}

Status Serving::serve(RequestSource& source) {
    for (;;) {
        if (interrupted()) return error(Code::interrupted, "interrupted");
        end_cancelled(source);
        const bool more = take_requests(source);
        if (!scheduler_->live().empty()) {
            if (Status s = pass(); !s.ok()) return s;
            note_progress();
        } else if (more) {
            m_.loop->poll_tasks();
        } else {
            return {};
        }
    }
}

// Fills free slots; false when no request will ever come.
bool Serving::take_requests(RequestSource& source) {
    while (scheduler_->has_free_slot() && !interrupted()) {
        m_.loop->poll_tasks();  // there may be many requests that fail
        const RequestSource::Next next = source.next(&next_);
        if (next != RequestSource::Next::request) return next == RequestSource::Next::none_now;
        r_->n_prompts++;
        if (next_.status.ok()) next_.status = start(next_);
        if (!next_.status.ok()) print_failure(next_);
    }
    return true;
}

Status Serving::start(Request& request) {
    const Text<48> shown("line ", request.line);
    const Result<size_t> n = encode_prompt(w_, texts_.value(), request.options, r_->n_ctx,
                                           memory_.prompt, memory_.encoder, shown.view());
    if (!n.ok()) return n.status();
    const std::span<const TokenId> tokens = memory_.prompt.first(n.value());
    Slot& slot = scheduler_->best_slot(tokens);
    slot.request = request;
    slot.logits_hash = Xxh64();
    slot.n_prompt = n.value();
    slot.n_shared = 0;
    slot.session.restart(slot.request.all_stops());
    if (Status s = slot.session.resume(tokens); !s.ok()) return s;
    scheduler_->enter(slot);
    r_->n_prompt += uint32_t(slot.n_prompt);
    if (slot.session.done()) end(slot, kOk);
    return {};
}

Status Serving::pass() {
    const Workspace& ws = memory_.workspace;
    scheduler_->set_batch(pass_size().rows());
    const std::span<const Row> rows = scheduler_->compose({ws.rows, ws.shape().n_batch});
    const uint64_t begin = ticks_now(), waited = transformer().wait_ticks();
    const Status status = transformer().forward(rows, stats_.begin());
    const uint64_t took = ticks_now() - begin;
    if (!status.ok()) return status;
    pass_size().took(rows.size(), took, transformer().wait_ticks() - waited);
    r_->n_passes++;

    // Slots leave while they go on, so those that have logits are noted first.
    Slot* ready[kMaxParallel];
    size_t n_ready = 0, n_generate = 0;
    for (Slot* slot : scheduler_->live()) {
        if (slot->n_rows == 0) continue;
        const bool generates = slot->n_rows == 1 && slot->session.n_generated() != 0;
        n_generate += generates;
        (generates ? r_->n_decode_rows : r_->n_prompt_rows) += slot->n_rows;
        if (slot->session.pending().empty()) ready[n_ready++] = slot;
    }
    stats_.set_stage(n_generate != 0 ? Stage::decode : Stage::prefill);
    stats_.end(took, rows.size());
    for (size_t i = 0; i < n_generate; i++) stats_.add_token(m_.clock.seconds(took) * 1e9);
    for (size_t i = 0; i < n_ready; i++) go_on(*ready[i], ws.logits_row(i));
    return {};
}

void Serving::go_on(Slot& slot, std::span<const float> logits) {
    Session& session = slot.session;
    slot.logits_hash.update(logits.data(), logits.size_bytes());
    const TokenId id = session.sample(logits);
    if (r_->n_gen++ == 0) first_token(Phase::prefill, ticks_now());
    session.accept(id);
    if (session.done()) end(slot, kOk);
}

void Serving::end_cancelled(const RequestSource& source) {
    for (size_t i = 0; i < scheduler_->live().size();) {
        Slot& slot = *scheduler_->live()[i];
        if (source.is_cancelled(slot.request)) {
            end(slot, kCancelled);
        } else {
            i++;
        }
    }
}

void Serving::end(Slot& slot, const Ending& ending, const Status& outcome) {
    (r_->*ending.count)++;
    r_->n_shared += slot.n_shared;
    print_result(slot, ending, outcome);
    scheduler_->leave(slot);
}

void put_head(const Request& request, const Ending& ending, const Status& outcome,
              JsonWriter& out) {
    out.open("{");
    out.name("axiom");
    out.put("1");
    out.name("kind");
    out.string("result");
    out.name("id");
    switch (request.id.kind) {
        case JsonValue::Kind::string:
            out.string(request.id.text);
            break;
        case JsonValue::Kind::number:
            out.put(request.id.text);
            break;
        default:
            out.put("null");
    }
    out.name("line");
    out.number(request.line);
    out.name("status");
    out.string(ending.name);
    if (&ending != &kFailed) return;
    out.name("error");
    out.string(outcome.text());
}

void Serving::print_result(const Slot& slot, const Ending& ending, const Status& outcome) {
    const Session& session = slot.session;
    JsonWriter out(m_.write, m_.write_context);
    put_head(slot.request, ending, outcome, out);
    out.name("stop_reason");
    if (session.done()) {
        out.string(stop_reason_name(session.stop_reason()));
    } else {
        out.put("null");
    }
    out.name("n_prompt");
    out.number(uint64_t(slot.n_prompt));
    out.name("n_gen");
    out.number(uint64_t(session.n_generated()));
    out.name("n_shared");
    out.number(uint64_t(slot.n_shared));
    out.name("text");
    out.begin_string();
    session.retell(
        [](void* to, std::string_view text) { static_cast<JsonWriter*>(to)->string_part(text); },
        &out);
    out.end_string();
    out.name("logits_hash");
    out.string(Text<16>(HexDigits{slot.logits_hash.digest(), 16}));
    out.close("}\n");
}

void Serving::print_failure(const Request& request) {
    r_->n_failed++;
    JsonWriter out(m_.write, m_.write_context);
    put_head(request, kFailed, request.status, out);
    out.close("}\n");
}

// A line every ten seconds, the first one after two.
void Serving::note_progress() {
    const uint64_t now = ticks_now();
    if (now < next_note_ticks_) return;
    next_note_ticks_ = now + 10 * m_.clock.ticks_per_second;
    const uint32_t n_ended = r_->n_ok + r_->n_failed + r_->n_cancelled;
    const Text<160> line(n_ended, " ended, ", scheduler_->live().size(), " under way, ", r_->n_gen,
                         " tokens generated, ",
                         Fixed{double(r_->n_gen) / m_.clock.seconds(now - begin_ticks_), 1},
                         " t/s\n");
    note(line);
}

void Serving::fill_record(uint64_t took_ticks) {
    r_->n_preempted = uint32_t(scheduler_->n_preempted());
    r_->passes_ns = m_.clock.seconds(stats_.total_ticks()) * 1e9;
    if (r_->n_gen != 0) r_->serve_ts = double(r_->n_gen) / m_.clock.seconds(took_ticks);
    if (r_->n_passes == 0) return;
    r_->rows_per_pass = double(r_->n_prompt_rows + r_->n_decode_rows) / double(r_->n_passes);
    fill_layers(stats_);
    print_trace(stats_);
}

}  // namespace

Result<MemoryNeed> serve_memory(const Weights& weights, const Options& options, size_t n_workers,
                                uint64_t n_text_bytes) {
    if (Status s = check_shape(weights, options); !s.ok()) return s;
    RunRequest asked{weights, options, n_workers, prompt_bytes(weights, options, n_text_bytes)};
    const uint64_t wanted_ctx = default_context(weights, options);
    // Any context will do to start where none was asked for: what does not fit it is said, line by
    // line.
    const uint64_t least_ctx =
        options.n_ctx != 0 ? wanted_ctx : std::min<uint64_t>(wanted_ctx, kKvPositions);
    asked.n_slots = std::max<uint64_t>(1, options.n_parallel);
    const Result<MemoryNeed> least = memory_between(asked, serve_need, least_ctx, least_ctx);
    if (!least.ok()) return least.status();
    asked.n_slots = most_slots(options);
    asked.n_positions = useful_positions(asked, wanted_ctx);
    const Result<MemoryNeed> wanted = memory_between(asked, serve_need, wanted_ctx, wanted_ctx);
    if (!wanted.ok()) return wanted.status();
    return MemoryNeed{least.value().least, wanted.value().wanted};
}

Status serve(const Machine& machine, const Weights& weights, const Options& options,
             RequestSource& source, uint64_t n_text_bytes, Record* record) {
    Serving run(machine, weights, options, record);
    const Status status = run.run(source, n_text_bytes);
    run.close(status);
    return status;
}

}  // namespace axiom
