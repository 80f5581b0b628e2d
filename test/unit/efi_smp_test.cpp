// SPDX-License-Identifier: MIT
// Which cores are started, and what they have in common.
#include "efi/cpu/smp_plan.h"

#include <string>
#include <vector>

#include "core/cpu_features.h"
#include "efi/platform/topology.h"
#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

constexpr uint32_t kAnyId = 0xfffffffe;

CpuList list_of(const std::vector<uint32_t>& ids) {
    CpuList cpus;
    for (const uint32_t id : ids) {
        if (cpus.n_found < CpuList::kMaxListed) cpus.apic_ids[cpus.n_found] = id;
        cpus.n_found++;
    }
    return cpus;
}

std::vector<uint32_t> ids(const CorePlan& plan) {
    std::vector<uint32_t> out;
    for (const CorePlan::Entry& entry : plan.entries()) out.push_back(entry.apic_id);
    return out;
}

std::string notes(const CorePlan& plan) {
    std::string all;
    for (const Text<192>& note : plan.notes) all += std::string(note.view());
    return all;
}

}  // namespace

TEST_CASE("every listed core but the boot processor is started, numbered by its place") {
    const CorePlan plan = plan_cores(list_of({4, 0, 2, 6}), 0, {0, 0xfe});
    CHECK(ids(plan) == std::vector<uint32_t>{4, 2, 6});
    CHECK(plan.others[2].number == 3);
    CHECK(plan.n_found == 4);
    CHECK(plan.n_cores() == 4);
    CHECK(notes(plan).empty());
}

TEST_CASE("-t limits how many cores are started and says when there are fewer") {
    const CpuList cpus = list_of({0, 1, 2, 3});
    CHECK(plan_cores(cpus, 0, {1, 0xfe}).n_cores() == 1);
    CHECK(ids(plan_cores(cpus, 0, {3, 0xfe})) == std::vector<uint32_t>{1, 2});
    CHECK(notes(plan_cores(cpus, 0, {4, 0xfe})).empty());
    const CorePlan plan = plan_cores(cpus, 0, {8, 0xfe});
    CHECK(plan.n_cores() == 4);
    CHECK(notes(plan) == "-t 8: this machine has 4 CPUs");
}

TEST_CASE("a machine without a MADT, or one that leaves out the boot processor, still has it") {
    CHECK(plan_cores({}, 0, {0, 0xfe}).n_cores() == 1);
    CHECK(plan_cores({}, 0, {0, 0xfe}).n_found == 1);
    CHECK(notes(plan_cores({}, 0, {2, 0xfe})) == "-t 2: this machine has 1 CPU");
    const CorePlan plan = plan_cores(list_of({5, 7}), 0, {0, 0xfe});
    CHECK(ids(plan) == std::vector<uint32_t>{5, 7});
    CHECK(plan.n_found == 3);
}

TEST_CASE("ids beyond what the APIC reaches are left out and said") {
    const CpuList cpus = list_of({0, 255, 256, 9});
    CHECK(ids(plan_cores(cpus, 0, {0, 0xfe})) == std::vector<uint32_t>{9});
    CHECK(notes(plan_cores(cpus, 0, {0, 0xfe})).find("found 2 above 254") != std::string::npos);
    CHECK(ids(plan_cores(cpus, 0, {0, kAnyId})) == std::vector<uint32_t>{255, 256, 9});
    CHECK(ids(plan_cores(cpus, 0, {0, 255})) == std::vector<uint32_t>{255, 9});
    // They still have their numbers.
    CHECK(plan_cores(cpus, 0, {0, 0xfe}).others[0].number == 3);
}

TEST_CASE("more cores than the image has room for are said, and the rest is not used") {
    std::vector<uint32_t> all;
    for (uint32_t id = 0; id < 1100; id++) all.push_back(id);
    const CorePlan plan = plan_cores(list_of(all), 0, {0, kAnyId});
    CHECK(plan.n_cores() == kMaxCores);
    CHECK(plan.n_found == 1100);
    CHECK(notes(plan) == "CPUs: found 1100, allowed 1024 in this image; the rest is not used");
    CHECK(notes(plan_cores(list_of(all), 0, {200, kAnyId})).empty());
    CHECK(notes(plan_cores(list_of(all), 0, {uint32_t(kMaxCores), kAnyId})).empty());
    CHECK(!notes(plan_cores(list_of(all), 0, {uint32_t(kMaxCores) + 1, kAnyId})).empty());
    std::vector<uint32_t> fitting(all.begin(), all.begin() + kMaxCores);
    CHECK(notes(plan_cores(list_of(fitting), 0, {0, kAnyId})).empty());
    CHECK(plan_cores(list_of(fitting), 0, {0, kAnyId}).n_cores() == kMaxCores);
    // A boot processor beyond the list is one of those counted.
    CHECK(plan_cores(list_of(all), 1099, {0, kAnyId}).n_found == 1100);
    CHECK(plan_cores(list_of(all), 1099, {0, kAnyId}).n_cores() == kMaxCores);
}

