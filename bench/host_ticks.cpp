// SPDX-License-Identifier: MIT
#include "bench/host_ticks.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

// glibc 2.36 has no name for it.
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace axiom::host {
namespace {

constexpr uint64_t kNsPerSecond = 1000000000;

void on_tick(int, siginfo_t* info, void*) {
    static_cast<Tick*>(info->si_value.sival_ptr)->handle();
}

timespec to_timespec(uint64_t ns) {
    return {time_t(ns / kNsPerSecond), long(ns % kNsPerSecond)};
}

}  // namespace

Status HostTicks::start(Team& team, LayerLoop&, std::span<Tick> ticks, uint32_t hz) {
    struct sigaction action = {};
    action.sa_sigaction = on_tick;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGRTMIN, &action, nullptr);

    std::vector<pid_t> threads(team.size());
    team.run([](const Worker& worker,
                void* out) { (*static_cast<std::vector<pid_t>*>(out))[worker.rank] = gettid(); },
             &threads);
    const uint64_t period_ns = kNsPerSecond / hz;
    for (size_t i = 0; i < threads.size(); i++) {
        sigevent event = {};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGRTMIN;
        event.sigev_value.sival_ptr = &ticks[i];
        event.sigev_notify_thread_id = threads[i];
        timer_t timer;
        bool created = timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
        if (created) timers_.push_back(timer);
        // Not all at the same moment, as a kernel does it too.
        const itimerspec when{to_timespec(period_ns),
                              to_timespec(1 + period_ns * (i + 1) / threads.size())};
        if (!created || timer_settime(timer, 0, &when, nullptr) != 0)
            return error(Code::unsupported, "option --disturb: tick: no timer: ", strerror(errno));
    }
    return {};
}

void HostTicks::stop(Team&, LayerLoop&) {
    for (const timer_t timer : timers_) timer_delete(timer);
    timers_.clear();
}

}  // namespace axiom::host
