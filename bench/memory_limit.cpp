// SPDX-License-Identifier: MIT
#include "bench/memory_limit.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <vector>

namespace axiom::host {
namespace {

constexpr uint64_t kUnlimited = ~uint64_t{0};

// The names of one version's files.
struct Version {
    std::string_view type;                 // of the file system
    std::string_view controller;           // among its options and in /proc/self/cgroup
    std::vector<std::string_view> limits;  // the least of these counts
    std::string_view used;
    std::vector<std::string_view> of_files;  // lines of memory.stat, descendants' pages included
    // "0" in a cgroup: it does not limit the ones below it.
    std::string_view is_hierarchical;
};

const Version kVersions[] = {
    {"cgroup2",
     "",
     {"memory.max", "memory.high"},
     "memory.current",
     {"active_file", "inactive_file"},
     ""},
    {"cgroup",
     "memory",
     {"memory.limit_in_bytes"},
     "memory.usage_in_bytes",
     {"total_active_file", "total_inactive_file"},
     "memory.use_hierarchy"},
};

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, at);) parts.push_back(part);
    return parts;
}

bool contains(const std::string& list, std::string_view name) {
    const std::vector<std::string> parts = split(list, ',');
    return std::find(parts.begin(), parts.end(), name) != parts.end();
}

// "max", or nothing, is no limit.
uint64_t number_in(const std::string& text, uint64_t otherwise) {
    uint64_t n = 0;
    return std::istringstream(text) >> n ? n : otherwise;
}

// Where the version's tree is mounted, and which cgroup is mounted there (proc_pid_mountinfo(5)).
struct Mount {
    std::string root, point;
};

bool find_mount(const SystemFile& file, const Version& version, Mount* mount) {
    for (const std::string& line : split(file("/proc/self/mountinfo"), '\n')) {
        const std::vector<std::string> words = split(line, ' ');
        const auto dash = std::find(words.begin(), words.end(), "-");
        if (words.size() < 5 || words.end() - dash < 4 || dash[1] != version.type) continue;
        if (!version.controller.empty() && !contains(dash[3], version.controller)) continue;
        *mount = {words[3] == "/" ? "" : words[3], words[4]};
        return true;
    }
    return false;
}

// This program's cgroup, without the part above the mount; "/" ends in nothing (cgroups(7)).
bool find_path(const SystemFile& file, const Version& version, const Mount& mount,
               std::string* path) {
    for (const std::string& line : split(file("/proc/self/cgroup"), '\n')) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == line.npos || second == line.npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool is_it = version.controller.empty() ? line.starts_with("0::")
                                                      : contains(controllers, version.controller);
        if (!is_it) continue;
        *path = line.substr(second + 1);
        if (path->starts_with(mount.root + "/") || *path == mount.root)
            path->erase(0, mount.root.size());
        if (*path == "/") path->clear();
        return true;
    }
    return false;
}

uint64_t of_files(const SystemFile& file, const Version& version, const std::string& folder) {
    uint64_t n_bytes = 0;
    for (const std::string& line : split(file(folder + "/memory.stat"), '\n')) {
        const size_t space = line.find(' ');
        const std::string_view name = std::string_view(line).substr(0, space);
        if (std::find(version.of_files.begin(), version.of_files.end(), name) !=
            version.of_files.end())
            n_bytes += number_in(line.substr(space + 1), 0);
    }
    return n_bytes;
}

uint64_t left_in(const SystemFile& file, const Version& version, const std::string& folder) {
    uint64_t limit = kUnlimited;
    for (const std::string_view name : version.limits) {
        limit = std::min(limit, number_in(file(folder + "/" + std::string(name)), kUnlimited));
    }
    if (limit == kUnlimited) return kUnlimited;
    const uint64_t used = number_in(file(folder + "/" + std::string(version.used)), 0);
    const uint64_t needed = used - std::min(used, of_files(file, version, folder));
    return limit - std::min(limit, needed);
}

}  // namespace

uint64_t cgroup_available_bytes(const SystemFile& file) {
    uint64_t least = kUnlimited;
    for (const Version& version : kVersions) {
        Mount mount;
        std::string path;
        if (!find_mount(file, version, &mount) || !find_path(file, version, mount, &path)) continue;
        for (bool counts = true;;) {
            const std::string folder = mount.point + path;
            if (counts) least = std::min(least, left_in(file, version, folder));
            if (path.empty()) break;
            path.erase(path.rfind('/'));
            const std::string above = mount.point + path + "/";
            counts = version.is_hierarchical.empty() ||
                     number_in(file(above + std::string(version.is_hierarchical)), 1) != 0;
        }
    }
    return least;
}

}  // namespace axiom::host
