// SPDX-License-Identifier: MIT
#include "bench/uring_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace axiom::host {
namespace {

constexpr unsigned kMaxTries = 4;

bool is_transient(int error_number) {
    return error_number == EINTR || error_number == EAGAIN || error_number == EIO;
}

}  // namespace

UringReader::~UringReader() {
    if (is_open_) io_uring_queue_exit(&ring_);
    if (fd_ >= 0) close(fd_);
}

Status UringReader::open(const std::string& path) {
    path_ = path;
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd_ < 0 && errno == EINVAL) {
        note_ = path + ": this file system has no O_DIRECT: layers are read through the page cache";
        fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    }
    if (fd_ < 0) {
        return error(errno == ENOENT ? Code::not_found : Code::io, path,
                     ": cannot open: ", strerror(errno));
    }
    if (const int r = io_uring_queue_init(kDepth, &ring_, 0); r < 0) {
        return error(Code::unsupported, path, ": io_uring: ", strerror(-r),
                     ": layers cannot be streamed, use --stream off");
    }
    is_open_ = true;
    for (size_t i = 0; i < kDepth; i++) free_[n_free_++] = uint32_t(i);
    return {};
}

bool UringReader::read(uint64_t tag, uint64_t offset, size_t n_bytes, void* to) {
    if (n_free_ == 0) return false;
    Read& read = reads_[free_[--n_free_]];
    read = {tag, offset, static_cast<uint8_t*>(to), n_bytes, 0, 1};
    submit(read);
    return true;
}

// The queue has as many entries as there can be reads, and each is submitted at once.
void UringReader::submit(Read& read) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    AXIOM_CHECK(entry != nullptr);
    io_uring_prep_read(entry, fd_, read.to + read.n_read, unsigned(read.n_bytes - read.n_read),
                       read.offset + read.n_read);
    io_uring_sqe_set_data(entry, &read);
    io_uring_submit(&ring_);
}

bool UringReader::finish(Read& read, int result, Status* status) {
    if (result > 0) {
        read.n_read += size_t(result);
        if (read.n_read >= read.n_bytes) return true;
        submit(read);  // a part came; the rest
        return false;
    }
    if (result == 0) {
        *status = error(Code::io, "the file ended at ", read.offset + read.n_read);
        return true;
    }
    if (is_transient(-result) && read.n_tries < kMaxTries) {
        read.n_tries++;
        n_retries_++;
        submit(read);
        return false;
    }
    *status = error(Code::io, strerror(-result), " (after ", read.n_tries,
                    read.n_tries == 1 ? " try)" : " tries)");
    return true;
}

size_t UringReader::poll(std::span<Done> done) {
    size_t n = 0;
    io_uring_cqe* entry = nullptr;
    while (n < done.size() && io_uring_peek_cqe(&ring_, &entry) == 0 && entry != nullptr) {
        Read& read = *static_cast<Read*>(io_uring_cqe_get_data(entry));
        const int result = entry->res;
        io_uring_cqe_seen(&ring_, entry);
        Status status;
        if (!finish(read, result, &status)) continue;
        done[n++] = {read.tag, status};
        free_[n_free_++] = uint32_t(&read - reads_);
    }
    return n;
}

}  // namespace axiom::host
