// Products of int8 activations and packed weights, by VNNI's dot products of four bytes.
//
// Activations: each row in groups of 32 columns, x = scale * code, codes -127..127. Weights: rows (outputs) in blocks of
// 16, columns in groups of 32 with a float16 scale each. A group's sum of 32 products is exact in int32; the groups'
// sums are scaled and added in float32 in the order of the columns. So a result depends on its own row and its own
// output alone, whatever is computed beside it: alone and in company it has the same bits.
#pragma once
#include "simd.h"

namespace aris {

constexpr int GROUP = 32;
constexpr int LANES = 16;  // outputs of a block

// Rows of activations: codes (rows, columns), scales and code sums (rows, columns / 32).
struct Codes {
  int8_t* codes;
  float* scales;
  int32_t* sums;
};

// int8: for each block and group 8 vectors; byte 4 l + j of vector i is column 4 i + j of output l, plus 128.
// scales: float16 (blocks, groups, 16).
struct Matrix {
  const uint8_t* codes;
  const uint16_t* scales;
  int64_t outputs;  // a multiple of 16
  int64_t columns;  // a multiple of 32
};

inline void quantise_row(const float* x, int64_t columns, int8_t* codes, float* scales, int32_t* sums) {
  for (int64_t group = 0; group < columns / GROUP; ++group) {
    f32x16 a = _mm512_loadu_ps(x + group * GROUP), b = _mm512_loadu_ps(x + group * GROUP + 16);
    float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    float scale = largest / 127.0f;
    f32x16 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    __m512i ia = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)), ib = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
    _mm_storeu_si128((__m128i*)(codes + group * GROUP), _mm512_cvtsepi32_epi8(ia));
    _mm_storeu_si128((__m128i*)(codes + group * GROUP + 16), _mm512_cvtsepi32_epi8(ib));
    scales[group] = scale;
    sums[group] = _mm512_reduce_add_epi32(_mm512_add_epi32(ia, ib));
  }
}

inline __m512i quad(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return _mm512_set1_epi32(four);
}

inline f32x16 scales16(const uint16_t* at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)at)); }

// R rows times one block: out[r] has the block's 16 results.
template <int R>
inline void block_product(const Matrix& m, int64_t block, const Codes& x, int64_t first, f32x16* out) {
  const int64_t groups = m.columns / GROUP;
  const uint8_t* w = m.codes + block * groups * (LANES * GROUP);
  const uint16_t* s = m.scales + block * groups * LANES;
  const int8_t* codes[R];
  const float* scales[R];
  const int32_t* sums[R];
  for (int r = 0; r < R; ++r) {
    codes[r] = x.codes + (first + r) * m.columns;
    scales[r] = x.scales + (first + r) * groups;
    sums[r] = x.sums + (first + r) * groups;
    out[r] = _mm512_setzero_ps();
  }
  for (int64_t group = 0; group < groups; ++group, w += LANES * GROUP, s += LANES) {
    __m512i v[8];
    for (int i = 0; i < 8; ++i) v[i] = _mm512_loadu_si512(w + 64 * i);
    f32x16 scale = scales16(s);
    for (int r = 0; r < R; ++r) {
      const int8_t* c = codes[r] + group * GROUP;
      __m512i sum = _mm512_set1_epi32(-128 * sums[r][group]);
      for (int i = 0; i < 8; ++i) sum = _mm512_dpbusd_epi32(sum, v[i], quad(c + 4 * i));
      f32x16 factor = _mm512_mul_ps(scale, _mm512_set1_ps(scales[r][group]));
      out[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, out[r]);
    }
  }
}

// Calls put(row, results) for every row and one block.
template <class Put>
inline void block_rows(const Matrix& m, int64_t block, const Codes& x, int64_t rows, const Put& put) {
  f32x16 out[8];
  int64_t row = 0;
  for (; row + 8 <= rows; row += 8) {
    block_product<8>(m, block, x, row, out);
    for (int r = 0; r < 8; ++r) put(row + r, out[r]);
  }
  for (; row + 2 <= rows; row += 2) {
    block_product<2>(m, block, x, row, out);
    put(row, out[0]);
    put(row + 1, out[1]);
  }
  if (row < rows) {
    block_product<1>(m, block, x, row, out);
    put(row, out[0]);
  }
}

}  // namespace aris
