// SPDX-License-Identifier: MIT
// What a machine counts beside time, of one core or of all, where it has such a counter.
// Must not know: how any of them is read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace axiom {

enum class Counter : uint8_t {
    nmi,                 // non-maskable interrupts that came from somewhere else, and returned
    smi,                 // system management interrupts (Intel, MSR 0x34)
    aperf,               // cycles at the speed the core had, and at its nominal speed: their ratio
    mperf,               // is the speed (MSRs 0xE8 and 0xE7)
    voluntary_switches,  // context switches by waiting,
    involuntary_switches,  // and by preemption
    minor_faults,          // page faults without reading,
    major_faults,          // and with
    steal_ns,              // time in which the hypervisor ran something else
    cache_misses,          // of the last-level cache
    corrected_errors,      // by hardware: of memory, caches, buses (machine-check banks)
};
inline constexpr size_t kNCounters = size_t(Counter::corrected_errors) + 1;

class Counters {
  public:
    void set(Counter counter, uint64_t value) {
        known_[size_t(counter)] = true;
        value_[size_t(counter)] = value;
    }
    bool has(Counter counter) const { return known_[size_t(counter)]; }
    uint64_t value(Counter counter) const { return value_[size_t(counter)]; }
    // How far those that both have went on since.
    Counters since(const Counters& before) const {
        Counters delta;
        for (size_t i = 0; i < kNCounters; i++)
            if (known_[i] && before.known_[i]) delta.set(Counter(i), value_[i] - before.value_[i]);
        return delta;
    }

  private:
    std::array<bool, kNCounters> known_{};
    std::array<uint64_t, kNCounters> value_{};
};

class CounterSource {
  public:
    // Called on the worker; which core it is, by the platform's own numbering.
    virtual Counters of_this_core() = 0;
    virtual uint32_t number_of_this_core() = 0;
    // Called on worker 0, between passes.
    virtual Counters of_all_cores() = 0;

  protected:
    ~CounterSource() = default;
};

}  // namespace axiom
