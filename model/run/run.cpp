// SPDX-License-Identifier: MIT
#include "model/run/run.h"

#include "core/kernels/balance.h"

namespace axiom {

Status check_context(const Weights& weights, const Options& options) {
    if (options.n_ctx <= weights.config.n_ctx_train) return {};
    return error(Code::bad_option, "option -c: found ", options.n_ctx, ", allowed 0..",
                 uint64_t(weights.config.n_ctx_train), " (the context ", weights.file,
                 " was trained for)");
}

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

StateShape state_shape(const Weights& weights, const Options& options, size_t n_workers,
                       size_t n_ctx, bool all_logits) {
    StateShape shape;
    shape.config = weights.config;
    shape.n_ctx = n_ctx;
    shape.n_batch = std::max<size_t>(1, std::min<size_t>(options.n_batch, n_ctx));
    if (all_logits) shape.n_batch = std::min(shape.n_batch, StateShape::kMaxLogitRows);
    shape.n_workers = n_workers;
    shape.n_logit_rows = all_logits ? shape.n_batch : 1;
    return shape;
}

void PassProgress::poll(void* context, uint64_t now) {
    PassProgress& p = *static_cast<PassProgress*>(context);
    if (!p.enabled || now < p.next_ticks) return;
    if (!p.shown) p.machine->write(p.machine->write_context, p.what);
    p.shown = true;
    p.machine->write(p.machine->write_context, ".");
    p.next_ticks = now + p.machine->clock.ticks_per_second;
}

void PassProgress::begin(const Machine* m, std::string_view text) {
    machine = m;
    what = text;
    enabled = true;
    next_ticks = ticks_now() + 2 * m->clock.ticks_per_second;
}

void PassProgress::end() {
    if (shown) machine->write(machine->write_context, "\n");
    enabled = shown = false;
}

Status RunBase::begin() {
    r_->memory_bytes = m_.slab->free_bytes();
    if (Status s = take("record", 1, &storage_); !s.ok()) return s;
    describe();
    if (Status s = choose_kernels(); !s.ok()) return s;
    m_.loop->stop_when(m_.interrupted);
    if (!o_.quiet)
        m_.loop->add({.name = "progress", .poll = PassProgress::poll, .context = &progress_});
    return {};
}

Status RunBase::create_state(size_t n_ctx, bool all_logits) {
    Result<State> state =
        State::create(*m_.slab, state_shape(w_, o_, m_.team->size(), n_ctx, all_logits));
    if (!state.ok()) return state.status();
    state_ = state.value();
    r_->n_ctx = uint32_t(n_ctx);
    r_->n_batch = uint32_t(state_.shape.n_batch);
    r_->n_threads = uint32_t(m_.team->size());
    return {};
}

Status RunBase::choose_kernels() {
    std::span<uint8_t> scratch;
    if (Status s = take("select", kSelectScratchBytes, &scratch); !s.ok()) return s;
    r_->kernel_choice = o_.isa.empty() ? "timed" : "forced";
    if (o_.isa.empty()) {
        uint64_t ticks[8];
        kernels_ = select_kernels(m_.features, scratch.data(), ticks);
    } else {
        const Result<const Kernels*> kernels = forced_kernels(o_, m_.features);
        if (!kernels.ok()) return kernels.status();
        kernels_ = kernels.value();
    }
    r_->kernel_set = kernels_->name;
    r_->core_balance = balance_team(*m_.team, *kernels_, scratch.data());
    return {};
}

// What is known of the model before anything runs.
void RunBase::describe() {
    RecordStorage& storage = storage_[0];
    const auto copy = [](char* to, size_t capacity, auto&&... parts) {
        Writer w(to, capacity);
        (w.put(parts), ...);
        return w.view();
    };
    const format::Config& c = w_.source;
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
    r_->model_n_params = c.n_params;
    r_->model_size = 0;
    for (const format::TensorEntry& e : w_.entries) r_->model_size += e.bytes;
    r_->tsc_hz = m_.clock.ticks_per_second;
}

void RunBase::finish_record() {
    if (storage_.empty()) return;
    RecordStorage& storage = storage_[0];
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
}

}  // namespace axiom
