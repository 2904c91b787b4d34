// Attention of one row over ring and paged caches, with QK-norm, RoPE and the write of the newest key and value.
//
// A cluster of 8 thread blocks shares the positions that one key head sees, 1,024 or more; several clusters share more,
// if there are more. A warp takes keys of its own, 4 of them (8 with D 128) a time, a lane 8 dimensions of each. What
// lies in the cache was written in an earlier step: the first keys and values are asked for before the wait for the
// projections (programmatic dependent launch). Results are joined in the block, in the cluster by its shared memory,
// and where several clusters are at work by the last of them to finish.
//
// D  dimensions of a head: 128 or 256        G  query heads that share a key head        CLUSTERS  at most

#include "common.h"
#include "tiles.h"

#define BATCH 4                  // keys of a lane at a time
#define DEPTH 3                  // batches asked for ahead
#define LANES (D / 8)            // of a key
#define KEYS (32 / LANES)        // of a warp at once
#define STEP (8 * KEYS)          // positions between a lane's keys
#define NOTHING __int_as_float(0xff800000)  // the best score of no key: minus infinity
#define SLICE (G * D / 8)        // results that one block of a cluster joins

__device__ __forceinline__ float lane_sum(float value) {  // over the lanes of a key
#pragma unroll
    for (int step = LANES / 2; step; step >>= 1) value += __shfl_xor_sync(~0u, value, step);
    return value;
}
__device__ __forceinline__ void fetch_if(u32 to, const void *from, bool there) {  // zeros where there is nothing
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}
__device__ __forceinline__ float weight_of(float own, float top) { return own == NOTHING ? 0.0f : __expf(own - top); }
__device__ __forceinline__ float remote(const float *own, int rank) {  // the same place in another block of the cluster
    u32 address;
    float value;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared_address(own)), "r"(rank));
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
    return value;
}

struct Turn {  // what QK-norm and RoPE need for a lane's 8 dimensions
    float cosine[8], sine[8];
};

// A head's 8 dimensions of this lane after QK-norm and RoPE, rounded as the plain network rounds them.
__device__ __forceinline__ void turned(const uint4 raw, const float (&norm)[8], const Turn &turn, float eps, float (&out)[8]) {
    const u32 pairs[4] = {raw.x, raw.y, raw.z, raw.w};
    float square = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) square += low(pairs[i]) * low(pairs[i]) + high(pairs[i]) * high(pairs[i]);
    const float factor = rsqrtf(lane_sum(square) / D + eps);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const u32 own = pack(low(pairs[i]) * factor * norm[2 * i], high(pairs[i]) * factor * norm[2 * i + 1]);
        const u32 far = __shfl_xor_sync(~0u, own, LANES / 2);  // half a head away
        const u32 result = pack(low(own) * turn.cosine[2 * i] + low(far) * turn.sine[2 * i],
                                high(own) * turn.cosine[2 * i + 1] + high(far) * turn.sine[2 * i + 1]);
        out[2 * i] = low(result), out[2 * i + 1] = high(result);
    }
}

extern "C" __global__ void __cluster_dims__(8, 1, 1) __launch_bounds__(8 * 32, 2) attend(
    u16 *qkv, const u16 *__restrict__ q_norm, const u16 *__restrict__ k_norm, const float *__restrict__ cosines,
    const float *__restrict__ sines, u16 *keys, u16 *values, const int *__restrict__ tables,
    const long long *__restrict__ slots, const long long *__restrict__ positions, float *partial, float *sums, int *counters,
    u16 *out, int kv_heads, int ring, int window, int page, float scale, float eps
) {
    extern __shared__ __align__(16) unsigned char memory[];
    __shared__ float block_result[G * D], block_best[G], block_total[G];
    __shared__ float warp_best[8][G], warp_total[8][G];
    __shared__ int is_last;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, part = lane % LANES, sub = lane / LANES;
    const int kv = blockIdx.y, rank = blockIdx.x % 8, cluster = blockIdx.x / 8;
    const int position = (int)positions[0], slot = (int)slots[0];
    const int lowest = window ? max(position - window + 1, 0) : 0, length = position + 1 - lowest;
    const int clusters = min(CLUSTERS, (length + 1023) / 1024);
    if (cluster >= clusters) return;  // all of it
    const int share = (length + 8 * clusters - 1) / (8 * clusters);
    const int begin = lowest + blockIdx.x * share, end = min(begin + share, position + 1), stop = min(end, position);

    // Where this lane's part of a position's key and value lies.
    auto place_of = [&](int at) -> long long {
        const long long entry = window ? (long long)slot * ring + at % ring : (long long)tables[at / page] * page + at % page;
        return (entry * kv_heads + kv) * D + part * 8;
    };
    unsigned char *store = memory + warp * (DEPTH * BATCH * 1024) + lane * 16;
    const u32 store_address = shared_address(store);
    int ahead = begin + warp * KEYS + sub;
    auto ask = [&](int stage) {
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            const bool there = ahead < stop;
            const long long place = place_of(there ? ahead : position);
            const u32 to = store_address + (stage * BATCH + i) * 1024;
            fetch_if(to, keys + place, there);
            fetch_if(to + 512, values + place, there);
            ahead += STEP;
        }
    };
