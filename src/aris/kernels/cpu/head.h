// The tied embedding and head: codes -128..127 in two planes of four bits, q = 16 h + l with h in -8..7 and l in 0..15.
//
// The argmax needs the scores of all 262,144 words, and reading their codes is most of a small model's step.
// The upper plane alone gives each score up to an error that Cauchy and Schwarz bound: a word's score differs from
// that of its sketch 16 h + 8 by sum_g s_g (l - 8) . x_g, at most |residual| |x|. A few words can beat the best score
// found, first by the words' bounds, then by the groups', sum_g |residual_g| |x_g|; only for them the lower plane is
// read. The result is the argmax of the full scores, whatever the bound is
// worth: if it is worth nothing, all words are scored.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "products.h"
#include "threads.h"

namespace aris {

// Rows up to which sketches pay: each has its own words to look at again.
constexpr int64_t MOST_SKETCHED = 2;

// For each block of 16 words and group of 32 columns 4 vectors a plane: byte 4 l + j of vector i holds column 4 i + j of
// word l in its low nibble and column 16 + 4 i + j in its high one; the upper plane plus 8, the lower as it is.
struct Head {
  const uint8_t* upper;
  const uint8_t* lower;
  const uint16_t* scales;  // float16 (blocks, groups, 16)
  const float* bounds;     // (words,), at least |s (l - 8)| of each word, with room for rounding
  const uint8_t* parts;    // (blocks, groups, 16), the same of each group, as codes of each word's unit
  const float* units;      // (words,)
  int64_t words, padded, columns;
};

// Scores of a block's 16 words for R rows; whole or sketch.
template <int R, bool WHOLE>
inline void head_block(const Head& m, int64_t block, const Codes& x, int64_t first, f32x16* out) {
  const int64_t groups = m.columns / GROUP;
  const uint8_t* upper = m.upper + block * groups * 256;
  const uint8_t* lower = m.lower + block * groups * 256;
  const uint16_t* s = m.scales + block * groups * LANES;
  const int8_t* codes[R];
  for (int r = 0; r < R; ++r) {
    codes[r] = x.codes + (first + r) * m.columns;
    out[r] = zero();
  }
  for (int64_t group = 0; group < groups; ++group, upper += 256, lower += 256, s += LANES) {
    int32_t totals[R];
    for (int r = 0; r < R; ++r) totals[r] = x.sums[(first + r) * groups + group];
    i32x16 dots[R];
    plane_dots<R, WHOLE>(upper, lower, codes, totals, dots);
    const f32x16 scale = from_half(s);
    for (int r = 0; r < R; ++r) {
      out[r] = fma(to_floats(dots[r]), mul(scale, all(x.scales[(first + r) * groups + group])), out[r]);
      codes[r] += GROUP;
    }
  }
}

template <bool WHOLE>
inline void head_rows(const Head& m, int64_t block, const Codes& x, int64_t rows, float* scores, int64_t stride) {
  f32x16 out[4];
  auto put = [&](int64_t row, f32x16 value) {
    store_first(scores + row * stride + block * LANES, value, m.words - block * LANES);
  };
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    head_block<4, WHOLE>(m, block, x, row, out);
    for (int r = 0; r < 4; ++r) put(row + r, out[r]);
  }
  for (; row < rows; ++row) {
    head_block<1, WHOLE>(m, block, x, row, out);
    put(row, out[0]);
  }
}

// Scores (rows, words) of all words.
inline void head_scores(Pool& pool, const Head& m, const Codes& x, int64_t rows, float* scores) {
  pool.run(m.padded / LANES, 32, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) head_rows<true>(m, block, x, rows, scores, m.words);
  });
}

// The argmax of many rows, by all their scores: the codes are read once for a part of the rows.
inline void head_argmax(
    Pool& pool, const Head& m, const Codes& x, int64_t rows, const int64_t* banned, int64_t banned_count,
    std::vector<float>& scores, int64_t* best_words) {
  constexpr int64_t PART = 32;
  const int64_t blocks = m.padded / LANES, groups = m.columns / GROUP;
  for (int64_t first = 0; first < rows; first += PART) {
    const int64_t count = std::min(PART, rows - first);
    scores.resize(count * m.padded);
    Codes part{x.codes + first * m.columns, x.scales + first * groups, x.sums + first * groups};
    pool.run(blocks, 32, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block)
        head_rows<true>(m, block, part, count, scores.data(), m.padded);
    });
    pool.run(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* own = scores.data() + row * m.padded;
        for (int64_t i = 0; i < banned_count; ++i)
          if (banned[i] >= 0 && banned[i] < m.words) own[banned[i]] = -std::numeric_limits<float>::infinity();
        best_words[first + row] = std::max_element(own, own + m.words) - own;
      }
    });
  }
}

