// src/aris/kernels/gpu/hopper.h in C++: see emulated_cuda.py. A product reads shared memory by its matrix descriptor, as the
// matrix units do (PTX ISA, "asynchronous warpgroup level matrix shared memory layout"), without swizzling.
#include <map>
typedef unsigned long long u64;

struct PhaseBarrier { u32 count, missing, phase; };
static std::map<std::pair<const unsigned char *, u32>, PhaseBarrier> phase_barriers;  // by block and address
static PhaseBarrier &barrier_at(u32 at) { return phase_barriers[{me->shared, at}]; }
inline void barrier_init(u32 at, u32 count) { barrier_at(at) = {count, count, 0}; }
inline void barrier_arrive(u32 at) {
    PhaseBarrier &barrier = barrier_at(at);
    if (--barrier.missing == 0) barrier.missing = barrier.count, barrier.phase++;
}
inline void barrier_wait(u32 at, u32 parity) {
    long turns = 0;
    while ((barrier_at(at).phase & 1) == parity) {
        if (++turns > 1000000) abort();  // nobody will come
        pass();
    }
}
inline void fence_async() {}
template <int n> void registers_less() {}
template <int n> void registers_more() {}

inline u64 matrix(u32 at, u32 leading, u32 stride) {
    return (u64)(at >> 4) | (u64)(leading >> 4) << 16 | (u64)(stride >> 4) << 32;
}
inline void mma_fence() {}
inline void mma_commit() {}
template <int n> void mma_wait() {}
template <int n> void hold(float (&)[n]) {}
static void meet_group() { meet(3, me->id / 128 * 128, me->id / 128 * 128 + 128); }

// D of this thread (64, columns) from the A of its warp and B, of which k or the column is contiguous.
static void product(float *d, int columns, const u32 (&a)[4], u64 b, int add, bool k_contiguous) {
    memcpy(me->slot, a, sizeof a);
    meet_group();
    const Fiber *warp = &fibers[warp_from()];
    const unsigned char *start = shared_at((b & 0x3fff) << 4);
    const u32 leading = (b >> 16 & 0x3fff) << 4, stride = (b >> 32 & 0x3fff) << 4;
    const int lane = me->id % 32;
    for (int i = 0; i < columns / 2; i++) {
        const int g = lane / 4 + 8 * (i / 2 % 2), column = 8 * (i / 4) + 2 * (lane % 4) + i % 2;
        float sum = add ? d[i] : 0.0f;
        for (int k = 0; k < 16; k++) {
            const u32 pair = warp[g % 8 * 4 + k % 8 / 2].slot[g / 8 + 2 * (k / 8)];
            const u32 piece = column / 8 * stride + k / 8 * leading;
            u16 half;
            memcpy(&half, start + piece + (k_contiguous ? column % 8 * 16 + k % 8 * 2 : k % 8 * 16 + column % 8 * 2), 2);
            sum += (k % 2 ? high_of(pair) : low_of(pair)) * low_of(half);
        }
        d[i] = sum;
    }
    meet_group();
}
inline void mma_64x128(float (&d)[64], const u32 (&a)[4], u64 b, int add) { product(d, 128, a, b, add, true); }
inline void mma_64x72(float (&d)[36], const u32 (&a)[4], u64 b, int add) { product(d, 72, a, b, add, false); }
inline float power_of_two(float x) { return std::exp2(x); }
inline float other(float x, int mask) { return __shfl_xor_sync(~0u, x, mask); }
