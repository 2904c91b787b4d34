// Up to 8 rows times an int4 matrix on the matrix units: y = x W^T, with the norms before it or GeGLU after it.
//
// A warp takes 32 output rows and 128 columns a time, four blocks of `weights.pack_tiles`: 16 bytes of codes a lane and
// block, which become the left operand of mma.m16n8k16 in registers, without a pass through shared memory. A code n
// becomes the bfloat16 128 + n by one operation for two; what the 128 adds is taken off with the group's sum of inputs.
// Sums are float32. The input rows are the right operand's eight columns; of a single row all eight are it.
//
// A grid is one wave. Each thread block has a run of such units, and each warp a run of these, so that all warps read
// equally much. Weights are asked for DEPTH units ahead, the first before the block waits for the kernel ahead of it
// (programmatic dependent launch). Every sum has a fixed order. What the kernel ahead wrote is read through plain
// pointers: through const __restrict__ ones the compiler could read it before the wait.
//
// ONE     there is one row, kept in shared memory        NORM   with ONE: x is RMSNorm(residual + RMSNorm(branch))
// GATED   rows are gate, then up: gelu(gate) * up        BRANCH its parts, 0 for the first layer
// SPLIT   a tile may be split among thread blocks,       PAIRS  pairs of x that a thread norms, with NORM
//         each with a result (parts, rows, N) of its own GS     groups in 128 columns: 1, 2 or 4
// WIDE    results are float32                            WARPS, DEPTH

#include "common.h"
#include "tiles.h"

#define COLUMNS (ONE ? 1 : 8)
#define STAGE (4 * 512 + 4 * BLOCK_SCALES)