// The argmax but the banned ones, the first of equals; returns how many blocks were scored in full.
inline int64_t head_greedy(
    Pool& pool, const Head& m, const Codes& x, int64_t rows, const int64_t* banned, int64_t banned_count,
    std::vector<float>& sketches, int64_t* best_words) {
  constexpr float NONE = -std::numeric_limits<float>::infinity();
  const int64_t blocks = m.padded / LANES, groups = m.columns / GROUP;
  if (rows > MOST_SKETCHED) {
    head_argmax(pool, m, x, rows, banned, banned_count, sketches, best_words);
    return rows * blocks;
  }
  sketches.resize(rows * m.padded);
  float* sketch = sketches.data();
  pool.run(blocks, 32, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) head_rows<false>(m, block, x, rows, sketch, m.padded);
  });
  int64_t scored = 0;
  std::vector<float> lengths;
  for (int64_t row = 0; row < rows; ++row) {
    float* own = sketch + row * m.padded;
    for (int64_t word = m.words; word < m.padded; ++word) own[word] = NONE;
    for (int64_t i = 0; i < banned_count; ++i)
      if (banned[i] >= 0 && banned[i] < m.words) own[banned[i]] = NONE;
    double square = 0;
    lengths.resize(groups);
    for (int64_t group = 0; group < groups; ++group) {
      double sum = 0;
      const int8_t* c = x.codes + row * m.columns + group * GROUP;
      for (int k = 0; k < GROUP; ++k) sum += double(c[k]) * c[k];
      double scale = x.scales[row * groups + group];
      square += sum * scale * scale;
      lengths[group] = float(std::sqrt(sum) * scale) * 1.0001f;
    }
    const float length = float(std::sqrt(square)) * 1.0001f;
    // At most, what a block's words score.
    auto closer = [&](int64_t block) {
      f32x16 sum = zero();
      const uint8_t* part = m.parts + block * groups * LANES;
      for (int64_t group = 0; group < groups; ++group, part += LANES)
        sum = fma(from_bytes(part), all(lengths[group]), sum);
      return fma(sum, load(m.units + block * LANES), load(own + block * LANES));
    };
    float best = NONE;
    int64_t best_word = -1;
    std::vector<float> values;
    auto score = [&](const std::vector<int64_t>& chosen) {
      values.resize(chosen.size() * LANES);
      Codes one{x.codes + row * m.columns, x.scales + row * groups, x.sums + row * groups};
      pool.run(int64_t(chosen.size()), 8, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          f32x16 out;
          head_block<1, true>(m, chosen[i], one, 0, &out);
          store(values.data() + i * LANES, out);
        }
      });
      scored += int64_t(chosen.size());
      for (size_t i = 0; i < chosen.size(); ++i)
        for (int lane = 0; lane < LANES; ++lane) {
          const int64_t word = chosen[i] * LANES + lane;
          const float value = values[i * LANES + lane];
          if (own[word] == NONE) continue;
          if (best_word < 0 || value > best || (value == best && word < best_word)) best = value, best_word = word;
        }
    };
    // The best sketches first: their whole scores are what all others have to beat.
    std::vector<std::pair<float, int64_t>> tops;
    for (int64_t block = 0; block < blocks; ++block) {
      float top = largest(load(own + block * LANES));
      if (tops.size() < 8 || top > tops.front().first) {
        tops.emplace_back(top, block);
        std::push_heap(tops.begin(), tops.end(), std::greater<>());
        if (tops.size() > 8) {
          std::pop_heap(tops.begin(), tops.end(), std::greater<>());
          tops.pop_back();
        }
      }
    }
    std::vector<int64_t> chosen;
    for (auto& top : tops)
      if (top.first != NONE) chosen.push_back(top.second);
    score(chosen);
    std::vector<int64_t> others;
    for (int64_t block = 0; block < blocks; ++block) {
      f32x16 upper = fma(load(m.bounds + block * LANES), all(length), load(own + block * LANES));
      // A NaN is not less than anything: such words are scored, as the full head would.
      if (!any_not_less(upper, all(best))) continue;
      if (!any_not_less(closer(block), all(best))) continue;
      if (std::find(chosen.begin(), chosen.end(), block) == chosen.end()) others.push_back(block);
    }
    score(others);
    best_words[row] = best_word < 0 ? 0 : best_word;
  }
  return scored;
}

}  // namespace aris
