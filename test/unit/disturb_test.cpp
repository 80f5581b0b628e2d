// SPDX-License-Identifier: MIT
// --disturb: what it says, that it changes no bit of the logits, and that it counts.
#include <nlohmann/json.hpp>
#include <set>

#include "bench/host_ticks.h"
#include "efi/memory/machine_map.h"
#include "efi/memory/scatter.h"
#include "model/run/bench.h"
#include "test/unit/efi_tables.h"
#include "test/unit/machine.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;
using nlohmann::json;

namespace {

std::string failure(std::string_view text) {
    Options options;
    const std::vector<std::string_view> words = {"--disturb", text};
    const Status status = parse_arguments(words, Source::host_command_line, &options);
    CHECK(status.code() == Code::bad_option);
    return std::string(status.text());
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
}

// A tick at the beginning of each layer, on worker 0.
class TickALayer : public TickSource {
  public:
    Status start(Team&, LayerLoop& loop, std::span<Tick> ticks, uint32_t hz) override {
        tick = &ticks[0];
        asked_hz = hz;
        loop.surround_layers([] { tick->handle(); }, [] {});
        return {};
    }
    void stop(Team&, LayerLoop& loop) override {
        loop.surround_layers(nullptr, nullptr);
        is_stopped = true;
    }
    static inline Tick* tick = nullptr;
    uint32_t asked_hz = 0;
    bool is_stopped = false;
};

constexpr size_t kLayers = 3;

struct Disturbed {
    Status status;
    std::vector<json> records;
    uint64_t n_polls = 0;

    Disturbed(std::string_view what, TickSource* ticks) {
        static const AlignedBytes file = synthetic_model("96,3,4,2,200,200", StoredType::q4);
        const Weights weights = Weights::open("test.axm", file.span()).value();
        std::vector<std::string_view> words = {"--bench", "pp=20 tg=5 reps=2 warmup=1", "--isa",
                                               "scalar", "--quiet"};
        if (!what.empty()) words.insert(words.end(), {"--disturb", what});
        const Options options = options_of(words);
        // Exactly what bench_memory() says, so that too little is noticed.
        TestMachine m(bench_memory(weights, options, 1).value().least);
        m.machine.ticks = ticks;
        Record record;
        const auto keep = [](void* context, const Record& r) {
            std::string line;
            print_json(
                r, [](void* to, std::string_view t) { *static_cast<std::string*>(to) += t; },
                &line);
            static_cast<Disturbed*>(context)->records.push_back(json::parse(line));
        };
        status = bench(m.machine, weights, options, &record, keep, this);
        n_polls = m.n_boundaries;
    }
};

}  // namespace

TEST_CASE("--disturb takes its parts in any order and knows what they come to") {
    const auto plan = [](std::string_view text) { return options_of({"--disturb", text}); };
    CHECK(options_of({}).disturb.text.empty());
    const Options all = plan("scatter, boundary=token evict=64,tick=1000");
    CHECK((all.disturb.tick_hz == 1000 && all.disturb.evict_kib == 64 && all.disturb.scatter));
    CHECK((all.disturb.turn == TaskTurn::token && all.small_pages));
    CHECK(all.disturb.text == "scatter, boundary=token evict=64,tick=1000");
    CHECK(plan("pages=4k").small_pages);
    CHECK_FALSE(plan("tick=1").small_pages);
    CHECK(plan("boundary=stage").disturb.turn == TaskTurn::stage);
}

TEST_CASE("--disturb refuses what it does not know, and ticks that leave no time") {
    CHECK(contains(failure("tock=3"), "tick=HZ"));
    CHECK(contains(failure("tick=0"), "from 1 to 10000"));
    CHECK(contains(failure("tick=10001"), "from 1 to 10000"));
    CHECK(contains(failure("evict=8"), "evict without tick"));
    CHECK(contains(failure("tick=1000,evict=1049"), "1049000 KiB a second"));
    CHECK(contains(failure("pages=2m"), "allowed 4k"));
    CHECK(contains(failure("scatter=yes"), "scatter=yes"));
    CHECK(contains(failure("boundary=pass"), "stage, layer or token"));
}

TEST_CASE("no disturbance changes a bit of the logits, and the record says which it was") {
    const Disturbed calm("", nullptr);
    REQUIRE(calm.records.size() == 2);
    CHECK(calm.records[0]["disturb"].is_null());
    CHECK(calm.records[0]["n_disturb_ticks"].is_null());
    for (const std::string_view what :
         {"tick=100", "tick=200,evict=16", "boundary=stage", "boundary=layer", "boundary=token",
          "tick=7,evict=1,boundary=stage"}) {
        TickALayer ticks;
        const Disturbed run(what, &ticks);
        INFO(what);
        REQUIRE(run.records.size() == 2);
        for (size_t i = 0; i < 2; i++) {
            CHECK(run.records[i]["logits_hash"] == calm.records[i]["logits_hash"]);
            CHECK(run.records[i]["disturb"] == what);
            // Of each test: the warm-up and two repetitions, of one pass or of five.
            const json n_ticks = 3 * kLayers * (i == 0 ? 1 : 5);
            const bool has_ticks = what.starts_with("tick");
            CHECK(run.records[i]["n_disturb_ticks"] == (has_ticks ? n_ticks : json()));
        }
        CHECK(ticks.is_stopped == what.starts_with("tick"));
    }
}

