#pragma once
#include <cstddef>
#include "core/mathf.h"
namespace axiom::ops {
inline float tanh_f(float x) {
    const float a = x < 0 ? -x : x;
    if (a < 0.01f) return x - x * x * x / 3;
    const float e = exp_f32(-2 * a);
    const float t = (1 - e) / (1 + e);
    return x < 0 ? -t : t;
}
inline void gelu_mul(float* g, const float* u, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float x = g[i];
        const float t = tanh_f(0.7978845608f * x * (1 + 0.044715f * x * x));
        g[i] = 0.5f * x * (1 + t) * u[i];
    }
}
inline void softcap(float* x, size_t n, float cap) {
    for (size_t i = 0; i < n; i++) x[i] = cap * tanh_f(x[i] / cap);
}
inline void scale(float* x, float s, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= s;
}
inline void add_scaled(float* x, const float* y, float s, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i] * s;
}
inline void matvec_f32(const float* w, size_t n_rows, size_t n_cols, const float* x, float* out) {
    for (size_t r = 0; r < n_rows; r++) {
        float lanes[16] = {};
        for (size_t i = 0; i < n_cols; i++) lanes[i % 16] += w[r * n_cols + i] * x[i];
        for (size_t h = 8; h; h /= 2)
            for (size_t j = 0; j < h; j++) lanes[j] += lanes[j + h];
        out[r] = lanes[0];
    }
}
inline void rms_norm(const float* x, const float* w, size_t n, float eps, float* out) {
    float lanes[16] = {};
    for (size_t i = 0; i < n; i++) lanes[i % 16] += x[i] * x[i];
    for (size_t h = 8; h; h /= 2)
        for (size_t j = 0; j < h; j++) lanes[j] += lanes[j + h];
    const float s = 1.0f / sqrt_f32(lanes[0] / float(n) + eps);
    for (size_t i = 0; i < n; i++) out[i] = (x[i] * s) * w[i];
}
}  // namespace axiom::ops
