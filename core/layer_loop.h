// SPDX-License-Identifier: MIT
// The layer-boundary cooperative loop. A layer is never interrupted (law 3): everything that is
// not arithmetic is a Task, runs on worker 0 between two layers, and its cost is measured.
// Must not know: what a layer computes or what a task does.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "core/team.h"

namespace axiom {

// Runs to completion and never waits. `poll` gets the ticks at the boundary.
struct Task {
    const char* name = "";
    void (*poll)(void* context, uint64_t now_ticks) = nullptr;
    void* context = nullptr;
    // Filled in by the loop.
    uint64_t n_runs = 0;
    uint64_t total_ticks = 0;
    uint64_t max_ticks = 0;
};

// Where the loop leaves one pass's timing. Pointers may be null (not recorded).
struct PassTimes {
    uint64_t* layer_ticks = nullptr;     // [n_layers], the compute time of each layer on worker 0
    uint64_t* boundary_ticks = nullptr;  // [n_layers], the barrier after each layer and its tasks
};

class LayerLoop {
  public:
    static constexpr size_t kMaxTasks = 8;

    void add(const Task& task);  // panics past kMaxTasks: tasks are ours, not input
    // Forgets the tasks with this context: they may no longer be polled.
    void remove(const void* context);
    size_t n_tasks() const { return n_tasks_; }
    const Task& task(size_t i) const { return tasks_[i]; }

    // Runs layer(context, worker, i) for i in [0, n_layers), on every worker of the team. Each
    // layer ends with a barrier at which worker 0 polls the tasks while the others wait. If *stop
    // is set at a boundary (a task may have set it), no further layer runs and the result is false.
    using Layer = void (*)(void* context, const Worker& worker, size_t i_layer);
    void stop_when(const std::atomic<bool>* stop) { stop_ = stop; }
    bool run(Team& team, size_t n_layers, Layer layer, void* context, const PassTimes& times);

  private:
    struct Pass;
    static void at_boundary(void* pass);
    static void work(const Worker& worker, void* pass);
    void poll_tasks();

    Task tasks_[kMaxTasks];
    size_t n_tasks_ = 0;
    const std::atomic<bool>* stop_ = nullptr;
};

}  // namespace axiom
