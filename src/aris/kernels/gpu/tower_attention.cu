// Attention of a vision tower on Hopper, for heads of 72 dimensions: softmax(Q K' / sqrt(72)) V over all patches of an image.
//
// Libraries compute such heads as if they had 128 dimensions. Here Q K' runs over 80 (five steps of 16, the last half zeros)
// and P V over 72, which is a width that the matrix units know. One warp group copies keys and values, GROUPS others
// have 64 queries each and take turns at the matrix units (after FlashAttention-3, arXiv 2407.08608).
//
// In shared memory a block of 128 keys or values lies as [8 dimensions][key][8 numbers]: pieces of 8 x 8 numbers are 128
// bytes in a row both for K, whose dimensions are summed over, and for V, whose keys are. Sixteen bytes between the rows
// of pieces keep copies of neighbouring dimensions on different banks.
#include "common.h"
#include "hopper.h"

#ifndef GROUPS
#define GROUPS 3
#endif
#ifndef OVERLAP
#define OVERLAP 0
#endif
#ifndef STAGES
#define STAGES 3
#endif

#define THREADS ((GROUPS + 1) * 128)

namespace {
constexpr int DIM = 72, KEYS = 128, CHUNKS = DIM / 8;
constexpr u32 CHUNK = KEYS * 16 + 16;
constexpr u32 K_BYTES = (CHUNKS + 1) * CHUNK, V_BYTES = CHUNKS * CHUNK, STAGE = K_BYTES + V_BYTES;
constexpr u32 BARRIERS = STAGES * STAGE;  // where they begin; the whole takes 16 bytes a stage more
static_assert(STAGES >= (OVERLAP ? 3 : 2), "a block is handed over when the next one was asked for");
constexpr int QUERIES = 64 * GROUPS, TOGETHER = 128 / CHUNKS;

// The softmax of two rows, block of keys by block (a thread has a quarter of each row): what was seen so far.
struct Softmax {
    float scale, top[2] = {-1e30f, -1e30f}, sum[2] = {0.0f, 0.0f};

    // Scores become exp(score - top so far); `factor` is what earlier blocks are to be multiplied by.
    __device__ __forceinline__ void next(float (&d)[KEYS / 2], float (&factor)[2]) {
        float high[2] = {top[0], top[1]};
#pragma unroll
        for (int n = 0; n < KEYS / 2; n += 4) {
            high[0] = fmaxf(high[0], fmaxf(d[n], d[n + 1]));
            high[1] = fmaxf(high[1], fmaxf(d[n + 2], d[n + 3]));
        }
#pragma unroll
        for (int r = 0; r < 2; r++) {
            high[r] = fmaxf(high[r], other(high[r], 1));
            high[r] = fmaxf(high[r], other(high[r], 2));
            factor[r] = power_of_two((top[r] - high[r]) * scale);
            top[r] = high[r];
            sum[r] *= factor[r];
            high[r] *= scale;
        }
#pragma unroll
        for (int n = 0; n < KEYS / 2; n++) {
            d[n] = power_of_two(fmaf(d[n], scale, -high[n / 2 % 2]));
            sum[n / 2 % 2] += d[n];
        }
    }

    __device__ __forceinline__ float total(int r) {
        const float two = sum[r] + other(sum[r], 1);
        return two + other(two, 2);
    }
};

// d = Q K' for the block of keys at `k`, begun.
__device__ __forceinline__ void scores(float (&d)[KEYS / 2], const u32 (&q)[5][4], u32 k) {
    mma_fence();
#pragma unroll
    for (int t = 0; t < 5; t++) mma_64x128(d, q[t], matrix(k + t * 2 * CHUNK, CHUNK, 128), t > 0);
    mma_commit();
}

// o += P V for the block of values at `v`, begun.
__device__ __forceinline__ void weighted(float (&o)[DIM / 2], const u32 (&p)[KEYS / 16][4], u32 v) {
    mma_fence();
#pragma unroll
    for (int t = 0; t < KEYS / 16; t++) mma_64x72(o, p[t], matrix(v + t * 256, 128, CHUNK), 1);
    mma_commit();
}

__device__ __forceinline__ void rescale(float (&o)[DIM / 2], const float (&factor)[2]) {
#pragma unroll
    for (int n = 0; n < DIM / 2; n++) o[n] *= factor[n / 2 % 2];
}

// A product's result as the left operand of the next.
__device__ __forceinline__ void probabilities(u32 (&p)[KEYS / 16][4], const float (&d)[KEYS / 2]) {
#pragma unroll
    for (int n = 0; n < KEYS / 4; n++) p[n / 4][n % 4] = pack(d[2 * n], d[2 * n + 1]);
}
}  // namespace

