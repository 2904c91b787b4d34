// Exact sums of products of bytes on AVX512-VNNI, for 16 outputs and a group of 32 columns. `dots_avx2.h` gives the same.
#pragma once
#include "simd.h"

namespace aris {

constexpr int ROWS_AT_ONCE = 8;

inline __m512i quad(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return _mm512_set1_epi32(four);
}

// out[r] = sum of (w - 128) x over the group, w in the order of products.h; codes[r] is row r's part of the group, and
// totals[r] the sum of its codes.
template <int R>
inline void group_dots(const uint8_t* w, const int8_t* const* codes, const int32_t* totals, i32x16* out) {
  __m512i v[8];
  for (int i = 0; i < 8; ++i) v[i] = _mm512_loadu_si512(w + 64 * i);
  for (int r = 0; r < R; ++r) {
    out[r] = _mm512_set1_epi32(-128 * totals[r]);
    for (int i = 0; i < 8; ++i) out[r] = _mm512_dpbusd_epi32(out[r], v[i], quad(codes[r] + 4 * i));
  }
}

inline void planes(const uint8_t* at, __m512i* out) {
  const __m512i low = _mm512_set1_epi8(15);
  for (int i = 0; i < 4; ++i) {
    __m512i v = _mm512_loadu_si512(at + 64 * i);
    out[i] = _mm512_and_si512(v, low);
    out[4 + i] = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
  }
}

inline __m512i dot8(const __m512i* v, const int8_t* c, __m512i sum) {
  __m512i other = _mm512_setzero_si512();
  for (int i = 0; i < 8; i += 2) {
    sum = _mm512_dpbusd_epi32(sum, v[i], quad(c + 4 * i));
    other = _mm512_dpbusd_epi32(other, v[i + 1], quad(c + 4 * i + 4));
  }
  return _mm512_add_epi32(sum, other);
}

// out[r] = sum of 16 h x + l x over the group if WHOLE, else of 16 h x + 8 x; h is stored plus 8 (see head.h).
template <int R, bool WHOLE>
inline void plane_dots(
    const uint8_t* upper, const uint8_t* lower, const int8_t* const* codes, const int32_t* totals, i32x16* out) {
  __m512i h[8], l[8];
  planes(upper, h);
  if (WHOLE) planes(lower, l);
  for (int r = 0; r < R; ++r) {
    __m512i sum = _mm512_slli_epi32(dot8(h, codes[r], _mm512_setzero_si512()), 4);
    sum = _mm512_add_epi32(sum, _mm512_set1_epi32((WHOLE ? -128 : -120) * totals[r]));
    out[r] = WHOLE ? dot8(l, codes[r], sum) : sum;
  }
}

}  // namespace aris
