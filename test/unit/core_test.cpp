// SPDX-License-Identifier: MIT
// core/: text, hash, math, formats, slab, team, loop, ring.
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/fmt.h"
#include "core/hash.h"
#include "core/kernels.h"
#include "core/kernels/balance.h"
#include "core/layer_loop.h"
#include "core/mathf.h"
#include "core/quant.h"
#include "core/ring.h"
#include "core/slab.h"
#include "core/slab_plan.h"
#include "core/status.h"
#include "core/team.h"
#include "core/utf8.h"
#include "test/unit/catch.h"

using namespace axiom;

namespace {

template <class... Parts>
std::string text(const Parts&... parts) {
    return std::string(Text<256>(parts...).view());
}

}  // namespace

TEST_CASE("numbers print as people expect them") {
    REQUIRE(
        text(0u, " ", 18446744073709551615u, " ", -42, " ", std::numeric_limits<int64_t>::min()) ==
        "0 18446744073709551615 -42 -9223372036854775808");
    REQUIRE(text(Hex{0x48}, " ", Hex{1, 4}, " ", HexDigits{~uint64_t{0}}) ==
            "0x48 0x0001 ffffffffffffffff");
    REQUIRE(text(Fixed{1.005, 1}, " ", Fixed{-0.25, 2}, " ", Fixed{2.0, 0}, " ", Fixed{0.999, 2}) ==
            "1.0 -0.25 2 1.00");
    REQUIRE(text(Fixed{double(INFINITY), 2}, " ", Fixed{double(NAN), 2}, " ",
                 Fixed{-double(INFINITY), 1}) == "inf nan -inf");
    REQUIRE(text(Fixed{1e30, 2}) == "1.000000e30");
    REQUIRE(text(Bytes{512}, ", ", Bytes{98362432}, ", ", Bytes{1536}) ==
            "512 B, 93.8 MiB, 1.50 KiB");
    REQUIRE(text(Quoted{"a\nb\"\x7f"}) == "\"a\\x0ab\"\\x7f\"");
    REQUIRE(text(Quoted{"\xc3\xa9\xff\xe2\x82"}) == "\"\xc3\xa9\\xff\\xe2\\x82\"");
    const std::string accents =
        "a" + std::string("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9") + std::string(80, 'b');
    REQUIRE(text(Quoted{accents}).size() == 64 + 5);
    REQUIRE(text(PadLeft{"ab", 4}, "|", PadRight{"ab", 4}, "|") == "  ab|ab  |");
}

TEST_CASE("text that does not fit is cut at a character, never inside one") {
    char buffer[4];
    Writer w(buffer, sizeof buffer);
    w.put("ab").put("\xe2\x82\xac").put("c");
    REQUIRE(w.view() == "ab");
    REQUIRE(w.truncated());
}

TEST_CASE("numbers parse whole or not at all") {
    uint64_t u = 0;
    REQUIRE((parse_u64("18446744073709551615", &u) && u == ~uint64_t{0}));
    REQUIRE((parse_u64("0xfF", &u) && u == 255));
    for (const char* bad : {"", "-1", "1x", "18446744073709551616", "0x", " 1"})
        REQUIRE_FALSE(parse_u64(bad, &u));
    double d = 0;
    REQUIRE((parse_f64("0.7", &d) && d == 0.7));
    REQUIRE((parse_f64("-1.5e-3", &d) && d == -1.5e-3));
    REQUIRE((parse_f64("1e10", &d) && d == 1e10));
    REQUIRE((parse_f64("0e99999", &d) && d == 0));
    for (const char* bad : {"", ".", "1.2.3", "e5", "1e", "nan", "1e999", "0x1"})
        REQUIRE_FALSE(parse_f64(bad, &d));
}

TEST_CASE("XXH64 gives the specification's values, in one piece or many") {
    // Reference values of the xxHash project for seed 0.
    REQUIRE(Xxh64::of("", 0) == 0xef46db3751d8e999u);
    REQUIRE(Xxh64::of("a", 1) == 0xd24ec4f1a98c6e5bu);
    REQUIRE(Xxh64::of("abc", 3) == 0x44bc2cf5ad770999u);
    std::vector<uint8_t> data(1000);
    for (size_t i = 0; i < data.size(); i++) data[i] = uint8_t(i * 131);
    const uint64_t whole = Xxh64::of(data.data(), data.size());
    for (const size_t piece : {1u, 7u, 31u, 32u, 33u, 500u}) {
        Xxh64 h;
        for (size_t at = 0; at < data.size(); at += piece)
            h.update(&data[at], std::min(piece, data.size() - at));
        REQUIRE(h.digest() == whole);
    }
}

