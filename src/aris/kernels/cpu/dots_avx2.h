// Exact sums of products of bytes on AVX2, and on AVX-VNNI where it is compiled for. See `dots_avx512.h`.
//
// A block's 16 outputs are two halves of 8. AVX2 multiplies unsigned by signed bytes and adds pairs in 16 bits, where
// 255 * 127 * 2 would not fit: so |w| (at most 128) is multiplied by x with the sign of w, and 128 * 127 * 2 does.
#pragma once
#include "simd.h"

namespace aris {

constexpr int ROWS_AT_ONCE = 4;

inline __m256i quad(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return _mm256_set1_epi32(four);
}

inline __m256i& half_of(i32x16& x, int half) { return half ? x.b : x.a; }

template <int R>
inline void group_dots(const uint8_t* w, const int8_t* const* codes, const int32_t* totals, i32x16* out) {
  for (int half = 0; half < 2; ++half, w += 32) {
    __m256i sums[R];
#if defined(__AVXVNNI__)
    for (int r = 0; r < R; ++r) sums[r] = _mm256_set1_epi32(-128 * totals[r]);
    for (int i = 0; i < 8; ++i) {
      const __m256i v = _mm256_loadu_si256((const __m256i*)(w + 64 * i));
      for (int r = 0; r < R; ++r) sums[r] = _mm256_dpbusd_avx_epi32(sums[r], v, quad(codes[r] + 4 * i));
    }
#else
    const __m256i ones = _mm256_set1_epi16(1), flip = _mm256_set1_epi8(-128);
    for (int r = 0; r < R; ++r) sums[r] = _mm256_setzero_si256();
    for (int i = 0; i < 8; ++i) {
      const __m256i v = _mm256_xor_si256(_mm256_loadu_si256((const __m256i*)(w + 64 * i)), flip);
      const __m256i size = _mm256_abs_epi8(v);
      for (int r = 0; r < R; ++r) {
        const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(quad(codes[r] + 4 * i), v));
        sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(pairs, ones));
      }
    }
#endif
    for (int r = 0; r < R; ++r) half_of(out[r], half) = sums[r];
  }
}

// Sums of nibbles times codes: eight products of 15 * 127 * 2 fit 16 bits.
template <int R>
inline void nibble_dots(const uint8_t* at, const int8_t* const* codes, __m256i* sums) {
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  for (int r = 0; r < R; ++r) sums[r] = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i) {
    const __m256i v = _mm256_loadu_si256((const __m256i*)(at + 64 * i));
    const __m256i first = _mm256_and_si256(v, low), second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
    for (int r = 0; r < R; ++r) {
      sums[r] = _mm256_add_epi16(sums[r], _mm256_maddubs_epi16(first, quad(codes[r] + 4 * i)));
      sums[r] = _mm256_add_epi16(sums[r], _mm256_maddubs_epi16(second, quad(codes[r] + 16 + 4 * i)));
    }
  }
  for (int r = 0; r < R; ++r) sums[r] = _mm256_madd_epi16(sums[r], ones);
}

template <int R, bool WHOLE>
inline void plane_dots(
    const uint8_t* upper, const uint8_t* lower, const int8_t* const* codes, const int32_t* totals, i32x16* out) {
  for (int half = 0; half < 2; ++half, upper += 32, lower += 32) {
    __m256i h[R], l[R];
    nibble_dots<R>(upper, codes, h);
    if (WHOLE) nibble_dots<R>(lower, codes, l);
    for (int r = 0; r < R; ++r) {
      __m256i sum = _mm256_slli_epi32(h[r], 4);
      sum = _mm256_add_epi32(sum, _mm256_set1_epi32((WHOLE ? -128 : -120) * totals[r]));
      half_of(out[r], half) = WHOLE ? _mm256_add_epi32(sum, l[r]) : sum;
    }
  }
}

}  // namespace aris