#pragma unroll
    for (int i = 0; i < DEPTH; i++) {
        if (begin + i * BATCH * STEP < stop) ask(i);
        fetched();
    }
    float norm[8];
    Turn turn;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int d = part * 8 + i;
        turn.cosine[i] = cosines[d % (D / 2)];
        turn.sine[i] = d < D / 2 ? -sines[d % (D / 2)] : sines[d % (D / 2)];
        norm[i] = 1.0f + low(q_norm[d]);
    }
    take_turns();

    float query[G][8];
#pragma unroll
    for (int h = 0; h < G; h++) turned(*(const uint4 *)(qkv + (kv * G + h) * D + part * 8), norm, turn, eps, query[h]);
    float best[G], total[G], result[G][8];
#pragma unroll
    for (int h = 0; h < G; h++) {
        best[h] = NOTHING, total[h] = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) result[h][i] = 0;
    }
    int stage = 0;
    for (int base = begin; base < stop; base += BATCH * STEP) {
        await<DEPTH - 1>();
        float score[BATCH][G];
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            const uint4 raw = *(const uint4 *)(store + (stage * BATCH + i) * 1024);
            const u32 pairs[4] = {raw.x, raw.y, raw.z, raw.w};
            const bool seen = base + i * STEP + warp * KEYS + sub < stop;
#pragma unroll
            for (int h = 0; h < G; h++) {
                float dot = 0;
#pragma unroll
                for (int j = 0; j < 4; j++) dot += query[h][2 * j] * low(pairs[j]) + query[h][2 * j + 1] * high(pairs[j]);
                dot = lane_sum(dot);
                score[i][h] = seen ? dot * scale : NOTHING;
            }
        }
        float weight[BATCH][G];
#pragma unroll
        for (int h = 0; h < G; h++) {
            float top = best[h];
#pragma unroll
            for (int i = 0; i < BATCH; i++) top = fmaxf(top, score[i][h]);
            const float shrink = weight_of(best[h], top);
            total[h] *= shrink;
#pragma unroll
            for (int j = 0; j < 8; j++) result[h][j] *= shrink;
#pragma unroll
            for (int i = 0; i < BATCH; i++) total[h] += weight[i][h] = weight_of(score[i][h], top);
            best[h] = top;
        }
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            const uint4 raw = *(const uint4 *)(store + (stage * BATCH + i) * 1024 + 512);
            const u32 pairs[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
            for (int h = 0; h < G; h++)
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    result[h][2 * j] += weight[i][h] * low(pairs[j]);
                    result[h][2 * j + 1] += weight[i][h] * high(pairs[j]);
                }
        }
        if (base + DEPTH * BATCH * STEP < stop) ask(stage);
        fetched();
        stage = stage + 1 == DEPTH ? 0 : stage + 1;
    }
#if KEYS > 1
#pragma unroll
    for (int h = 0; h < G; h++) {  // the two halves of a warp have had different keys
        const float other = __shfl_xor_sync(~0u, best[h], 16), top = fmaxf(best[h], other);
        const float own = weight_of(best[h], top), theirs = weight_of(other, top);
        total[h] = total[h] * own + __shfl_xor_sync(~0u, total[h], 16) * theirs;
#pragma unroll
        for (int j = 0; j < 8; j++) result[h][j] = result[h][j] * own + __shfl_xor_sync(~0u, result[h][j], 16) * theirs;
        best[h] = top;
    }
