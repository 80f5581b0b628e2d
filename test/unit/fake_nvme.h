// SPDX-License-Identifier: MIT
// An NVMe controller as software: it checks what the driver tells it, moves data by PRPs from and to
// real memory, and misbehaves as a test wants.
#pragma once

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <vector>

#include "efi/nvme/controller.h"

namespace axiom::efi {

class FakeNvme final : public NvmeRegisters {
  public:
    // What it is like.
    uint32_t page_shift = 12, stride_code = 0, mdts = 0, max_entries = 64;
    uint32_t timeout_units = 1, block_bytes = 512, metadata_bytes = 0, protection = 0;
    uint32_t nsid = 1, controller_type = 1;
    uint64_t n_blocks = 1 << 20;
    bool has_power_transitions = false;
    uint64_t ready_after_ns = 1000000, shutdown_after_ns = 1000000;

    // What goes wrong. Status fields without the phase: type << 8 | code, bit 14: do not retry.
    std::map<uint64_t, std::deque<uint16_t>> read_status;  // by first LBA, in turn
    bool silent = false, fatal = false, gone = false, never_ready = false, held = false;

    // What it has seen.
    uint64_t now = 0;
    uint32_t n_enables = 0, n_reads = 0;
    bool was_cut_off = false, transitions_off = false, shut_down = false;
    std::vector<uint32_t> admin_opcodes;

    // As it stands on the disk.
    static uint8_t byte_at(uint64_t position) {
        return uint8_t((position * 0x9e3779b97f4a7c15u) >> 56);
    }

    nvme::Capabilities cap() const {
        return {uint64_t{max_entries - 1} | uint64_t{timeout_units} << 24 |
                uint64_t{stride_code} << 32 | uint64_t{1} << 37 | uint64_t{page_shift - 12} << 48};
    }

    uint32_t read(uint32_t offset) override {
        if (gone) return nvme::kGone;
        switch (offset) {
            case nvme::kCap:
                return uint32_t(cap().value);
            case nvme::kCap + 4:
                return uint32_t(cap().value >> 32);
            case nvme::kCc:
                return config_;
            case nvme::kCsts:
                return status();
            default:
                throw std::logic_error("a register that nobody should read");
        }
    }

    void write(uint32_t offset, uint32_t value) override {
        if (offset == nvme::kCc) return configure(value);
        if (offset == nvme::kAqa || (offset >= nvme::kAsq && offset < nvme::kAcq + 8)) {
            require((config_ & nvme::kEnable) == 0, "admin queues are set while it is disabled");
            admin_words_[offset] = value;
            return;
        }
        require(offset >= nvme::kDoorbells, "a register that can be written");
        require((offset - nvme::kDoorbells) % (4u << stride_code) == 0, "a doorbell");
        const uint32_t i = (offset - nvme::kDoorbells) / (4u << stride_code);
        require(queues_.count(i / 2) == 1, "a doorbell of a queue that is there");
        Queue& queue = queues_[i / 2];
        require(value < queue.n_entries, "a doorbell inside its queue");
        if (i % 2 != 0) return;  // completions that were taken
        while (queue.head != value) {
            const nvme::Submission s = queue.submissions[queue.head];
            queue.head = (queue.head + 1) % queue.n_entries;
            if (silent) continue;
            const uint16_t result = i / 2 == 0 ? run_admin(s) : run_read(s);
            waiting_.push_back([this, &queue, s, result] { complete(queue, s.id, result); });
        }
        if (!held) release();
    }

    void cut_off() override {
        was_cut_off = true;
        waiting_.clear();
    }
    uint64_t now_ns() override { return now += 10000; }

    // Completions that were held back, the last one first.
    void release_backwards() {
        while (!waiting_.empty()) {
            waiting_.back()();
            waiting_.pop_back();
        }
    }
    // A completion that nobody waits for.
    void complete_command(uint16_t id) { complete(queues_[1], id, 0); }

    // As firmware leaves it: enabled, with queues of its own.
    void be_enabled() {
        config_ = nvme::kEnable;
        since_ = now;
    }

  private:
    struct Queue {
        const nvme::Submission* submissions = nullptr;
        nvme::Completion* completions = nullptr;
        uint32_t n_entries = 0, head = 0, tail = 0, phase = 1;
    };

    static void require(bool is_so, const char* what) {
        if (!is_so) throw std::logic_error(what);
    }

    uint32_t status() {
        uint32_t value = fatal ? nvme::kFatal : 0;
        const bool wanted = (config_ & nvme::kEnable) != 0;
        const bool late = never_ready || now - since_ < ready_after_ns;
        if (wanted != late) value |= nvme::kReady;
        if ((config_ & nvme::kShutdownMask) == nvme::kShutdownNormal) {
            shut_down = now - since_ >= shutdown_after_ns;
            value |= (shut_down ? 2 : 1) << 2;
        }
        return value;
    }

