// SPDX-License-Identifier: MIT
// The two kinds of file the packer touches: an input mapped read-only, and an output that exists
// under its name only once it is whole (temporary name, fsync, rename).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/status.h"

namespace axiom::packer {

class MappedFile {
  public:
    MappedFile() = default;
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    ~MappedFile();

    // An empty file gives an empty span. not_found or io on failure; directories are refused.
    static Result<MappedFile> open(const std::string& path);
    std::span<const uint8_t> bytes() const { return bytes_; }  // page-aligned

  private:
    std::span<const uint8_t> bytes_;
};

class AtomicFile {
  public:
    AtomicFile() = default;
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&& other) noexcept;
    ~AtomicFile();  // without commit(): removes the temporary file

    static Result<AtomicFile> create(const std::string& path);
    Status write_at(uint64_t offset, const void* data, size_t n_bytes);
    Status resize(uint64_t n_bytes);
    Status commit();  // fsync, rename over `path`, fsync of the folder

  private:
    std::string path_, temporary_;
    int fd_ = -1;
};

// True if both names lead to one existing file.
bool same_file(const std::string& a, const std::string& b);

}  // namespace axiom::packer
