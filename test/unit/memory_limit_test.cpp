// SPDX-License-Identifier: MIT
// What cgroups leave, from files as Linux writes them.
#include <map>

#include "bench/memory_limit.h"
#include "test/unit/catch.h"

using namespace axiom::host;

namespace {

constexpr uint64_t kMiB = 1 << 20, kUnlimited = ~uint64_t{0};

// Folders of cgroups below where their tree is mounted.
struct System {
    std::map<std::string, std::string> files;

    uint64_t available() const {
        return cgroup_available_bytes([this](const std::string& path) {
            const auto file = files.find(path);
            return file == files.end() ? std::string() : file->second;
        });
    }
    void put(const std::string& path, uint64_t n_bytes) {
        files[path] = std::to_string(n_bytes) + "\n";
    }
};

System version_2(const std::string& path) {
    System s;
    s.files["/proc/self/cgroup"] = "0::" + path + "\n";
    s.files["/proc/self/mountinfo"] =
        "22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n";
    return s;
}

System version_1(const std::string& path, const std::string& root = "/") {
    System s;
    s.files["/proc/self/cgroup"] =
        "5:cpu,cpuacct:/elsewhere\n4:hugetlb,memory:" + path + "\n0::/elsewhere\n";
    s.files["/proc/self/mountinfo"] =
        "32 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 " +
        root + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n";
    return s;
}

}  // namespace

TEST_CASE("without a limit, or a cgroup, memory is not limited by one") {
    REQUIRE(System{}.available() == kUnlimited);
    System s = version_2("/user.slice/shell.scope");
    REQUIRE(s.available() == kUnlimited);
    s.files["/sys/fs/cgroup/user.slice/memory.max"] = "max\n";
    s.put("/sys/fs/cgroup/user.slice/memory.current", 100 * kMiB);
    REQUIRE(s.available() == kUnlimited);
}

TEST_CASE("version 2: a limit on the way to the root leaves what is not used of it") {
    const std::string top = "/sys/fs/cgroup", slice = top + "/user.slice";
    const std::string scope = slice + "/shell.scope";
    for (const char* name : {"/memory.max", "/memory.high"}) {
        System s = version_2("/user.slice/shell.scope");
        s.put(slice + name, 1000 * kMiB);
        s.put(slice + "/memory.current", 300 * kMiB);
        REQUIRE(s.available() == 700 * kMiB);
        s.put(scope + name, 500 * kMiB);
        s.put(scope + "/memory.current", 100 * kMiB);
        REQUIRE(s.available() == 400 * kMiB);
        // Pages of files make room.
        s.files[scope + "/memory.stat"] =
            "anon 1\nfile 83886080\ninactive_file 52428800\nactive_file 10485760\n";
        REQUIRE(s.available() == 460 * kMiB);
        s.put(scope + "/memory.current", 600 * kMiB);
        REQUIRE(s.available() == 0);
    }
}

TEST_CASE("version 1: the memory controller's own path and tree count") {
    const std::string top = "/sys/fs/cgroup/memory", job = top + "/job";
    System s = version_1("/job/step");
    s.put(top + "/memory.limit_in_bytes", 9223372036854771712u);
    s.put(job + "/memory.limit_in_bytes", 400 * kMiB);
    s.put(job + "/memory.usage_in_bytes", 150 * kMiB);
    s.files[job + "/memory.stat"] =
        "inactive_file 1\ntotal_inactive_file 41943040\ntotal_active_file 10485760\n";
    REQUIRE(s.available() == 300 * kMiB);
    s.put(job + "/step/memory.limit_in_bytes", 200 * kMiB);
    REQUIRE(s.available() == 200 * kMiB);
    // A parent that is not hierarchical does not limit.
    s.files[job + "/step/memory.limit_in_bytes"] = "9223372036854771712\n";
    s.files[job + "/memory.use_hierarchy"] = "0\n";
    REQUIRE(s.available() > 1000 * kMiB);
}

TEST_CASE("in a container the path begins where its own cgroup is mounted") {
    for (const char* path : {"/docker/abc", "/docker/abc/inner"}) {
        System s = version_1(path, "/docker/abc");
        s.put("/sys/fs/cgroup/memory/memory.limit_in_bytes", 250 * kMiB);
        REQUIRE(s.available() == 250 * kMiB);
    }
}