    void configure(uint32_t value) {
        const bool was_on = (config_ & nvme::kEnable) != 0, is_on = (value & nvme::kEnable) != 0;
        if (was_on && !is_on) {
            require((status() & nvme::kReady) != 0 || fatal || was_cut_off,
                    "it is ready before it is disabled");
            queues_.clear();
        }
        if (!was_on && is_on) {
            require((status() & nvme::kReady) == 0, "it has stopped before it is enabled");
            require((value >> 7 & 0xf) == page_shift - 12, "a page size it has");
            require((value >> 16 & 0xff) == 0x46, "entries of 64 and 16 bytes");
            n_enables++;
            const auto wide = [&](uint32_t at) {
                return admin_words_[at] | uint64_t{admin_words_[at + 4]} << 32;
            };
            add_queue(0, wide(nvme::kAsq), wide(nvme::kAcq),
                      (admin_words_[nvme::kAqa] & 0xfff) + 1);
        }
        config_ = value;
        since_ = now;
    }

    void add_queue(uint32_t id, uint64_t submissions, uint64_t completions, uint32_t n_entries) {
        require(((submissions | completions) & ((1u << page_shift) - 1)) == 0, "queues on pages");
        queues_[id] = {reinterpret_cast<const nvme::Submission*>(submissions),
                       reinterpret_cast<nvme::Completion*>(completions), n_entries};
    }

    void release() {
        while (!waiting_.empty()) {
            waiting_.front()();
            waiting_.pop_front();
        }
    }

    void complete(Queue& queue, uint16_t id, uint16_t result) {
        nvme::Completion& c = queue.completions[queue.tail];
        c.sq_head = uint16_t(queue.head);
        c.id_and_status = uint32_t{id} | queue.phase << 16 | uint32_t{result} << 17;
        queue.tail = (queue.tail + 1) % queue.n_entries;
        if (queue.tail == 0) queue.phase ^= 1;
    }

    uint16_t run_admin(const nvme::Submission& s) {
        admin_opcodes.push_back(s.opcode);
        auto* const data = reinterpret_cast<uint8_t*>(s.prp1);
        switch (nvme::Opcode(s.opcode)) {
            case nvme::Opcode::identify:
                memset(data, 0, nvme::kIdentifyBytes);
                if (s.cdw10 == nvme::kIdentifyController) {
                    data[77] = uint8_t(mdts);
                    data[111] = uint8_t(controller_type);
                    data[265] = has_power_transitions;
                    data[512] = 0x66;
                    data[513] = 0x44;
                    return 0;
                }
                if (s.nsid != nsid) return 0x0b;
                memcpy(data, &n_blocks, 8);
                data[25] = 3;
                data[26] = 2;  // the third format
                data[29] = uint8_t(protection);
                data[128 + 8] = uint8_t(metadata_bytes);
                data[128 + 10] = uint8_t(__builtin_ctz(block_bytes));
                return 0;
            case nvme::Opcode::set_features:
                if (s.cdw10 == nvme::kFeaturePowerTransitions) transitions_off = data[0] == 0;
                return 0;
            case nvme::Opcode::create_completion_queue:
                require(s.cdw10 >> 16 < max_entries, "a queue no longer than it may be");
                completions_ = s.prp1;
                return 0;
            case nvme::Opcode::create_submission_queue:
                require(s.cdw11 == (1u << 16 | 1), "contiguous, of the completion queue");
                add_queue(1, s.prp1, completions_, (s.cdw10 >> 16) + 1);
                return 0;
            default:
                return 1;
        }
    }

    uint16_t run_read(const nvme::Submission& s) {
        n_reads++;
        require(s.opcode == uint8_t(nvme::Opcode::read) && s.nsid == nsid, "a read");
        const uint64_t lba = s.cdw10 | uint64_t{s.cdw11} << 32, n = (s.cdw12 & 0xffff) + 1;
        if (lba + n > n_blocks) return 0x80;
        std::deque<uint16_t>& results = read_status[lba];
        if (!results.empty()) {
            const uint16_t result = results.front();
            results.pop_front();
            return result;
        }
        const uint64_t n_bytes = n * block_bytes, page = uint64_t{1} << page_shift;
        require(mdts == 0 || n_bytes <= page << mdts, "a read that is not too long");
        // Chunks of memory, in the order of the data.
        uint64_t at = s.prp1, done = 0, i = 0;
        const uint64_t first = page - at % page;
        const bool is_list = n_bytes > first + page;
        while (done < n_bytes) {
            const uint64_t chunk = std::min(n_bytes - done, page - at % page);
            auto* const to = reinterpret_cast<uint8_t*>(at);
            for (uint64_t b = 0; b < chunk; b++) to[b] = byte_at(lba * block_bytes + done + b);
            done += chunk;
            if (done == n_bytes) break;
            at = is_list ? reinterpret_cast<const uint64_t*>(s.prp2)[i++] : s.prp2;
            require(at % page == 0, "pages behind the first");
        }
        return 0;
    }

    uint32_t config_ = 0;
    uint64_t since_ = 0;
    std::map<uint32_t, uint32_t> admin_words_;
    std::map<uint32_t, Queue> queues_;
    uint64_t completions_ = 0;
    std::deque<std::function<void()>> waiting_;
};

}  // namespace axiom::efi
