// Vectors of 16 float32 on the instruction set that is compiled for: exponential, GELU, sums in a fixed order.
//
// Each variant computes the same operations in the same order, so a number has the same bits whichever runs.
#pragma once
#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#include "simd_avx512.h"
#else
#include "simd_avx2.h"
#endif

#include <cmath>

namespace aris {

template <class T>
inline f32x16 load16(const T* at);
template <>
inline f32x16 load16<uint16_t>(const uint16_t* at) { return from_bf16(at); }
template <>
inline f32x16 load16<float>(const float* at) { return load(at); }

inline void store16(f32x16 x, uint16_t* at) { to_bf16(x, at); }
inline void store16(f32x16 x, float* at) { store(at, x); }

inline float sum(f32x16 x) {
  const __m256 eight = _mm256_add_ps(high(x), low(x));
  __m128 four = _mm_add_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

inline float largest(f32x16 x) {
  const __m256 eight = _mm256_max_ps(high(x), low(x));
  __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

// exp(x) to 2 units in the last place for x in -87..88; 0 below.
inline f32x16 exp16(f32x16 x) {
  const f32x16 given = x;
  x = lesser(greater(x, all(-87.0f)), all(88.0f));
  f32x16 n = nearest(mul(x, all(1.44269504088896f)));
  f32x16 r = fnma(n, all(0.693145751953125f), x);
  r = fnma(n, all(1.428606765330187e-6f), r);
  f32x16 p = all(1.9875691500e-4f);
  p = fma(p, r, all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  p = fma(p, mul(r, r), add(r, all(1.0f)));
  return zero_below(scaled(p, n), given, -87.0f);
}

// GELU with the tanh approximation: x * sigmoid(2 * sqrt(2/pi) * (x + 0.044715 x^3)).
inline f32x16 gelu16(f32x16 x) {
  f32x16 inner = fma(mul(x, x), all(0.044715f), all(1.0f));
  inner = mul(mul(inner, x), all(1.5957691216057308f));
  return div(x, add(all(1.0f), exp16(sub(zero(), inner))));
}

inline float half_to_float(uint16_t half) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half))); }

}  // namespace aris
