// Attention of one query position over keys and values in runs of memory, for all query heads of one key head.
//
// Scores, then softmax, then the weighted sum, each in the order of the positions: what a position gets does not depend
// on how its keys are cut into runs, nor on other positions.
#pragma once
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

template <class T>
inline f32x16 load16(const T* at);
template <>
inline f32x16 load16<uint16_t>(const uint16_t* at) { return from_bf16(at); }
template <>
inline f32x16 load16<float>(const float* at) { return _mm512_loadu_ps(at); }

inline void store16(f32x16 x, uint16_t* at) { to_bf16(x, at); }
inline void store16(f32x16 x, float* at) { _mm512_storeu_ps(at, x); }

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
      f32x16 sum[HEADS];
      for (int h = 0; h < HEADS; ++h) sum[h] = _mm512_setzero_ps();
      for (int64_t d = 0; d < dim; d += 16) {
        f32x16 v = load16<T>(key + d);
        for (int h = 0; h < HEADS; ++h) sum[h] = _mm512_fmadd_ps(v, _mm512_loadu_ps(query + h * dim + d), sum[h]);
      }
      for (int h = 0; h < HEADS; ++h) scores[h * room + at] = _mm512_reduce_add_ps(sum[h]);
    }
  }
  float inverse[HEADS];
  for (int h = 0; h < HEADS; ++h) {
    float* own = scores + h * room;
    _mm512_storeu_ps(own + total, _mm512_set1_ps(-INFINITY));
    f32x16 top = _mm512_set1_ps(-INFINITY);
    for (int64_t k = 0; k < total; k += 16) top = _mm512_max_ps(top, _mm512_loadu_ps(own + k));
    const f32x16 largest = _mm512_set1_ps(_mm512_reduce_max_ps(top));
    f32x16 sum = _mm512_setzero_ps();
    for (int64_t k = 0; k < total; k += 16) {
      f32x16 weight = exp16(_mm512_sub_ps(_mm512_loadu_ps(own + k), largest));
      _mm512_storeu_ps(own + k, weight);
      sum = _mm512_add_ps(sum, weight);
    }
    inverse[h] = 1.0f / _mm512_reduce_add_ps(sum);
  }
  for (int64_t d = 0; d < dim; d += 32) {
    const bool second = d + 16 < dim;
    f32x16 sum[HEADS][2];
    for (int h = 0; h < HEADS; ++h) sum[h][0] = sum[h][1] = _mm512_setzero_ps();
    at = 0;
    for (int64_t i = 0; i < run_count; ++i) {
      const T* value = static_cast<const T*>(runs[i].values) + d;
      for (int64_t k = 0; k < runs[i].count; ++k, ++at, value += stride) {
        f32x16 a = load16<T>(value);
        f32x16 b = second ? load16<T>(value + 16) : a;
        for (int h = 0; h < HEADS; ++h) {
          f32x16 weight = _mm512_set1_ps(scores[h * room + at]);
          sum[h][0] = _mm512_fmadd_ps(weight, a, sum[h][0]);
          sum[h][1] = _mm512_fmadd_ps(weight, b, sum[h][1]);
        }
      }
    }
    for (int h = 0; h < HEADS; ++h) {
      const f32x16 factor = _mm512_set1_ps(inverse[h]);
      _mm512_storeu_ps(out + h * dim + d, _mm512_mul_ps(sum[h][0], factor));
      if (second) _mm512_storeu_ps(out + h * dim + d + 16, _mm512_mul_ps(sum[h][1], factor));
    }
  }
}

}  // namespace aris
