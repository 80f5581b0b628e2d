// SPDX-License-Identifier: MIT
#include "efi/nvme/controller.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "efi/dev/bytes.h"

namespace axiom::efi {

using nvme::Capabilities;
using nvme::CommandStatus;
using nvme::Completion;
using nvme::Opcode;
using nvme::Submission;

namespace {

constexpr uint64_t kMs = 1000000;
// Longer than any disk needs for a read with its own retries; Linux waits as long.
constexpr uint64_t kCommandTimeoutNs = 30000 * kMs;
// How often a controller is looked at while nothing comes: reading a register takes a microsecond.
constexpr uint64_t kWatchNs = 100 * kMs;
constexpr uint64_t kLeastShutdownNs = 5000 * kMs, kMostShutdownNs = 60000 * kMs;

// Pages of the controller's memory, in this order.
enum Page : uint32_t {
    kAdminSubmissions,
    kAdminCompletions,
    kIdentifyData,
    kReadSubmissions,
    kReadCompletions,
    kPrpLists
};

}  // namespace

uint64_t NvmeController::memory_alignment(Capabilities cap) {
    return uint64_t{1} << cap.min_page_shift();
}

uint64_t NvmeController::memory_bytes(Capabilities cap) {
    return (kPrpLists + kMaxDepth) * memory_alignment(cap);
}

uint64_t NvmeController::register_bytes(Capabilities cap) {
    return nvme::kDoorbells +
           4 * uint64_t{cap.doorbell_stride()};  // two queues, two doorbells each
}

template <class... Parts>
Status NvmeController::failed(const Parts&... parts) const {
    return error(Code::io, name_, ": ", parts...);
}

// Base 3.5.4: CAP.TO, which may be too short a field; then CRTO has the time.
uint64_t NvmeController::ready_timeout_ns() {
    uint32_t units = std::max(1u, cap_.timeout_500ms());
    if (cap_.has_ready_timeout()) units = std::max(units, registers_.read(nvme::kCrto) & 0xffff);
    return units * 500 * kMs;
}

Status NvmeController::wait_ready(bool ready) {
    const uint64_t begin = registers_.now_ns(), timeout = ready_timeout_ns();
    for (;;) {
        const uint32_t status = registers_.read(nvme::kCsts);
        if (status == nvme::kGone) return failed("the controller does not answer");
        if (ready && (status & nvme::kFatal) != 0)
            return failed("controller fatal status (CSTS.CFS)");
        if (((status & nvme::kReady) != 0) == ready) return {};
        if (registers_.now_ns() - begin > timeout) {
            return failed("CSTS.RDY: found ", status & nvme::kReady, " for ", timeout / kMs,
                          " ms, allowed ", ready ? 1 : 0);
        }
    }
}

// Base 3.5.1, first step, and 3.7.2.
Status NvmeController::reset() {
    cap_.value = registers_.read(nvme::kCap) | uint64_t{registers_.read(nvme::kCap + 4)} << 32;
    const uint32_t config = registers_.read(nvme::kCc);
    if (config == nvme::kGone) return failed("the controller does not answer");
    if ((config & nvme::kEnable) != 0) {
        // One that has just been enabled must become ready before it may be disabled. If it does
        // not, it is disabled all the same.
        if (!wait_ready(true).ok()) registers_.cut_off();
        registers_.write(nvme::kCc, config & ~nvme::kEnable);
    }
    return wait_ready(false);
}

void NvmeController::lay_out(uint8_t* memory) {
    const size_t page = page_bytes();
    memset(memory, 0, memory_bytes(cap_));
    const auto at = [&](uint32_t i) { return memory + i * page; };
    identify_page_ = at(kIdentifyData);
    prp_lists_ = reinterpret_cast<uint64_t*>(at(kPrpLists));
    const uint32_t stride = cap_.doorbell_stride();
    const auto queue = [&](uint32_t id, Page submissions, Page completions, uint32_t n_entries) {
        return Queue{.submissions = reinterpret_cast<Submission*>(at(submissions)),
                     .completions = reinterpret_cast<Completion*>(at(completions)),
                     .n_entries = n_entries,
                     .tail_doorbell = nvme::kDoorbells + 2 * id * stride,
                     .head_doorbell = nvme::kDoorbells + (2 * id + 1) * stride};
    };
    admin_ = queue(0, kAdminSubmissions, kAdminCompletions, kAdminEntries);
    // One entry of a queue stays empty.
    reads_ = queue(1, kReadSubmissions, kReadCompletions,
                   std::min(kMaxDepth + 1, cap_.max_queue_entries()));
    depth_ = reads_.n_entries - 1;
}

// Base 3.5.1.
Status NvmeController::enable() {
    const auto write_wide = [&](uint32_t at, const void* address) {
        registers_.write(at, uint32_t(uintptr_t(address)));
        registers_.write(at + 4, uint32_t(uintptr_t(address) >> 32));
    };
    registers_.write(nvme::kAqa, (kAdminEntries - 1) << 16 | (kAdminEntries - 1));
    write_wide(nvme::kAsq, admin_.submissions);
    write_wide(nvme::kAcq, admin_.completions);
    const uint32_t page_size = cap_.min_page_shift() - 12;
    registers_.write(nvme::kCc, nvme::kEntrySizes | page_size << 7 | nvme::kEnable);
    return wait_ready(true);
}

Status NvmeController::start(uint8_t* memory) {
    if (!cap_.has_nvm_commands()) return failed("CAP.CSS: found no NVM command set, allowed one");
    lay_out(memory);
    Status status = enable();
    started_ = status.ok();
    if (status.ok()) status = identify();
    if (status.ok()) status = create_read_queue();
    return status;
}

// ---- commands, one at a time ---------------------------------------------------------------

void NvmeController::put(Queue& queue, const Submission& submission) {
    queue.submissions[queue.tail] = submission;
    queue.tail = queue.tail + 1 == queue.n_entries ? 0 : queue.tail + 1;
    // The entry is in memory before the doorbell rings; on x86 that takes no instruction.
    std::atomic_thread_fence(std::memory_order_release);
    registers_.write(queue.tail_doorbell, queue.tail);
}

// The next completion, if there is one (Base 4.2.4: its phase differs from the last round's).
bool NvmeController::take(Queue& queue, uint32_t* id_and_status) {
    const uint32_t word =
        __atomic_load_n(&queue.completions[queue.head].id_and_status, __ATOMIC_ACQUIRE);
    if ((word >> 16 & 1) != queue.phase) return false;
    *id_and_status = word;
    if (++queue.head == queue.n_entries) queue.head = 0, queue.phase ^= 1;
    registers_.write(queue.head_doorbell, queue.head);
    return true;
}

Status NvmeController::command(std::string_view what, Submission submission) {
    submission.id = uint16_t(admin_.tail);
    put(admin_, submission);
    const uint64_t begin = registers_.now_ns();
    uint32_t word = 0;
    while (!take(admin_, &word)) {
        const uint32_t status = registers_.read(nvme::kCsts);
        if (status == nvme::kGone || (status & nvme::kFatal) != 0) {
            return failed(what, ": controller fatal status (CSTS ", Hex{status}, ")");
        }
        if (registers_.now_ns() - begin > kCommandTimeoutNs) {
            return failed(what, ": no answer within ", kCommandTimeoutNs / kMs, " ms");
        }
    }
    const CommandStatus status = CommandStatus::of(word);
    if (!status.ok()) return failed(what, ": ", status_text(status).view());
    return {};
}

Status NvmeController::identify() {
    Status status = read_controller_data();
    if (status.ok()) status = read_namespace_data();
    return status;
}

Status NvmeController::read_controller_data() {
    namespace field = nvme::controller_field;
    Submission identify{.opcode = uint8_t(Opcode::identify),
                        .prp1 = uint64_t(identify_page_),
                        .cdw10 = nvme::kIdentifyController};
    Status status = command("identify controller", identify);
    if (!status.ok()) return status;
    const ByteView data(identify_page_, nvme::kIdentifyBytes);
    // 0: not reported, 1: I/O controller.
    if (data[field::kType] > 1) {
        return failed("controller type: found ", data[field::kType], ", allowed 1 (I/O)");
    }
    if ((data[field::kSqes] & 0xf) > 6 || (data[field::kCqes] & 0xf) > 4) {
        return failed("queue entry sizes: found 2^", data[field::kSqes] & 0xf, " and 2^",
                      data[field::kCqes] & 0xf, ", allowed 2^6 and 2^4");
    }
    const uint32_t mdts = data[field::kMdts];
    max_read_bytes_ = kMaxReadBytes;
    if (mdts != 0 && mdts + cap_.min_page_shift() < 32) {
        max_read_bytes_ = std::min(max_read_bytes_, size_t{1} << (mdts + cap_.min_page_shift()));
    }
    shutdown_ns_ = std::clamp(uint64_t{load<uint32_t>(data, field::kShutdownTime)} * 1000,
                              kLeastShutdownNs, kMostShutdownNs);
    const bool has_transitions = (data[field::kPowerTransitions] & 1) != 0;
    if (!has_transitions) return {};
    // A disk that falls asleep between two layers would be waited for.
    memset(identify_page_, 0, nvme::kIdentifyBytes);
    return command("power-state transitions off", {.opcode = uint8_t(Opcode::set_features),
                                                   .prp1 = uint64_t(identify_page_),
                                                   .cdw10 = nvme::kFeaturePowerTransitions});
}

Status NvmeController::read_namespace_data() {
    namespace field = nvme::namespace_field;
    Submission identify{.opcode = uint8_t(Opcode::identify),
                        .nsid = range_.nsid,
                        .prp1 = uint64_t(identify_page_),
                        .cdw10 = nvme::kIdentifyNamespace};
    Status status = command("identify namespace", identify);
    if (!status.ok()) return status;
    const ByteView data(identify_page_, nvme::kIdentifyBytes);
    const uint32_t format = data[field::kFormat];
    const uint32_t i_format = (format & 0xf) | (format >> 5 & 3) << 4;
    const uint32_t lba_format = load<uint32_t>(data, field::kFormats + 4 * i_format);
    const uint32_t metadata_bytes = lba_format & 0xffff, shift = lba_format >> 16 & 0xff;
    if (i_format > data[field::kNFormats] || shift < 9 || shift > 12 ||
        1u << shift != range_.block_bytes) {
        return failed("namespace ", range_.nsid, ": block size: found 2^", shift, ", allowed ",
                      range_.block_bytes, " as before, of 512..4096");
    }
    if (metadata_bytes != 0 || (data[field::kProtection] & 7) != 0) {
        return failed("namespace ", range_.nsid, ": metadata: found ", metadata_bytes,
                      " bytes a block, allowed 0 and no protection information");
    }
    const uint64_t n_blocks = load<uint64_t>(data, field::kSize);
    if (range_.first_lba > n_blocks || range_.n_blocks > n_blocks - range_.first_lba) {
        return failed("namespace ", range_.nsid, ": found ", n_blocks, " blocks, needed ",
                      range_.first_lba + range_.n_blocks);
    }
    return {};
}

// Base 5.2.1 and 5.2.2, without interrupts.
Status NvmeController::create_read_queue() {
    constexpr uint32_t kId = 1, kContiguous = 1;
    // One of each kind; numbers are 0-based.
    Status status = command("number of queues", {.opcode = uint8_t(Opcode::set_features),
                                                 .cdw10 = nvme::kFeatureQueues});
    if (!status.ok()) return status;
    const uint32_t size_and_id = (reads_.n_entries - 1) << 16 | kId;
    status = command("create completion queue", {.opcode = uint8_t(Opcode::create_completion_queue),
                                                 .prp1 = uint64_t(reads_.completions),
                                                 .cdw10 = size_and_id,
                                                 .cdw11 = kContiguous});
    if (!status.ok()) return status;
    return command("create submission queue", {.opcode = uint8_t(Opcode::create_submission_queue),
                                               .prp1 = uint64_t(reads_.submissions),
                                               .cdw10 = size_and_id,
                                               .cdw11 = kId << 16 | kContiguous});
}

// Base 3.6.1. It is told even after it has failed, if it still answers: a shutdown needs none of our
// memory.
void NvmeController::stop() {
    if (!started_) return;
    started_ = false;
    const uint32_t config = registers_.read(nvme::kCc);
    if (config == nvme::kGone) return;
    registers_.write(nvme::kCc, (config & ~nvme::kShutdownMask) | nvme::kShutdownNormal);
    const uint64_t begin = registers_.now_ns();
    while (registers_.now_ns() - begin < shutdown_ns_) {
        const uint32_t status = registers_.read(nvme::kCsts);
        if (status == nvme::kGone || (status & nvme::kFatal) != 0) return;
        if ((status & nvme::kShutdownStateMask) == nvme::kShutdownComplete) return;
    }
}

// ---- reads -----------------------------------------------------------------------------------

bool NvmeController::read(uint64_t tag, uint64_t offset, size_t n_bytes, void* to) {
    const uint32_t block = range_.block_bytes;
    AXIOM_CHECK(n_bytes != 0 && n_bytes <= max_read_bytes_);
    AXIOM_CHECK((offset | n_bytes | uintptr_t(to)) % block == 0);
    AXIOM_CHECK((offset + n_bytes) / block <= range_.n_blocks);
    if (n_under_way_ == depth_) return false;
    uint32_t slot = 0;
    while (slots_[slot].under_way) slot++;
    slots_[slot] = {.tag = tag,
                    .lba = range_.first_lba + offset / block,
                    .n_bytes = uint32_t(n_bytes),
                    .n_tries = 0,
                    .to = static_cast<uint8_t*>(to),
                    .under_way = true,
                    .since_ns = registers_.now_ns()};
    n_under_way_++;
    if (dead_.ok()) submit(slot);
    return true;
}

void NvmeController::submit(uint32_t slot) {
    Read& r = slots_[slot];
    r.n_tries++;
    Submission s{.opcode = uint8_t(Opcode::read), .id = uint16_t(slot), .nsid = range_.nsid};
    s.cdw10 = uint32_t(r.lba);
    s.cdw11 = uint32_t(r.lba >> 32);
    s.cdw12 = r.n_bytes / range_.block_bytes - 1;
    // Where the data go, page by page (Base 4.3.1): the first may begin inside its page; the second
    // is a page, or a list of all that follow.
    const uint64_t page = page_bytes(), begin = uint64_t(r.to), end = begin + r.n_bytes;
    const uint64_t second = begin / page * page + page;
    s.prp1 = begin;
    if (end > second + page) {
        uint64_t* const list = prp_lists_ + slot * (page / sizeof(uint64_t));
        size_t n = 0;
        for (uint64_t at = second; at < end; at += page) list[n++] = at;
        s.prp2 = uint64_t(list);
    } else if (end > second) {
        s.prp2 = second;
    }
    put(reads_, s);
}

size_t NvmeController::poll(std::span<Done> done) {
    size_t n = 0;
    uint32_t word = 0;
    while (dead_.ok() && n < done.size() && take(reads_, &word)) n += finish(word, &done[n]);
    if (n == 0 && n_under_way_ != 0 && dead_.ok()) watch();
    if (!dead_.ok()) n += give_up_reads(done.subspan(n));
    return n;
}

// One completion. False where the read goes on: it is tried again.
bool NvmeController::finish(uint32_t id_and_status, Done* out) {
    const uint32_t slot = id_and_status & 0xffff;
    if (slot >= depth_ || !slots_[slot].under_way) {
        fail_all(failed("a completion names command ", slot, ", which is not under way"));
        return false;
    }
    Read& r = slots_[slot];
    const CommandStatus status = CommandStatus::of(id_and_status);
    if (!status.ok() && !status.do_not_retry() && r.n_tries < kMaxTries) {
        n_retries_++;
        submit(slot);
        return false;
    }
    r.under_way = false;
    n_under_way_--;
    *out = {r.tag, {}};
    if (!status.ok()) {
        out->status =
            failed("reading LBA ", r.lba, ", ", r.n_bytes / range_.block_bytes, " blocks, ",
                   r.n_tries, r.n_tries == 1 ? " time: " : " times: ", status_text(status).view());
    }
    return true;
}

// Looks at a controller from which nothing comes.
void NvmeController::watch() {
    const uint64_t now = registers_.now_ns();
    if (now - last_watch_ns_ < kWatchNs) return;
    last_watch_ns_ = now;
    const uint32_t status = registers_.read(nvme::kCsts);
    if (status == nvme::kGone) return fail_all(failed("the controller does not answer any more"));
    if ((status & nvme::kFatal) != 0) {
        return fail_all(failed("controller fatal status (CSTS ", Hex{status}, ")"));
    }
    for (uint32_t i = 0; i < depth_; i++) {
        const Read& r = slots_[i];
        if (!r.under_way || now - r.since_ns <= kCommandTimeoutNs) continue;
        return fail_all(
            failed("reading LBA ", r.lba, ": no answer within ", kCommandTimeoutNs / kMs, " ms"));
    }
}

// Nothing may arrive any more where a caller has been told that its read is over.
void NvmeController::fail_all(const Status& why) {
    registers_.cut_off();
    dead_ = why;
}

size_t NvmeController::give_up_reads(std::span<Done> done) {
    size_t n = 0;
    for (Read& r : slots_) {
        if (n == done.size()) break;
        if (!r.under_way) continue;
        r.under_way = false;
        n_under_way_--;
        done[n++] = {r.tag, dead_};
    }
    return n;
}

Text<128> why_not_nvme(std::span<const uint32_t> classes) {
    constexpr uint32_t kNvmeClass = 0x010802, kRaidSubclass = 0x0104;
    for (const uint32_t c : classes) {
        if (c >> 8 != kRaidSubclass) continue;
        return Text<128>(
            "its disk is behind a RAID controller (Intel VMD or RST): turn it off in the "
            "firmware's setup");
    }
    const uint32_t last = classes.empty() ? 0 : classes.back();
    if (last == kNvmeClass) return Text<128>("");
    return Text<128>("its disk is on a controller of PCI class ", Hex{last, 6}, ", allowed NVMe (",
                     Hex{kNvmeClass, 6}, ")");
}

// Base 4.2.3, with those of NVM; those that a read may end with.
Text<96> status_text(CommandStatus status) {
    const struct {
        uint32_t type, code;
        const char* name;
    } names[] = {{0, 0x02, "invalid field"},       {0, 0x04, "data transfer error"},
                 {0, 0x06, "internal error"},      {0, 0x0b, "invalid namespace or format"},
                 {0, 0x13, "invalid PRP offset"},  {0, 0x80, "LBA out of range"},
                 {0, 0x82, "namespace not ready"}, {2, 0x81, "unrecovered read error"},
                 {2, 0x86, "access denied"},       {2, 0x87, "deallocated block"}};
    std::string_view name = "error";
    for (const auto& n : names) {
        if (n.type == status.type() && n.code == status.code()) name = n.name;
    }
    return Text<96>(name, " (status code type ", Hex{status.type()}, ", code ", Hex{status.code()},
                    ")");
}

}  // namespace axiom::efi
