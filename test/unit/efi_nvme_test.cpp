// SPDX-License-Identifier: MIT
// The NVMe driver against a controller that is software.
#include <memory>
#include <random>
#include <string>

#include "efi/pci/pci.h"
#include "test/unit/catch.h"
#include "test/unit/fake_nvme.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

constexpr uint64_t kFirst = 2048, kBlocks = 1 << 16;

struct Aligned {
    explicit Aligned(size_t n_bytes, size_t alignment = 65536)
        : data(static_cast<uint8_t*>(aligned_alloc(alignment, round_up(n_bytes, alignment)))) {
        memset(data, 0xee, n_bytes);
    }
    ~Aligned() { free(data); }
    Aligned(const Aligned&) = delete;
    static size_t round_up(size_t n, size_t m) { return (n + m - 1) / m * m; }
    uint8_t* data;
};

// A driver, and the controller it is given.
struct Disk {
    FakeNvme& fake;
    std::unique_ptr<Aligned> memory;
    NvmeController driver;

    explicit Disk(FakeNvme& device, uint64_t first = kFirst, uint64_t n_blocks = kBlocks)
        : fake(device),
          memory(new Aligned(NvmeController::memory_bytes(device.cap()))),
          driver(device, "nvme 0000:00:04.0", {device.nsid, device.block_bytes, first, n_blocks}) {}

    Status start() {
        Status status = driver.reset();
        return status.ok() ? driver.start(memory->data) : status;
    }
    // Polls until `n` reads are over.
    std::vector<DiskReader::Done> wait(size_t n) {
        std::vector<DiskReader::Done> all;
        DiskReader::Done some[3];
        for (int i = 0; i < 10000000 && all.size() < n; i++) {
            const size_t n_some = driver.poll(some);
            all.insert(all.end(), some, some + n_some);
        }
        REQUIRE(all.size() == n);
        return all;
    }
    // One read; its outcome.
    Status read(uint64_t offset, size_t n_bytes, uint8_t* to) {
        REQUIRE(driver.read(7, offset, n_bytes, to));
        const auto done = wait(1);
        CHECK(done[0].tag == 7);
        return done[0].status;
    }
    bool right(uint64_t offset, size_t n_bytes, const uint8_t* found) const {
        const uint64_t begin = kFirst * fake.block_bytes + offset;
        for (size_t i = 0; i < n_bytes; i++) {
            if (found[i] != FakeNvme::byte_at(begin + i)) return false;
        }
        return true;
    }
};

bool says(const Status& status, std::string_view text) {
    return status.text().find(text) != std::string_view::npos;
}

}  // namespace

TEST_CASE("NVMe: reads of every length and place in a page bring what stands on the disk",
          "[nvme]") {
    for (const uint32_t block_bytes : {512, 1024, 4096}) {
        for (const uint32_t page_shift : {12, 13, 16}) {
            FakeNvme fake;
            fake.block_bytes = block_bytes;
            fake.page_shift = page_shift;
            fake.stride_code = page_shift - 12;
            Disk disk(fake);
            REQUIRE(disk.start().ok());
            const DiskReader::Limits limits = disk.driver.limits();
            CHECK(limits.alignment == block_bytes);
            CHECK(limits.max_read_bytes == 1 << 20);
            CHECK(limits.depth == 32);
            Aligned to((1 << 20) + 65536);
            for (const size_t n_blocks :
                 {size_t{1}, size_t{2}, size_t{3}, 4096 / size_t{block_bytes},
                  12288 / size_t{block_bytes}, 65536 / size_t{block_bytes},
                  (1 << 20) / size_t{block_bytes}}) {
                for (const size_t skip : {0u, block_bytes, 3 * block_bytes}) {
                    const size_t n_bytes = n_blocks * block_bytes;
                    INFO(block_bytes << " " << page_shift << " " << n_bytes << " " << skip);
                    memset(to.data, 0xee, (1 << 20) + 65536);
                    REQUIRE(disk.read(skip * 5, n_bytes, to.data + skip).ok());
                    CHECK(disk.right(skip * 5, n_bytes, to.data + skip));
                    CHECK(to.data[skip + n_bytes] == 0xee);
                    CHECK((skip == 0 || to.data[skip - 1] == 0xee));
                }
            }
        }
    }
}

