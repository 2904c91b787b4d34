// The C interface of the decoder's steps on a CPU (see step.h), called by `library.py`.
#include "step.h"

using namespace aris;

extern "C" {

void* aris_open(int32_t threads) {
  auto* state = new State;
  state->pool = std::make_unique<Pool>(threads);
  return state;
}

void aris_close(void* state) { delete static_cast<State*>(state); }

// Rows of the embedding (rows, width), times its scale.
void aris_embed(const ArisModel* m, const int64_t* words, int64_t rows, float* out) {
  const Head& head = m->head;
  const int64_t groups = head.columns / GROUP;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t block = words[r] / LANES, lane = words[r] % LANES;
    for (int64_t column = 0; column < head.columns; ++column) {
      const int64_t group = block * groups + column / GROUP, k = column % GROUP;
      const int64_t at = group * 256 + (k % 16) / 4 * 64 + lane * 4 + k % 4;
      const int shift = k / 16 * 4;
      const int code = 16 * (((head.upper[at] >> shift) & 15) - 8) + ((head.lower[at] >> shift) & 15);
      out[r * head.columns + column] = float(code) * half_to_float(head.scales[group * LANES + lane]) * m->embedding_scale;
    }
  }
}

// x (rows, width) float32, embeddings that become final hidden states.
void aris_run(void* state, const ArisModel* model, const ArisRows* rows, float* x) {
  State& s = *static_cast<State*>(state);
  std::lock_guard<std::mutex> hold(s.lock);
  if (model->half) Step<uint16_t>(*model, *rows, s).run(x);
  else Step<float>(*model, *rows, s).run(x);
}

// Scores (rows, words) of hidden states (rows, width).
void aris_scores(void* state, const ArisModel* model, const float* hidden, int64_t rows, float* scores) {
  State& s = *static_cast<State*>(state);
  std::lock_guard<std::mutex> hold(s.lock);
  Codes codes = s.buffers.room(rows, model->head.columns);
  for (int64_t r = 0; r < rows; ++r) quantise(codes, r, hidden + r * model->head.columns, model->head.columns);
  head_scores(*s.pool, model->head, codes, rows, scores);
}

// The argmax words (rows,) but the banned ones; returns how many blocks of 16 words were scored in full.
int64_t aris_greedy(
    void* state, const ArisModel* model, const float* hidden, int64_t rows, const int64_t* banned, int64_t banned_count,
    int64_t* words) {
  State& s = *static_cast<State*>(state);
  std::lock_guard<std::mutex> hold(s.lock);
  Codes codes = s.buffers.room(rows, model->head.columns);
  for (int64_t r = 0; r < rows; ++r) quantise(codes, r, hidden + r * model->head.columns, model->head.columns);
  return head_greedy(*s.pool, model->head, codes, rows, banned, banned_count, s.buffers.sketches, words);
}

// x (rows, columns) times one matrix as a checkpoint has it: out (rows, outputs).
void aris_dense(void* state, const Dense* matrix, const float* x, int64_t rows, float* out) {
  State& s = *static_cast<State*>(state);
  std::lock_guard<std::mutex> hold(s.lock);
  dense_product(*s.pool, *matrix, x, rows, out, matrix->outputs);
}

// x (rows, columns) times one packed matrix, for tests: out (rows, outputs).
void aris_product(void* state, const Matrix* matrix, const float* x, int64_t rows, float* out) {
  State& s = *static_cast<State*>(state);
  std::lock_guard<std::mutex> hold(s.lock);
  Codes codes = s.buffers.room(rows, matrix->columns);
  for (int64_t r = 0; r < rows; ++r) quantise(codes, r, x + r * matrix->columns, matrix->columns);
  product(*s.pool, *matrix, codes, rows, out);
}
}
