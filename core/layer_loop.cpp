// SPDX-License-Identifier: MIT
#include "core/layer_loop.h"

#include "core/clock.h"

namespace axiom {

void LayerLoop::add(const Task& task) {
    AXIOM_CHECK(n_tasks_ < kMaxTasks);
    tasks_[n_tasks_++] = task;
}

void LayerLoop::remove(const void* context) {
    size_t n_kept = 0;
    for (size_t i = 0; i < n_tasks_; i++) {
        if (tasks_[i].context != context) tasks_[n_kept++] = tasks_[i];
    }
    n_tasks_ = n_kept;
}

void LayerLoop::poll_tasks() {
    for (size_t i = 0; i < n_tasks_; i++) {
        Task& task = tasks_[i];
        const uint64_t begin = ticks_now();
        task.poll(task.context, begin);
        const uint64_t cost = ticks_now() - begin;
        task.n_runs++;
        task.total_ticks += cost;
        if (cost > task.max_ticks) task.max_ticks = cost;
    }
}

// One pass under way. Worker 0 writes it, while the others wait at a barrier.
struct LayerLoop::Run {
    LayerLoop& loop;
    const LayerJob& job;
    const PassTimes& times;
    size_t i_layer = 0;        // whose boundary comes next
    uint64_t stall_ticks = 0;  // of the layer that was begun last
    Status status = {};
    bool ended = false;     // no further layer
    bool to_check = false;  // the layer that was begun last

    void begin_layer(size_t i) {
        stall_ticks = 0;
        if (job.before == nullptr) return;
        const uint64_t begin = ticks_now();
        status = job.before(job.context, i);
        stall_ticks = ticks_now() - begin;
        if (times.stall_ticks != nullptr) times.stall_ticks[i] = stall_ticks;
        ended = !status.ok();
        to_check = !ended && job.to_check != nullptr && job.to_check(job.context);
    }

    void at_boundary() {
        if (job.after != nullptr) status = job.after(job.context, i_layer);
        const bool is_last = i_layer + 1 == job.n_layers;
        if (loop.turn_ == TaskTurn::layer || (loop.turn_ == TaskTurn::token && is_last))
            loop.poll_tasks();
        if (status.ok() && loop.stop_ != nullptr && loop.stop_->load(std::memory_order_relaxed))
            status = error(Code::interrupted, "interrupted");
        ended = !status.ok() || is_last;
        stall_ticks = 0;
        if (!ended) begin_layer(i_layer + 1);
    }

    void check_layer(const Worker& worker, size_t i) {
        if (!to_check) return;
        const uint64_t begin = ticks_now();
        job.check(job.context, worker);
        if (worker.rank == 0) i_layer = i;
        worker.barrier([](void* run) { static_cast<Run*>(run)->at_checked(); }, this);
        if (worker.rank != 0) return;
        stall_ticks += ticks_now() - begin;
        if (times.stall_ticks != nullptr) times.stall_ticks[i] = stall_ticks;
    }

    void at_checked() {
        status = job.checked(job.context);
        ended = !status.ok();
        if (ended && job.after != nullptr) (void)job.after(job.context, i_layer);
    }

    void work(const Worker& worker) {
        for (size_t i = 0; i < job.n_layers && !ended; i++) {
            check_layer(worker, i);
            if (ended) return;
            const uint64_t begin = ticks_now();
            if (loop.enter_ != nullptr) loop.enter_();
            job.layer(job.context, worker, i);
            if (loop.leave_ != nullptr) loop.leave_();
            const uint64_t computed = ticks_now();
            if (worker.rank == 0) i_layer = i;
            worker.barrier([](void* run) { static_cast<Run*>(run)->at_boundary(); }, this);
            if (worker.rank != 0) continue;
            if (times.layer_ticks != nullptr) times.layer_ticks[i] = computed - begin;
            if (times.boundary_ticks != nullptr)
                times.boundary_ticks[i] = ticks_now() - computed - stall_ticks;
        }
    }
};

Status LayerLoop::run(Team& team, const LayerJob& job, const PassTimes& times) {
    Run run{*this, job, times};
    if (job.n_layers == 0) return {};
    run.begin_layer(0);
    if (run.ended) return run.status;
    if (turn_ == TaskTurn::stage) {
        team.at_barriers([](void* loop) { static_cast<LayerLoop*>(loop)->poll_tasks(); }, this);
    }
    team.run([](const Worker& w, void* context) { static_cast<Run*>(context)->work(w); }, &run);
    team.at_barriers(nullptr, nullptr);
    return run.status;
}

}  // namespace axiom
