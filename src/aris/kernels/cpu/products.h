// Products of int8 activations and packed weights, by exact sums of bytes' products (dots_*.h).
//
// Activations: each row in groups of 32 columns, x = scale * code, codes -127..127. Weights: rows (outputs) in blocks of
// 16, columns in groups of 32 with a float16 scale each. A group's sum of 32 products is exact in int32; the groups'
// sums are scaled and added in float32 in the order of the columns. So a result depends on its own row and its own
// output alone, whatever is computed beside it: alone and in company it has the same bits, on every instruction set.
#pragma once
#include "simd.h"
#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#include "dots_avx512.h"
#else
#include "dots_avx2.h"
#endif

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
    f32x16 a = load(x + group * GROUP), b = load(x + group * GROUP + 16);
    float most = largest(greater(magnitude(a), magnitude(b)));
    f32x16 inverse = all(most > 0.0f ? 127.0f / most : 0.0f);
    i32x16 ia = to_integers(mul(a, inverse)), ib = to_integers(mul(b, inverse));
    store_codes(codes + group * GROUP, ia);
    store_codes(codes + group * GROUP + 16, ib);
    scales[group] = most / 127.0f;
    sums[group] = sum(add(ia, ib));
  }
}

// R rows times one block: out[r] has the block's 16 results.
template <int R>
inline void block_product(const Matrix& m, int64_t block, const Codes& x, int64_t first, f32x16* out) {
  const int64_t groups = m.columns / GROUP;
  const uint8_t* w = m.codes + block * groups * (LANES * GROUP);
  const uint16_t* s = m.scales + block * groups * LANES;
  const float* scales = x.scales + first * groups;
  const int32_t* sums = x.sums + first * groups;
  const int8_t* codes[R];
  for (int r = 0; r < R; ++r) {
    codes[r] = x.codes + (first + r) * m.columns;
    out[r] = zero();
  }
  for (int64_t group = 0; group < groups; ++group, w += LANES * GROUP, s += LANES) {
    int32_t totals[R];
    for (int r = 0; r < R; ++r) totals[r] = sums[r * groups + group];
    i32x16 dots[R];
    group_dots<R>(w, codes, totals, dots);
    const f32x16 scale = from_half(s);
    for (int r = 0; r < R; ++r) {
      out[r] = fma(to_floats(dots[r]), mul(scale, all(scales[r * groups + group])), out[r]);
      codes[r] += GROUP;
    }
  }
}

// Calls put(row, results) for every row and one block.
template <class Put>
inline void block_rows(const Matrix& m, int64_t block, const Codes& x, int64_t rows, const Put& put) {
  f32x16 out[ROWS_AT_ONCE];
  int64_t row = 0;
  for (; row + ROWS_AT_ONCE <= rows; row += ROWS_AT_ONCE) {
    block_product<ROWS_AT_ONCE>(m, block, x, row, out);
    for (int r = 0; r < ROWS_AT_ONCE; ++r) put(row + r, out[r]);
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