TEST_CASE("NVMe: reads are no longer than the controller allows", "[nvme]") {
    for (const auto& [mdts, page_shift, allowed] : {std::tuple{1u, 12u, 8192u},
                                                    {5u, 12u, 131072u},
                                                    {9u, 12u, 1u << 20},
                                                    {1u, 14u, 32768u},
                                                    {0u, 12u, 1u << 20},
                                                    {255u, 12u, 1u << 20}}) {
        FakeNvme fake;
        fake.mdts = mdts;
        fake.page_shift = page_shift;
        Disk disk(fake);
        REQUIRE(disk.start().ok());
        CHECK(disk.driver.limits().max_read_bytes == allowed);
        if (mdts == 255) continue;
        Aligned to(allowed);
        CHECK(disk.read(0, allowed, to.data).ok());
        CHECK(disk.right(0, allowed, to.data));
    }
}

TEST_CASE("NVMe: what firmware left running is stopped before anything else", "[nvme]") {
    FakeNvme fake;
    fake.be_enabled();
    fake.ready_after_ns = 400000000;
    Disk disk(fake);
    REQUIRE(disk.start().ok());
    CHECK(fake.n_enables == 1);
    CHECK(!fake.was_cut_off);
}

TEST_CASE("NVMe: a controller that never becomes ready is given up after CAP.TO", "[nvme]") {
    for (const uint32_t units : {0u, 1u, 20u}) {
        FakeNvme fake;
        fake.timeout_units = units;
        fake.never_ready = true;
        Disk disk(fake);
        // Disabled, it says that it is ready, and goes on doing so.
        const Status status = disk.start();
        CHECK(status.code() == Code::io);
        CHECK(says(status, "CSTS.RDY"));
        const uint64_t allowed_ns = std::max(1u, units) * uint64_t{500000000};
        CHECK(fake.now >= allowed_ns);
        CHECK(fake.now < allowed_ns + 100000000);
    }
}

TEST_CASE("NVMe: queues go round many times, however short they may be", "[nvme]") {
    for (const uint32_t max_entries : {2u, 3u, 16u, 64u}) {
        FakeNvme fake;
        fake.max_entries = max_entries;
        Disk disk(fake);
        REQUIRE(disk.start().ok());
        const size_t depth = disk.driver.limits().depth;
        CHECK(depth == std::min(32u, max_entries - 1));
        Aligned to(4096 * 32);
        std::mt19937 random(1);
        for (int round = 0; round < 100; round++) {
            fake.held = true;
            std::vector<uint64_t> offsets;
            for (size_t i = 0; i < depth; i++) {
                offsets.push_back(random() % (kBlocks - 8) * 512);
                REQUIRE(disk.driver.read(i, offsets[i], 4096, to.data + 4096 * i));
            }
            CHECK(!disk.driver.read(99, 0, 512, to.data));
            DiskReader::Done none[1];
            CHECK(disk.driver.poll(none) == 0);
            fake.held = false;
            fake.release_backwards();
            const auto done = disk.wait(depth);
            CHECK(done.front().tag == depth - 1);
            CHECK(done.back().tag == 0);
            for (size_t i = 0; i < depth; i++) {
                CHECK(done[i].status.ok());
                CHECK(disk.right(offsets[i], 4096, to.data + 4096 * i));
            }
        }
        CHECK(disk.driver.n_retries() == 0);
    }
}

TEST_CASE("NVMe: an error that may pass is tried again and counted", "[nvme]") {
    FakeNvme fake;
    Disk disk(fake);
    REQUIRE(disk.start().ok());
    fake.read_status[kFirst + 8] = {0x281, 0x006, 0x281};
    Aligned to(8192);
    CHECK(disk.read(4096, 8192, to.data).ok());
    CHECK(disk.right(4096, 8192, to.data));
    CHECK(disk.driver.n_retries() == 3);
}