TEST_CASE("our exp, log, sin, cos and sqrt are within their stated errors") {
    for (float x = -87.0f; x < 88.0f; x += 0.0371f) {
        REQUIRE(std::fabs(double(exp_f32(x)) / std::exp(double(x)) - 1) < 2 * 1.1920929e-7);
    }
    REQUIRE(exp_f32(0) == 1.0f);
    REQUIRE(exp_f32(-1000.0f) == exp_f32(-87.0f));
    for (double x = 1e-300; x < 1e300; x *= 1.37) {
        const double tolerance =
            2 * std::numeric_limits<double>::epsilon() * std::max(std::fabs(std::log(x)), 1e-3);
        REQUIRE(std::fabs(log_f64(x) - std::log(x)) <= tolerance);
    }
    for (double x = -1e6; x < 1e6; x += 997.1317) {
        double s, c;
        sincos_f64(x, &s, &c);
        REQUIRE(std::fabs(s - std::sin(x)) < 1e-14);
        REQUIRE(std::fabs(c - std::cos(x)) < 1e-14);
    }
    REQUIRE(sqrt_f32(2.0f) == std::sqrt(2.0f));
}

TEST_CASE("every half survives the way to float and back, and floats round to the nearest half") {
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = f16_to_f32(uint16_t(h));
        if ((h & 0x7c00) == 0x7c00 && (h & 0x3ff)) {
            REQUIRE(std::isnan(f));
            continue;
        }
        REQUIRE(f32_to_f16(f) == h);
    }
    REQUIRE(f32_to_f16(65519.0f) == 0x7bff);
    REQUIRE(f32_to_f16(65520.0f) == 0x7c00);
    REQUIRE(f32_to_f16(1.0f + 0x1p-11f) == 0x3c00);             // tie to even
    REQUIRE(f32_to_f16(1.0f + 3 * 0x1p-11f) == 0x3c02);         // tie to even, upwards
    REQUIRE(f32_to_f16(0x1p-25f) == 0);                         // tie to even zero
    REQUIRE(f32_to_f16(std::nextafterf(0x1p-25f, 1.0f)) == 1);  // just above
}

TEST_CASE(
    "blocks and super-block scales of every type unpack to what was packed, to every bit and no "
    "further") {
    for (const StoredType type : kQuantizedTypes) {
        CAPTURE(stored_type_name(type));
        BlockSource in{}, out;
        SuperScales super_in{}, super_out;
        const int n_values = type == StoredType::q8                              ? 256
                             : type == StoredType::q6k                           ? 64
                             : type == StoredType::q5 || type == StoredType::q5k ? 32
                                                                                 : 16;
        for (size_t r = 0; r < kGroupRows; r++) {
            if (is_k_quant(type)) {
                const int lowest = type == StoredType::q6k ? -128 : 0;
                for (size_t i = 0; i < 2; i++)
                    in.small[i][r] = int16_t(lowest + int(r * 97 + i * 31 + 255) % 256);
            } else {
                in.scale[r] = uint16_t(0x3000 + r);
            }
            if (type == StoredType::q4m) in.minimum[r] = uint16_t(0xb000 + r);
            super_in.d[r] = uint16_t(0x1234 + r);
            if (type != StoredType::q6k) super_in.dmin[r] = uint16_t(0x8765 - r);
            for (size_t c = 0; c < kBlockCols; c++) {
                const int value = int(r * 71 + c * 29) % n_values;
                in.q[r][c] = int16_t(type == StoredType::q8 ? value - 128 : value);
            }
        }
        std::vector<uint8_t> block(block_bytes(type) + 1, 0xa5);
        pack_block(type, in, block.data());
        REQUIRE(block.back() == 0xa5);
        unpack_block(type, block.data(), &out);
        REQUIRE(memcmp(&in, &out, sizeof in) == 0);
        if (!is_k_quant(type)) continue;
        std::vector<uint8_t> super(super_scale_bytes(type) + 1, 0xa5);
        pack_super_scales(type, super_in, super.data());
        REQUIRE(super.back() == 0xa5);
        unpack_super_scales(type, super.data(), &super_out);
        REQUIRE(memcmp(&super_in, &super_out, sizeof super_in) == 0);
    }
}

TEST_CASE("stored sizes count heads, refuse to overflow, and K formats take whole 256 columns") {
    uint64_t n = 0;
    REQUIRE((stored_bytes(StoredType::q4, 17, 33, &n) && n == 4 * 288));
    REQUIRE((stored_bytes(StoredType::q5, 17, 33, &n) && n == 4 * 352));
    REQUIRE((stored_bytes(StoredType::q4k, 17, 512, &n) && n == 2 * 2 * (64 + 8 * 288)));
    REQUIRE((stored_bytes(StoredType::q5k, 16, 256, &n) && n == 64 + 8 * 352));
    REQUIRE((stored_bytes(StoredType::q6k, 1, 256, &n) && n == 32 + 8 * 416));
    for (const StoredType type : {StoredType::q4k, StoredType::q5k, StoredType::q6k}) {
        for (const uint64_t n_cols : {uint64_t{16}, uint64_t{32}, uint64_t{255}, uint64_t{288}})
            REQUIRE_FALSE(stored_bytes(type, 16, n_cols, &n));
        REQUIRE(block_offset(type, 0) == super_scale_bytes(type));
        REQUIRE(block_offset(type, 9) == 2 * super_scale_bytes(type) + 9 * block_bytes(type));
        REQUIRE(super_block_offset(type, 9) == super_scale_bytes(type) + 8 * block_bytes(type));
    }
    REQUIRE(block_offset(StoredType::q5, 9) == 9 * 352);
    REQUIRE_FALSE(stored_bytes(StoredType::f64, uint64_t{1} << 62, 2, &n));
    REQUIRE_FALSE(stored_bytes(StoredType::q8, uint64_t{1} << 40, uint64_t{1} << 40, &n));
    REQUIRE_FALSE(stored_bytes(StoredType::q6k, uint64_t{1} << 56, uint64_t{1} << 39, &n));
    REQUIRE_FALSE(stored_bytes(StoredType::q8, ~uint64_t{0}, 1, &n));
}

