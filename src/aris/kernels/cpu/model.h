// What `library.py` passes: a model, and the rows of a step.
#pragma once
#include "dense.h"
#include "head.h"
#include "lora.h"
#include "products.h"

namespace aris {

// Weights as a checkpoint has them.
struct ArisDenseLayer {
  Dense q, k, v, o, gate, up, down;
};

struct ArisLayer {
  Matrix qkv, o, gate_up, down;  // gate_up: blocks of gate and up in turn
  const float *input_norm, *q_norm, *k_norm, *post_attention_norm, *pre_feedforward_norm, *post_feedforward_norm;
  void *keys, *values;  // the pool's, (slots, ring, K, D) or (blocks, page, K, D)
  int32_t local;
  const ArisDenseLayer* dense;  // instead of the packed matrices; null if these are there
};

// Norm weights are float32 and stand for 1 + w.
struct ArisModel {
  int64_t width, heads, kv_heads, head_dim, feed_forward, layers, ring, window, page;
  float eps, scale, embedding_scale;
  int32_t half;  // the pool's type: 1 bfloat16, 0 float32
  const ArisLayer* layer;
  const float* final_norm;
  const float *far_frequencies, *local_frequencies;  // (head_dim / 2,)
  Head head;
  const LowRank* adapters;  // (adapters, layers, 7): q, k, v, o, gate, up, down
};

// Rows: token r at positions[r] of the sequence in slots[r], whose blocks of global layers are
// tables[table_starts[r] ...]. A chunk is `rows` successive tokens of one sequence, with last[r] the last position that
// row r sees; for other rows `last` is null and each sees up to itself. adapters[r] is row r's adapter, -1 for none; null
// if no row has one.
struct ArisRows {
  int64_t rows;
  const int64_t *positions, *slots, *tables, *table_starts, *last, *adapters;
};

}  // namespace aris
