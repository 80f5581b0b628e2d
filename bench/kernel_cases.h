// SPDX-License-Identifier: MIT
// The operations of struct Kernels as timed cases: one row a (operation, stored type, shape,
// tokens). A new operation is one more entry in kOperations of kernel_cases.cpp.
// Must not know: how cases are timed or printed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/host_machine.h"
#include "core/kernels.h"

namespace axiom::kernel_bench {

// Memory of every case: matrices are windows into `weights`, which is larger than the caches, so
// that each call finds its matrix in memory, as a forward pass does; with `cached` always the same
// window.
struct Arena {
    host::Memory weights;  // random blocks of one stored type at a time
    size_t weights_bytes = 0;
    host::Memory acts;  // activations, scores, cache: what stays in the caches
    bool cached = false;
};

struct Case {
    std::string op;     // as in struct Kernels: "matmul", "rms_norm"
    std::string type;   // stored type, or that of keys and values; empty where there is none
    std::string model;  // "smollm2-135m"
    std::string shape;  // "ffn_gate 1536x576"
    size_t n_tokens = 1;
    double weight_bytes = 0;  // read by one call
    double macs = 0;          // of one call
    double elements = 0;      // of one call, where neither counts: floats in
    // Prepares the arena; then one call a time. Both run on the timing thread.
    std::function<void(Arena&)> prepare;
    std::function<void(const Kernels&, Arena&)> call;
};

std::vector<Case> all_cases();

}  // namespace axiom::kernel_bench