TEST_CASE("a slab hands out every object once, aligned, and takes them back") {
    std::vector<uint8_t> memory(1 << 16);
    const uintptr_t base = reinterpret_cast<uintptr_t>(memory.data());
    // Two ranges, so that a class has to straddle them.
    const AddressRange ranges[] = {{base + 1, base + 9000}, {base + 20000, base + 40000}};
    Slab slab;
    slab.init(ranges);
    const auto id = slab.create_class("kv", 1000, 20);
    REQUIRE(id.ok());
    std::vector<uint8_t*> objects;
    for (int i = 0; i < 20; i++) {
        uint8_t* const p = static_cast<uint8_t*>(slab.allocate(id.value()));
        REQUIRE(p != nullptr);
        REQUIRE(reinterpret_cast<uintptr_t>(p) % 64 == 0);
        const uintptr_t a = reinterpret_cast<uintptr_t>(p);
        const bool inside = (a >= ranges[0].begin && a + 1024 <= ranges[0].end) ||
                            (a >= ranges[1].begin && a + 1024 <= ranges[1].end);
        REQUIRE(inside);
        for (const uint8_t* other : objects) REQUIRE((p >= other + 1024 || p + 1024 <= other));
        memset(p, 0xff, 1000);
        objects.push_back(p);
    }
    REQUIRE(slab.allocate(id.value()) == nullptr);
    slab.free(id.value(), objects[7]);
    REQUIRE(slab.allocate(id.value()) == objects[7]);
    const SlabClassStats stats = slab.stats(id.value());
    REQUIRE((stats.capacity == 20 && stats.in_use == 20 && stats.high_water == 20));
}

TEST_CASE("a slab catches double frees, foreign and interior pointers") {
    std::vector<uint8_t> memory(1 << 16);
    const uintptr_t base = reinterpret_cast<uintptr_t>(memory.data());
    const AddressRange range{base, base + memory.size()};
    Slab slab;
    slab.init({&range, 1});
    const auto id = slab.create_class("x", 128, 4);
    REQUIRE(id.ok());
    uint8_t* const p = static_cast<uint8_t*>(slab.allocate(id.value()));
    REQUIRE_THROWS(slab.free(id.value(), p + 64));
    REQUIRE_THROWS(slab.free(id.value(), &memory));
    slab.free(id.value(), p);
    REQUIRE_THROWS(slab.free(id.value(), p));
}

TEST_CASE("a slab class that does not fit is refused with both sizes and changes nothing") {
    std::vector<uint8_t> memory(1 << 14);
    const uintptr_t base = reinterpret_cast<uintptr_t>(memory.data());
    const AddressRange range{base, base + memory.size()};
    Slab slab;
    slab.init({&range, 1});
    const size_t before = slab.free_bytes();
    const auto refused = slab.create_class("huge", 4096, 100);
    REQUIRE_FALSE(refused.ok());
    REQUIRE(refused.status().code() == Code::no_memory);
    const std::string message(refused.status().text());
    REQUIRE(message.find("huge: needs 100 x 4.00 KiB") != std::string::npos);
    REQUIRE(slab.free_bytes() == before);
}

TEST_CASE(
    "what a slab says fits can be created over fragmented ranges, and one object more cannot") {
    std::vector<uint8_t> memory(1 << 18);
    const uintptr_t base = reinterpret_cast<uintptr_t>(memory.data());
    std::vector<AddressRange> ranges;
    for (size_t i = 0; i < 40; i++) ranges.push_back({base + i * 6000, base + i * 6000 + 5000});
    Slab slab;
    slab.init(ranges);
    size_t n = 0;  // the most 1 KiB objects that fit: 4 a range, though the bytes would hold more
    void* small = nullptr;
    Slab::ClassId id = 0;
    const auto plan = [&](size_t n_objects) {
        SlabPlan p;
        p.add_objects("small", 64, 1, &small);
        p.add_class("kv", 1024, n_objects, &id);
        return p;
    };
    while (plan(n + 1).fits(slab)) n++;
    REQUIRE(n >= 100);
    REQUIRE(n * 1024 < slab.free_bytes());
    Slab full = slab;
    REQUIRE(plan(n).create(full).ok());
    REQUIRE(small != nullptr);
    REQUIRE(full.stats(id).capacity == n);
    Slab over = slab;
    REQUIRE(plan(n + 1).create(over).code() == Code::no_memory);
}

