// SPDX-License-Identifier: MIT
// AVX2 with F16C.
// Exports one table; everything else is local (law 6).
#include <immintrin.h>

#include "core/kernels/table.h"
#include "core/kernels/tiles.h"
#include "core/kernels/ymm.h"

namespace axiom {
namespace {

struct Multiplier {
    static constexpr int kQ8Bias = 0;

    // vpmaddubsw adds neighbouring products in 16 bits; so many of its results fit there.
    template <int kMax, size_t n>
    [[gnu::always_inline]] static __m256i dot(__m256i start, const __m256i* w, const int8_t* x) {
        const __m256i ones = _mm256_set1_epi16(1);
        constexpr size_t kFit = 32767 / (2 * 127 * kMax);
        __m256i pairs = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (size_t k = 0; k < n; k++) {
            const __m256i columns = kernels::broadcast4(x + 4 * k);
            // Unsigned by signed is what there is: signed weights give their sign to the activation.
            const __m256i p = kMax == 128 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w[k]),
                                                                 _mm256_sign_epi8(columns, w[k]))
                                          : _mm256_maddubs_epi16(w[k], columns);
            pairs = k % kFit == 0 ? p : _mm256_add_epi16(pairs, p);
            if (k % kFit == kFit - 1 || k == n - 1)
                start = _mm256_add_epi32(start, _mm256_madd_epi16(pairs, ones));
        }
        return start;
    }
};

}  // namespace

constinit const Kernels kAvx2Kernels =
    kernels::table_of<kernels::Ymm<Multiplier>, kernels::Tiles>("avx2");

}  // namespace axiom
