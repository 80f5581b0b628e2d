// SPDX-License-Identifier: MIT
// An NVMe controller by polling: reset, identification, one queue for commands and one for reads,
// retries, shutdown. It sees registers and memory, so that tests can play the device.
// Must not know: how registers are reached, or where on the machine the controller is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/disk_reader.h"
#include "core/fmt.h"
#include "core/status.h"
#include "efi/nvme/spec.h"

namespace axiom::efi {

// BAR0 of a controller, and the time.
class NvmeRegisters {
  public:
    virtual uint32_t read(uint32_t offset) = 0;
    virtual void write(uint32_t offset, uint32_t value) = 0;
    // From here on the device reads and writes no memory, whatever state it is in.
    virtual void cut_off() = 0;
    virtual uint64_t now_ns() = 0;

  protected:
    ~NvmeRegisters() = default;
};

// Blocks of a namespace, as the firmware knew them.
struct NvmeRange {
    uint32_t nsid = 0;
    uint32_t block_bytes = 0;
    uint64_t first_lba = 0, n_blocks = 0;
};

class NvmeController final : public DiskReader {
  public:
    static constexpr uint32_t kMaxDepth = 32;
    static constexpr size_t kMaxReadBytes = 1 << 20;  // its PRP list fits into a page
    static constexpr uint32_t kMaxTries = 5;          // of a read

    // What it needs of contiguous memory, and aligned how; registers, from BAR0 on.
    static uint64_t memory_bytes(nvme::Capabilities cap);
    static uint64_t memory_alignment(nvme::Capabilities cap);
    static uint64_t register_bytes(nvme::Capabilities cap);

    // `name` is for messages; it and the registers outlive this.
    NvmeController(NvmeRegisters& registers, std::string_view name, const NvmeRange& range)
        : registers_(registers), name_(name), range_(range) {}
    NvmeController(const NvmeController&) = delete;
    NvmeController& operator=(const NvmeController&) = delete;

    // Stops the controller, whatever it was doing: after this it touches no memory. Waits.
    Status reset();
    // Then, with `memory` as above: makes it ready for reads. Waits. After an error only stop().
    Status start(uint8_t* memory);
    // A normal shutdown, if it was started, after failures too. Reads under way are lost. Waits, at most
    // as long as the controller says it needs, or a minute.
    void stop();

    // Reads are of the range: offset 0 is its first block.
    Limits limits() const override { return {range_.block_bytes, max_read_bytes_, depth_}; }
    bool read(uint64_t tag, uint64_t offset, size_t n_bytes, void* to) override;
    size_t poll(std::span<Done> done) override;
    uint64_t n_retries() const override { return n_retries_; }

  private:
    struct Queue {
        nvme::Submission* submissions = nullptr;
        nvme::Completion* completions = nullptr;
        uint32_t n_entries = 0;
        uint32_t tail = 0, head = 0;
        uint32_t phase = 1;
        uint32_t tail_doorbell = 0, head_doorbell = 0;
    };
    struct Read {
        uint64_t tag = 0, lba = 0;
        uint32_t n_bytes = 0, n_tries = 0;
        uint8_t* to = nullptr;
        bool under_way = false;
        uint64_t since_ns = 0;
    };
    static constexpr uint32_t kAdminEntries = 8;

    uint32_t page_bytes() const { return 1u << cap_.min_page_shift(); }
    uint64_t ready_timeout_ns();
    template <class... Parts>
    Status failed(const Parts&... parts) const;
    Status wait_ready(bool ready);
    void lay_out(uint8_t* memory);
    Status enable();
    Status identify();
    Status read_controller_data();
    Status read_namespace_data();
    Status create_read_queue();
    Status command(std::string_view what, nvme::Submission submission);
    void put(Queue& queue, const nvme::Submission& submission);
    bool take(Queue& queue, uint32_t* id_and_status);
    void submit(uint32_t slot);
    bool finish(uint32_t id_and_status, Done* out);
    void watch();
    void fail_all(const Status& why);
    size_t give_up_reads(std::span<Done> done);

    NvmeRegisters& registers_;
    std::string_view name_;
    NvmeRange range_;
    nvme::Capabilities cap_;
    uint8_t* identify_page_ = nullptr;
    uint64_t* prp_lists_ = nullptr;  // a page for each read
    Queue admin_, reads_;
    uint32_t depth_ = 0;
    size_t max_read_bytes_ = 0;
    uint64_t shutdown_ns_ = 5000000000;  // until it says what it needs
    bool started_ = false;

    Read slots_[kMaxDepth];
    uint32_t n_under_way_ = 0;
    uint64_t n_retries_ = 0;
    uint64_t last_watch_ns_ = 0;
    Status dead_;  // what ended the controller; every read fails with it
};

// Whether the last of these functions, on the path from the root to a disk, is an NVMe controller that its
// own driver would find: class codes of three bytes (PCI Code and ID Assignment Specification 1.11). What
// is in the way, else nothing.
Text<128> why_not_nvme(std::span<const uint32_t> classes);

// "unrecovered read error" and so on, with type and code.
Text<96> status_text(nvme::CommandStatus status);

}  // namespace axiom::efi