TEST_CASE("NVMe: an error that stays names LBA, status code type and code", "[nvme]") {
    FakeNvme fake;
    Disk disk(fake);
    REQUIRE(disk.start().ok());
    fake.read_status[kFirst + 8] = std::deque<uint16_t>(100, 0x281);
    Aligned to(8192);
    Status status = disk.read(4096, 8192, to.data);
    CHECK(status.code() == Code::io);
    CHECK(status.text() ==
          "nvme 0000:00:04.0: reading LBA 2056, 16 blocks, 5 times: unrecovered read error (status "
          "code type 0x2, code 0x81)");
    CHECK(disk.driver.n_retries() == 4);

    // Bit 14: trying again is of no use.
    fake.read_status[kFirst] = {0x4080};
    status = disk.read(0, 512, to.data);
    CHECK(says(status,
               "LBA 2048, 1 blocks, 1 time: LBA out of range (status code type 0x0, code 0x80)"));
    CHECK(disk.driver.n_retries() == 4);

    // Others go on.
    CHECK(disk.read(0, 512, to.data).ok());
}

TEST_CASE("NVMe: a controller that stops answering is cut off, and every read of it fails",
          "[nvme]") {
    FakeNvme fake;
    Disk disk(fake);
    REQUIRE(disk.start().ok());
    const std::string reason = GENERATE("no answer within 30000 ms", "controller fatal status",
                                        "does not answer any more");
    Aligned to(8192);
    const uint64_t begin = fake.now;
    fake.silent = true;
    REQUIRE(disk.driver.read(1, 0, 512, to.data));
    REQUIRE(disk.driver.read(2, 512, 512, to.data + 512));
    if (reason.starts_with("controller")) fake.fatal = true;
    if (reason.starts_with("does")) fake.gone = true;
    for (const DiskReader::Done& done : disk.wait(2)) {
        CHECK(done.status.code() == Code::io);
        CHECK(says(done.status, reason));
    }
    CHECK(fake.was_cut_off);
    const uint64_t waited = fake.now - begin;
    CHECK((waited > 30000000000u) == reason.starts_with("no"));
    const uint32_t n_reads = fake.n_reads;
    CHECK(says(disk.read(0, 512, to.data), reason));
    CHECK(fake.n_reads == n_reads);
    disk.driver.stop();
}

TEST_CASE("NVMe: a completion of a command that is not under way ends the controller", "[nvme]") {
    for (const uint16_t id : {uint16_t{1}, uint16_t{31}, uint16_t{32}, uint16_t{0xffff}}) {
        FakeNvme fake;
        Disk disk(fake);
        REQUIRE(disk.start().ok());
        Aligned to(4096);
        fake.held = true;
        REQUIRE(disk.driver.read(1, 0, 512, to.data));
        fake.complete_command(id);
        CHECK(says(disk.wait(1)[0].status, "not under way"));
        CHECK(fake.was_cut_off);
    }
}

TEST_CASE("NVMe: a namespace that is not what the firmware knew, or has metadata, is refused",
          "[nvme]") {
    struct Case {
        const char* says;
        void (*change)(FakeNvme&);
    };
    for (const Case& c : {
             Case{"block size: found 2^12, allowed 512", [](FakeNvme& f) { f.block_bytes = 4096; }},
             Case{"metadata: found 8", [](FakeNvme& f) { f.metadata_bytes = 8; }},
             Case{"protection", [](FakeNvme& f) { f.protection = 1; }},
             Case{"found 67583 blocks, needed 67584",
                  [](FakeNvme& f) { f.n_blocks = kFirst + kBlocks - 1; }},
             Case{"identify namespace: invalid namespace", [](FakeNvme& f) { f.nsid = 3; }},
             Case{"controller type: found 2", [](FakeNvme& f) { f.controller_type = 2; }},
         }) {
        FakeNvme fake;
        Disk disk(fake);
        c.change(fake);
        const Status status = disk.start();
        INFO(status.text());
        CHECK(status.code() == Code::io);
        CHECK(says(status, c.says));
    }
    FakeNvme just;
    just.n_blocks = kFirst + kBlocks;
    just.nsid = 5;
    Disk disk(just);
    CHECK(disk.start().ok());
}

TEST_CASE("NVMe: power-state transitions are turned off where there are any", "[nvme]") {
    for (const bool has : {false, true}) {
        FakeNvme fake;
        fake.has_power_transitions = has;
        Disk disk(fake);
        REQUIRE(disk.start().ok());
        CHECK(fake.transitions_off == has);
    }
}