__device__ __forceinline__ float block_sum(float value, float *scratch) {
#pragma unroll
    for (int step = 16; step; step >>= 1) value += __shfl_xor_sync(~0u, value, step);
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    float total = 0;
#pragma unroll
    for (int i = 0; i < WARPS; i++) total += scratch[i];
    return total;
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) product(
    const unsigned char *__restrict__ codes, const unsigned char *__restrict__ scales, u16 *x, void *out,
    int rows, int columns, int tiles, int parts, int slots,
    float *branch, u32 *residual, u32 *residual_out, const u32 *__restrict__ post, const u32 *__restrict__ pre, float eps
) {
    extern __shared__ __align__(16) unsigned char memory[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int spans = columns / 128, all = tiles * spans, blocks = gridDim.x;
    // Units are counted over all tiles; without SPLIT a block has whole tiles.
    const int first = SPLIT ? (int)((long long)blockIdx.x * all / blocks) : blockIdx.x * tiles / blocks * spans;
    const int past = SPLIT ? (int)((long long)(blockIdx.x + 1) * all / blocks) : (blockIdx.x + 1) * tiles / blocks * spans;
    const int units = past - first, first_tile = first / spans;
    const int begin = first + warp * units / WARPS, end = first + (warp + 1) * units / WARPS;
    // The columns that this thread block reads, in spans.
    const bool within = (past - 1) / spans == first_tile;
    const int from_span = within ? first - first_tile * spans : 0, to_span = within ? from_span + units : spans;

    unsigned char *ring = memory + warp * (DEPTH * STAGE);
    float *partial = (float *)(memory + WARPS * DEPTH * STAGE);
    // Sums of the inputs: of one row for every 32 columns, of several for every group.
    float *sums = partial + WARPS * slots * 32 * COLUMNS;
    u32 *inputs = (u32 *)(sums + (to_span - from_span) * (ONE ? 4 : GS * COLUMNS));  // ONE: x in pairs
#if NORM
    __shared__ float scratch[2][WARPS];
#endif

    // A unit's blocks of 8 rows are a, b, c and d: 16 rows of the left operand are a and b, or c and d. With GATED these
    // are gate and up rows of the same outputs.
    const int begin_tile = begin / spans, begin_span = begin - begin_tile * spans;
    const long long row_block = (long long)spans * 512, to_b = GATED ? 2 * tiles * row_block : row_block;
    const long long to_c = GATED ? row_block : 2 * row_block, leap = (GATED ? 1 : 3) * row_block;
    const unsigned char *codes_a = codes + begin_tile * (GATED ? 2 : 4) * row_block + begin_span * 512 + lane * 16;
    const int quarter = lane / (2 * GS);  // lanes 0 to 8 GS - 1 fetch the scales, 16 bytes each
    const unsigned char *scale = scales + (begin_tile * (GATED ? 2 : 4) * row_block + begin_span * 512 +
        (quarter & 1 ? to_b : 0) + (quarter & 2 ? to_c : 0)) / 512 * BLOCK_SCALES + lane % (2 * GS) * 16;
    int ahead = begin, ahead_span = begin_span;
    const u32 ring_address = shared_address(ring) + lane * 16;
    auto ask = [&](int stage) {
        const u32 at = ring_address + stage * STAGE;
        fetch(at, codes_a);
        fetch(at + 512, codes_a + to_b);
        fetch(at + 1024, codes_a + to_c);
        fetch(at + 1536, codes_a + to_b + to_c);
        if (lane < 8 * GS) fetch(at + 2048, scale);
        codes_a += 512, scale += BLOCK_SCALES, ahead++;
        if (++ahead_span == spans) ahead_span = 0, codes_a += leap, scale += leap / 512 * BLOCK_SCALES;
    };
#pragma unroll
    for (int i = 0; i < DEPTH; i++) {
        if (ahead < end) ask(i);
        fetched();
    }
#if NORM
    u32 post_pair[PAIRS], pre_pair[PAIRS];
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        const int at = threadIdx.x + i * THREADS;
        post_pair[i] = BRANCH && at < columns / 2 ? post[at] : 0;
        pre_pair[i] = at < columns / 2 ? pre[at] : 0;
    }
#endif
    take_turns();

#if NORM
    {
        u32 kept[PAIRS];
        float2 value[PAIRS];
        float square = 0;
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            const int at = threadIdx.x + i * THREADS;
            const bool live = at < columns / 2;
            kept[i] = live ? residual[at] : 0;
            float2 sum = {0, 0};
#pragma unroll
            for (int part = 0; part < BRANCH; part++) {
                const float2 more = live ? ((const float2 *)branch)[part * (columns / 2) + at] : float2{0, 0};
                sum.x += more.x, sum.y += more.y;
            }
            const u32 once = pack(sum.x, sum.y);  // rounded once, as a product's result is
            value[i] = {low(once), high(once)};
            square += value[i].x * value[i].x + value[i].y * value[i].y;
        }
        if (BRANCH) {
            const float factor = rsqrtf(block_sum(square, scratch[0]) / columns + eps);
            square = 0;
#pragma unroll
            for (int i = 0; i < PAIRS; i++) {
                const int at = threadIdx.x + i * THREADS;
                const u32 normed = pack(value[i].x * factor * (1.0f + low(post_pair[i])), value[i].y * factor * (1.0f + high(post_pair[i])));
                kept[i] = pack(low(kept[i]) + low(normed), high(kept[i]) + high(normed));
                if (blockIdx.x == 0 && at < columns / 2) residual_out[at] = kept[i];
            }
        }
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            value[i] = {low(kept[i]), high(kept[i])};
            if (i == 0) square = 0;
            square += value[i].x * value[i].x + value[i].y * value[i].y;
        }
        const float factor = rsqrtf(block_sum(square, scratch[1]) / columns + eps);
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            const int at = threadIdx.x + i * THREADS;
            const u32 pair = pack(value[i].x * factor * (1.0f + low(pre_pair[i])), value[i].y * factor * (1.0f + high(pre_pair[i])));
            float sum = low(pair) + high(pair);
