// SPDX-License-Identifier: MIT
// How fast the cores are beside each other, so that unlike ones get unlike shares of the rows.
#pragma once

#include <cstdint>
#include <span>

#include "core/kernels.h"
#include "core/team.h"

namespace axiom {

// Times a small matmul on every worker at once and gives the team the speeds, if the slowest is
// below kSameSpeed of the fastest: cores of one kind are left with equal shares, whatever disturbed
// the measurement. `scratch`: kBalanceScratchBytes, 64-byte aligned. Returns slowest/fastest.
inline constexpr double kSameSpeed = 0.65;
inline constexpr size_t kBalanceScratchBytes = 128 * 1024;
double balance_team(Team& team, const Kernels& kernels, void* scratch);
// What is multiplied where only the time counts, here and in choose.h: [-1, 1], no two neighbours alike.
constexpr float trial_activation(size_t i) {
    return float(int(i * 37 % 101) - 50) * 0.02f;
}
// What of it is arithmetic: the speeds to set for these times, all 1 where cores are of one kind.
double speeds_from_times(std::span<const uint64_t> ticks, std::span<uint32_t> speeds);

}  // namespace axiom