TEST_CASE("ticks by timer signals come to every worker and go when the run ends") {
    TestMachine m(1 << 16);
    Team team;
    team.init(2, [](uint32_t) { std::this_thread::yield(); });
    std::thread other([&] { team.serve(1); });
    Tick ticks[2];
    host::HostTicks source;
    REQUIRE(source.start(team, m.loop, ticks, 1000).ok());
    team.run(
        [](const Worker& worker, void* all) {
            while (static_cast<Tick*>(all)[worker.rank].n_ticks < 3) {
            }
        },
        ticks);
    source.stop(team, m.loop);
    team.stop();
    other.join();
    CHECK(ticks[0].n_ticks >= 3);
    CHECK(ticks[1].n_ticks >= 3);
    TickALayer none;
    CHECK(Disturbed("tick=1000,evict=64", &source).records.size() == 2);
}

TEST_CASE("a tick needs a timer") {
    const Disturbed run("tick=100", nullptr);
    CHECK(run.status.code() == Code::unsupported);
    CHECK(run.records.empty());
}

TEST_CASE("tasks run once a token, once a layer, or at every barrier too") {
    const uint64_t n_passes = 3 * (1 + 5);
    const uint64_t by_token = Disturbed("boundary=token", nullptr).n_polls;
    const uint64_t by_layer = Disturbed("boundary=layer", nullptr).n_polls;
    const uint64_t by_stage = Disturbed("boundary=stage", nullptr).n_polls;
    CHECK(by_token == n_passes);
    CHECK(by_layer == n_passes * kLayers);
    CHECK(by_stage > 3 * by_layer);
}

TEST_CASE("pages of 4 KiB are used where only those are wanted, and the tables suffice for it") {
    using namespace axiom::efi;
    constexpr uint64_t kMib = 1 << 20;
    const PageTables::Features small{true, true, false, true};
    Tables f(small);
    REQUIRE(f.tables.map(0, 4 * kMib, Access::read_write).ok());
    const PageTables::Counts n = f.tables.count(0, 4 * kMib);
    CHECK((n.n_4kib == 1024 && n.n_2mib == 0 && n.n_1gib == 0));

    std::vector<MemoryRegion> regions;
    regions.push_back({kMib, 700 * kMib + 4096, MemoryType::conventional, kAttributeWriteBack});
    regions.push_back({1024 * kMib, 1280 * kMib, MemoryType::mmio, kAttributeRuntime});
    const uint64_t n_tables = tables_needed(regions, {}, {}, small);
    Tables t(small, n_tables);
    MachinePlan plan{};
    plan.regions = regions;
    CHECK(map_machine(plan, &t.tables).ok());
    CHECK(t.tables.n_used() > 300);
}

TEST_CASE("scattered memory reads the same, from pages in another order") {
    using namespace axiom::efi;
    constexpr uint64_t kBegin = 0x200000, kPages = 300;
    const AddressRange range{kBegin + 17, kBegin + (1 + kPages) * kPageBytes + 99};
    Tables f({true, true, false, true});
    REQUIRE(f.tables.map(0, 0x800000, Access::read).ok());
    const uint64_t outside = f.tables.find(kBegin).entry;
    // What physical memory holds: at first each page its own address.
    struct Memory {
        std::vector<uint64_t> pages = std::vector<uint64_t>(0x800);
    } memory;
    for (uint64_t i = 0; i < memory.pages.size(); i++) memory.pages[i] = i;
    const auto swap = [](void* context, uint64_t a, uint64_t b) {
        Memory& m = *static_cast<Memory*>(context);
        std::swap(m.pages.at(a / kPageBytes), m.pages.at(b / kPageBytes));
    };
    scatter_pages(range, swap, &memory, &f.tables);
    std::set<uint64_t> places;
    uint64_t n_moved = 0, n_neighbours = 0, last = 0;
    for (uint64_t i = 1; i <= kPages; i++) {
        const uint64_t address = kBegin + i * kPageBytes;
        const uint64_t place = f.tables.find(address).entry & Tables::kAddress;
        CHECK(memory.pages.at(place / kPageBytes) == address / kPageBytes);
        CHECK(!f.writable(address));
        places.insert(place);
        n_moved += place != address;
        n_neighbours += place == last + kPageBytes;
        last = place;
    }
    // The pages at both ends are only in part of the range.
    CHECK(f.tables.find(kBegin).entry == outside);
    CHECK(places.size() == kPages);
    CHECK(n_moved > kPages * 9 / 10);
    CHECK(n_neighbours < kPages / 10);
}