#pragma unroll
            for (int step = 8; step; step >>= 1) sum += __shfl_xor_sync(~0u, sum, step);
            if (at < columns / 2) {
                inputs[at] = pair;
                if (lane % 16 == 0) sums[at / 16] = sum;
            }
        }
    }
#elif ONE
    for (int i = threadIdx.x; i < (to_span - from_span) * 16 + lane; i += THREADS) {  // whole warps
        const bool live = i < (to_span - from_span) * 16;
        const uint4 eight = live ? ((const uint4 *)x)[from_span * 16 + i] : uint4{0, 0, 0, 0};
        float sum = low(eight.x) + high(eight.x) + low(eight.y) + high(eight.y) + low(eight.z) + high(eight.z) + low(eight.w) + high(eight.w);
        sum += __shfl_xor_sync(~0u, sum, 1);
        sum += __shfl_xor_sync(~0u, sum, 2);
        if (live) {
            ((uint4 *)inputs)[i] = eight;
            if (lane % 4 == 0) sums[i / 4] = sum;
        }
    }
#endif

    // The inputs of columns 32 chunk + 8t to + 7 of a span, of row g.
#if !ONE
    const u16 *own = x + (long long)min(g, rows - 1) * columns + 8 * t;
#endif
    auto input = [&](int span, int chunk) -> uint4 {
#if ONE
        return ((const uint4 *)inputs)[(span - from_span) * 16 + chunk * 4 + t];
#else
        return *(const uint4 *)(own + span * 128 + chunk * 32);
#endif
    };
#if !ONE
    // Sums of the inputs over each group, by the matrix units too: rows of ones.
    const u32 ones = 0x3f803f80u;
    for (int span = from_span + warp; span < to_span; span += WARPS) {
#pragma unroll
        for (int group = 0; group < GS; group++) {
            float sum[4] = {0, 0, 0, 0};
#pragma unroll
            for (int chunk = group * CHUNKS; chunk < (group + 1) * CHUNKS; chunk++) {
                const uint4 right = input(span, chunk);
                multiply(sum, ones, ones, ones, ones, right.x, right.y);
                multiply(sum, ones, ones, ones, ones, right.z, right.w);
            }
            float *to = sums + ((span - from_span) * GS + group) * COLUMNS;
            if (g == 0) to[2 * t] = sum[0], to[2 * t + 1] = sum[1];
        }
    }