#endif
    if (warp == 0 && begin <= position && end == position + 1) {  // the newest position: written, and seen
        const u16 *own = qkv + (G * kv_heads + kv) * D + part * 8;
        const uint4 value = *(const uint4 *)(own + kv_heads * D);
        float key[8];
#pragma unroll
        for (int i = 0; i < 8; i++) norm[i] = 1.0f + low(k_norm[part * 8 + i]);
        turned(*(const uint4 *)own, norm, turn, eps, key);
        const long long place = place_of(position);
        if (sub == 0) {
            *(uint4 *)(keys + place) = {pack(key[0], key[1]), pack(key[2], key[3]), pack(key[4], key[5]), pack(key[6], key[7])};
            *(uint4 *)(values + place) = value;
        }
        const u32 pairs[4] = {value.x, value.y, value.z, value.w};
#pragma unroll
        for (int h = 0; h < G; h++) {
            float dot = 0;
#pragma unroll
            for (int j = 0; j < 8; j++) dot += query[h][j] * key[j];
            dot = lane_sum(dot) * scale;
            const float top = fmaxf(best[h], dot), shrink = weight_of(best[h], top), weight = __expf(dot - top);
            total[h] = total[h] * shrink + weight;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                result[h][2 * j] = result[h][2 * j] * shrink + weight * low(pairs[j]);
                result[h][2 * j + 1] = result[h][2 * j + 1] * shrink + weight * high(pairs[j]);
            }
            best[h] = top;
        }
    }

    // The warps' results to the block's; unnormalised, each beside its best score and its sum of weights.
    __syncwarp();  // they take the place of other lanes' values
#pragma unroll
    for (int h = 0; h < G; h++) {
        if (sub == 0) {
            float4 *to = (float4 *)(memory + warp * (DEPTH * BATCH * 1024)) + (h * D + part * 8) / 4;  // its keys are done
            to[0] = {result[h][0], result[h][1], result[h][2], result[h][3]};
            to[1] = {result[h][4], result[h][5], result[h][6], result[h][7]};
        }
        if (lane == 0) warp_best[warp][h] = best[h], warp_total[warp][h] = total[h];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < G * D; i += 8 * 32) {
        const int h = i / D;
        float top = NOTHING, sum = 0, joined = 0;
#pragma unroll
        for (int w = 0; w < 8; w++) top = fmaxf(top, warp_best[w][h]);
#pragma unroll
        for (int w = 0; w < 8; w++) {
            const float weight = weight_of(warp_best[w][h], top);
            sum += weight * warp_total[w][h];
            joined += weight * ((const float *)(memory + w * (DEPTH * BATCH * 1024)))[i];
        }
        block_result[i] = joined;
        if (i % D == 0) block_best[h] = top, block_total[h] = sum;
    }
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");

    // Each block joins a slice of the cluster's.
    const int at = rank * SLICE + threadIdx.x, h = rank * SLICE / D;
    float top = NOTHING, sum = 0, joined = 0;
    if (threadIdx.x < SLICE) {
        float bests[8];
#pragma unroll
        for (int r = 0; r < 8; r++) bests[r] = remote(block_best + h, r), top = fmaxf(top, bests[r]);
#pragma unroll
        for (int r = 0; r < 8; r++) {
            const float weight = weight_of(bests[r], top);
            sum += weight * remote(block_total + h, r);
            joined += weight * remote(block_result + at, r);
        }
    }
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    const int head = kv * G * D;
    if (clusters == 1) {
        if (threadIdx.x < SLICE) out[head + at] = (u16)pack(joined / sum, joined / sum);
    } else {
        const int cell = (kv * 8 + rank) * CLUSTERS;
        if (threadIdx.x < SLICE) partial[(cell + cluster) * SLICE + threadIdx.x] = joined;
        if (threadIdx.x == 0) sums[(cell + cluster) * 2] = top, sums[(cell + cluster) * 2 + 1] = sum;
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) is_last = atomicAdd(counters + kv * 8 + rank, 1) == clusters - 1;
        __syncthreads();
        if (is_last && threadIdx.x < SLICE) {
            __threadfence();
            top = NOTHING, sum = 0, joined = 0;
            for (int c = 0; c < clusters; c++) top = fmaxf(top, __ldcg(sums + (cell + c) * 2));
            for (int c = 0; c < clusters; c++) {
                const float weight = weight_of(__ldcg(sums + (cell + c) * 2), top);
                sum += weight * __ldcg(sums + (cell + c) * 2 + 1);
                joined += weight * __ldcg(partial + (cell + c) * SLICE + threadIdx.x);
            }
            out[head + at] = (u16)pack(joined / sum, joined / sum);
            if (threadIdx.x == 0) counters[kv * 8 + rank] = 0;
        }
    }
    // The others may still read this block's shared memory.
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