TEST_CASE("a slab that is initialised again knows nothing of its former ranges") {
    std::vector<uint8_t> memory(1 << 16);
    const uintptr_t base = reinterpret_cast<uintptr_t>(memory.data());
    const AddressRange ranges[] = {{base, base + 8192}, {base + 16384, base + 20480}};
    Slab slab;
    slab.init(ranges);
    slab.init(std::span(ranges).subspan(1));
    REQUIRE(slab.free_bytes() == 4096);
    REQUIRE(slab.create_class("x", 1024, 4).status().code() == Code::no_memory);
    SlabPlan plan;
    Slab::ClassId id = 0;
    plan.add_class("x", 1024, 4, &id);
    REQUIRE_FALSE(plan.fits(slab));
    REQUIRE(slab.create_class("x", 1024, 3).ok());
}

TEST_CASE("of more ranges than a slab can keep the smallest are left out") {
    std::vector<AddressRange> ranges;
    size_t largest = 0;  // the 64 largest of 70
    for (size_t i = 0; i < 70; i++) {
        const size_t size = 4096 + (i * 37 % 70) * 64;
        ranges.push_back({(i + 1) << 20, ((i + 1) << 20) + size});
        if (i * 37 % 70 >= 6) largest += size;
    }
    Slab slab;
    slab.init(ranges);
    REQUIRE(slab.free_bytes() == largest);
}

