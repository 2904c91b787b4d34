// What the kernels of int4 tiles share (see tiles.cu).

#define THREADS (WARPS * 32)
#define BLOCK_SCALES (8 * GS * 4)  // bytes of the scales of 8 rows and 128 columns
#define CHUNKS (4 / GS)            // 32 columns each, of a group

__device__ __forceinline__ float rounded(float a) { return low(pack(a, a)); }

__device__ __forceinline__ void multiply(float (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
__device__ __forceinline__ u32 codes_of(u32 word, u32 one) {  // the codes at bits 0 and 16, each plus 128
    u32 pair;
    asm("lop3.b32 %0, %1, 0x000f000f, %2, 0xea;" : "=r"(pair) : "r"(word), "r"(one));
    return pair;
}

__device__ __forceinline__ float gelu(float x) {
    float u = 0.7978845608028654f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (2.0f - 2.0f / (__expf(2.0f * u) + 1.0f));
}
