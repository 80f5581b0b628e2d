// SPDX-License-Identifier: MIT
// exp, tanh, log, sin, cos as plain multiplies, adds and divisions, so that every instruction set and
// every compiler gives the same bits (law 2). Kernel sets repeat exp_f32 and tanh_f32 lane by lane from
// the constants here.
#pragma once

#include <limits>

namespace axiom {

// What is below it is -infinity.
inline constexpr float kLowestFinite = std::numeric_limits<float>::lowest();

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

// tanh(x) = e / (e + 2), e = exp(2x) - 1 = 2^n * (r * q(r)) + (2^n - 1): n and r as above but of x + x,
// q(r) = ((((((c7*r + c6)*r + c5)*r + c4)*r + c3)*r + c2)*r + c1), the Taylor series of (exp(r) - 1) / r,
// whose first left-out term is below 2^-25. No step loses figures where x is small: the relative error of
// normal results is below 2^-21. NaN stays NaN.
struct TanhConstants {
    float c1 = 1.0f, c2 = 1.0f / 2, c3 = 1.0f / 6, c4 = 1.0f / 24, c5 = 1.0f / 120, c6 = 1.0f / 720,
          c7 = 1.0f / 5040;
};
inline constexpr TanhConstants kTanh{};
float tanh_f32(float x);

// gelu(x) = 0.5 * x * (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) * (x + 0.044715 * x^3).
// Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.
struct GeluConstants {
    float linear = -1.59576912f;   // -2u = x * (linear + cubic * x^2)
    float cubic = -0.0713548163f;  // 0.044715 * linear
};
inline constexpr GeluConstants kGelu{};

float sqrt_f32(float x);                                  // correctly rounded
double log_f64(double x);                                 // x > 0; within 2 ulp
void sincos_f64(double x, double* sine, double* cosine);  // |x| < 2^20; within 1e-14 absolute

}  // namespace axiom
