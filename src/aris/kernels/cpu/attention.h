// Attention of one query position over keys and values in runs of memory, for all query heads of one key head.
//
// Scores, then softmax, then the weighted sum, each in the order of the positions: what a position gets does not depend
// on how its keys are cut into runs, nor on other positions.
#pragma once
#include <algorithm>
#include <vector>

#include "simd.h"

namespace aris {

// `count` positions; element 0 of a key (value) head, and the next position `stride` elements on.
constexpr int64_t LANES_OF_SCORES = 16;  // scores are read sixteen at a time

struct Run {
  const void* keys;
  const void* values;
  int64_t count;
};

// HEADS queries (HEADS, dim) that share a key head; out (HEADS, dim). `scores` has room for HEADS * (total + 16).
template <class T, int HEADS>
inline void attend(
    const float* query, int64_t dim, const Run* runs, int64_t run_count, int64_t total, int64_t stride, float* scores,
    float* out) {
  const int64_t room = total + LANES_OF_SCORES;
  int64_t at = 0;
  for (int64_t i = 0; i < run_count; ++i) {
    const T* key = static_cast<const T*>(runs[i].keys);
    for (int64_t k = 0; k < runs[i].count; ++k, ++at, key += stride) {
      f32x16 products[HEADS];
      for (int h = 0; h < HEADS; ++h) products[h] = zero();
      for (int64_t d = 0; d < dim; d += 16) {
        f32x16 v = load16<T>(key + d);
        for (int h = 0; h < HEADS; ++h) products[h] = fma(v, load(query + h * dim + d), products[h]);
      }
      for (int h = 0; h < HEADS; ++h) scores[h * room + at] = sum(products[h]);
    }
  }
  float inverse[HEADS];
  for (int h = 0; h < HEADS; ++h) {
    float* own = scores + h * room;
    store(own + total, all(-INFINITY));
    f32x16 top = all(-INFINITY);
    for (int64_t k = 0; k < total; k += 16) top = greater(top, load(own + k));
    top = all(largest(top));
    f32x16 weights = zero();
    for (int64_t k = 0; k < total; k += 16) {
      f32x16 weight = exp16(sub(load(own + k), top));
      store(own + k, weight);
      weights = add(weights, weight);
    }
    inverse[h] = 1.0f / sum(weights);
  }
  for (int64_t d = 0; d < dim; d += 16 * VALUES_AT_ONCE) {
    const int parts = int(std::min<int64_t>(VALUES_AT_ONCE, (dim - d) / 16));
    f32x16 sums[HEADS][VALUES_AT_ONCE];
    for (int h = 0; h < HEADS; ++h)
      for (int i = 0; i < VALUES_AT_ONCE; ++i) sums[h][i] = zero();
    at = 0;
    for (int64_t i = 0; i < run_count; ++i) {
      const T* value = static_cast<const T*>(runs[i].values) + d;
      for (int64_t k = 0; k < runs[i].count; ++k, ++at, value += stride) {
        f32x16 v[VALUES_AT_ONCE];
        for (int j = 0; j < VALUES_AT_ONCE; ++j) v[j] = load16<T>(value + (j < parts ? 16 * j : 0));
        for (int h = 0; h < HEADS; ++h) {
          f32x16 weight = all(scores[h * room + at]);
          for (int j = 0; j < VALUES_AT_ONCE; ++j) sums[h][j] = fma(weight, v[j], sums[h][j]);
        }
      }
    }
    for (int h = 0; h < HEADS; ++h)
      for (int j = 0; j < parts; ++j) store(out + h * dim + d + 16 * j, mul(sums[h][j], all(inverse[h])));
  }
}

}  // namespace aris