#endif
    __syncthreads();

    const u32 one = 0x43004300u;
    float total[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
    float *to = partial + warp * slots * 32 * COLUMNS;
    int stage = 0, span = begin_span;
    for (int unit = begin; unit < end; unit++) {
        await<DEPTH - 1>();
        __syncwarp();  // scales are fetched by some lanes for all
        const unsigned char *mine = ring + stage * STAGE;
        u32 words[4][4];
#pragma unroll
        for (int block = 0; block < 4; block++) {
            const uint4 word = *(const uint4 *)(mine + block * 512 + lane * 16);
            words[block][0] = word.x, words[block][1] = word.y, words[block][2] = word.z, words[block][3] = word.w;
        }
        const u32 *own_scales = (const u32 *)(mine + 2048) + g * GS;
        float group_sums[GS][2];
#if ONE
        const float4 quarters = ((const float4 *)sums)[span - from_span];
        if (GS == 1) group_sums[0][0] = quarters.x + quarters.y + quarters.z + quarters.w;
        if (GS == 2) group_sums[0][0] = quarters.x + quarters.y, group_sums[GS / 2][0] = quarters.z + quarters.w;
        if (GS == 4) group_sums[0][0] = quarters.x, group_sums[GS / 4][0] = quarters.y, group_sums[GS / 2][0] = quarters.z, group_sums[GS * 3 / 4][0] = quarters.w;
#else
#pragma unroll
        for (int group = 0; group < GS; group++) {
            const float2 pair = *(const float2 *)(sums + ((span - from_span) * GS + group) * COLUMNS + 2 * t);
            group_sums[group][0] = pair.x, group_sums[group][1] = pair.y;
        }
#endif
#pragma unroll
        for (int group = 0; group < GS; group++) {
            float sum[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
#pragma unroll
            for (int chunk = group * CHUNKS; chunk < (group + 1) * CHUNKS; chunk++) {
                const uint4 right = input(span, chunk);
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    u32 upper[4], lower[4];
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        upper[i] = codes_of(words[2 * half][chunk] >> (4 * i), one);
                        lower[i] = codes_of(words[2 * half + 1][chunk] >> (4 * i), one);
                    }
                    multiply(sum[half], upper[0], lower[0], upper[1], lower[1], right.x, right.y);
                    multiply(sum[half], upper[2], lower[2], upper[3], lower[3], right.z, right.w);
                }
            }
#pragma unroll
            for (int block = 0; block < 4; block++) {
                const u32 pair = own_scales[block * 8 * GS + group];
                const float factor = low(pair), least = high(pair) - 128.0f * factor;
#pragma unroll
                for (int column = 0; column < (ONE ? 1 : 2); column++) {
                    const int i = block % 2 * 2 + column;
                    total[block / 2][i] += factor * sum[block / 2][i] + least * group_sums[group][column];
                }
            }
        }
        __syncwarp();
        if (ahead < end) ask(stage);  // what lay there has been used
        fetched();
        stage = stage + 1 == DEPTH ? 0 : stage + 1;
        if (++span == spans || unit + 1 == end) {
#pragma unroll
            for (int block = 0; block < 4; block++) {
                float *mine = total[block / 2] + block % 2 * 2;
                if (ONE && t == 0) to[block * 8 + g] = mine[0];
                if (!ONE) *(float2 *)(to + (block * 8 + g) * COLUMNS + 2 * t) = {mine[0], mine[1]};
                mine[0] = mine[1] = 0;
            }
            to += 32 * COLUMNS, span = 0;
        }
    }
    __syncthreads();

    // Add up what the warps have of each tile, in their order.
    const int outputs = GATED ? 16 : 32, width = tiles * outputs, last_tile = units ? (past - 1) / spans : first_tile - 1;
    for (int i = threadIdx.x; i < (last_tile + 1 - first_tile) * outputs * COLUMNS; i += THREADS) {
        const int r = i % outputs, column = i / outputs % COLUMNS, tile = first_tile + i / (outputs * COLUMNS);
        // Counted from the thread block's first unit.
        const int start = max(tile * spans - first, 0), stop = min((tile + 1) * spans - first, units);
        int w = start * WARPS / units;
        while ((w + 1) * units / WARPS <= start) w++;
        float result = 0, up = 0;
        for (int from = w * units / WARPS; from < stop; w++) {
            const int next = (w + 1) * units / WARPS;
            if (next > from) {
                const int slot = from < start ? tile - (first + from) / spans : 0;
                const float *have = partial + (w * slots + slot) * 32 * COLUMNS + column;
                result += have[(GATED ? r / 8 * 16 + r % 8 : r) * COLUMNS];
                if (GATED) up += have[(r / 8 * 16 + 8 + r % 8) * COLUMNS];
            }
            from = next;
        }
        if (column >= rows) continue;
        if (GATED) result = rounded(gelu(rounded(result))) * rounded(up);
        int part = 0;
        if (SPLIT) part = blockIdx.x - (int)((((long long)tile * spans + 1) * blocks - 1) / all);
        const long long place = ((long long)part * rows + column) * width + tile * outputs + r;
#if WIDE
        ((float *)out)[place] = result;
        // Whoever has a tile's end clears the parts that it does not have.
        if (SPLIT && (tile + 1) * spans <= past)
            for (int more = 1; part + more < parts; more++) ((float *)out)[place + (long long)more * rows * width] = 0;
#else
        ((u16 *)out)[place] = (u16)pack(result, result);
#endif
    }
}
