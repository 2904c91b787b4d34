// Attention of a vision tower on Hopper, for heads of 72 dimensions: softmax(Q K' / sqrt(72)) V over all patches of an image.
//
// Libraries compute such heads as if they had 128 dimensions. Here Q K' runs over 80 (five steps of 16, the last half zeros)
// and P V over 72, which is a width that the matrix units know. One warp group has keys and values copied, three others have
// 64 queries each: while one computes a softmax, others keep the matrix units busy (after FlashAttention-3, arXiv 2407.08608).
//
// Keys and values come with their patches contiguous, so that every copy is of whole lines of 128 bytes: with dimensions
// contiguous, 144 bytes a patch, the requests to the L2 cache alone took longer than all the products.
#include "common.h"
#include "hopper.h"

namespace {
constexpr int DIM = 72, KEYS = 128, CHUNKS = DIM / 8, GROUPS = 3, STAGES = 4, THREADS = (GROUPS + 1) * 128;
// A block: twice 64 keys, 128 bytes for every dimension and eight of zeros; then the same of values without the zeros.
constexpr u32 ROW = 128, K_HALF = (DIM + 8) * ROW, V_HALF = DIM * ROW, VALUES = 2 * K_HALF, STAGE = VALUES + 2 * V_HALF;
// The queries of a group: [eight dimensions of 80][query][8 numbers], the last eight dimensions zeros.
constexpr u32 Q_CHUNK = 64 * 16, Q_BYTES = (CHUNKS + 1) * Q_CHUNK, QUERIES_AT = STAGES * STAGE;
// Where the barriers begin; the whole takes 16 bytes more for every stage and group.
constexpr u32 BARRIERS = QUERIES_AT + GROUPS * Q_BYTES;
constexpr int QUERIES = 64 * GROUPS;

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
        for (int n = 0; n < KEYS / 2; n += 2) {
            d[n] = power_of_two(fmaf(d[n], scale, -high[n / 2 % 2]));
            d[n + 1] = power_of_two(fmaf(d[n + 1], scale, -high[n / 2 % 2]));
            sum[n / 2 % 2] += d[n] + d[n + 1];
        }
    }

    __device__ __forceinline__ float total(int r) {
        const float two = sum[r] + other(sum[r], 1);
        return two + other(two, 2);
    }
};

// d = Q K' for the queries at `q` and the block of keys at `k`, begun.
__device__ __forceinline__ void scores(float (&d)[KEYS / 2], u32 q, u32 k) {
    mma_fence();
#pragma unroll
    for (int t = 0; t < 5; t++)
        mma_64x128(d, matrix(q + t * 2 * Q_CHUNK, Q_CHUNK, 128), swizzled(k + t * 16 * ROW, K_HALF, 8 * ROW), t > 0);
    mma_commit();
}

// o += P V for the block of values at `v`, begun.
__device__ __forceinline__ void weighted(float (&o)[DIM / 2], const u32 (&p)[KEYS / 16][4], u32 v) {
    mma_fence();
#pragma unroll
    for (int t = 0; t < KEYS / 16; t++) mma_64x72(o, p[t], swizzled(v + t / 4 * V_HALF + t % 4 * 32, 0, 8 * ROW), 1);
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

// Tiles of QUERIES queries of one head of one image are numbered; a head's last one, if it is not full, comes after all
// full ones, as it takes less time. `full` of a head are, `whole` of all.
__device__ __forceinline__ int head_of(int tile, int full, int whole) { return tile < whole ? tile / full : tile - whole; }
__device__ __forceinline__ int query_of(int tile, int full, int whole) {
    return (tile < whole ? tile % full : full) * QUERIES;
}

// Barriers come in pairs of full and empty, of 8 bytes each; these are of round `i` of `n` pairs.
__device__ __forceinline__ void wait_full(u32 pairs, u32 i, u32 n) { barrier_wait(pairs + i % n * 16, i / n & 1); }
__device__ __forceinline__ void wait_empty(u32 pairs, u32 i, u32 n) { barrier_wait(pairs + i % n * 16 + 8, i / n & 1 ^ 1); }
}  // namespace

