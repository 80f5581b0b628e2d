// SPDX-License-Identifier: MIT
#include "model/run/noise.h"

#include <algorithm>
#include <new>

#include "core/clock.h"
#include "core/slab_plan.h"

namespace axiom {
namespace {

// A gap is at least this long, and so many times what two readings are apart in the middle: less is how
// instructions come, not what interrupts them. An interrupt that returns at once costs about a
// microsecond, one that a hypervisor sees several.
constexpr double kLeastGapNs = 200;
constexpr double kStepsOfAGap = 8;
constexpr size_t kNSteps = 1001;  // that are looked at for it

// A quantum is this long at least, and so that there are kNQuanta: more than p99.9 takes.
constexpr double kLeastQuantumSeconds = 20e-6;
constexpr uint64_t kNQuanta = 8192;

// Steps that depend on each other, in registers: nothing but the core decides how long they take.
[[gnu::noinline]] uint64_t work(uint64_t n_steps) {
    uint64_t x = n_steps;
    for (uint64_t i = 0; i < n_steps; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        asm volatile("" : "+r"(x));
    }
    return x;
}

class NoiseRun {
  public:
    NoiseRun(const Machine& machine, const Options& options, NoiseFacts* facts,
             std::span<CoreNoise> cores)
        : m_(machine), facts_(*facts), cores_(cores) {
        half_ticks_ = ticks(double(options.noise_seconds) / 2);
        n_slices_ = size_t(half_ticks_ / ticks(kSliceSeconds)) + 1;
        slice_ticks_ = half_ticks_ / n_slices_;
        facts->tsc_hz = machine.clock.ticks_per_second;
        facts->n_threads = uint32_t(cores.size());
    }

    Status run() {
        choose_threshold();
        choose_work();
        m_.team->run([](const Worker& w, void* c) { static_cast<NoiseRun*>(c)->measure(w); }, this);
        if (is_stopped_) return error(Code::interrupted, "interrupted");
        return {};
    }

  private:
    uint64_t ticks(double seconds) const {
        return uint64_t(seconds * double(m_.clock.ticks_per_second));
    }
    double ns(uint64_t t) const { return m_.clock.seconds(t) * 1e9; }

    void choose_threshold() {
        uint64_t steps[kNSteps];
        for (uint64_t& step : steps) {
            const uint64_t begin = ticks_now();
            step = ticks_now() - begin;
        }
        std::nth_element(steps, steps + kNSteps / 2, steps + kNSteps);
        facts_.threshold_ns = std::max(kLeastGapNs, kStepsOfAGap * ns(steps[kNSteps / 2]));
        threshold_ticks_ = ticks(facts_.threshold_ns * 1e-9);
    }

    // By the fastest of several tries: a disturbed one would make the work too little.
    void choose_work() {
        constexpr uint64_t kTried = 10000;
        uint64_t least = ~uint64_t{0};
        for (int i = 0; i < 20; i++) {
            const uint64_t begin = ticks_now();
            work(kTried);
            least = std::min(least, ticks_now() - begin);
        }
        const double wanted =
            std::max(double(half_ticks_) / double(kNQuanta), double(ticks(kLeastQuantumSeconds)));
        facts_.fwq_work = std::max<uint64_t>(1, uint64_t(wanted / double(least) * double(kTried)));
    }

    // On every worker. All begin a slice together, and have as many.
    void measure(const Worker& worker) {
        CoreNoise& core = cores_[worker.rank];
        CounterSource* const source = m_.counters;
        if (source != nullptr) core.core = source->number_of_this_core();
        const Counters before = source != nullptr ? source->of_this_core() : Counters();
        uint64_t taken = 0, least = ~uint64_t{0};
        for (size_t i = 0; i < n_slices_ && !is_stopped_; i++) {
            taken += look(core, &least);
            between(worker);
        }
        core.gaps_duration_ns = ns(taken);
        core.least_step_ns = taken != 0 ? ns(least) : 0;
        least = ~uint64_t{0};
        for (size_t i = 0; i < n_slices_ && !is_stopped_; i++) {
            repeat(core, &least);
            between(worker);
        }
        core.least_quantum_ns = core.quanta.n() != 0 ? ns(least) : 0;
        if (source != nullptr) core.counters = source->of_this_core().since(before);
    }

    // One slice of gaps. Counting one is not part of the next.
    uint64_t look(CoreNoise& core, uint64_t* least) {
        const uint64_t begin = ticks_now(), end = begin + slice_ticks_;
        uint64_t last = begin;
        while (last < end) {
            const uint64_t now = ticks_now(), step = now - last;
            last = now;
            *least = std::min(*least, step);
            if (step < threshold_ticks_) continue;
            core.gaps.add(ns(step));
            last = ticks_now();
        }
        return last - begin;
    }

    void repeat(CoreNoise& core, uint64_t* least) {
        const uint64_t end = ticks_now() + slice_ticks_;
        for (uint64_t begin; (begin = ticks_now()) < end;) {
            work(facts_.fwq_work);
            const uint64_t took = ticks_now() - begin;
            *least = std::min(*least, took);
            core.quanta.add(ns(took));
        }
    }

    void between(const Worker& worker) {
        worker.barrier(
            [](void* context) {
                NoiseRun& run = *static_cast<NoiseRun*>(context);
                run.m_.loop->poll_tasks();
                run.is_stopped_ = run.m_.interrupted != nullptr &&
                                  run.m_.interrupted->load(std::memory_order_relaxed);
            },
            this);
    }

    const Machine& m_;
    NoiseFacts& facts_;
    std::span<CoreNoise> cores_;
    uint64_t half_ticks_ = 0, slice_ticks_ = 0, threshold_ticks_ = 0;
    size_t n_slices_ = 0;      // the same for all cores, each at least slice_ticks_ long
    bool is_stopped_ = false;  // written while the others wait at a barrier
};

void plan(size_t n_workers, SlabPlan& slab, std::span<CoreNoise>* cores) {
    slab.add_array("noise", n_workers, cores);
}

}  // namespace

uint64_t noise_memory(size_t n_workers) {
    std::span<CoreNoise> cores;
    SlabPlan slab;
    plan(n_workers, slab, &cores);
    uint64_t bytes = 0;
    AXIOM_CHECK(slab.sum(&bytes));
    return bytes;
}

Result<std::span<const CoreNoise>> measure_noise(const Machine& machine, const Options& options,
                                                 NoiseFacts* facts) {
    std::span<CoreNoise> cores;
    SlabPlan slab;
    plan(machine.team->size(), slab, &cores);
    if (Status s = slab.create(*machine.slab); !s.ok()) return s;
    for (CoreNoise& core : cores) new (&core) CoreNoise;
    PassProgress progress;
    if (!options.quiet) {
        machine.loop->add({.name = "progress", .poll = PassProgress::poll, .context = &progress});
        progress.begin(&machine, "measuring noise ");
    }
    NoiseRun run(machine, options, facts, cores);
    facts->outcome = run.run();
    progress.end();
    machine.loop->remove(&progress);
    return std::span<const CoreNoise>(cores);
}

}  // namespace axiom
