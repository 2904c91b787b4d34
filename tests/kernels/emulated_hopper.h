// src/aris/kernels/gpu/hopper.h in C++: see emulated_cuda.py. A product reads shared memory by its matrix descriptor, as the
// matrix units do (PTX ISA, "asynchronous warpgroup level matrix shared memory layout").
#include <map>
typedef unsigned long long u64;

#ifndef EARLY
#define EARLY 0  // whether boxes are copied at once, or as late as they may be
#endif
struct PhaseBarrier { u32 count, missing, phase; int bytes; std::vector<std::function<void()>> copies; };
static std::map<std::pair<const unsigned char *, u32>, PhaseBarrier> phase_barriers;  // by block and address
static PhaseBarrier &barrier_at(u32 at) { return phase_barriers[{me->shared, at}]; }
static void advance(PhaseBarrier &barrier) {
    if (barrier.missing == 0 && barrier.bytes == 0) barrier.missing = barrier.count, barrier.phase++;
}
inline void barrier_init(u32 at, u32 count) { barrier_at(at) = {count, count, 0, 0, {}}; }
inline void barrier_arrive(u32 at) { barrier_at(at).missing--, advance(barrier_at(at)); }
inline void barrier_expect(u32 at, u32 bytes) { barrier_at(at).bytes += bytes, barrier_arrive(at); }
inline void barrier_wait(u32 at, u32 parity) {
    for (long turns = 0; (barrier_at(at).phase & 1) == parity; turns++) {
        if (turns > 20000) fprintf(stderr, "nobody comes to the barrier at %u\n", at), abort();
        if (turns < 20) { pass(); continue; }
        for (const auto &copy : std::exchange(barrier_at(at).copies, {})) copy();
        if ((barrier_at(at).phase & 1) == parity) pass();
    }
}

// As `emulated_cuda.tensor_map` makes it.
struct TensorMap { const unsigned char *start; u64 pitch; int rows, columns, box_rows, box_columns, swizzled; };
inline void fetch_box(u32 to, const TensorMap &map, int x, int y, u32 barrier) {
    const auto copy = [to, map, x, y, barrier] {
        const int parts = map.box_columns / 8;
        if (to % 128 || map.swizzled && (parts != 8 || to % 1024)) abort();
        for (int i = 0; i < map.box_rows * parts; i++) {
            const int row = y + i / parts, column = x + i % parts * 8;
            const bool there = row >= 0 && row < map.rows && column >= 0 && column < map.columns;
            unsigned char *into = shared_at(to) + i / parts * parts * 16 + (map.swizzled ? i % 8 ^ i / 8 % 8 : i % parts) * 16;
            if (there) memcpy(into, map.start + row * map.pitch + column * 2, 16); else memset(into, 0, 16);
        }
        barrier_at(barrier).bytes -= map.box_rows * parts * 16, advance(barrier_at(barrier));
    };
    if (EARLY) copy(); else barrier_at(barrier).copies.push_back(copy);
}
inline void fence_async() {}
template <int n> void registers_less() {}
template <int n> void registers_more() {}

inline u64 matrix(u32 at, u32 leading, u32 stride) {
    return (u64)(at >> 4) | (u64)(leading >> 4) << 16 | (u64)(stride >> 4) << 32;
}
inline u64 swizzled(u32 at, u32 leading, u32 stride) { return matrix(at, leading, stride) | 1ull << 62; }
// The number of an operand at k and the other index i, of which k or i is contiguous.
static float element(u64 operand, int i, int k, bool k_contiguous) {
    const u32 start = (operand & 0x3fff) << 4, leading = (operand >> 16 & 0x3fff) << 4, stride = (operand >> 32 & 0x3fff) << 4;
    u32 at;
    if (operand >> 62 != 1) at = start + i / 8 * stride + k / 8 * leading + i % 8 * 16 + k % 8 * 2;
    else if (k_contiguous) at = start + i / 8 * stride + i % 8 * 128 + k * 2;
    else at = start + i / 64 * leading + k / 8 * stride + k % 8 * 128 + i % 64 * 2;
    if (operand >> 62 == 1) at ^= (at >> 7 & 7) << 4;
    u16 half;
    memcpy(&half, shared_at(at), 2);
    return low_of(half);
}
inline void mma_fence() {}
inline void mma_commit() {}
template <int n> void mma_wait() {}
template <int n> void hold(float (&)[n]) {}
static void meet_group() { meet(3, me->id / 128 * 128, me->id / 128 * 128 + 128); }

// D of this thread (64, columns) from A(row, k) and B.
template <class A> void product(float *d, int columns, A a, u64 b, int add, bool k_contiguous) {
    meet_group();
    const int lane = me->id % 32;
    for (int i = 0; i < columns / 2; i++) {
        const int row = lane / 4 + 8 * (i / 2 % 2), column = 8 * (i / 4) + 2 * (lane % 4) + i % 2;
        float sum = add ? d[i] : 0.0f;
        for (int k = 0; k < 16; k++) sum += a(row, k) * element(b, column, k, k_contiguous);
        d[i] = sum;
    }
    meet_group();
}
inline void mma_64x128(float (&d)[64], u64 a, u64 b, int add) {
    const int warp = me->id % 128 / 32;
    product(d, 128, [=](int row, int k) { return element(a, 16 * warp + row, k, true); }, b, add, false);
}
inline void mma_64x72(float (&d)[36], const u32 (&a)[4], u64 b, int add) {
    memcpy(me->slot, a, sizeof a);
    const Fiber *warp = &fibers[warp_from()];
    const auto of = [=](int row, int k) {
        const u32 pair = warp[row % 8 * 4 + k % 8 / 2].slot[row / 8 + 2 * (k / 8)];
        return k % 2 ? high_of(pair) : low_of(pair);
    };
    product(d, 72, of, b, add, true);
}
inline float power_of_two(float x) { return std::exp2(x); }
inline float other(float x, int mask) { return __shfl_xor_sync(~0u, x, mask); }