TEST_CASE("a plan's sum is what its creation takes, to the byte") {
    std::vector<uint8_t> memory(1 << 20);
    const uintptr_t base = (reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64;
    std::span<uint32_t> array;
    std::span<double> none;
    void* objects[5] = {};
    Slab::ClassId id = 0;
    SlabPlan plan;
    plan.add_array("array", 1001, &array);
    plan.add_array("none", 0, &none);
    plan.add_class("kv", 700, 130, &id);
    plan.add_objects("objects", 1, 5, objects);
    uint64_t bytes = 0;
    REQUIRE(plan.sum(&bytes));
    const auto create_in = [&](uint64_t n) {
        const AddressRange range{base, base + n};
        Slab slab;
        slab.init({&range, 1});
        const bool fits = plan.fits(slab);
        const Status status = plan.create(slab);
        REQUIRE(status.ok() == fits);
        if (status.ok()) REQUIRE(slab.n_classes() == 3);
        return status.ok();
    };
    REQUIRE_FALSE(create_in(bytes - 1));
    REQUIRE(create_in(bytes));
    REQUIRE(array.size() == 1001);
    REQUIRE(none.empty());
    for (void* const object : objects) REQUIRE(object != nullptr);
}

TEST_CASE("a plan of more than any memory has no sum and does not fit") {
    Slab slab;
    slab.init({});
    Slab::ClassId id = 0;
    for (const auto& [bytes, count] :
         {std::pair{UINT64_MAX, uint64_t{1}}, std::pair{uint64_t{1} << 40, uint64_t{1} << 40},
          std::pair{uint64_t{1} << 62, uint64_t{1}}}) {
        SlabPlan plan;
        plan.add_class("huge", bytes, count, &id);
        uint64_t sum = 0;
        REQUIRE_FALSE(plan.sum(&sum));
        REQUIRE_FALSE(plan.fits(slab));
        REQUIRE(plan.create(slab).code() == Code::no_memory);
    }
    SlabPlan plan;
    std::span<uint64_t> array;
    plan.add_array("huge", UINT64_MAX / 2, &array);
    REQUIRE_FALSE(plan.fits(slab));
}

TEST_CASE("all workers of a team run every job and meet at barriers") {
    for (const size_t n_workers : {1u, 2u, 4u}) {
        Team team;
        team.init(n_workers, [](uint32_t) { std::this_thread::yield(); });
        std::vector<std::thread> threads;
        for (size_t rank = 1; rank < n_workers; rank++)
            threads.emplace_back([&team, rank] { team.serve(rank); });
        struct Shared {
            std::vector<int> cells;
            std::atomic<int> wrong{0};
        } shared;
        shared.cells.resize(n_workers);
        for (int job = 0; job < 50; job++) {
            team.run(
                [](const Worker& w, void* context) {
                    Shared& s = *static_cast<Shared*>(context);
                    s.cells[w.rank]++;
                    w.barrier();
                    for (const int c : s.cells) s.wrong += c != s.cells[0];
                    w.barrier();
                },
                &shared);
        }
        team.stop();
        for (std::thread& t : threads) t.join();
        REQUIRE(shared.wrong == 0);
        REQUIRE(shared.cells == std::vector<int>(n_workers, 50));
    }
}

TEST_CASE(
    "barriers of more workers than a group hold all of them back, whatever part of them is used") {
    constexpr size_t kWorkers = 2 * Team::kGroupSize + 7;
    const auto yield = [](uint32_t) { std::this_thread::yield(); };
    Team team;
    team.init(kWorkers, yield, yield);
    std::vector<std::thread> threads;
    for (size_t rank = 1; rank < kWorkers; rank++)
        threads.emplace_back([&team, rank] { team.serve(rank); });
    struct Shared {
        std::atomic<size_t> n_arrived{0};
        std::atomic<int> wrong{0};
        int n_actions = 0;
    } shared;
    constexpr size_t kBarriers = 20;
    for (const size_t n : {kWorkers, Team::kGroupSize, Team::kGroupSize + 1, size_t{1},
                           2 * Team::kGroupSize, kWorkers}) {
        team.use(n);
        shared.n_arrived = 0;
        shared.n_actions = 0;
        team.run(
            [](const Worker& w, void* context) {
                Shared& s = *static_cast<Shared*>(context);
                for (size_t i = 1; i <= kBarriers; i++) {
                    s.n_arrived++;
                    w.barrier([](void* c) { static_cast<Shared*>(c)->n_actions++; }, &s);
                    // Everybody has come this often, and nobody has come once more than that.
                    s.wrong += s.n_arrived < i * w.count || s.n_arrived > i * w.count + w.count;
                    s.wrong += s.n_actions != int(i);
                    w.barrier();
                }
            },
            &shared);
        CHECK(shared.n_arrived == n * kBarriers);
        CHECK(shared.wrong == 0);
    }
    team.stop();
    for (std::thread& t : threads) t.join();
}

TEST_CASE("the workers that are used run every job, the others none") {
    constexpr size_t kWorkers = 4;
    Team team;
    team.init(
        kWorkers, [](uint32_t) { std::this_thread::yield(); },
        [](uint32_t) { std::this_thread::yield(); });
    std::vector<std::thread> threads;
    for (size_t rank = 1; rank < kWorkers; rank++)
        threads.emplace_back([&team, rank] { team.serve(rank); });
    struct Shared {
        int cells[kWorkers] = {};
        size_t count = 0;
        std::atomic<int> wrong{0};
    } shared;
    int expected[kWorkers] = {};
    for (const size_t n : {3, 1, 1, 4, 2, 4, 1, 3, 3, 2, 1, 4}) {
        team.use(n);
        REQUIRE(team.size() == n);
        REQUIRE(team.n_started() == kWorkers);
        shared.count = n;
        for (int job = 0; job < 7; job++) {
            team.run(
                [](const Worker& w, void* context) {
                    Shared& s = *static_cast<Shared*>(context);
                    s.wrong += w.count != s.count;
                    s.cells[w.rank]++;
                    w.barrier();
                },
                &shared);
            for (size_t rank = 0; rank < n; rank++) expected[rank]++;
        }
        for (size_t rank = 0; rank < kWorkers; rank++)
            REQUIRE(shared.cells[rank] == expected[rank]);
    }
    team.use(1);  // and those at rest end too
    team.stop();
    for (std::thread& t : threads) t.join();
    REQUIRE(shared.wrong == 0);
}

TEST_CASE("row shares are contiguous, cover everything and differ by at most one") {
    for (const size_t n : {0u, 1u, 7u, 36u, 97u}) {
        for (const size_t count : {1u, 2u, 3u, 8u}) {
            size_t next = 0;
            for (size_t rank = 0; rank < count; rank++) {
                const auto [begin, end] = Worker{rank, count, nullptr}.split(n);
                REQUIRE(begin == next);
                REQUIRE(end - begin <= n / count + 1);
                REQUIRE(end - begin >= n / count);
                next = end;
            }
            REQUIRE(next == n);
        }
    }
}

TEST_CASE("row shares follow the speeds a team was given, in order and without gaps") {
    Team team;
    team.init(3);
    const uint32_t speeds[] = {100, 25, 75};
    team.set_speeds(speeds);
    for (const size_t n : {0u, 1u, 8u, 97u, 400u}) {
        size_t next = 0;
        for (size_t rank = 0; rank < 3; rank++) {
            const auto [begin, end] = Worker{rank, 3, &team}.split(n);
            REQUIRE(begin == next);
            REQUIRE(std::abs(double(end - begin) - double(n) * speeds[rank] / 200) <= 1);
            next = end;
        }
        REQUIRE(next == n);
    }
}

TEST_CASE("claims take every unit exactly once between two barriers, whoever is faster") {
    using Nodes = std::vector<uint32_t>;
    for (const Nodes& nodes : {Nodes{1}, Nodes{2}, Nodes{1, 1}, Nodes{4}, Nodes{3, 1},
                               Nodes{0, 2, 0, 2}, Nodes{1, 1, 1, 1}}) {
        const size_t n_workers = std::accumulate(nodes.begin(), nodes.end(), size_t{0});
        Team team;
        team.init(n_workers, [](uint32_t) { std::this_thread::yield(); });
        std::vector<uint32_t> speeds;
        for (size_t i = 0; i < n_workers; i++) speeds.push_back(uint32_t(1 + 30 * i));
        team.set_speeds(speeds);
        team.set_nodes(nodes);
        std::vector<std::thread> threads;
        for (size_t rank = 1; rank < n_workers; rank++)
            threads.emplace_back([&team, rank] { team.serve(rank); });
        struct Shared {
            std::vector<std::atomic<int>> taken = std::vector<std::atomic<int>>(1000);
            size_t n = 0, least = 0, n_nodes = 0;
            std::atomic<int> wrong{0};
        } shared;
        shared.n_nodes = nodes.size();
        const auto count_up = [](const Worker& w, void* context) {
            Shared& s = *static_cast<Shared*>(context);
            for (int stage = 0; stage < 3; stage++) {
                for (;;) {
                    const auto [begin, end] = w.claim(s.n, s.least);
                    if (begin == end) break;
                    s.wrong += end > s.n || (s.n_nodes == 1 && end - begin < s.least && end != s.n);
                    for (size_t i = begin; i < end; i++) s.taken[i]++;
                }
                w.barrier();
            }
        };
        for (const size_t n : {0u, 1u, 7u, 64u, 1000u}) {
            for (const size_t least : {1u, 5u, 600u}) {
                shared.n = n, shared.least = least;
                for (std::atomic<int>& t : shared.taken) t = 0;
                team.run(count_up, &shared);
                for (size_t i = 0; i < 1000; i++)
                    shared.wrong += shared.taken[i] != (i < n ? 3 : 0);
            }
        }
        team.stop();
        for (std::thread& t : threads) t.join();
        REQUIRE(shared.wrong == 0);
    }
}

TEST_CASE(
    "a claim is three quarters of a fair share by speed, then of the rest; all for one worker") {
    Team team;
    team.init(2);
    const uint32_t speeds[] = {100, 300};
    team.set_speeds(speeds);
    const Worker slow{0, 2, &team}, fast{1, 2, &team};
    REQUIRE(fast.claim(1600, 10).end == 900);
    const Worker::Range second = slow.claim(1600, 10);
    REQUIRE(second.begin == 900);
    REQUIRE(second.end == 900 + 131);  // 700 / 4 * 3 / 4
    Team one;
    one.init(1);
    REQUIRE(Worker{0, 1, &one}.claim(1600, 10).end == 1600);
}

TEST_CASE(
    "workers of a memory node claim its part of the units first, then what other nodes have left") {
    Team team;
    team.init(4);
    const uint32_t nodes[] = {1, 3};
    team.set_nodes(nodes);
    const Worker first{0, 4, &team}, second{1, 4, &team}, last{3, 4, &team};
    // Of 1600 units the first node has 400, the second 1200.
    const Worker::Range own = first.claim(1600, 10);
    REQUIRE((own.begin == 0 && own.end == 300));
    const Worker::Range theirs = last.claim(1600, 10);
    REQUIRE((theirs.begin == 400 && theirs.end == 400 + 300));  // 1200 / 3 * 3 / 4
    REQUIRE(second.claim(1600, 10).begin == 700);
    while (second.claim(1600, 200).end != 1600) {
    }
    const Worker::Range left = last.claim(1600, 10);
    REQUIRE((left.begin == 300 && left.end == 300 + 75));  // 100 * 1 * 3 / 4, of a node of one
    REQUIRE(first.claim(1600, 1000).end == 400);
    const Worker::Range none = last.claim(1600, 10);
    REQUIRE(none.begin == none.end);
}

TEST_CASE("speeds follow the times where cores differ and are equal where they hardly do") {
    uint32_t speeds[3];
    const uint64_t alike[] = {100, 130, 101};
    REQUIRE(speeds_from_times(alike, speeds) == Approx(100.0 / 130));
    REQUIRE((speeds[0] == 1 && speeds[1] == 1 && speeds[2] == 1));
    const uint64_t unlike[] = {100, 200, 400};
    REQUIRE(speeds_from_times(unlike, speeds) == Approx(0.25));
    REQUIRE((speeds[0] == 100 && speeds[1] == 50 && speeds[2] == 25));
    const uint64_t none[] = {0, 0, 0};  // a clock that stood still
    speeds_from_times(none, speeds);
    for (const uint32_t s : speeds) REQUIRE(s >= 1);
}

TEST_CASE("at a barrier rank 0 acts after everybody has come and before anybody goes") {
    Team team;
    team.init(4, [](uint32_t) { std::this_thread::yield(); });
    std::vector<std::thread> threads;
    for (size_t rank = 1; rank < 4; rank++)
        threads.emplace_back([&team, rank] { team.serve(rank); });
    struct Shared {
        std::atomic<int> arrived{0}, wrong{0}, acted{0};
    } shared;
    team.run(
        [](const Worker& w, void* context) {
            Shared& s = *static_cast<Shared*>(context);
            for (int round = 1; round <= 50; round++) {
                s.arrived++;
                w.barrier(
                    [](void* c) {
                        Shared& at = *static_cast<Shared*>(c);
                        at.acted++;
                        at.wrong += at.arrived != 4 * at.acted;
                    },
                    &s);
                s.wrong += s.acted != round;
                w.barrier();
            }
        },
        &shared);
    team.stop();
    for (std::thread& t : threads) t.join();
    REQUIRE(shared.acted == 50);
    REQUIRE(shared.wrong == 0);
}

TEST_CASE("the layer loop runs layers in order and its tasks once at every boundary") {
    Team team;
    team.init(1);
    LayerLoop loop;
    struct Trace {
        std::string text;
    } trace;
    loop.add({.name = "t",
              .poll = [](void* c, uint64_t) { static_cast<Trace*>(c)->text += '.'; },
              .context = &trace});
    uint64_t layer_ticks[4] = {}, boundary_ticks[4] = {}, stall_ticks[4] = {};
    LayerJob job;
    job.n_layers = 4;
    job.context = &trace;
    job.layer = [](void* c, const Worker&, size_t i) {
        static_cast<Trace*>(c)->text += char('0' + i);
    };
    REQUIRE(loop.run(team, job, {layer_ticks, boundary_ticks, stall_ticks}).ok());
    REQUIRE(trace.text == "0.1.2.3.");
    const Task& task = loop.task(0);
    REQUIRE(task.n_runs == 4);
    REQUIRE(task.total_ticks >= task.max_ticks);
    REQUIRE(task.total_ticks <= 4 * task.max_ticks);
    uint64_t all_boundaries = 0;
    for (const uint64_t ticks : boundary_ticks) all_boundaries += ticks;
    REQUIRE(task.total_ticks <= all_boundaries);
    for (int i = 0; i < 4; i++)
        REQUIRE((layer_ticks[i] > 0 && boundary_ticks[i] > 0 && stall_ticks[i] == 0));
}

namespace {

// A team with threads, and layers that are made ready and ended.
struct Layers {
    static constexpr size_t kN = 4;
    Team team;
    LayerLoop loop;
    std::vector<std::thread> threads;
    std::atomic<int> n_run{0};
    std::string text;  // "<i" made ready, "i>" ended
    int fails_before = -1, fails_after = -1;
    uint64_t stall_ticks = 0;

    explicit Layers(size_t n_workers) {
        team.init(n_workers, [](uint32_t) { std::this_thread::yield(); });
        for (size_t rank = 1; rank < n_workers; rank++)
            threads.emplace_back([this, rank] { team.serve(rank); });
    }
    ~Layers() {
        team.stop();
        for (std::thread& t : threads) t.join();
    }
    static Layers& of(void* context) { return *static_cast<Layers*>(context); }
    Status run(const PassTimes& times = {}) {
        LayerJob job;
        job.n_layers = kN;
        job.context = this;
        job.layer = [](void* c, const Worker&, size_t) { of(c).n_run++; };
        job.before = [](void* c, size_t i) {
            Layers& l = of(c);
            l.text += "<" + std::to_string(i);
            const uint64_t begin = ticks_now();
            while (ticks_now() - begin < l.stall_ticks) {
            }
            return int(i) == l.fails_before ? Status(Code::io, "lost") : Status();
        };
        job.after = [](void* c, size_t i) {
            Layers& l = of(c);
            l.text += std::to_string(i) + ">";
            return int(i) == l.fails_after ? Status(Code::io, "bad") : Status();
        };
        return loop.run(team, job, times);
    }
};

}  // namespace

TEST_CASE("the layer loop makes each layer ready and ends it before the next one") {
    for (const size_t n_workers : {1u, 3u}) {
        Layers layers(n_workers);
        REQUIRE(layers.run().ok());
        REQUIRE(layers.text == "<00><11><22><33>");
        REQUIRE(layers.n_run == int(4 * n_workers));
    }
}

TEST_CASE("a layer that cannot be made ready ends the pass for every worker with its status") {
    for (const size_t n_workers : {1u, 3u}) {
        for (const int i : {0, 1, 3}) {
            Layers layers(n_workers);
            layers.fails_before = i;
            const Status status = layers.run();
            REQUIRE(status.code() == Code::io);
            REQUIRE(status.text() == "lost");
            REQUIRE(layers.n_run == i * int(n_workers));
            REQUIRE(layers.text == std::string("<00><11><22><33>").substr(0, size_t(4 * i) + 2));
            layers.fails_before = -1;  // and the team still works
            REQUIRE(layers.run().ok());
        }
    }
}

TEST_CASE("what a layer found wrong ends the pass at its boundary, and no layer is made ready") {
    for (const int i : {0, 3}) {
        Layers layers(2);
        layers.fails_after = i;
        REQUIRE(layers.run().text() == "bad");
        REQUIRE(layers.n_run == (i + 1) * 2);
        REQUIRE(layers.text == std::string("<00><11><22><33>").substr(0, size_t(4 * i) + 4));
    }
}

TEST_CASE("waiting for a layer is its stall and no part of compute or boundary") {
    Layers layers(1);
    layers.stall_ticks = 2000000;
    uint64_t layer_ticks[4] = {}, boundary_ticks[4] = {}, stall_ticks[4] = {};
    const uint64_t begin = ticks_now();
    REQUIRE(layers.run({layer_ticks, boundary_ticks, stall_ticks}).ok());
    const uint64_t whole = ticks_now() - begin;
    uint64_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        REQUIRE(stall_ticks[i] >= layers.stall_ticks);
        sum += stall_ticks[i] + layer_ticks[i] + boundary_ticks[i];
    }
    REQUIRE(sum <= whole);  // counted twice it would be more
}