// q (images, patches, heads, 72) in boxes of 64 x 8, kv (2, heads, 72, images, patches) in swizzled boxes of 72 x 64, and out
// like q, bfloat16; a multiple of 128 patches. tiles: how many, and of them `whole` full ones, `full` of each head. scale:
// log2(e) / sqrt(72). Shared memory: BARRIERS + 16 * (STAGES + GROUPS).
extern "C" __global__ void __launch_bounds__(THREADS, 1) attend_tower(
    const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap kv, u16 *out, int patches, int heads, int full,
    int whole, int tiles, float scale) {
    extern __shared__ __align__(1024) unsigned char memory[];
    const u32 base = shared_address(memory), pairs = base + BARRIERS, query_pairs = pairs + 16 * STAGES;
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32, blocks = patches / KEYS;
    const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0) - 1;  // the compiler is to see that it is a warp's

    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) barrier_init(pairs + 16 * s, 1), barrier_init(pairs + 16 * s + 8, 4 * GROUPS);
        for (int g = 0; g < GROUPS; g++) barrier_init(query_pairs + 16 * g, 1), barrier_init(query_pairs + 16 * g + 8, 4);
    }
    // Dimensions 72 to 79 are zeros, once and for all.
    for (int at = threadIdx.x; at < 64 * (2 * STAGES + GROUPS); at += THREADS) {
        const int which = at / 64, queries = which - 2 * STAGES;
        const u32 to = queries < 0 ? which / 2 * STAGE + which % 2 * K_HALF + DIM * ROW
                                   : QUERIES_AT + queries * Q_BYTES + CHUNKS * Q_CHUNK;
        *(uint4 *)(memory + to + at % 64 * 16) = uint4{0, 0, 0, 0};
    }
    fence_async();
    __syncthreads();

    if (group < 0) {
        registers_less<32>();
        if (thread > 0) return;
        u32 block = 0, round = 0;
        for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x, round++) {
            const int head = head_of(tile, full, whole) % heads, first = head_of(tile, full, whole) / heads * patches;
            for (int g = 0; g < GROUPS; g++) {
                wait_empty(query_pairs + 16 * g, round, 1);
                barrier_expect(query_pairs + 16 * g, CHUNKS * Q_CHUNK);
                const u32 to = base + QUERIES_AT + g * Q_BYTES, patch = first + query_of(tile, full, whole) + 64 * g;
                for (int c = 0; c < CHUNKS; c++)
                    fetch_box(to + c * Q_CHUNK, q, head * DIM + 8 * c, patch, query_pairs + 16 * g);
            }
            for (int i = 0; i < blocks; i++, block++) {
                const u32 to = base + block % STAGES * STAGE, barrier = pairs + block % STAGES * 16;
                wait_empty(pairs, block, STAGES);
                barrier_expect(barrier, 4 * V_HALF);
                for (int half = 0; half < 2; half++) {
                    const int patch = first + i * KEYS + half * 64;
                    fetch_box(to + half * K_HALF, kv, patch, head * DIM, barrier);
                    fetch_box(to + VALUES + half * V_HALF, kv, patch, (heads + head) * DIM, barrier);
                }
            }
        }
        return;
    }

    registers_more<160>();
    const u32 queries = base + QUERIES_AT + group * Q_BYTES, own_pair = query_pairs + 16 * group;
    u32 block = 0, round = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x, round++) {
        const int query = query_of(tile, full, whole) + group * 64;
        const u32 end = block + blocks;
        wait_full(own_pair, round, 1);
        if (query >= patches) {  // there is nothing to do, but buffers go round
            if (lane == 0) barrier_arrive(own_pair + 8);
            for (; block < end; block++) {
                wait_full(pairs, block, STAGES);
                if (lane == 0) barrier_arrive(pairs + block % STAGES * 16 + 8);
            }
            continue;
        }

        float d[KEYS / 2], o[DIM / 2], factor[2];
        u32 p[KEYS / 16][4];
        Softmax softmax{scale};
#pragma unroll
        for (int n = 0; n < DIM / 2; n++) o[n] = 0.0f;

        wait_full(pairs, block, STAGES);
        scores(d, queries, base + block % STAGES * STAGE);
        mma_wait<0>();
        hold(d);
        softmax.next(d, factor);
        probabilities(p, d);
        // A block's P V runs beside the next one's Q K' and, as far as the compiler lets it, its softmax.
        for (block++; block < end; block++) {
            wait_full(pairs, block, STAGES);
            scores(d, queries, base + block % STAGES * STAGE);
            weighted(o, p, base + (block - 1) % STAGES * STAGE + VALUES);
            mma_wait<1>();
            hold(d);
            softmax.next(d, factor);
            mma_wait<0>();
            hold(o);
            if (lane == 0) barrier_arrive(pairs + (block - 1) % STAGES * 16 + 8);
            rescale(o, factor);
            probabilities(p, d);
        }
        if (lane == 0) barrier_arrive(own_pair + 8);
        weighted(o, p, base + (block - 1) % STAGES * STAGE + VALUES);
        mma_wait<0>();
        hold(o);
        if (lane == 0) barrier_arrive(pairs + (block - 1) % STAGES * 16 + 8);

        const int head = head_of(tile, full, whole) % heads, first = head_of(tile, full, whole) / heads * patches;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float share = 1.0f / softmax.total(r);
            const int patch = first + query + warp * 16 + lane / 4 + 8 * r;
            u16 *to = out + ((u64)patch * heads + head) * DIM;
#pragma unroll
            for (int n = 0; n < CHUNKS; n++) {
                const u32 both = pack(o[4 * n + 2 * r] * share, o[4 * n + 2 * r + 1] * share);
                *(u32 *)(to + 8 * n + 2 * (lane % 4)) = both;
            }
        }
    }
}
