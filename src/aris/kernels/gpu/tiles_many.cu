// 9 to 64 rows times an int4 matrix on the matrix units: y = x W^T, with or without GeGLU after it (see tiles.cu).
//
// A warp takes 16 TILES output rows, a thread block four times as many, and a part of the columns. 128 columns a time,
// the block's input rows pass through shared memory, once for all its warps, and each warp's codes beside them. What the
// codes' 128 adds is taken off with the sums of inputs over groups, which the warps make one step ahead in turn.
//
// NT      eights of input rows: 2, 4 or 8                GATED  rows are gate, then up: gelu(gate) * up
// TILES   16s of output rows of a warp                   GS     groups in 128 columns: 1, 2 or 4
// WIDE    results are float32                            WARPS, DEPTH

#include "common.h"
#include "tiles.h"

#define CODES (2 * TILES * (512 + BLOCK_SCALES))  // bytes of a warp's step
#define STAGE (NT * 8 * 256 + WARPS * CODES)

extern "C" __global__ void __launch_bounds__(THREADS) product(
    const unsigned char *__restrict__ codes, const unsigned char *__restrict__ scales, u16 *x, void *out,
    int rows, int columns, int width
) {
    extern __shared__ __align__(16) unsigned char memory[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int spans = columns / 128;
    const int from = blockIdx.y * spans / gridDim.y, past = (blockIdx.y + 1) * spans / gridDim.y;
    float *sums = (float *)(memory + DEPTH * STAGE);  // of two steps: GS x 8 NT each

    // Blocks of 8 rows: two make a left operand, with GATED gate and up rows of the same outputs.
    const int group = blockIdx.x * WARPS + warp;  // of 16 TILES rows
    const long long row_block = (long long)spans * 512;
    const long long to_pair = GATED ? (long long)(width / 8) * row_block : row_block;
    const long long begin = group * TILES * (GATED ? 1 : 2) * row_block + from * 512;
    const unsigned char *own_codes = codes + begin + lane * 16;
    const int quarter = lane / (2 * GS);  // lanes 0 to 4 GS TILES - 1 fetch the scales, 16 bytes each
    const unsigned char *own_scales = scales +
        (begin + (quarter & 1 ? to_pair : 0) + (quarter / 2) * (GATED ? 1 : 2) * row_block) / 512 * BLOCK_SCALES + lane % (2 * GS) * 16;
    const u32 to_codes = shared_address(memory) + NT * 8 * 256 + warp * CODES + lane * 16;
    const u32 to_inputs = shared_address(memory);
    int ahead = from;
    auto ask_codes = [&](int stage) {
        const u32 at = to_codes + stage * STAGE;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            const unsigned char *upper = own_codes + tile * (GATED ? 1 : 2) * row_block;
            fetch(at + tile * 1024, upper);
            fetch(at + tile * 1024 + 512, upper + to_pair);
        }
        if (lane < 4 * GS * TILES) fetch(at + TILES * 1024, own_scales);
        own_codes += 512, own_scales += BLOCK_SCALES;
    };
    auto ask_inputs = [&](int stage, int span) {
        // Odd rows have the halves of each 128 bytes swapped, so that a warp's reads meet all banks.
#pragma unroll
        for (int i = 0; i < NT * 8 * 16 / THREADS; i++) {
            const int at = threadIdx.x + i * THREADS, row = at / 16, unit = at % 16;
            fetch(to_inputs + stage * STAGE + row * 256 + (unit ^ (row % 2 * 4)) * 16,
                  x + (long long)min(row, rows - 1) * columns + span * 128 + unit * 8);
        }
    };
    auto input = [&](int stage, int nt, int chunk) {
        return *(const uint4 *)(memory + stage * STAGE + (nt * 8 + g) * 256 + ((chunk * 4 + t) ^ (g % 2 * 4)) * 16);
    };
    auto add_up = [&](int stage, float *to) {  // sums of a step's inputs over each group
        const u32 ones = 0x3f803f80u;
        for (int nt = warp; nt < NT; nt += WARPS) {
#pragma unroll
            for (int group = 0; group < GS; group++) {
                float sum[4] = {0, 0, 0, 0};
#pragma unroll
                for (int chunk = group * CHUNKS; chunk < (group + 1) * CHUNKS; chunk++) {
                    const uint4 right = input(stage, nt, chunk);
                    multiply(sum, ones, ones, ones, ones, right.x, right.y);
                    multiply(sum, ones, ones, ones, ones, right.z, right.w);
                }
                if (g == 0) *(float2 *)(to + group * 8 * NT + nt * 8 + 2 * t) = {sum[0], sum[1]};
            }
        }
    };

    // Codes are asked for before the wait for the kernel ahead, inputs after it.
#pragma unroll
    for (int i = 0; i < DEPTH - 1; i++)
        if (from + i < past) ask_codes(i);
    take_turns();
#pragma unroll
    for (int i = 0; i < DEPTH - 1; i++) {
        if (ahead < past) ask_inputs(i, ahead++);
        fetched();
    }
    await<DEPTH - 2>();
    __syncthreads();
    add_up(0, sums);

    const u32 one = 0x43004300u;
    float total[TILES][NT][4];
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
        for (int nt = 0; nt < NT; nt++) total[tile][nt][0] = total[tile][nt][1] = total[tile][nt][2] = total[tile][nt][3] = 0;
    int stage = 0;
    for (int span = from; span < past; span++) {
        const int next = stage + 1 == DEPTH ? 0 : stage + 1, before = stage ? stage - 1 : DEPTH - 1;
        await<DEPTH - 3>();  // the step after this one has come
        __syncthreads();
        if (ahead < past) {
            ask_codes(before);
            ask_inputs(before, ahead++);
        }
        fetched();
        if (span + 1 < past) add_up(next, sums + (span + 1 - from) % 2 * GS * 8 * NT);
        const float *step_sums = sums + (span - from) % 2 * GS * 8 * NT;
        const unsigned char *mine = memory + stage * STAGE + NT * 8 * 256 + warp * CODES;
        const u32 *step_scales = (const u32 *)(mine + TILES * 1024) + g * GS;
        u32 words[2 * TILES][4];
#pragma unroll
        for (int block = 0; block < 2 * TILES; block++) {
            const uint4 word = *(const uint4 *)(mine + block * 512 + lane * 16);
            words[block][0] = word.x, words[block][1] = word.y, words[block][2] = word.z, words[block][3] = word.w;
        }
#pragma unroll
        for (int group = 0; group < GS; group++) {
            float sum[TILES][NT][4];
#pragma unroll
            for (int tile = 0; tile < TILES; tile++)
#pragma unroll
                for (int nt = 0; nt < NT; nt++) sum[tile][nt][0] = sum[tile][nt][1] = sum[tile][nt][2] = sum[tile][nt][3] = 0;
#pragma unroll
            for (int chunk = group * CHUNKS; chunk < (group + 1) * CHUNKS; chunk++) {
                u32 upper[TILES][4], lower[TILES][4];
#pragma unroll
                for (int tile = 0; tile < TILES; tile++)
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        upper[tile][i] = codes_of(words[2 * tile][chunk] >> (4 * i), one);
                        lower[tile][i] = codes_of(words[2 * tile + 1][chunk] >> (4 * i), one);
                    }
#pragma unroll
                for (int nt = 0; nt < NT; nt++) {
                    const uint4 right = input(stage, nt, chunk);
#pragma unroll
                    for (int tile = 0; tile < TILES; tile++) {
                        multiply(sum[tile][nt], upper[tile][0], lower[tile][0], upper[tile][1], lower[tile][1], right.x, right.y);
                        multiply(sum[tile][nt], upper[tile][2], lower[tile][2], upper[tile][3], lower[tile][3], right.z, right.w);
                    }
                }
            }
#pragma unroll
            for (int nt = 0; nt < NT; nt++) {
                const float2 inputs = *(const float2 *)(step_sums + group * 8 * NT + nt * 8 + 2 * t);
#pragma unroll
                for (int block = 0; block < 2 * TILES; block++) {
                    const u32 pair = step_scales[block * 8 * GS + group];
                    const float factor = low(pair), least = high(pair) - 128.0f * factor;
                    float *add = total[block / 2][nt] + block % 2 * 2;
                    const float *from_units = sum[block / 2][nt] + block % 2 * 2;
                    add[0] += factor * from_units[0] + least * inputs.x;
                    add[1] += factor * from_units[1] + least * inputs.y;
                }
            }
        }
        stage = next;
    }

#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int i = 0; i < (GATED ? 2 : 4); i++) {
                const int row = nt * 8 + 2 * t + i % 2;
                const int place = (group * TILES + tile) * (GATED ? 8 : 16) + g + i / 2 * 8;
                if (row >= rows) continue;
                float result = total[tile][nt][i];
                if (GATED) result = rounded(gelu(rounded(result))) * rounded(total[tile][nt][i + 2]);
                const long long at = ((long long)blockIdx.y * rows + row) * width + place;
#if WIDE
                ((float *)out)[at] = result;
#else
                ((u16 *)out)[at] = (u16)pack(result, result);
#endif
            }
}
