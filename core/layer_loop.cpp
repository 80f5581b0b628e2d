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

struct LayerLoop::Pass {
    LayerLoop* loop;
    size_t n_layers;
    Layer layer;
    void* context;
    PassTimes times;
    bool stopped = false;  // written by worker 0 while all wait at a barrier
};

// What worker 0 does while the others wait.
void LayerLoop::at_boundary(void* context) {
    Pass& pass = *static_cast<Pass*>(context);
    pass.loop->poll_tasks();
    const std::atomic<bool>* const stop = pass.loop->stop_;
    pass.stopped = stop != nullptr && stop->load(std::memory_order_relaxed);
}

void LayerLoop::work(const Worker& worker, void* context) {
    Pass& pass = *static_cast<Pass*>(context);
    for (size_t i = 0; i < pass.n_layers; i++) {
        const uint64_t begin = ticks_now();
        pass.layer(pass.context, worker, i);
        const uint64_t computed = ticks_now();
        worker.barrier(at_boundary, &pass);
        if (pass.stopped) return;
        if (worker.rank != 0) continue;
        if (pass.times.layer_ticks != nullptr) pass.times.layer_ticks[i] = computed - begin;
        if (pass.times.boundary_ticks != nullptr) {
            pass.times.boundary_ticks[i] = ticks_now() - computed;
        }
    }
}

bool LayerLoop::run(Team& team, size_t n_layers, Layer layer, void* context,
                    const PassTimes& times) {
    Pass pass{this, n_layers, layer, context, times, false};
    team.run(work, &pass);
    return !pass.stopped;
}

}  // namespace axiom
