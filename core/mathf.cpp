// SPDX-License-Identifier: MIT
#include "core/mathf.h"

#include <emmintrin.h>

#include <bit>
#include <cstdint>

namespace axiom {

namespace {

struct ExpParts {
    float n, r;
};
ExpParts exp_parts(float x) {
    x = x < kExp.min_x ? kExp.min_x : x;
    x = x > kExp.max_x ? kExp.max_x : x;
    const float n = (x * kExp.log2e + kExp.round_magic) - kExp.round_magic;
    return {n, (x - n * kExp.ln2_hi) - n * kExp.ln2_lo};
}
float pow2(float n) {
    return std::bit_cast<float>(uint32_t(int32_t(n) + 127) << 23);
}

}  // namespace

float exp_f32(float x) {
    const auto [n, r] = exp_parts(x);
    float p = kExp.c6;
    p = p * r + kExp.c5;
    p = p * r + kExp.c4;
    p = p * r + kExp.c3;
    p = p * r + kExp.c2;
    p = p * r + kExp.c1;
    p = p * r + kExp.c0;
    return p * pow2(n);
}

float tanh_f32(float x) {
    const auto [n, r] = exp_parts(x + x);
    float q = kTanh.c7;
    q = q * r + kTanh.c6;
    q = q * r + kTanh.c5;
    q = q * r + kTanh.c4;
    q = q * r + kTanh.c3;
    q = q * r + kTanh.c2;
    q = q * r + kTanh.c1;
    const float power = pow2(n);
    const float less_one = power * (r * q) + (power - 1.0f);
    return less_one / (less_one + 2.0f);
}

float sqrt_f32(float x) {
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

// log x = e ln 2 + log m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m-1)/(m+1), as a
// series in s^2: |s| < 0.1716, so s^22 is below the last bit.
double log_f64(double x) {
    uint64_t bits = std::bit_cast<uint64_t>(x);
    int exponent = 0;
    if (bits < 0x0010000000000000u) {  // subnormal
        bits = std::bit_cast<uint64_t>(x * 0x1p54);
        exponent = -54;
    }
    const uint64_t kSqrtHalf = 0x3fe6a09e667f3bcdu;
    const int64_t e = int64_t(bits - kSqrtHalf) >> 52;
    exponent += int(e);
    const double m = std::bit_cast<double>(bits - (uint64_t(e) << 52));
    const double s = (m - 1) / (m + 1);
    const double s2 = s * s;
    double series = 0;
    for (int k = 23; k >= 3; k -= 2) series = (series + 1.0 / k) * s2;
    const double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;
    return exponent * ln2_hi + (2 * s + (2 * s * series + exponent * ln2_lo));
}

void sincos_f64(double x, double* sine, double* cosine) {
    // r = x - n*pi/2, pi/2 in three parts whose products with n < 2^20 are exact.
    const double two_over_pi = 0x1.45f306dc9c883p-1;
    const double magic = 0x1.8p52;
    const double n = (x * two_over_pi + magic) - magic;
    const double pi_2_a = 0x1.921fb544p+0, pi_2_b = 0x1.0b4611a6p-34,
                 pi_2_c = 0x1.3198a2e037073p-69;
    const double r = ((x - n * pi_2_a) - n * pi_2_b) - n * pi_2_c;
    const double r2 = r * r;
    // Taylor series on [-pi/4, pi/4]: the first left-out terms are below 2^-58.
    double s = 0, c = 0;
    for (int k = 17; k >= 3; k -= 2) s = (s + 1) * (-r2 / double(k * (k - 1)));
    for (int k = 18; k >= 2; k -= 2) c = (c + 1) * (-r2 / double(k * (k - 1)));
    s = r + r * s;
    c = 1 + c;
    switch (int64_t(n) & 3) {
        case 0:
            *sine = s, *cosine = c;
            break;
        case 1:
            *sine = c, *cosine = -s;
            break;
        case 2:
            *sine = -s, *cosine = -c;
            break;
        default:
            *sine = -c, *cosine = s;
            break;
    }
}

}  // namespace axiom
