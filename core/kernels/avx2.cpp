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

    // Unsigned by signed is what there is: signed weights give their sign to the activation.
    template <int kMax>
    [[gnu::always_inline]] static __m256i multiply(__m256i w, __m256i x) {
        return kMax == 128 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                           : _mm256_maddubs_epi16(w, x);
    }
    [[gnu::always_inline]] static __m256i add_pairs(__m256i a, __m256i b) {
        return _mm256_add_epi16(a, b);
    }
    [[gnu::always_inline]] static __m256i add_up(__m256i sum, __m256i pairs) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
};

}  // namespace

constinit const Kernels kAvx2Kernels =
    kernels::table_of<kernels::Ymm<Multiplier>, kernels::Tiles>("avx2");

}  // namespace axiom
