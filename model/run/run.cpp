// SPDX-License-Identifier: MIT
#include "model/run/run.h"

#include <algorithm>
#include <new>

#include "core/clock.h"
#include "core/kernels/balance.h"
#include "core/kernels/choose.h"

namespace axiom {
namespace {

// Matrices that kernels are tried on: those of the first layers, more than caches hold where the model
// is that large; and the time that may take, a 33rd of a second.
constexpr size_t kTrialLayers = 64, kTrialMatrices = 256;
constexpr uint64_t kChoicesPerSecond = 33;

std::span<const TrialMatrix> trial_matrices(std::span<const LayerWeights* const> layers,
                                            std::span<TrialMatrix> out) {
    size_t n = 0;
    for (const LayerWeights* const layer : layers) {
        for (const TensorView& view : layer->views) {
            if (!view || !is_quantized(view.type)) continue;
            if (n == out.size()) return out;
            out[n++] = {view.type, view.data, view.n_rows, view.n_cols};
        }
    }
    return out.first(n);
}

}  // namespace

Result<const Kernels*> forced_kernels(const Options& options, const CpuFeatures& features) {
    bool usable = false;
    const Kernels* const kernels =
        find_kernels(options.isa.data(), options.isa.size(), features, &usable);
    if (kernels != nullptr && usable) return kernels;
    char names[64];
    Writer list(names, sizeof names);
    for (const KernelSet& set : kernel_sets(features)) {
        if (set.usable) list.put(list.size() != 0 ? ", " : "").put(set.kernels->name);
    }
    return error(kernels == nullptr ? Code::bad_option : Code::unsupported, "option --isa: found ",
                 Quoted{options.isa}, kernels == nullptr ? "" : ", which this CPU lacks",
                 ", allowed ", list.view());
}

void PassProgress::poll(void* context, uint64_t now) {
    PassProgress& p = *static_cast<PassProgress*>(context);
    p.show(p.n_layers_done + 1, now);
}

void PassProgress::show(uint64_t n_done, uint64_t now) {
    constexpr uint64_t kMarks = 40, kMarksAPercentage = 8;
    if (!enabled) return;
    n_layers_done = n_done;
    if (now - begin_ticks < 2 * machine->clock.ticks_per_second) return;
    if (n_shown == 0) machine->remark(what);
    const uint64_t seconds = (now - begin_ticks) / machine->clock.ticks_per_second - 2;
    const uint64_t reached =
        n_layers == 0 ? seconds : std::min(n_layers_done, n_layers) * kMarks / n_layers;
    for (; n_shown <= reached; n_shown++) {
        const bool says_percent = n_layers != 0 && n_shown % kMarksAPercentage == 0;
        machine->remark(says_percent ? Text<8>(n_shown * 100 / kMarks, "%") : Text<8>("."));
    }
}

void PassProgress::begin(const Machine* m, std::string_view text, uint64_t all_layers) {
    machine = m;
    what = text;
    begin_ticks = ticks_now();
    n_layers = all_layers;
    n_layers_done = n_shown = 0;
    enabled = true;
}

void PassProgress::end() {
    if (n_shown > 0) machine->remark("\n");
    enabled = false;
    n_shown = 0;
}

Status RunBase::begin() {
    end_phase(Phase::other);
    if (Status s = check_disturb(w_, o_); !s.ok()) return s;
    r_->memory_bytes = m_.slab->free_bytes();
    SlabPlan plan;
    memory_.plan_first(w_, o_, m_.team->n_started(), plan);
    if (Status s = plan.create(*m_.slab); !s.ok()) return s;
    describe();
    m_.loop->stop_when(m_.interrupted);
    m_.loop->run_tasks_at(o_.disturb.turn);
    if (!o_.quiet)
        m_.loop->add({.name = "progress", .poll = PassProgress::poll, .context = &progress_});
    return {};
}

Status RunBase::create(RunNeed need) {
    const bool streamed = !w_.has_layers();
    if (streamed) {
        need.engine.n_batch = fitting_batch(request(0), need, *m_.slab);
        need.streamed = fitting_residency(request(0), need, *m_.slab);
    }
    SlabPlan plan;
    memory_.plan_rest(w_, need, plan);
    if (Status s = plan.create(*m_.slab); !s.ok()) return s;
    memory_.pool.bind(*m_.slab);
    memory_.workspace.bind();
    r_->stream = streamed ? "on" : "off";
    if (!streamed) {
        resident_.bind(w_, memory_.layers);
    } else {
        if (Status s = start_streaming(need); !s.ok()) return s;
        r_->n_streamed_layers = uint32_t(need.streamed.n_streamed(w_.config.n_layer));
        r_->resident_bytes = need.streamed.resident_bytes(w_);
    }
    if (Status s = prepare_ticks(); !s.ok()) return s;
    end_phase(Phase::slab);
    if (Status s = use_workers(m_.team->size()); !s.ok()) return s;
    end_phase(Phase::choice);
    r_->type_k = r_->type_v = kv_type_name(need.engine.kv_type);
    r_->n_ctx = uint32_t(need.engine.n_ctx);
    r_->n_batch = uint32_t(need.engine.n_batch);
    if (m_.counters != nullptr) counters_told_ = m_.counters->of_all_cores();
    return {};
}

// What stays of a large model takes a while to read.
Status RunBase::start_streaming(const RunNeed& need) {
    AXIOM_CHECK(m_.disk != nullptr);
    const uint64_t n_bytes = need.streamed.resident_bytes(w_) - w_.layout.frame_bytes();
    if (!o_.quiet) progress_.begin(&m_, "reading layers ", n_bytes);
    const Status status = memory_.streamed.start(
        w_, *m_.disk, *m_.slab, *m_.team,
        [](void* self, uint64_t n_arrived) {
            RunBase& run = *static_cast<RunBase*>(self);
            run.progress_.show(n_arrived, ticks_now());
            if (run.progress_.n_shown != 0) run.m_.loop->poll_tasks();  // to be seen
        },
        this);
    progress_.end();
    return status;
}

RunBase::~RunBase() {
    m_.loop->remove(&progress_);
    m_.loop->run_tasks_at(TaskTurn::layer);
    if (has_ticks_) m_.ticks->stop(*m_.team, *m_.loop);
}

Status RunBase::prepare_ticks() {
    r_->disturb = o_.disturb.text;
    if (o_.disturb.tick_hz == 0) return {};
    if (m_.ticks == nullptr)
        return error(Code::unsupported, "option --disturb: tick: this machine has no timer for it");
    const size_t n_bytes = memory_.evicted.size() / memory_.ticks.size();
    for (size_t i = 0; i < memory_.ticks.size(); i++) {
        Tick& tick = *new (&memory_.ticks[i]) Tick;
        tick.buffer = memory_.evicted.data() + i * n_bytes;
        tick.n_bytes = n_bytes;
    }
    // Memory that was never written may be one page of zeros everywhere.
    std::fill(memory_.evicted.begin(), memory_.evicted.end(), uint8_t{1});
    r_->has_disturb_ticks = true;
    return {};
}

uint64_t RunBase::n_ticks() const {
    uint64_t n = 0;
    for (const Tick& tick : memory_.ticks) n += tick.n_ticks.load(std::memory_order_relaxed);
    return n;
}

Status RunBase::use_workers(size_t n) {
    if (has_ticks_) m_.ticks->stop(*m_.team, *m_.loop);
    has_ticks_ = false;
    m_.team->use(n);
    if (Status s = choose_kernels(); !s.ok()) return s;
    transformer_.emplace(w_, layers(), choice_, memory_.workspace, *m_.team, *m_.loop);
    pass_size_ = size_of_passes(memory_.workspace.shape());
    r_->n_threads = uint32_t(n);
    r_->rows_near = n == m_.team->n_started() ? rows_near_ : -1;  // it is of all of them
    if (memory_.ticks.empty()) return {};
    has_ticks_ = true;
    return m_.ticks->start(*m_.team, *m_.loop, memory_.ticks.first(n), o_.disturb.tick_hz);
}

void RunBase::first_token(Phase phase, uint64_t now) {
    if (m_.entry_ticks != 0)
        r_->phase_first_token_ns = m_.clock.seconds(now - m_.entry_ticks) * 1e9;
    end_start(phase, now);
}

void RunBase::end_start(Phase phase, uint64_t now) {
    if (m_.phases == nullptr || m_.phases->is_closed()) return;
    m_.phases->close(phase, now);
    for (size_t i = 0; i < kNPhases; i++) r_->boot_phase_ns[i] = m_.clock.ns(m_.phases->ticks(i));
}

PassSize RunBase::size_of_passes(const EngineShape& shape) {
    const size_t given = default_batch(o_), most = shape.n_batch;
    if (!finds_pass_size()) return PassSize(std::min(given, most));
    // What is read may be a little less in a mixture of experts, which reads those that were chosen.
    const DiskTraffic t = memory_.streamed.traffic();
    const double n_bytes = double(w_.layout.header.file_bytes - r_->resident_bytes);
    const double read_ticks =
        t.start_bytes != 0 ? n_bytes * double(t.start_ticks) / double(t.start_bytes) : 0;
    return PassSize(given, most, choice_.token_ticks_a_byte * double(w_.bytes_per_token()),
                    read_ticks);
}

WeightSource& RunBase::layers() {
    if (m_.source != nullptr) return *m_.source;
    if (w_.has_layers()) return resident_;
    return memory_.streamed;
}

Status RunBase::choose_kernels() {
    const LayerWeights* layers[kTrialLayers];
    size_t n_layers = memory_.streamed.present(layers);
    for (const LayerWeights& layer : memory_.layers)
        if (n_layers < kTrialLayers) layers[n_layers++] = &layer;
    void* const scratch = memory_.trial.data();
    ChoiceGiven given{.reading = o_.reading, .wants_token_cost = finds_pass_size()};
    if (!o_.isa.empty()) {
        const Result<const Kernels*> kernels = forced_kernels(o_, m_.features);
        if (!kernels.ok()) return kernels.status();
        given.kernels = kernels.value();
    }
    TrialMatrix matrices[kTrialMatrices];
    const uint64_t begin = ticks_now();
    choice_ = axiom::choose_kernels(*m_.team, kernel_sets(m_.features),
                                    trial_matrices({layers, n_layers}, matrices), given,
                                    m_.clock.ticks_per_second / kChoicesPerSecond, scratch);
    const uint64_t took = ticks_now() - begin;
    const auto how = [](bool is_given) { return is_given ? "forced" : "timed"; };
    r_->choice_ns = m_.clock.seconds(took) * 1e9;
    r_->kernel_set = choice_.kernels->name;
    r_->kernel_choice = how(given.kernels != nullptr);
    r_->read_streams = choice_.reading.n_streams;
    r_->read_ahead_bytes = choice_.reading.ahead_bytes;
    r_->read_tokens = choice_.reading.n_tokens;
    r_->read_choice = how(given.reading.n_streams != 0);
    r_->core_balance = balance_team(*m_.team, *choice_.kernels, scratch);
    return {};
}

// What is known of the model before anything runs.
void RunBase::describe() {
    RecordStorage& storage = memory_.record[0];
    const auto copy = [](char* to, size_t capacity, auto&&... parts) {
        Writer w(to, capacity);
        (w.put(parts), ...);
        return w.view();
    };
    const format::Config& c = *w_.source;
    const auto fixed = [](const char* text, size_t capacity) {  // NUL-padded
        return std::string_view(text, size_t(std::find(text, text + capacity, '\0') - text));
    };
    const double billions = double(c.n_params) * 1e-9;
    const Text<24> size(billions >= 1 ? Fixed{billions, 1} : Fixed{billions * 1e3, 0},
                        billions >= 1 ? "B" : "M");
    r_->model_filename = w_.file;
    r_->model_name =
        copy(storage.model_name, sizeof storage.model_name, fixed(c.name, sizeof c.name));
    r_->model_type = copy(storage.model_type, sizeof storage.model_type,
                          fixed(c.architecture, sizeof c.architecture), " ", size.view(), " ",
                          fixed(c.quantization, sizeof c.quantization));
    r_->axm_checksum = copy(storage.checksum, sizeof storage.checksum,
                            HexDigits{w_.layout.header.head_checksum, 16});
    if (w_.layout.by_digest) {
        r_->model_root =
            copy(storage.root, sizeof storage.root, digest_text(w_.layout.root()).view());
    }
    r_->model_n_params = c.n_params;
    r_->model_size = 0;
    for (const format::TensorEntry& e : w_.entries) r_->model_size += e.bytes;
    r_->tsc_hz = m_.clock.ticks_per_second;
}

void RunBase::fill_layers(const PassStats& stats) {
    if (memory_.streamed.is_started()) {
        const DiskTraffic t = memory_.streamed.traffic();
        const double n_passes = double(std::max<uint64_t>(1, t.n_layers)) / double(t.layers.size());
        const auto gb_per_s = [&](uint64_t bytes, uint64_t ticks) {
            return ticks != 0 ? double(bytes) / m_.clock.seconds(ticks) * 1e-9 : 0;
        };
        stats.fill_costs(memory_.layer_costs);
        for (size_t i = 0; i < t.layers.size(); i++) {
            LayerCost& cost = memory_.layer_costs[i];
            cost.n_bytes = double(t.layers[i].n_bytes) / n_passes;
            cost.gb_per_s = gb_per_s(t.layers[i].n_bytes, t.layers[i].read_ticks);
        }
        r_->layer_costs = memory_.layer_costs;
        r_->disk_bytes = t.n_bytes;
        r_->disk_gb_per_s = gb_per_s(t.n_bytes, t.ticks);
        r_->disk_start_gb_per_s = gb_per_s(t.start_bytes, t.start_ticks);
        r_->disk_share =
            r_->disk_start_gb_per_s > 0 ? r_->disk_gb_per_s / r_->disk_start_gb_per_s : 0;
        r_->disk_hidden =
            t.busy_ticks > t.wait_ticks ? 1 - double(t.wait_ticks) / double(t.busy_ticks) : 0;
        r_->disk_check_ns = m_.clock.seconds(t.check_ticks) * 1e9;
        r_->disk_retries = t.n_retries;
        r_->stream_m = uint32_t(pass_size_.covering());
    }
    stats.fill_layers(r_);
}

void RunBase::close(const Status& outcome) {
    r_->outcome = outcome;
    if (memory_.record.empty()) return;
    RecordStorage& storage = memory_.record[0];
    const size_t n_slabs = m_.slab->n_classes();
    for (size_t i = 0; i < n_slabs; i++) {
        const SlabClassStats stats = m_.slab->stats(Slab::ClassId(i));
        storage.slabs[i] = {stats.name, stats.object_bytes, stats.capacity, stats.high_water};
    }
    r_->slabs = {storage.slabs, n_slabs};
    const size_t n_tasks = m_.loop->n_tasks();
    for (size_t i = 0; i < n_tasks; i++) {
        const Task& task = m_.loop->task(i);
        storage.tasks[i] = {task.name, task.n_runs, m_.clock.seconds(task.total_ticks) * 1e9,
                            m_.clock.seconds(task.max_ticks) * 1e9};
    }
    r_->tasks = {storage.tasks, n_tasks};
    if (!memory_.ticks.empty()) {
        const uint64_t n = n_ticks();
        r_->n_disturb_ticks = n - n_ticks_told_;
        n_ticks_told_ = n;
    }
    if (m_.counters != nullptr) {
        const Counters now = m_.counters->of_all_cores();
        r_->counters = now.since(counters_told_);
        counters_told_ = now;
    }
}

}  // namespace axiom
