// SPDX-License-Identifier: MIT
#include "packer/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace axiom::packer {
namespace {

Status io_error(const std::string& path, const char* what) {
    return error(errno == ENOENT ? Code::not_found : Code::io, path, ": ", what, ": ",
                 strerror(errno));
}

}  // namespace

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

Result<MappedFile> MappedFile::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_error(path, "cannot be opened");
    struct stat info {};
    MappedFile file;
    Status status;
    if (fstat(fd, &info) != 0) {
        status = io_error(path, "cannot be examined");
    } else if (!S_ISREG(info.st_mode)) {
        status =
            error(Code::io, path, ": found something that is not a regular file, allowed a file");
    } else if (info.st_size > 0) {
        void* memory = mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
        if (memory == MAP_FAILED) {
            status = io_error(path, "cannot be mapped");
        } else {
            file.bytes_ = {static_cast<const uint8_t*>(memory), size_t(info.st_size)};
        }
    }
    ::close(fd);
    if (!status.ok()) return status;
    return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(temporary_, other.temporary_);
    std::swap(fd_, other.fd_);
    return *this;
}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    unlink(temporary_.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
    AtomicFile file;
    file.path_ = path;
    file.temporary_ = path + ".tmp." + std::to_string(getpid());
    unlink(file.temporary_.c_str());  // left by a crashed process that had our number
    file.fd_ = ::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd_ < 0) return io_error(file.temporary_, "cannot be created");
    return file;
}

Status AtomicFile::write_at(uint64_t offset, const void* data, size_t n_bytes) {
    const char* p = static_cast<const char*>(data);
    while (n_bytes > 0) {
        const ssize_t n = pwrite(fd_, p, n_bytes, off_t(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return io_error(temporary_, "cannot be written");
        p += n;
        offset += uint64_t(n);
        n_bytes -= size_t(n);
    }
    return {};
}

Status AtomicFile::resize(uint64_t n_bytes) {
    return ftruncate(fd_, off_t(n_bytes)) == 0 ? Status() : io_error(temporary_, "cannot be sized");
}

Status AtomicFile::commit() {
    if (fsync(fd_) != 0) return io_error(temporary_, "cannot be flushed to the disk");
    if (rename(temporary_.c_str(), path_.c_str()) != 0)
        return io_error(path_, "cannot be replaced");
    ::close(fd_);
    fd_ = -1;
    // The name itself lasts once the folder is on the disk; not every file system can do that.
    const size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        ::close(fd);
    }
    return {};
}

bool same_file(const std::string& a, const std::string& b) {
    struct stat sa {
    }, sb{};
    return stat(a.c_str(), &sa) == 0 && stat(b.c_str(), &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

}  // namespace axiom::packer