TEST_CASE("one thread of each core is started, the first that is listed, or all of them") {
    // Firmware lists the first thread of every core, then the second ones.
    const CpuList cpus = list_of({0, 2, 4, 6, 1, 3, 5, 7});
    const CorePlan plan = plan_cores(cpus, 0, {0, kAnyId, 1});
    CHECK(ids(plan) == std::vector<uint32_t>{2, 4, 6});
    CHECK(plan.n_siblings == 4);
    CHECK(plan.n_found == 8);
    CHECK(notes(plan).empty());
    CHECK(plan_cores(cpus, 0, {0, kAnyId, 0}).n_cores() == 8);
    CHECK(plan_cores(cpus, 0, {0, kAnyId, 0}).n_siblings == 0);
    // The boot processor's sibling stands before it.
    CHECK(ids(plan_cores(list_of({0, 1, 2, 3}), 1, {0, kAnyId, 1})) == std::vector<uint32_t>{2});
    // Four threads a core, of which the list has some.
    CHECK(ids(plan_cores(list_of({0, 3, 9, 8, 12}), 0, {0, kAnyId, 2})) ==
          std::vector<uint32_t>{9, 12});
}

TEST_CASE("-t above the number of cores says that their threads are left out") {
    const CpuList cpus = list_of({0, 1, 2, 3});
    CHECK(notes(plan_cores(cpus, 0, {4, kAnyId, 1})) ==
          "-t 4: this machine has 2 cores; --smt takes their threads, too");
    CHECK(notes(plan_cores(cpus, 0, {2, kAnyId, 1})).empty());
}

TEST_CASE("the bits of an APIC id that tell threads apart come from the newest leaf that knows") {
    TopologyWords words;
    CHECK(thread_bits(words) == 0);
    words.leaf8000001e_ebx = 1 << 8;
    CHECK(thread_bits(words) == 1);
    words.leaf8000001e_ebx = 0;
    CHECK(thread_bits(words) == 0);
    words.leafb[0] = {1, 2, 0x100};
    words.leafb[1] = {4, 16, 0x201};
    CHECK(thread_bits(words) == 1);
    words.leafb[0] = {0, 1, 0x100};  // cores of one thread
    words.leaf8000001e_ebx = 1 << 8;
    CHECK(thread_bits(words) == 0);
    words.leaf1f[0] = {5, 8, 0x203};  // levels in another order
    words.leaf1f[1] = {2, 4, 0x101};
    CHECK(thread_bits(words) == 2);
    words.leaf1f[0].ebx = 0;  // the leaf is not valid
    CHECK(thread_bits(words) == 0);
}

TEST_CASE("cores of a memory node are next to each other, the boot processor's first") {
    const auto numa_of = [](const std::vector<NumaFacts::Cpu>& cpus) {
        NumaFacts numa;
        for (const NumaFacts::Cpu& cpu : cpus) numa.cpus[numa.n_cpus++] = cpu;
        return numa;
    };
    // Firmware that lists processors of its nodes by turns.
    const CpuList cpus = list_of({0, 8, 1, 9, 2, 10});
    const NumaFacts numa = numa_of({{0, 7}, {1, 7}, {2, 7}, {8, 3}, {9, 3}, {10, 3}});
    CorePlan plan = plan_cores(cpus, 9, {0, kAnyId});
    group_by_node(numa, 9, &plan);
    CHECK(ids(plan) == std::vector<uint32_t>{8, 10, 0, 1, 2});
    REQUIRE(plan.n_nodes == 2);
    CHECK((plan.nodes[0].domain == 3 && plan.nodes[0].n_cores == 3));
    CHECK((plan.nodes[1].domain == 7 && plan.nodes[1].n_cores == 3));
    CHECK((plan.others[1].node == 0 && plan.others[2].node == 1));
    CHECK(plan.others[0].number == 2);  // by its place in the list, as before

    CorePlan untold = plan_cores(cpus, 0, {0, kAnyId});
    group_by_node(numa_of({{0, 7}, {1, 7}, {2, 7}, {8, 3}, {9, 3}}), 0, &untold);
    CHECK(ids(untold) == std::vector<uint32_t>{8, 1, 9, 2, 10});
    CHECK((untold.n_nodes == 1 && untold.nodes[0].n_cores == 6));
    group_by_node(numa_of({{8, 3}}), 0, &untold);
    CHECK(untold.n_nodes == 1);
    CorePlan alone = plan_cores(list_of({5}), 5, {0, kAnyId});
    group_by_node(numa_of({{5, 1}}), 5, &alone);
    CHECK((alone.n_nodes == 1 && alone.nodes[0].domain == 1 && alone.nodes[0].n_cores == 1));
}

TEST_CASE("features in common are those of the lesser core in every word") {
    CpuWords full;
    full.max_leaf = 0x20;
    full.leaf1_ecx = 1u << 9 | 1u << 19 | 1u << 27 | 1u << 28 | 1u << 29;
    full.leaf7_ebx = 1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    full.leaf7_ecx = 1u << 11;
    full.xcr0 = 0xe7;
    REQUIRE(decode_features(full).avx512_vnni);
    CpuWords lesser = full;
    lesser.xcr0 = 0x7;
    CHECK_FALSE(decode_features(common_words(full, lesser)).avx512);
    CHECK(decode_features(common_words(lesser, full)).avx2);
    lesser = full;
    lesser.leaf7_ebx = 0;
    CHECK_FALSE(decode_features(common_words(full, lesser)).avx2);
    CHECK(decode_features(common_words(full, lesser)).ssse3);
    CHECK(decode_features(common_words(full, full)).avx512_vnni);
}
