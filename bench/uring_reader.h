// SPDX-License-Identifier: MIT
// A Linux file as a disk: reads by io_uring, past the page cache where the file system can
// (O_DIRECT). The only room that knows liburing.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <string>

#include "core/disk_reader.h"

namespace axiom::host {

class UringReader final : public DiskReader {
  public:
    static constexpr size_t kDepth = 32;
    static constexpr size_t kReadBytes = 1 << 20;

    UringReader() = default;
    UringReader(const UringReader&) = delete;
    UringReader& operator=(const UringReader&) = delete;
    ~UringReader();

    Status open(const std::string& path);
    // Why reads go through the page cache; empty if they do not.
    const std::string& note() const { return note_; }

    Limits limits() const override { return {4096, kReadBytes, kDepth}; }
    bool read(uint64_t tag, uint64_t offset, size_t n_bytes, void* to) override;
    size_t poll(std::span<Done> done) override;
    uint64_t n_retries() const override { return n_retries_; }

  private:
    struct Read {
        uint64_t tag, offset;
        uint8_t* to;
        size_t n_bytes, n_read;
        unsigned n_tries;
    };
    void submit(Read& read);
    // What came of it; false if the rest was asked for again.
    bool finish(Read& read, int result, Status* status);

    std::string path_, note_;
    int fd_ = -1;
    bool is_open_ = false;
    io_uring ring_{};
    Read reads_[kDepth];
    uint32_t free_[kDepth];
    size_t n_free_ = 0;
    uint64_t n_retries_ = 0;
};

}  // namespace axiom::host
