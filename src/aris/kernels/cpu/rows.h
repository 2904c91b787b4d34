// What is done to one row between products: rounding to int8, norm, RoPE, attention of its heads.
#pragma once
#include <vector>

#include "attention.h"
#include "products.h"

namespace aris {

inline void quantise(const Codes& to, int64_t row, const float* x, int64_t columns) {
  const int64_t groups = columns / GROUP;
  quantise_row(x, columns, to.codes + row * columns, to.scales + row * groups, to.sums + row * groups);
}

// x / rms(x) * weight; width a multiple of 16. `x` and `out` may be the same.
inline void norm(const float* x, const float* weight, int64_t width, float eps, float* out) {
  f32x16 squares = zero();
  for (int64_t k = 0; k < width; k += 16) {
    f32x16 v = load(x + k);
    squares = fma(v, v, squares);
  }
  const f32x16 root = all(1.0f / std::sqrt(sum(squares) / float(width) + eps));
  for (int64_t k = 0; k < width; k += 16) store(out + k, mul(mul(load(x + k), root), load(weight + k)));
}

// RoPE on one head in place, times `scale`; dim a multiple of 2.
inline void turn(float* x, const float* cosines, int64_t dim, float scale) {
  const int64_t half = dim / 2;
  const f32x16 factor = all(scale);
  int64_t k = 0;
  for (; k + 16 <= half; k += 16) {
    f32x16 a = mul(load(x + k), factor), b = mul(load(x + half + k), factor);
    f32x16 c = load(cosines + k), s = load(cosines + half + k);
    store(x + k, fnma(b, s, mul(a, c)));
    store(x + half + k, fma(a, s, mul(b, c)));
  }
  for (; k < half; ++k) {
    const float a = x[k] * scale, b = x[half + k] * scale, c = cosines[k], s = cosines[half + k];
    x[k] = std::fma(-b, s, a * c);
    x[half + k] = std::fma(a, s, b * c);
  }
}

template <class T>
inline void store_row(const float* x, int64_t count, T* at) {
  for (int64_t k = 0; k < count; k += 16) store16(load(x + k), at + k);
}

template <class T>
inline void attend_heads(
    int64_t heads, const float* query, int64_t dim, const Run* runs, int64_t count, int64_t total, int64_t stride,
    std::vector<float>& scores, float* out) {
  scores.resize(heads * (total + LANES_OF_SCORES));
  switch (heads) {
    case 1: return attend<T, 1>(query, dim, runs, count, total, stride, scores.data(), out);
    case 2: return attend<T, 2>(query, dim, runs, count, total, stride, scores.data(), out);
    case 4: return attend<T, 4>(query, dim, runs, count, total, stride, scores.data(), out);
    default:
      for (int64_t h = 0; h < heads; ++h)
        attend<T, 1>(query + h * dim, dim, runs, count, total, stride, scores.data(), out + h * dim);
  }
}

}  // namespace aris
