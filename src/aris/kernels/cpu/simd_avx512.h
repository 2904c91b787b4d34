// Vectors of 16 numbers on AVX512: one register each. `simd_avx2.h` has the same names with the same results.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace aris {

using f32x16 = __m512;
using i32x16 = __m512i;

// Vectors whose sums fit the registers: of values for each of four heads, and of a tile of rows and outputs.
constexpr int VALUES_AT_ONCE = 2, TILE_ROWS = 4, TILE_OUTPUTS = 4;

inline f32x16 zero() { return _mm512_setzero_ps(); }
inline f32x16 all(float x) { return _mm512_set1_ps(x); }
inline f32x16 load(const float* at) { return _mm512_loadu_ps(at); }
inline void store(float* at, f32x16 x) { _mm512_storeu_ps(at, x); }
inline f32x16 add(f32x16 a, f32x16 b) { return _mm512_add_ps(a, b); }
inline f32x16 sub(f32x16 a, f32x16 b) { return _mm512_sub_ps(a, b); }
inline f32x16 mul(f32x16 a, f32x16 b) { return _mm512_mul_ps(a, b); }
inline f32x16 div(f32x16 a, f32x16 b) { return _mm512_div_ps(a, b); }
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
inline f32x16 fnma(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
// Of a NaN and a number both give the second.
inline f32x16 lesser(f32x16 a, f32x16 b) { return _mm512_min_ps(a, b); }
inline f32x16 greater(f32x16 a, f32x16 b) { return _mm512_max_ps(a, b); }
inline f32x16 magnitude(f32x16 x) { return _mm512_abs_ps(x); }
inline f32x16 nearest(f32x16 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

inline __m256 low(f32x16 x) { return _mm512_castps512_ps256(x); }
inline __m256 high(f32x16 x) { return _mm512_extractf32x8_ps(x, 1); }

// p 2^n for whole n in -126..127.
inline f32x16 scaled(f32x16 p, f32x16 n) { return _mm512_scalef_ps(p, n); }

// `value`, but 0 where x < bound.
inline f32x16 zero_below(f32x16 value, f32x16 x, float bound) {
  return _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(x, all(bound), _CMP_LT_OQ), zero());
}

// Whether any a is not less than b; a NaN is not.
inline bool any_not_less(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ) != 0; }

// The first `count` numbers, at least 1.
inline void store_first(float* at, f32x16 x, int64_t count) {
  _mm512_mask_storeu_ps(at, count >= 16 ? 0xffff : (1u << count) - 1, x);
}

inline i32x16 add(i32x16 a, i32x16 b) { return _mm512_add_epi32(a, b); }
inline i32x16 to_integers(f32x16 x) { return _mm512_cvtps_epi32(x); }
inline f32x16 to_floats(i32x16 x) { return _mm512_cvtepi32_ps(x); }
inline void store_codes(int8_t* at, i32x16 x) { _mm_storeu_si128((__m128i*)at, _mm512_cvtsepi32_epi8(x)); }
inline int32_t sum(i32x16 x) { return _mm512_reduce_add_epi32(x); }

inline f32x16 from_bytes(const uint8_t* at) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)at)));
}
inline f32x16 from_half(const uint16_t* at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)at)); }
inline f32x16 from_bf16(const uint16_t* at) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)at)), 16));
}

// Round to nearest even, as PyTorch does. NaN stays NaN.
inline void to_bf16(f32x16 x, uint16_t* at) {
  __m512i bits = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_set1_epi32(0x7fc00000));
  _mm256_storeu_si256((__m256i*)at, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

}  // namespace aris
