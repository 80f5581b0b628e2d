// SPDX-License-Identifier: MIT
// A machine of one thread with a given amount of memory, for whole runs in tests.
#pragma once

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/cpu_features.h"
#include "model/run/run.h"
#include "test/unit/engine.h"

namespace axiom::test {

struct TestMachine {
    AlignedBytes memory;
    Slab slab;
    Team team;
    LayerLoop loop;
    std::atomic<bool> stop{false};
    size_t n_boundaries = 0, stop_at = ~size_t{0};  // Ctrl-C at the stop_at'th boundary
    std::string text;                               // what was written
    size_t n_writes = 0;
    Machine machine;

    explicit TestMachine(uint64_t n_bytes) : memory(size_t(n_bytes)) {
        const uintptr_t begin = reinterpret_cast<uintptr_t>(memory.data());
        const AddressRange range{begin, begin + memory.size()};
        slab.init({&range, 1});
        team.init(1);
        loop.add({.name = "stop", .poll = poll, .context = this});
        machine.clock.ticks_per_second = 1000000000;
        machine.features = decode_features(read_cpu_words());
        machine.team = &team;
        machine.loop = &loop;
        machine.slab = &slab;
        machine.interrupted = &stop;
        machine.write = [](void* c, std::string_view t) {
            static_cast<TestMachine*>(c)->text += t;
            static_cast<TestMachine*>(c)->n_writes++;
        };
        machine.write_context = this;
    }
    TestMachine(const TestMachine&) = delete;

  private:
    static void poll(void* context, uint64_t) {
        TestMachine& t = *static_cast<TestMachine*>(context);
        if (++t.n_boundaries == t.stop_at) t.stop = true;
    }
};

// A machine of several workers.
struct Workers {
    TestMachine machine;
    std::vector<std::thread> threads;

    Workers(uint64_t n_bytes, size_t n) : machine(n_bytes) {
        machine.team.init(n, [](uint32_t spins) {
            if (spins % 64 == 63) std::this_thread::yield();
        });
        for (size_t rank = 1; rank < n; rank++)
            threads.emplace_back([this, rank] { machine.team.serve(rank); });
    }
    ~Workers() {
        machine.team.stop();
        for (std::thread& t : threads) t.join();
    }
};

inline Options options_of(const std::vector<std::string_view>& words) {
    Options options;
    const Status status = parse_arguments(words, Source::host_command_line, &options);
    INFO(status.text());
    REQUIRE(status.ok());
    return options;
}

}  // namespace axiom::test
