// SPDX-License-Identifier: MIT
// Fuzz target: the packed-file loader over hostile bytes. Each input is also tried with its head
// checksum made right, so that what lies behind it is reached. What opens must be readable whole.
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/hash.h"
#include "model/format/format.h"
#include "model/text/chat.h"
#include "model/text/tokenizer.h"
#include "model/weights/weights.h"

using namespace axiom;

namespace {

// A 64-byte aligned copy of exactly the input's size.
class AlignedCopy {
  public:
    AlignedCopy(const uint8_t* data, size_t size)
        : bytes_(static_cast<uint8_t*>(operator new (size, std::align_val_t{64}))), size_(size) {
        if (size) memcpy(bytes_, data, size);
    }
    ~AlignedCopy() { operator delete (bytes_, std::align_val_t{64}); }
    AlignedCopy(const AlignedCopy&) = delete;
    AlignedCopy& operator=(const AlignedCopy&) = delete;

    uint8_t* data() { return bytes_; }
    std::span<const uint8_t> bytes() const { return {bytes_, size_}; }

  private:
    uint8_t* bytes_;
    size_t size_;
};

void require(bool condition) {
    if (!condition) abort();
}

void touch(const TensorView& t) {
    if (t.bytes == 0) return;
    const volatile uint8_t* p = static_cast<const uint8_t*>(t.data);
    (void)p[0];
    (void)p[t.bytes - 1];
    require(reinterpret_cast<uintptr_t>(t.data) % 64 == 0);
}

void walk(const Weights& w) {
    require(w.config.n_layer > 0 && w.config.n_head > 0 && w.config.n_head_kv > 0);
    require(w.config.n_head % w.config.n_head_kv == 0);
    for (const TensorView& t : {w.token_embd, w.rope_freqs, w.output_norm, w.output}) touch(t);
    for (size_t i = 0; i < w.config.n_layer; i++) {
        const LayerWeights l = w.layer(i);
        for (const TensorView& t : {l.attn_norm, l.attn_q, l.attn_k, l.attn_v, l.attn_output,
                                    l.ffn_norm, l.ffn_gate, l.ffn_up, l.ffn_down}) {
            touch(t);
        }
    }
    require(w.bytes_per_token() > 0);
    require(w.macs_per_token() > 0);
    const Result<Tokenizer> tokenizer = Tokenizer::open("f.axm", 0, w.tokenizer);
    const Result<ChatTemplate> chat = ChatTemplate::open("f.axm", 0, w.chat);
    require(tokenizer.ok() || !tokenizer.status().text().empty());
    require(chat.ok() || !chat.status().text().empty());
}

void load(std::span<const uint8_t> bytes) {
    const Result<Weights> w = Weights::open("f.axm", bytes);
    if (w.ok()) {
        walk(w.value());
    } else {
        require(!w.status().text().empty());
    }
    const Status whole = verify_checksums("f.axm", bytes);

    // Read in pieces, as the loader does: the same verdict as over the whole.
    const size_t n_head =
        bytes.size() < format::kMaxHeadBytes ? bytes.size() : format::kMaxHeadBytes;
    const Result<FileLayout> layout = FileLayout::parse("f.axm", bytes.first(n_head), bytes.size());
    if (!layout.ok()) return;
    ChecksumStream stream("f.axm", layout.value());
    bool good = true;
    for (size_t at = 0; at < bytes.size() && good; at += 1777) {
        good = stream.feed(bytes.subspan(at, bytes.size() - at < 1777 ? bytes.size() - at : 1777))
                   .ok();
    }
    good = good && stream.finish().ok();
    require(good == whole.ok());
}

// XXH64 of header and extent table with its own field as 0; false if the table is not in the file.
bool repair_head(std::span<const uint8_t> bytes, uint8_t* data) {
    format::FileHeader header;
    if (bytes.size() < sizeof header) return false;
    memcpy(&header, data, sizeof header);
    if (header.n_extents > format::kNFixedExtents + format::kMaxLayers) return false;
    const size_t n_head = sizeof header + sizeof(format::Extent) * header.n_extents;
    if (bytes.size() < n_head) return false;
    header.head_checksum = 0;
    memcpy(data, &header, sizeof header);
    header.head_checksum = Xxh64::of(data, n_head);
    memcpy(data, &header, sizeof header);
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    AlignedCopy copy(data, size);
    load(copy.bytes());
    if (repair_head(copy.bytes(), copy.data())) load(copy.bytes());
    return 0;
}
