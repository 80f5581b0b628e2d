// SPDX-License-Identifier: MIT
// Fuzz target: the packed-file loader over hostile bytes. Each input is also tried with its head
// checksum made right, and with the pieces' sums, so that what lies behind them is reached. What
// opens must be readable whole.
#include <algorithm>
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
        if (data != nullptr && size) memcpy(bytes_, data, size);
    }
    ~AlignedCopy() { operator delete (bytes_, std::align_val_t{64}); }
    AlignedCopy(const AlignedCopy&) = delete;
    AlignedCopy& operator=(const AlignedCopy&) = delete;

    std::span<uint8_t> span() { return {bytes_, size_}; }
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
    require(w.config.n_layer > 0);
    for (const TensorView& t : {w.token_embd, w.rope_freqs, w.output_norm, w.output}) touch(t);
    require(w.token_embd && w.output_norm && w.output);
    for (size_t i = 0; i < w.config.n_layer; i++) {
        const LayerConfig& layer = w.config.layer(i);
        require(layer.n_head > 0 && layer.n_head_kv > 0 && layer.n_head % layer.n_head_kv == 0);
        require(layer.rope == format::kNone || layer.rope < w.config.rope.size());
        for (const TensorView& t : w.layer(i).views) touch(t);
        for (size_t expert = 0; expert < layer.n_expert; expert++) {
            const ExpertWeights e = w.expert(i, expert);
            for (const TensorView& t : {e.gate, e.up, e.down}) touch(t);
        }
    }
    for (size_t i = 0; i < w.config.rope.size(); i++)
        require(w.config.rope_table(i, format::kMaxCtx) < w.config.rope.size());
    require(w.bytes_per_token() > 0);
    require(w.macs_per_token() > 0);
    const Result<Tokenizer> tokenizer = Tokenizer::open("f.axm", 0, w.tokenizer);
    const Result<ChatTemplate> chat = ChatTemplate::open("f.axm", 0, w.chat);
    require(tokenizer.ok() || !tokenizer.status().text().empty());
    require(chat.ok() || !chat.status().text().empty());
}

// The input as a loader reads it.
class Source : public ByteSource {
  public:
    explicit Source(std::span<const uint8_t> bytes) : bytes_(bytes) {}
    Status read(uint64_t offset, std::span<uint8_t> out) override {
        require(offset <= bytes_.size() && out.size() <= bytes_.size() - offset);
        std::copy_n(bytes_.data() + offset, out.size(), out.begin());
        return {};
    }

  private:
    std::span<const uint8_t> bytes_;
};

void load(std::span<const uint8_t> bytes) {
    const Result<Weights> w = Weights::open("f.axm", bytes);
    if (w.ok()) {
        walk(w.value());
    } else {
        require(!w.status().text().empty());
    }
    const Status whole = verify_checksums("f.axm", bytes);

    // Read in parts, by the loader and in odd ones: the same verdict as over the whole.
    AlignedCopy copy(nullptr, bytes.size());
    Source source(bytes);
    const Status loaded = load_packed(
        "f.axm", bytes.size(), source, copy.span(), [](void*, uint64_t) {}, nullptr);
    require(loaded.ok() == whole.ok());
    require(loaded.text() == whole.text());

    // Without its layers: no more is found wrong than in the whole, and every view is in what was read.
    const Result<uint64_t> n_frame = frame_bytes("f.axm", bytes.size(), source);
    require(n_frame.ok() || !whole.ok());
    if (n_frame.ok() && n_frame.value() <= bytes.size()) {
        AlignedCopy frame(nullptr, size_t(n_frame.value()));
        const Status framed = load_frame(
            "f.axm", bytes.size(), source, frame.span(), [](void*, uint64_t) {}, nullptr);
        require(framed.ok() || !whole.ok());
        if (framed.ok()) {
            const Result<Weights> f = Weights::open("f.axm", frame.span(), bytes.size());
            require(f.ok() == w.ok());
            require(f.status().text() == w.status().text());
        }
    }

    const Result<FileLayout> layout = FileLayout::parse("f.axm", bytes, bytes.size());
    if (!layout.ok()) return;
    for (size_t i = 0; i < layout.value().extents.size(); i++) {
        const format::Extent& e = layout.value().extents[i];
        require(layout.value().find(e.kind, e.layer, e.expert) == i);
    }
    ChecksumStream stream("f.axm", layout.value());
    bool good = true;
    for (size_t at = 0; at < bytes.size() && good; at += 1777) {
        good = stream.feed(bytes.subspan(at, bytes.size() - at < 1777 ? bytes.size() - at : 1777))
                   .ok();
    }
    good = good && stream.finish().ok();
    require(good == whole.ok());
}

// The head's bytes before the padding; 0 if they are not in the file.
size_t head_bytes_in(std::span<const uint8_t> bytes, format::FileHeader* header) {
    if (bytes.size() < sizeof *header) return 0;
    memcpy(header, bytes.data(), sizeof *header);
    if (header->n_extents > format::kMaxExtents || header->n_pieces > format::kMaxPieces) return 0;
    const uint64_t n = format::head_bytes(header->n_extents, header->n_pieces);
    return n > bytes.size() ? 0 : size_t(n);
}

// XXH64 of the head with its own field as 0; false if the tables are not in the file.
bool repair_head(std::span<uint8_t> bytes) {
    format::FileHeader header;
    const size_t n_head = head_bytes_in(bytes, &header);
    if (n_head == 0) return false;
    header.head_checksum = 0;
    memcpy(bytes.data(), &header, sizeof header);
    header.head_checksum = Xxh64::of(bytes.data(), n_head);
    memcpy(bytes.data(), &header, sizeof header);
    return true;
}

// The sums of all pieces that are where the extents say. Digests are looked at by nobody here.
void repair_sums(std::span<uint8_t> bytes) {
    format::FileHeader header;
    if (head_bytes_in(bytes, &header) == 0) return;
    const size_t sums_at = sizeof header + size_t{header.n_extents} * sizeof(format::Extent);
    for (size_t i = 0; i < header.n_extents; i++) {
        format::Extent e;
        memcpy(&e, bytes.data() + sizeof header + i * sizeof e, sizeof e);
        if (e.offset > bytes.size() || e.bytes > bytes.size() - e.offset) continue;
        for (uint64_t at = 0, piece = e.first_piece; at < e.bytes && piece < header.n_pieces;
             at += format::kPieceBytes, piece++) {
            const size_t n = size_t(std::min(format::kPieceBytes, e.bytes - at));
            const uint64_t sum = Xxh64::of(bytes.data() + e.offset + at, n);
            memcpy(bytes.data() + sums_at + piece * sizeof sum, &sum, sizeof sum);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    AlignedCopy copy(data, size);
    load(copy.bytes());
    if (!repair_head(copy.span())) return 0;
    load(copy.bytes());
    repair_sums(copy.span());
    repair_head(copy.span());
    load(copy.bytes());
    return 0;
}