// qkv (images, patches, 3, heads, 72) and out (images, patches, heads, 72), bfloat16; a multiple of 128 patches.
// scale: log2(e) / sqrt(72). Grid: (patches / QUERIES, images * heads); shared memory: STAGES * (STAGE + 16).
extern "C" __global__ void __launch_bounds__(THREADS, 1) attend_tower(
    const u16 *qkv, u16 *out, int patches, int heads, float scale) {
    extern __shared__ __align__(128) unsigned char memory[];
    const u32 base = shared_address(memory), full = base + BARRIERS, empty = full + 8 * STAGES;
    const int thread = threadIdx.x % 128, group = threadIdx.x / 128, lane = thread % 32, warp = thread / 32;
    const int head = blockIdx.y % heads, row = 3 * heads * DIM, blocks = patches / KEYS;
    const u64 first = (u64)(blockIdx.y / heads) * patches;  // of the image's patches
    const u16 *image = qkv + first * row;

    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_init(full + 8 * s, 128);
            barrier_init(empty + 8 * s, 4 * GROUPS);
        }
    }
    // Dimensions 72 to 79 of the keys are zeros, once and for all.
    for (int at = threadIdx.x; at < STAGES * (int)(CHUNK / 4); at += THREADS) {
        const u32 stage = at / (CHUNK / 4), word = at % (CHUNK / 4);
        *(u32 *)(memory + stage * STAGE + CHUNKS * CHUNK + 4 * word) = 0;
    }
    fence_async();
    __syncthreads();

    if (group == 0) {
        registers_less<GROUPS == 3 ? 32 : 40>();
        // Nine neighbouring threads copy one key and its value, 126 of the 128 fourteen of each at once.
        const int key = thread / CHUNKS, chunk = thread % CHUNKS;
        const bool copies = key < TOGETHER, last = key < KEYS % TOGETHER;
        const u16 *from = image + (heads + head) * DIM + key * row + chunk * 8;
        const int to_values = heads * DIM, further = TOGETHER * row;
        const u32 own = base + chunk * CHUNK + key * 16;
        for (int i = 0; i < blocks; i++, from += KEYS % TOGETHER * row) {
            const int s = i % STAGES;
            const u32 to = own + s * STAGE;
            barrier_wait(empty + 8 * s, (i / STAGES & 1) ^ 1);
#pragma unroll
            for (int n = 0; n < KEYS / TOGETHER; n++, from += further) {
                if (copies) fetch(to + n * TOGETHER * 16, from);
                if (copies) fetch(to + n * TOGETHER * 16 + K_BYTES, from + to_values);
            }
            if (last) fetch(to + KEYS / TOGETHER * TOGETHER * 16, from);
            if (last) fetch(to + KEYS / TOGETHER * TOGETHER * 16 + K_BYTES, from + to_values);
            fetched();
            if (i > 0) {  // the block before this one is there while this one is on its way
                await<1>();
                fence_async();
                barrier_arrive(full + 8 * ((i - 1) % STAGES));
            }
        }
        await<0>();
        fence_async();
        barrier_arrive(full + 8 * ((blocks - 1) % STAGES));
        return;
    }

    registers_more<GROUPS == 3 ? 160 : 232>();
    const int query = blockIdx.x * QUERIES + (group - 1) * 64 + warp * 16 + lane / 4;
    const bool idle = blockIdx.x * QUERIES + (group - 1) * 64 >= patches;

    u32 q[5][4];
#pragma unroll
    for (int t = 0; t < 5; t++) {
#pragma unroll
        for (int part = 0; part < 4; part++) {  // rows 0 and 8 at dimension 0, then both at dimension 8
            const int dim = 16 * t + 8 * (part / 2) + 2 * (lane % 4), patch = query + 8 * (part % 2);
            const bool there = dim < DIM && !idle;
            q[t][part] = there ? *(const u32 *)(image + (u64)patch * row + head * DIM + dim) : 0;
        }
    }

    float d[KEYS / 2], o[DIM / 2], factor[2];
    u32 p[KEYS / 16][4];
    Softmax softmax{scale};
#pragma unroll
    for (int n = 0; n < DIM / 2; n++) o[n] = 0.0f;

#if OVERLAP  // a block's P V runs beside the next one's Q K' and softmax
    barrier_wait(full, 0);
    if (!idle) {
        scores(d, q, base);
        mma_wait<0>();
        hold(d);
        softmax.next(d, factor);
        probabilities(p, d);
    }
    for (int i = 1; i < blocks; i++) {
        const int s = i % STAGES, before = (i - 1) % STAGES;
        barrier_wait(full + 8 * s, i / STAGES & 1);
        if (!idle) {
            scores(d, q, base + s * STAGE);
            weighted(o, p, base + before * STAGE + K_BYTES);
            mma_wait<1>();
            hold(d);
            softmax.next(d, factor);
            mma_wait<0>();
            hold(o);
        }
        if (lane == 0) barrier_arrive(empty + 8 * before);
        if (!idle) {
            rescale(o, factor);
            probabilities(p, d);
        }
    }
    if (!idle) {
        weighted(o, p, base + (blocks - 1) % STAGES * STAGE + K_BYTES);
        mma_wait<0>();
        hold(o);
    }
#else
    for (int i = 0; i < blocks; i++) {
        barrier_wait(full + 8 * (i % STAGES), i / STAGES & 1);
        if (!idle) {
            scores(d, q, base + i % STAGES * STAGE);
            mma_wait<0>();
            hold(d);
            softmax.next(d, factor);
            rescale(o, factor);
            probabilities(p, d);
            weighted(o, p, base + i % STAGES * STAGE + K_BYTES);
            mma_wait<0>();
            hold(o);
        }
        if (lane == 0) barrier_arrive(empty + 8 * (i % STAGES));
    }
#endif
    if (idle) return;

#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float share = 1.0f / softmax.total(r);
        u16 *to = out + (first + query + 8 * r) * heads * DIM + head * DIM;
#pragma unroll
        for (int n = 0; n < CHUNKS; n++) {
            const u32 both = pack(o[4 * n + 2 * r] * share, o[4 * n + 2 * r + 1] * share);
            *(u32 *)(to + 8 * n + 2 * (lane % 4)) = both;
        }
    }
}
