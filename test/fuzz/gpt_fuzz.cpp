// SPDX-License-Identifier: MIT
// Fuzz target: a disk whose blocks come of the input: one byte of flags (blocks of 512 or 4096 bytes; which
// checksums are made right; whether the first header cannot be read), two that say how many blocks there
// are, both headers, then entries, which every other block repeats. Partitions that are found lie on the
// disk and are of the type; nothing outside a block is touched.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/gpt.h"
#include "model/format/format.h"

using namespace axiom;

namespace {

constexpr size_t kHeaderBytes = 92, kHeaderCrc = 16, kEntriesLba = 72, kEntries = 80,
                 kEntryBytes = 84, kEntriesCrc = 88;
constexpr uint64_t kMostTableBytes = 1 << 16;  // whose checksum is made right

void require(bool condition) {
    if (!condition) abort();
}

uint32_t crc32(const uint8_t* bytes, size_t n, uint32_t sum = 0) {
    sum = ~sum;
    for (size_t i = 0; i < n; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) sum = (sum & 1) != 0 ? sum >> 1 ^ 0xedb88320u : sum >> 1;
    }
    return ~sum;
}

template <class T>
T get(const std::vector<uint8_t>& bytes, size_t at) {
    T value;
    memcpy(&value, &bytes[at], sizeof value);
    return value;
}

struct Disk final : BlockReader {
    uint32_t block = 512;
    uint64_t n = 0;
    bool first_is_broken = false;
    std::vector<uint8_t> headers[2], entries;

    std::string_view name() const override { return "disk"; }
    uint32_t block_bytes() const override { return block; }
    uint64_t n_blocks() const override { return n; }
    Status read_blocks(uint64_t lba, std::span<uint8_t> out) override {
        require(out.size() == block && lba < n);
        if (lba == 1 && first_is_broken) return error(Code::io, "disk: LBA 1");
        std::fill(out.begin(), out.end(), uint8_t{0});
        if (lba == 1 || lba == n - 1) {
            std::copy(headers[lba != 1].begin(), headers[lba != 1].end(), out.begin());
        } else if (!entries.empty()) {
            for (size_t i = 0; i < out.size(); i++)
                out[i] = entries[(lba * block + i) % entries.size()];
        }
        return {};
    }
    void seal_entries(std::vector<uint8_t>* header) {
        const uint64_t lba = get<uint64_t>(*header, kEntriesLba);
        const uint64_t n_bytes =
            uint64_t{get<uint32_t>(*header, kEntries)} * get<uint32_t>(*header, kEntryBytes);
        if (n_bytes > kMostTableBytes) return;
        uint32_t sum = 0;
        std::vector<uint8_t> bytes(block);
        for (uint64_t done = 0; done < n_bytes; done += block) {
            const uint64_t at = lba + done / block;
            if (at >= n || (at == 1 && first_is_broken)) return;
            (void)read_blocks(at, bytes);
            sum = crc32(bytes.data(), size_t(std::min<uint64_t>(block, n_bytes - done)), sum);
        }
        memcpy(&(*header)[kEntriesCrc], &sum, sizeof sum);
    }
    static void seal(std::vector<uint8_t>* header) {
        memset(&(*header)[kHeaderCrc], 0, 4);
        const uint32_t sum = crc32(header->data(), kHeaderBytes);
        memcpy(&(*header)[kHeaderCrc], &sum, sizeof sum);
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3 + 2 * kHeaderBytes) return 0;
    const uint8_t flags = data[0];
    Disk disk;
    disk.block = (flags & 1) != 0 ? 4096 : 512;
    disk.n = data[1] | uint64_t{data[2]} << 8;
    disk.first_is_broken = (flags & 2) != 0;
    data += 3;
    for (std::vector<uint8_t>& header : disk.headers) {
        header.assign(data, data + kHeaderBytes);
        data += kHeaderBytes;
    }
    disk.entries.assign(data, data + (size - 3 - 2 * kHeaderBytes));
    for (size_t i = 0; i < 2; i++) {
        if ((flags >> (2 + i) & 1) != 0) disk.seal_entries(&disk.headers[i]);
        if ((flags >> (4 + i) & 1) != 0) Disk::seal(&disk.headers[i]);
    }
    std::vector<uint8_t> scratch(disk.block);
    std::vector<Partition> found((flags >> 6) * 5);  // none at all, or a few
    const Result<size_t> n = find_partitions(disk, format::kPartitionType, scratch, found);
    if (!n.ok()) {
        require(!n.status().text().empty());
        return 0;
    }
    require(n.value() <= found.size());
    for (const Partition& p : std::span(found).first(n.value())) {
        require(p.type == format::kPartitionType && p.number != 0);
        require(p.n_blocks != 0 && p.first_lba < disk.n && p.n_blocks <= disk.n - p.first_lba);
    }
    return 0;
}
