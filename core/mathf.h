// SPDX-License-Identifier: MIT
// exp, log, sin, cos as plain multiplies and adds, so that every instruction set and every compiler
// gives the same bits (law 2). Kernel sets repeat exp_f32 lane by lane from kExp's constants.
#pragma once

namespace axiom {

// exp(x) = 2^n * p(r): n = round_half_even(x * log2e), r = (x - n*ln2_hi) - n*ln2_lo,
// p(r) = ((((((c6*r + c5)*r + c4)*r + c3)*r + c2)*r + c1)*r + c0), each step one multiply, one add.
// x is clamped to [min_x, max_x] first. Relative error below 2 ulp of binary32.
struct ExpConstants {
    float min_x = -87.0f, max_x = 88.0f;
    float log2e = 1.44269504f;
    float round_magic =
        12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds to nearest even
    float ln2_hi = 0.693359375f, ln2_lo = -2.12194440e-4f;
    float c0 = 1.0f, c1 = 1.0f, c2 = 0.5f, c3 = 1.66666672e-1f, c4 = 4.16664854e-2f,
          c5 = 8.33336823e-3f, c6 = 1.39304599e-3f;
};
inline constexpr ExpConstants kExp{};

float exp_f32(float x);
float sqrt_f32(float x);                                  // correctly rounded
double log_f64(double x);                                 // x > 0; within 2 ulp
void sincos_f64(double x, double* sine, double* cosine);  // |x| < 2^20; within 1e-14 absolute

}  // namespace axiom
