// SPDX-License-Identifier: MIT
// Reads of the packed file that are under way while something else computes. Who implements it knows
// the disk: a driver of ours, or an operating system's queue.
// Must not know: what is read, or why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"

namespace axiom {

// Worker 0 alone calls; nothing here waits.
class DiskReader {
  public:
    struct Limits {
        size_t alignment;       // of offset, length and destination, a power of two, at most 4096
        size_t max_read_bytes;  // of one read, a multiple of alignment
        size_t depth;           // reads under way at most
    };
    struct Done {
        uint64_t tag;   // of the read
        Status status;  // what went wrong for good: retries are over
    };

    virtual Limits limits() const = 0;
    // offset: from the start of the packed file. false: depth reads are under way already.
    virtual bool read(uint64_t tag, uint64_t offset, size_t n_bytes, void* to) = 0;
    // Those that are over, in any order; 0 if none.
    virtual size_t poll(std::span<Done> done) = 0;
    virtual uint64_t n_retries() const = 0;

  protected:
    ~DiskReader() = default;
};

}  // namespace axiom
