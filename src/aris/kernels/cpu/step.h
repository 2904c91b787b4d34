// A step of the Gemma 3 decoder: rows of any sequences, or a chunk of one prompt, over the engine's pool of keys and
// values. Activations are float32 between products; keys and values are rounded to the pool's type.
#pragma once
#include <memory>
#include <mutex>

#include "model.h"
#include "rows.h"
#include "threads.h"

namespace aris {

struct Buffers {
  std::vector<float> qkv, attended, middle, product, turned;
  std::vector<float> gates;  // what adapters add to gate and up: (rows, 2, feed_forward)
  std::vector<float> gate_up;  // the two of dense layers, likewise
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

inline void product(Pool& pool, const Matrix& m, const Codes& x, int64_t rows, float* out) {
  const int64_t blocks = m.outputs / LANES;
  pool.run(blocks, std::max<int64_t>(1, blocks / (pool.threads() * 4)), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block)
      block_rows(m, block, x, rows, [&](int64_t row, f32x16 value) {
        store(out + row * m.outputs + block * LANES, value);
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
    codes = b.room(n, std::max({W, queries, m.feed_forward}));
    rows([&](int64_t r) {
      norm(x + r * W, m.layer[0].input_norm, W, m.eps, &b.turned[r * W]);
      ready(m.layer[0], r, &b.turned[r * W], W);
    });
    for (int64_t i = 0; i < m.layers; ++i) {
      const ArisLayer& layer = m.layer[i];
      if (layer.dense) {
        dense_product(pool, layer.dense->q, b.turned.data(), n, b.qkv.data(), all);
        dense_product(pool, layer.dense->k, b.turned.data(), n, b.qkv.data() + queries, all);
        dense_product(pool, layer.dense->v, b.turned.data(), n, b.qkv.data() + queries + stride, all);
      } else {
        product(pool, layer.qkv, codes, n, b.qkv.data());
      }
      const bool gathered = in.last && layer.local;
      if (gathered) gather(layer);
      rows([&](int64_t r) {
        adapt_heads(i, r);
        heads(layer, r, gathered);
      });
      attention(layer, gathered);
      rows([&](int64_t r) { ready(layer, r, &b.attended[r * queries], queries); });
      if (gathered) keep(layer);
      if (layer.dense) dense_product(pool, layer.dense->o, b.attended.data(), n, b.product.data(), W);
      else product(pool, layer.o, codes, n, b.product.data());
      rows([&](int64_t r) {
        adapt(i, r, O, &b.attended[r * queries], queries, &b.product[r * W], W);
        add_normed(x + r * W, &b.product[r * W], layer.post_attention_norm);
        norm(x + r * W, layer.pre_feedforward_norm, W, m.eps, &b.turned[r * W]);
        ready(layer, r, &b.turned[r * W], W);
        adapt_gate(i, r);
      });
      if (layer.dense) dense_gate(*layer.dense);
      else gate(layer);
      rows([&](int64_t r) { ready(layer, r, &b.middle[r * m.feed_forward], m.feed_forward); });
      if (layer.dense) dense_product(pool, layer.dense->down, b.middle.data(), n, b.product.data(), W);
      else product(pool, layer.down, codes, n, b.product.data());
      rows([&](int64_t r) {
        adapt(i, r, DOWN, &b.middle[r * m.feed_forward], m.feed_forward, &b.product[r * W], W);
        add_normed(x + r * W, &b.product[r * W], layer.post_feedforward_norm);
        if (i + 1 == m.layers) {
          norm(x + r * W, m.final_norm, W, m.eps, x + r * W);
          return;
        }
        norm(x + r * W, m.layer[i + 1].input_norm, W, m.eps, &b.turned[r * W]);
        ready(m.layer[i + 1], r, &b.turned[r * W], W);
      });
    }
  }

 private:
  enum Place { Q, K, V, O, GATE, UP, DOWN, PLACES };

  // Rounds a row for packed weights; dense ones take it as it is.
  void ready(const ArisLayer& layer, int64_t r, const float* x, int64_t columns) const {
    if (!layer.dense) quantise(codes, r, x, columns);
  }

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
    return add(value, load(&b.gates[(r * 2 + part) * m.feed_forward + k]));
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

  void add_normed(float* x, float* y, const float* weight) {
    norm(y, weight, m.width, m.eps, y);
    for (int64_t k = 0; k < m.width; k += 16)
      store(x + k, add(load(x + k), load(y + k)));
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

  void gate(const ArisLayer& layer) {
    const int64_t blocks = m.feed_forward / LANES;
    pool.run(blocks, std::max<int64_t>(1, blocks / (pool.threads() * 4)), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        float* out = b.middle.data() + block * LANES;
        block_rows(layer.gate_up, 2 * block, codes, n, [&](int64_t row, f32x16 value) {
          store(out + row * m.feed_forward, gelu16(adapted(value, row, 0, block * LANES)));
        });
        block_rows(layer.gate_up, 2 * block + 1, codes, n, [&](int64_t row, f32x16 value) {
          float* at = out + row * m.feed_forward;
          store(at, mul(adapted(value, row, 1, block * LANES), load(at)));
        });
      }
    });
  }

  void dense_gate(const ArisDenseLayer& layer) {
    const int64_t F = m.feed_forward;
    b.gate_up.resize(n * 2 * F);
    dense_product(pool, layer.gate, b.turned.data(), n, b.gate_up.data(), 2 * F);
    dense_product(pool, layer.up, b.turned.data(), n, b.gate_up.data() + F, 2 * F);
    rows([&](int64_t r) {
      const float* own = &b.gate_up[r * 2 * F];
      for (int64_t k = 0; k < F; k += 16)
        store(&b.middle[r * F + k], mul(adapted(load(own + F + k), r, 1, k), gelu16(adapted(load(own + k), r, 0, k))));
    });
  }

  const ArisModel& m;
  const ArisRows& in;
  Pool& pool;
  Buffers& b;
  const int64_t n, D, stride;
  Codes codes{};
};

}  // namespace aris
