// The Gemma 3 decoder's steps on a CPU: rows of any sequences, or a chunk of one prompt, over the engine's pool of keys
// and values. Activations are float32 between products; keys and values are rounded to the pool's type.
#include "attention.h"
#include "head.h"
#include "lora.h"
#include "products.h"
#include "threads.h"

#include <algorithm>
#include <memory>
#include <mutex>

using namespace aris;

extern "C" {

struct ArisLayer {
  Matrix qkv, o, gate_up, down;  // gate_up: blocks of gate and up in turn
  const float *input_norm, *q_norm, *k_norm, *post_attention_norm, *pre_feedforward_norm, *post_feedforward_norm;
  void *keys, *values;  // the pool's, (slots, ring, K, D) or (blocks, page, K, D)
  int32_t local;
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
}

namespace {

struct Buffers {
  std::vector<float> qkv, attended, middle, product, turned;
  std::vector<float> gates;  // what adapters add to gate and up: (rows, 2, feed_forward)
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<int32_t> sums;
  std::vector<uint8_t> keys, values;  // a chunk's local keys and values with those before it
  std::vector<float> sketches;
  std::vector<float> cosines;  // (rows, 2 kinds, head_dim): cosines, then sines

  Codes room(int64_t rows, int64_t columns) {
    codes.resize(rows * columns);
    scales.resize(rows * columns / GROUP);
    sums.resize(rows * columns / GROUP);
    return {codes.data(), scales.data(), sums.data()};
  }
};

struct State {
  std::unique_ptr<Pool> pool;
  Buffers buffers;
  std::mutex lock;
};

void quantise(const Codes& to, int64_t row, const float* x, int64_t columns) {
  const int64_t groups = columns / GROUP;
  quantise_row(x, columns, to.codes + row * columns, to.scales + row * groups, to.sums + row * groups);
}

// x / rms(x) * weight; width a multiple of 16. `x` and `out` may be the same.
void norm(const float* x, const float* weight, int64_t width, float eps, float* out) {
  f32x16 sum = _mm512_setzero_ps();
  for (int64_t k = 0; k < width; k += 16) {
    f32x16 v = _mm512_loadu_ps(x + k);
    sum = _mm512_fmadd_ps(v, v, sum);
  }
  const f32x16 root = _mm512_set1_ps(1.0f / std::sqrt(_mm512_reduce_add_ps(sum) / float(width) + eps));
  for (int64_t k = 0; k < width; k += 16) {
    f32x16 v = _mm512_mul_ps(_mm512_loadu_ps(x + k), root);
    _mm512_storeu_ps(out + k, _mm512_mul_ps(v, _mm512_loadu_ps(weight + k)));
  }
}

// RoPE on one head in place, times `scale`; dim a multiple of 32.
void turn(float* x, const float* cosines, int64_t dim, float scale) {
  const int64_t half = dim / 2;
  const f32x16 factor = _mm512_set1_ps(scale);
  for (int64_t k = 0; k < half; k += 16) {
    f32x16 a = _mm512_mul_ps(_mm512_loadu_ps(x + k), factor), b = _mm512_mul_ps(_mm512_loadu_ps(x + half + k), factor);
    f32x16 c = _mm512_loadu_ps(cosines + k), s = _mm512_loadu_ps(cosines + half + k);
    _mm512_storeu_ps(x + k, _mm512_fnmadd_ps(b, s, _mm512_mul_ps(a, c)));
    _mm512_storeu_ps(x + half + k, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
  }
}

template <class T>
void store_row(const float* x, int64_t count, T* at) {
  for (int64_t k = 0; k < count; k += 16) store16(_mm512_loadu_ps(x + k), at + k);
}

template <class T>
void attend_heads(
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

void product(Pool& pool, const Matrix& m, const Codes& x, int64_t rows, float* out) {
  const int64_t blocks = m.outputs / LANES;
  pool.run(blocks, std::max<int64_t>(1, blocks / (pool.threads() * 4)), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block)
      block_rows(m, block, x, rows, [&](int64_t row, f32x16 value) {
        _mm512_storeu_ps(out + row * m.outputs + block * LANES, value);
      });
  });
}

template <class T>
class Step {
 public:
  Step(const ArisModel& model, const ArisRows& rows, State& state)
      : m(model), in(rows), pool(*state.pool), b(state.buffers), n(rows.rows), D(model.head_dim),
        stride(model.kv_heads * model.head_dim) {}

  // x (rows, width) becomes the final hidden states.
  void run(float* x) {
    const int64_t W = m.width, queries = m.heads * D, all = queries + 2 * stride;
    b.qkv.resize(n * all);
    b.attended.resize(n * queries);
    b.middle.resize(n * m.feed_forward);
    b.product.resize(n * W);
    b.turned.resize(n * W);
    if (in.adapters) b.gates.resize(n * 2 * m.feed_forward);
    angles();
    Codes codes = b.room(n, std::max({W, queries, m.feed_forward}));
    rows([&](int64_t r) {
      norm(x + r * W, m.layer[0].input_norm, W, m.eps, &b.turned[r * W]);
      quantise(codes, r, &b.turned[r * W], W);
    });
    for (int64_t i = 0; i < m.layers; ++i) {
      const ArisLayer& layer = m.layer[i];
      product(pool, layer.qkv, codes, n, b.qkv.data());
      const bool gathered = in.last && layer.local;
      if (gathered) gather(layer);
      rows([&](int64_t r) {
        adapt_heads(i, r);
        heads(layer, r, gathered);
      });
      attention(layer, gathered);
      rows([&](int64_t r) { quantise(codes, r, &b.attended[r * queries], queries); });
      if (gathered) keep(layer);
      product(pool, layer.o, codes, n, b.product.data());
      rows([&](int64_t r) {
        adapt(i, r, O, &b.attended[r * queries], queries, &b.product[r * W], W);
        add(x + r * W, &b.product[r * W], layer.post_attention_norm);
        norm(x + r * W, layer.pre_feedforward_norm, W, m.eps, &b.turned[r * W]);
        quantise(codes, r, &b.turned[r * W], W);
        adapt_gate(i, r);
      });
      gate(layer, codes);
      rows([&](int64_t r) { quantise(codes, r, &b.middle[r * m.feed_forward], m.feed_forward); });
      product(pool, layer.down, codes, n, b.product.data());
      rows([&](int64_t r) {
        adapt(i, r, DOWN, &b.middle[r * m.feed_forward], m.feed_forward, &b.product[r * W], W);
        add(x + r * W, &b.product[r * W], layer.post_feedforward_norm);
        if (i + 1 == m.layers) {
          norm(x + r * W, m.final_norm, W, m.eps, x + r * W);
          return;
        }
        norm(x + r * W, m.layer[i + 1].input_norm, W, m.eps, &b.turned[r * W]);
        quantise(codes, r, &b.turned[r * W], W);
      });
    }
  }

 private:
  enum Place { Q, K, V, O, GATE, UP, DOWN, PLACES };

  // Adds what row r's adapter, if it has one, gives for x at a place of layer i.
  void adapt(int64_t i, int64_t r, Place place, const float* x, int64_t columns, float* out, int64_t outputs) const {
    if (!in.adapters || in.adapters[r] < 0) return;
    add_low_rank(m.adapters[(in.adapters[r] * m.layers + i) * PLACES + place], x, columns, out, outputs);
  }

  void adapt_heads(int64_t i, int64_t r) {
    const float* x = &b.turned[r * m.width];
    float* q = &b.qkv[r * (m.heads * D + 2 * stride)];
    adapt(i, r, Q, x, m.width, q, m.heads * D);
    adapt(i, r, K, x, m.width, q + m.heads * D, stride);
    adapt(i, r, V, x, m.width, q + m.heads * D + stride, stride);
  }

  void adapt_gate(int64_t i, int64_t r) {
    if (!in.adapters) return;
    float* gate = &b.gates[r * 2 * m.feed_forward];
    std::fill(gate, gate + 2 * m.feed_forward, 0.0f);
    adapt(i, r, GATE, &b.turned[r * m.width], m.width, gate, m.feed_forward);
    adapt(i, r, UP, &b.turned[r * m.width], m.width, gate + m.feed_forward, m.feed_forward);
  }

  // Sixteen gate (part 0) or up (1) values of a row with what its adapter adds to them; without one exactly themselves.
  f32x16 adapted(f32x16 value, int64_t r, int part, int64_t k) const {
    if (!in.adapters || in.adapters[r] < 0) return value;
    return _mm512_add_ps(value, _mm512_loadu_ps(&b.gates[(r * 2 + part) * m.feed_forward + k]));
  }

  template <class Task>
  void rows(const Task& task) {
    pool.run(n, std::max<int64_t>(1, n / (pool.threads() * 8)), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) task(r);
    });
  }

  void angles() {
    b.cosines.resize(n * 2 * D);
    rows([&](int64_t r) {
      for (int kind = 0; kind < 2; ++kind) {
        const float* frequencies = kind ? m.local_frequencies : m.far_frequencies;
        float* to = &b.cosines[(r * 2 + kind) * D];
        for (int64_t k = 0; k < D / 2; ++k) {
          const float angle = float(in.positions[r]) * frequencies[k];
          to[k] = std::cos(angle);
          to[D / 2 + k] = std::sin(angle);
        }
      }
    });
  }

  void add(float* x, float* y, const float* weight) {
    norm(y, weight, m.width, m.eps, y);
    for (int64_t k = 0; k < m.width; k += 16)
      _mm512_storeu_ps(x + k, _mm512_add_ps(_mm512_loadu_ps(x + k), _mm512_loadu_ps(y + k)));
  }

  // Where a position's keys and values lie in the pool, in elements.
  int64_t place(const ArisLayer& layer, int64_t r, int64_t position) const {
    if (layer.local) return (in.slots[r] * m.ring + position % m.ring) * stride;
    return (in.tables[in.table_starts[r] + position / m.page] * m.page + position % m.page) * stride;
  }

  int64_t before() const {  // positions before a chunk that its local layers still see
    return std::min(in.positions[0], m.window - 1);
  }

  // The local keys and values just before a chunk: writing the chunk itself to the ring would overwrite them.
  void gather(const ArisLayer& layer) {
    const int64_t old = before(), bytes = stride * sizeof(T);
    b.keys.resize((old + n) * bytes);
    b.values.resize((old + n) * bytes);
    pool.run(old, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t from = place(layer, 0, in.positions[0] - old + i);
        std::memcpy(&b.keys[i * bytes], static_cast<const T*>(layer.keys) + from, bytes);
        std::memcpy(&b.values[i * bytes], static_cast<const T*>(layer.values) + from, bytes);
      }
    });
  }

  void keep(const ArisLayer& layer) {
    const int64_t old = before(), bytes = stride * sizeof(T);
    for (int64_t r = std::max<int64_t>(0, n - m.ring); r < n; ++r) {
      const int64_t to = place(layer, r, in.positions[r]);
      std::memcpy(static_cast<T*>(layer.keys) + to, &b.keys[(old + r) * bytes], bytes);
      std::memcpy(static_cast<T*>(layer.values) + to, &b.values[(old + r) * bytes], bytes);
    }
  }

  // QK-norm and RoPE of a row, and its keys and values to where they are attended.
  void heads(const ArisLayer& layer, int64_t r, bool gathered) {
    float* q = &b.qkv[r * (m.heads * D + 2 * stride)];
    float *k = q + m.heads * D, *v = k + stride;
    const float* table = &b.cosines[(r * 2 + layer.local) * D];
    for (int64_t h = 0; h < m.heads; ++h) {
      norm(q + h * D, layer.q_norm, D, m.eps, q + h * D);
      turn(q + h * D, table, D, m.scale);
    }
    for (int64_t h = 0; h < m.kv_heads; ++h) {
      norm(k + h * D, layer.k_norm, D, m.eps, k + h * D);
      turn(k + h * D, table, D, 1.0f);
    }
    if (gathered) {
      store_row(k, stride, reinterpret_cast<T*>(b.keys.data()) + (before() + r) * stride);
      store_row(v, stride, reinterpret_cast<T*>(b.values.data()) + (before() + r) * stride);
    } else {
      const int64_t to = place(layer, r, in.positions[r]);
      store_row(k, stride, static_cast<T*>(layer.keys) + to);
      store_row(v, stride, static_cast<T*>(layer.values) + to);
    }
  }

  void attention(const ArisLayer& layer, bool gathered) {
    const int64_t group = m.heads / m.kv_heads;
    // One row alone is shared out by query heads as well; a head's result is the same either way.
    const int64_t split = n == 1 && m.kv_heads == 1 && group % 2 == 0 ? 2 : 1, each = group / split;
    pool.run(n * m.kv_heads * split, 1, [&](int64_t begin, int64_t end) {
      std::vector<Run> runs;
      std::vector<float> scores;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i / (m.kv_heads * split), head = i / split % m.kv_heads, part = i % split;
        const int64_t total = seen(layer, r, head, gathered, runs);
        const int64_t first = (head * group + part * each) * D;
        attend_heads<T>(
            each, &b.qkv[r * (m.heads * D + 2 * stride) + first], D, runs.data(), int64_t(runs.size()), total, stride,
            scores, &b.attended[r * m.heads * D + first]);
      }
    });
  }

  // The runs of memory that hold what a row sees, in order of position; how many positions that is.
  int64_t seen(const ArisLayer& layer, int64_t r, int64_t head, bool gathered, std::vector<Run>& runs) const {
    runs.clear();
    const int64_t at = in.positions[r], last = in.last ? in.last[r] : at;
    const int64_t first = layer.local ? std::max<int64_t>(0, at - m.window + 1) : 0;
    if (gathered) {
      const int64_t from = (first - (in.positions[0] - before())) * stride + head * D;
      runs.push_back({reinterpret_cast<const T*>(b.keys.data()) + from,
                      reinterpret_cast<const T*>(b.values.data()) + from, last - first + 1});
      return last - first + 1;
    }
    const int64_t size = layer.local ? m.ring : m.page;
    for (int64_t position = first; position <= last;) {
      const int64_t count = std::min(size - position % size, last - position + 1);
      const int64_t from = place(layer, r, position) + head * D;
      runs.push_back({static_cast<const T*>(layer.keys) + from, static_cast<const T*>(layer.values) + from, count});
      position += count;
    }
    return last - first + 1;
  }

  void gate(const ArisLayer& layer, const Codes& codes) {
    const int64_t blocks = m.feed_forward / LANES;
    pool.run(blocks, std::max<int64_t>(1, blocks / (pool.threads() * 4)), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        float* out = b.middle.data() + block * LANES;
        block_rows(layer.gate_up, 2 * block, codes, n, [&](int64_t row, f32x16 value) {
          _mm512_storeu_ps(out + row * m.feed_forward, gelu16(adapted(value, row, 0, block * LANES)));
        });
        block_rows(layer.gate_up, 2 * block + 1, codes, n, [&](int64_t row, f32x16 value) {
          float* at = out + row * m.feed_forward;
          _mm512_storeu_ps(at, _mm512_mul_ps(adapted(value, row, 1, block * LANES), _mm512_loadu_ps(at)));
        });
      }
    });
  }

  const ArisModel& m;
  const ArisRows& in;
  Pool& pool;
  Buffers& b;
  const int64_t n, D, stride;
};

}  // namespace

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

// The likeliest words (rows,) but the banned ones; returns how many blocks of 16 words were scored in full.
int64_t aris_greedy(
    void* state, const ArisModel* model, const float* hidden, int64_t rows, const int64_t* banned, int64_t banned_count,
    int64_t* words) {
  State& s = *static_cast<State*>(state);
  std::lock_guard<std::mutex> hold(s.lock);
  Codes codes = s.buffers.room(rows, model->head.columns);
  for (int64_t r = 0; r < rows; ++r) quantise(codes, r, hidden + r * model->head.columns, model->head.columns);
  return head_greedy(*s.pool, model->head, codes, rows, banned, banned_count, s.buffers.sketches, words);
}

// x (rows, columns) times one matrix, for tests: out (rows, outputs).
void aris_product(void* state, const Matrix* matrix, const float* x, int64_t rows, float* out) {
  State& s = *static_cast<State*>(state);
  std::lock_guard<std::mutex> hold(s.lock);
  Codes codes = s.buffers.room(rows, matrix->columns);
  for (int64_t r = 0; r < rows; ++r) quantise(codes, r, x + r * matrix->columns, matrix->columns);
  product(*s.pool, *matrix, codes, rows, out);
}
}
