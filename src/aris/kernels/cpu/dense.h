// Products of float32 rows and matrices as checkpoints have them: (outputs, columns), float32 or bfloat16.
//
// A result is one sum over the columns in 16 lanes, added up in one order: it depends on its own row and its own output
// alone. Tiles of rows and outputs only say what is computed at the same time.
#pragma once
#include <algorithm>
#include <vector>

#include "simd.h"
#include "threads.h"

namespace aris {

constexpr int64_t CACHED = 1 << 18;  // bytes of rows, and of outputs, that are worked on together

struct Dense {
  const void* weights;
  int64_t outputs, columns;  // columns a multiple of 16
  int32_t half;              // 1 bfloat16, 0 float32
};

// R rows by C outputs.
template <class W, int R, int C>
inline void tile(const W* w, int64_t columns, const float* x, float* out, int64_t stride) {
  f32x16 sums[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) sums[r][c] = zero();
  for (int64_t k = 0; k < columns; k += 16) {
    f32x16 v[C];
    for (int c = 0; c < C; ++c) v[c] = load16<W>(w + c * columns + k);
    for (int r = 0; r < R; ++r) {
      const f32x16 each = load(x + r * columns + k);
      for (int c = 0; c < C; ++c) sums[r][c] = fma(each, v[c], sums[r][c]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) out[r * stride + c] = sum(sums[r][c]);
}

template <class W, int C>
inline void tiles(const W* w, int64_t columns, const float* x, int64_t rows, float* out, int64_t stride) {
  int64_t row = 0;
  for (; row + TILE_ROWS <= rows; row += TILE_ROWS)
    tile<W, TILE_ROWS, C>(w, columns, x + row * columns, out + row * stride, stride);
  for (; row < rows; ++row) tile<W, 1, C>(w, columns, x + row * columns, out + row * stride, stride);
}

// Outputs [begin, end) of all rows; `wide` is room for weights that many rows need in float32.
template <class W>
inline void outputs_of(
    const Dense& m, int64_t begin, int64_t end, const float* x, int64_t rows, float* out, int64_t stride,
    std::vector<float>& wide) {
  const W* weights = static_cast<const W*>(m.weights);
  const int64_t K = m.columns, most = std::max<int64_t>(TILE_ROWS, CACHED / (K * 4) / TILE_ROWS * TILE_ROWS);
  for (int64_t first = 0; first < rows; first += most) {
    const int64_t count = std::min(most, rows - first);
    for (int64_t at = begin; at < end;) {
      const int64_t width = at + TILE_OUTPUTS <= end ? TILE_OUTPUTS : 1;
      const W* w = weights + at * K;
      float* to = out + first * stride + at;
      if (sizeof(W) == 2 && count > TILE_ROWS) {
        wide.resize(TILE_OUTPUTS * K);
        for (int64_t k = 0; k < width * K; k += 16) store(&wide[k], load16<W>(w + k));
        if (width > 1) tiles<float, TILE_OUTPUTS>(wide.data(), K, x + first * K, count, to, stride);
        else tiles<float, 1>(wide.data(), K, x + first * K, count, to, stride);
      } else if (width > 1) {
        tiles<W, TILE_OUTPUTS>(w, K, x + first * K, count, to, stride);
      } else {
        tiles<W, 1>(w, K, x + first * K, count, to, stride);
      }
      at += width;
    }
  }
}

// x (rows, columns) to out (rows, outputs), whose rows lie `stride` apart.
inline void dense_product(Pool& pool, const Dense& m, const float* x, int64_t rows, float* out, int64_t stride) {
  const int64_t fair = m.outputs / (pool.threads() * 4), cached = CACHED / (m.columns * 4);
  const int64_t grain = std::max<int64_t>(1, std::min(fair, cached) / TILE_OUTPUTS) * TILE_OUTPUTS;
  pool.run(m.outputs, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> wide;
    if (m.half) outputs_of<uint16_t>(m, begin, end, x, rows, out, stride, wide);
    else outputs_of<float>(m, begin, end, x, rows, out, stride, wide);
  });
}

}  // namespace aris