TEST_CASE(
    "a task that sets the stop flag ends the pass at that layer's boundary, for every worker") {
    for (const size_t n_workers : {1u, 3u}) {
        Layers layers(n_workers);
        std::atomic<bool> stop{false};
        layers.loop.stop_when(&stop);
        layers.loop.add(
            {.name = "stopper",
             .poll = [](void* c, uint64_t) { *static_cast<std::atomic<bool>*>(c) = true; },
             .context = &stop});
        REQUIRE(layers.run().code() == Code::interrupted);
        REQUIRE(layers.n_run == int(n_workers));
        REQUIRE(layers.text == "<00>");
    }
}

TEST_CASE("a ring gives back what was written, in order, and refuses what does not fit") {
    char storage[8];
    Ring ring;
    ring.init(storage, sizeof storage);
    REQUIRE(ring.write("abcdef") == 6);
    char c = 0;
    REQUIRE((ring.pop(&c) && c == 'a'));
    REQUIRE(ring.write("ghijk") == 3);
    std::string out;
    while (ring.pop(&c)) out += c;
    REQUIRE(out == "bcdefghi");
    REQUIRE(ring.empty());
}

TEST_CASE("a UTF-8 stream holds unfinished characters back and replaces impossible ones") {
    const auto stream = [](std::initializer_list<std::string_view> pieces) {
        Utf8Stream utf8;
        std::string out;
        const auto write = [&](std::string_view t) { out += std::string(t) + "|"; };
        for (const std::string_view piece : pieces) utf8.put(piece, write);
        out += "#";
        utf8.finish(write);
        return out;
    };
    REQUIRE(stream({"a\xe2", "\x82", "\xac"}) == "a|\xe2\x82\xac|#");
    REQUIRE(stream({"\xf0\x9f"}) == "#\xef\xbf\xbd|");
    REQUIRE(stream({"\xff", "b"}) == "\xef\xbf\xbd|b|#");
    REQUIRE(stream({"\xe2", "x"}) == "\xef\xbf\xbd|x|#");
    REQUIRE(stream({"\xed\xa0\x80"}) == "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd|#");  // a surrogate
    REQUIRE(stream({"\xc0\x80"}) == "\xef\xbf\xbd|\xef\xbf\xbd|#");                   // overlong
    // After the second byte exactly 0x80 to 0xbf continue.
    for (const std::string begun : {"\xe2\x82", "\xf0\x9f\x98"}) {
        for (int last = 0; last < 256; last++) {
            const std::string text = begun + char(last);
            INFO(last);
            REQUIRE((stream({text}) == text + "|#") == (last >= 0x80 && last <= 0xbf));
        }
    }
    for (int third = 0x80; third <= 0xbf; third++) {
        const std::string text = std::string("\xf0\x9f") + char(third) + "\x80";
        REQUIRE(stream({text}) == text + "|#");
    }
}

