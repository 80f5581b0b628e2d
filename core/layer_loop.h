// SPDX-License-Identifier: MIT
// The layer-boundary cooperative loop. A layer is never interrupted (law 3): everything that is
// not arithmetic is a Task, runs on worker 0 between two layers, and its cost is measured.
// Must not know: what a layer computes, where its weights come from, or what a task does.
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

// Where the loop leaves one pass's timing, in ticks of worker 0. Pointers may be null (not
// recorded). Of layers that ran to their boundary; a layer's three times do not overlap.
struct PassTimes {
    uint64_t* layer_ticks = nullptr;     // [n_layers], computing each layer
    uint64_t* boundary_ticks = nullptr;  // [n_layers], the barrier after each layer and its tasks
    uint64_t* stall_ticks = nullptr;     // [n_layers], making each layer ready
};

// What a pass runs. `context` goes to each function.
struct LayerJob {
    size_t n_layers = 0;
    void* context = nullptr;
    // The layer itself, on every worker.
    void (*layer)(void* context, const Worker& worker, size_t i_layer) = nullptr;
    // On worker 0 while nobody computes; either may be null. `before` makes a layer ready and may
    // wait: that is the stall. `after` ends a layer, at its boundary, and says what the layer
    // itself found wrong. Whatever happens, each layer that was made ready is ended, and none is
    // made ready after an error.
    Status (*before)(void* context, size_t i_layer) = nullptr;
    Status (*after)(void* context, size_t i_layer) = nullptr;
    // What is left for all workers to do together before a layer is ready, if `before` says so by
    // to_check(), and then on worker 0 while nobody computes what they have found. All three or none;
    // part of the stall.
    bool (*to_check)(void* context) = nullptr;
    void (*check)(void* context, const Worker& worker) = nullptr;
    Status (*checked)(void* context) = nullptr;
};

// Where the loop runs its tasks: once a pass, at every layer's boundary, or at every barrier of a layer
// too, which breaks law 3 (--disturb).
enum class TaskTurn : uint32_t { layer, token, stage };

class LayerLoop {
  public:
    static constexpr size_t kMaxTasks = 8;

    void add(const Task& task);  // panics past kMaxTasks: tasks are ours, not input
    // Forgets the tasks with this context: they may no longer be polled.
    void remove(const void* context);
    size_t n_tasks() const { return n_tasks_; }
    const Task& task(size_t i) const { return tasks_[i]; }

    // Runs the layers in order on all workers of the team. Each ends with a barrier at which worker
    // 0 ends the layer, polls the tasks and makes the next layer ready while the others wait. No
    // further layer runs when `before`, `checked` or `after` fail (their Status), or when *stop is set at a
    // boundary, which a task may have done (interrupted).
    void stop_when(const std::atomic<bool>* stop) { stop_ = stop; }
    Status run(Team& team, const LayerJob& job, const PassTimes& times);

    void run_tasks_at(TaskTurn turn) { turn_ = turn; }
    // Called by each worker right before it computes a layer and right after; null: nothing.
    void surround_layers(void (*enter)(), void (*leave)()) {
        enter_ = enter;
        leave_ = leave;
    }

    // The tasks' turn while there is nothing to run.
    void poll_tasks();

  private:
    struct Run;

    Task tasks_[kMaxTasks];
    size_t n_tasks_ = 0;
    const std::atomic<bool>* stop_ = nullptr;
    TaskTurn turn_ = TaskTurn::layer;
    void (*enter_)() = nullptr;
    void (*leave_)() = nullptr;
};

}  // namespace axiom
