// Low-rank adapters on top of a product: out += B (A x), in float32, one row at a time. A row's sums have a fixed order
// of their own, so they do not depend on what is computed beside it, nor on which adapters others have.
#pragma once
#include "simd.h"

namespace aris {

constexpr int64_t MOST_RANK = 1024;

// A (rank, columns) and B, with its factor, turned (rank, outputs). Rank 0: the adapter is not on this layer.
struct LowRank {
  const float* low;
  const float* high;
  int64_t rank;
};

// x (columns) and out (outputs), both multiples of 16.
inline void add_low_rank(const LowRank& pair, const float* x, int64_t columns, float* out, int64_t outputs) {
  if (!pair.rank) return;
  float inner[MOST_RANK];
  for (int64_t j = 0; j < pair.rank; ++j) {
    const float* row = pair.low + j * columns;
    f32x16 products = zero();
    for (int64_t k = 0; k < columns; k += 16) products = fma(load(row + k), load(x + k), products);
    inner[j] = sum(products);
  }
  for (int64_t k = 0; k < outputs; k += 16) {
    f32x16 more = zero();
    for (int64_t j = 0; j < pair.rank; ++j) more = fma(all(inner[j]), load(pair.high + j * outputs + k), more);
    store(out + k, add(load(out + k), more));
  }
}

}  // namespace aris