TEST_CASE("an error from hostile bytes names file, field, offset, found and allowed") {
    const Status s = field_error("m.axm", "config.n_head", 0x48, 0u, "1..1024");
    REQUIRE(s.code() == Code::bad_format);
    REQUIRE(std::string(s.text()) ==
            "m.axm: config.n_head at offset 0x48: found 0, allowed 1..1024");
}

TEST_CASE("a slab uses the ranges that come last only when the others are full") {
    alignas(64) static uint8_t first[4096], last[8192];
    const AddressRange firsts{uintptr_t(first), uintptr_t(first) + sizeof first};
    const AddressRange lasts{uintptr_t(last), uintptr_t(last) + sizeof last};
    Slab slab;
    slab.init({&firsts, 1}, {&lasts, 1});
    const auto is_in = [](const void* p, const AddressRange& range) {
        return uintptr_t(p) >= range.begin && uintptr_t(p) < range.end;
    };
    const Result<Slab::ClassId> a = slab.create_class("a", 1024, 3);
    const Result<Slab::ClassId> b = slab.create_class("b", 1024, 3);
    REQUIRE((a.ok() && b.ok()));
    for (int i = 0; i < 3; i++) CHECK(is_in(slab.allocate(a.value()), firsts));
    for (int i = 0; i < 3; i++) CHECK(is_in(slab.allocate(b.value()), lasts));
}