TEST_CASE("NVMe: a controller that failed but answers is shut down, one that is gone is left alone",
          "[nvme]") {
    Aligned to(4096);
    for (const bool gone : {false, true}) {
        FakeNvme fake;
        Disk disk(fake);
        REQUIRE(disk.start().ok());
        fake.held = true;
        REQUIRE(disk.driver.read(1, 0, 512, to.data));
        fake.complete_command(31);
        CHECK_FALSE(disk.wait(1)[0].status.ok());
        fake.gone = gone;
        const uint64_t begin = fake.now;
        disk.driver.stop();
        CHECK(fake.shut_down != gone);
        CHECK(fake.now - begin < 2000000000);
    }
    // One that is no disk of ours, but was enabled.
    FakeNvme fake;
    Disk disk(fake);
    fake.nsid = 3;
    REQUIRE_FALSE(disk.start().ok());
    disk.driver.stop();
    CHECK(fake.shut_down);
}

TEST_CASE("NVMe: a controller behind RAID, or of another kind, is named", "[nvme]") {
    constexpr uint32_t kBridge = 0x060400, kNvme = 0x010802, kVmd = 0x010400, kAhci = 0x010601;
    const auto why_not = [](std::initializer_list<uint32_t> classes) {
        return std::string(why_not_nvme({classes.begin(), classes.size()}).view());
    };
    CHECK(why_not({kNvme}).empty());
    CHECK(why_not({kBridge, kBridge, kNvme}).empty());
    CHECK(why_not({kBridge, kVmd, kNvme}).find("RAID controller (Intel VMD") != std::string::npos);
    CHECK(why_not({kVmd}).find("RAID controller") != std::string::npos);
    CHECK(why_not({kBridge, kAhci}) ==
          "its disk is on a controller of PCI class 0x010601, allowed NVMe (0x010802)");
    CHECK_FALSE(why_not({}).empty());
    CHECK_FALSE(why_not({kNvme, kBridge}).empty());
}

TEST_CASE("an IOMMU is refused while it is in force, not for being there") {
    const Aligned pages(3 * 4096);
    memset(pages.data, 0, 3 * 4096);
    PciFacts facts;
    for (size_t i = 0; i < 3; i++)
        facts.iommus[facts.n_iommus++] = {uint64_t(pages.data) + i * 4096, i == 1};
    CHECK(check_iommus(facts, "walk").ok());
    const auto set = [&](size_t i_unit, size_t offset, uint32_t value) {
        memcpy(pages.data + i_unit * 4096 + offset, &value, sizeof value);
    };
    // All other bits, and those of the other maker's unit.
    for (const size_t i : {0u, 2u}) {
        set(i, 0x18, ~0u);
        set(i, 0x1c, ~0u >> 1);
    }
    set(1, 0x18, ~1u);
    set(1, 0x1c, ~0u);
    CHECK(check_iommus(facts, "walk").ok());
    set(1, 0x18, 1);
    CHECK(says(check_iommus(facts, "walk"), "(IommuEn = 1), allowed off"));
    CHECK(says(check_iommus(facts, "walk"), "AMD IOMMU"));
    set(1, 0x18, 0);
    set(2, 0x1c, 1u << 31);
    CHECK(check_iommus(facts, "walk").code() == Code::unsupported);
    CHECK(says(check_iommus(facts, "walk"), "(GSTS.TES = 1), allowed off"));
}

TEST_CASE("NVMe: a shutdown is waited for, but not for ever", "[nvme]") {
    for (const uint64_t needed_ns : {1000000u, 2000000000u, 4000000000u}) {
        FakeNvme fake;
        fake.shutdown_after_ns = needed_ns;
        Disk disk(fake);
        disk.driver.stop();  // of one that was not started: nothing
        REQUIRE(disk.start().ok());
        disk.driver.stop();
        CHECK(fake.shut_down);
        const uint64_t after = fake.now;
        disk.driver.stop();
        CHECK(fake.now == after);
    }
    FakeNvme fake;
    fake.shutdown_after_ns = ~uint64_t{0};
    Disk disk(fake);
    REQUIRE(disk.start().ok());
    const uint64_t begin = fake.now;
    disk.driver.stop();
    CHECK(fake.now - begin < 6000000000u);
}
