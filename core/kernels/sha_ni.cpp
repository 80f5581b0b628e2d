// SPDX-License-Identifier: MIT
// SHA-256 by the SHA extensions (Intel SDM vol. 2B, SHA256RNDS2, SHA256MSG1, SHA256MSG2): two rounds an
// instruction on the state as two vectors, {a, b, e, f} and {c, d, g, h}, highest lane first.
#include <immintrin.h>

#include "core/sha256_kernels.h"

namespace axiom {
namespace {

// W[4i..4i+3] in w[i % 4], replaced by the words that are needed four groups later.
inline void next_words(__m128i w[4], int i) {
    const __m128i& w1 = w[(i + 1) % 4];
    const __m128i& w2 = w[(i + 2) % 4];
    const __m128i& w3 = w[(i + 3) % 4];
    const __m128i t = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w1), _mm_alignr_epi8(w3, w2, 4));
    w[i % 4] = _mm_sha256msg2_epu32(t, w3);
}

void blocks(uint32_t state[8], const uint8_t* data, size_t n_blocks) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const auto at = [](auto* p) { return reinterpret_cast<const __m128i*>(p); };
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(at(state)), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(at(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, badc, 0xf0);
    for (; n_blocks != 0; n_blocks--, data += kSha256BlockBytes) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128(at(data + 16 * i)), big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const __m128i sum = _mm_add_epi32(w[i % 4], _mm_loadu_si128(at(kSha256Round + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            if (i < 12) next_words(w, i);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace

constinit const Sha256Kernels kSha256NiKernels = {"sha_ni", blocks};

}  // namespace axiom
