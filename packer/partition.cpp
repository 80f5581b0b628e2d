// SPDX-License-Identifier: MIT
#include "packer/partition.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "model/format/format.h"

namespace axiom::packer {
namespace {

// A disk, or the image of one, open for reading and writing.
class DiskFile final : public BlockReader {
  public:
    explicit DiskFile(const std::string& path) : path_(path) {}
    ~DiskFile() {
        if (fd_ >= 0) close(fd_);
    }
    DiskFile(const DiskFile&) = delete;
    DiskFile& operator=(const DiskFile&) = delete;

    Status open();
    // An image does not say how long its disk's blocks are: its partition table does, by where it is.
    bool is_image() const { return is_image_; }
    void set_block_bytes(uint32_t n) { block_bytes_ = n; }

    std::string_view name() const override { return path_; }
    uint32_t block_bytes() const override { return block_bytes_; }
    uint64_t n_blocks() const override { return n_bytes_ / block_bytes_; }
    Status read_blocks(uint64_t lba, std::span<uint8_t> out) override;
    Status write(uint64_t offset, std::span<const uint8_t> bytes);
    Status flush() { return fsync(fd_) == 0 ? Status() : failed("cannot be flushed to the disk"); }

  private:
    Status failed(const char* what) const {
        return error(errno == ENOENT ? Code::not_found : Code::io, path_, ": ", what, ": ",
                     strerror(errno));
    }

    const std::string& path_;
    int fd_ = -1;
    bool is_image_ = false;
    uint32_t block_bytes_ = kMinBlockBytes;
    uint64_t n_bytes_ = 0;
};

Status DiskFile::open() {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    struct stat info {};
    if (fd_ < 0 || fstat(fd_, &info) != 0) return failed("cannot be opened");
    if (S_ISREG(info.st_mode)) {
        is_image_ = true;
        n_bytes_ = uint64_t(info.st_size);
        return {};
    }
    if (!S_ISBLK(info.st_mode)) {
        return error(Code::io, path_, ": found neither a disk nor a file, allowed a disk such as ",
                     "/dev/nvme0n1, or the image of one");
    }
    int block_bytes = 0;
    if (ioctl(fd_, BLKSSZGET, &block_bytes) != 0 || ioctl(fd_, BLKGETSIZE64, &n_bytes_) != 0) {
        return failed("cannot be measured");
    }
    block_bytes_ = uint32_t(block_bytes);
    return {};
}

Status DiskFile::read_blocks(uint64_t lba, std::span<uint8_t> out) {
    const ssize_t n = pread(fd_, out.data(), out.size(), off_t(lba * block_bytes_));
    if (n == ssize_t(out.size())) return {};
    if (n >= 0) errno = EIO;
    return failed("cannot be read");
}

Status DiskFile::write(uint64_t offset, std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), off_t(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failed("cannot be written");
        offset += uint64_t(n);
        bytes = bytes.subspan(size_t(n));
    }
    return {};
}

Result<Partition> find_only(DiskFile& disk) {
    std::vector<uint8_t> scratch(BlockReader::kMaxBlockBytes);
    Partition found[16];
    Result<size_t> n = size_t{0};
    for (const uint32_t block_bytes : {BlockReader::kMinBlockBytes, BlockReader::kMaxBlockBytes}) {
        if (disk.is_image()) disk.set_block_bytes(block_bytes);
        n = find_partitions(disk, format::kPartitionType, scratch, found);
        if (!disk.is_image() || !n.ok() || n.value() != 0) break;
    }
    if (!n.ok()) return n.status();
    if (n.value() == 0) {
        return error(
            Code::not_found, disk.name(),
            ": found no GPT partition of AXIOM's type, allowed one: sgdisk --new=0:0:+SIZE "
            "--typecode=0:",
            format::kPartitionType.text().view(), " makes it");
    }
    if (n.value() > 1) {
        return error(Code::bad_option, disk.name(), ": found ", uint64_t(n.value()),
                     " partitions of AXIOM's type, the first with numbers ", found[0].number,
                     " and ", found[1].number, ", allowed one");
    }
    return found[0];
}

}  // namespace

Result<Partition> write_to_partition(const std::string& path, std::span<const uint8_t> bytes,
                                     const std::function<bool(uint64_t done)>& progress) {
    constexpr size_t kChunkBytes = 4 << 20;
    DiskFile disk(path);
    if (Status s = disk.open(); !s.ok()) return s;
    const Result<Partition> found = find_only(disk);
    if (!found.ok()) return found;
    const Partition& p = found.value();
    const uint64_t begin = p.first_lba * disk.block_bytes();
    const uint64_t room = p.n_blocks * disk.block_bytes();
    if (bytes.size() > room) {
        return error(Code::no_memory, path, ": partition ", p.number, ": found ", room,
                     " bytes, needed ", uint64_t(bytes.size()));
    }
    const size_t n_first = std::min(bytes.size(), size_t{BlockReader::kMaxBlockBytes});
    const std::vector<uint8_t> nothing(n_first);
    Status status = disk.write(begin, nothing);
    if (status.ok()) status = disk.flush();
    for (size_t done = n_first; status.ok() && done < bytes.size();) {
        if (!progress(done)) return error(Code::interrupted, path, ": stopped");
        const size_t n = std::min(kChunkBytes, bytes.size() - done);
        status = disk.write(begin + done, bytes.subspan(done, n));
        done += n;
    }
    if (status.ok()) status = disk.flush();
    if (status.ok()) status = disk.write(begin, bytes.first(n_first));
    if (status.ok()) status = disk.flush();
    if (!status.ok()) return status;
    progress(bytes.size());
    return found;
}

}  // namespace axiom::packer
