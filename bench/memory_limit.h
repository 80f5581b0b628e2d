// SPDX-License-Identifier: MIT
// How much memory the cgroups that this program is in leave it. Linux ends a program that takes more,
// whatever the machine has free.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace axiom::host {

// A file of /proc or /sys/fs/cgroup, whole; empty where there is none.
using SystemFile = std::function<std::string(const std::string& path)>;

// Version 2 (memory.max, memory.high) and version 1 (memory.limit_in_bytes), each limit on the way from
// this program's cgroup to the root of what is mounted, less what is used there: pages of files do not
// count as used, since they make room. The least of them; ~0 where nothing limits.
uint64_t cgroup_available_bytes(const SystemFile& file);

}  // namespace axiom::host
