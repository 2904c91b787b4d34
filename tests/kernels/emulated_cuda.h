// What CUDA C++ gives a kernel, in C++: see emulated_cuda.py.
#include <ucontext.h>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#include <algorithm>
#include <functional>
#include <utility>
using std::max; using std::min;
#define __device__
#define __forceinline__ inline
#define __global__
#define __restrict__
#define __grid_constant__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __align__(n) alignas(n)
struct dim3 { int x, y, z; };
struct uint4 { unsigned x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };

struct Copy { unsigned char *to; const void *from; };

// A thread. `shared` is its block's dynamic shared memory, `fixed` the block's static one; `state` 2 means that it ended.
struct Fiber {
    ucontext_t at;
    std::vector<char> stack;
    dim3 thread, block;
    unsigned char *shared, *fixed;
    int id, state;
    unsigned slot[6];  // what it hands to the others of its warp
    std::vector<Copy> begun;  // of asynchronous copies
    std::vector<std::vector<Copy>> flights;
};
static Fiber *me; static ucontext_t home; static dim3 gridDim; static int per_block, cluster_size;
static std::vector<Fiber> fibers;
#define threadIdx (me->thread)
#define blockIdx (me->block)
static void pass() { Fiber *own = me; swapcontext(&own->at, &home); me = own; }
// All but the newest `left` groups of this thread's copies arrive.
static void land(int left) {
    auto &flights = me->flights;
    while ((int)flights.size() > left) {
        for (const Copy &copy : flights.front()) memcpy(copy.to, copy.from, 16);
        flights.erase(flights.begin());
    }
}
// Every one of a group of fibers, `from` to `to`, waits until all have come; a thread that has ended counts as come.
static std::vector<int> rounds[4];
static void meet(int kind, int from, int to) {
    const int mine = ++rounds[kind][me->id];
    for (;;) {
        bool all = true;
        for (int i = from; i < to; i++) all &= fibers[i].state == 2 || rounds[kind][i] >= mine;
        if (all) return;
        pass();
    }
}
static int warp_from() { return me->id / 32 * 32; }
static void meet_warp() { meet(0, warp_from(), warp_from() + 32); }
static void __syncwarp() { meet_warp(); }
static int block_from() { return me->id / per_block * per_block; }
static void __syncthreads() { meet(1, block_from(), block_from() + per_block); }
static void meet_cluster() { meet(2, 0, (int)fibers.size()); }
static void __threadfence() {}
template <class T> T __shfl_xor_sync(unsigned, T value, int step) {
    static_assert(sizeof(T) == 4, "");
    memcpy(&me->slot[0], &value, 4);
    meet_warp();
    T other; memcpy(&other, &fibers[warp_from() + (me->id % 32 ^ step)].slot[0], 4);
    meet_warp();
    return other;
}
template <class T> T __shfl_sync(unsigned, T value, int lane) {
    static_assert(sizeof(T) == 4, "");
    memcpy(&me->slot[0], &value, 4);
    meet_warp();
    T other; memcpy(&other, &fibers[warp_from() + lane % 32].slot[0], 4);
    meet_warp();
    return other;
}
static float __uint_as_float(unsigned v) { float f; memcpy(&f, &v, 4); return f; }
static float __int_as_float(unsigned v) { return __uint_as_float(v); }
static float exp_of(float x) { return std::exp(x); }
#define __expf exp_of
static float rsqrtf(float x) { return 1 / std::sqrt(x); }
template <class T> T __ldcg(const T *p) { return *p; }
static int atomicAdd(int *p, int n) { int old = *p; *p += n; return old; }
static float low_of(unsigned v) { return __uint_as_float(v << 16); }
static float high_of(unsigned v) { return __uint_as_float(v & 0xffff0000u); }
static unsigned bf16(float f) { unsigned v; memcpy(&v, &f, 4); return (v + 0x7fff + (v >> 16 & 1)) >> 16; }
// Shared memory by offset from a block's own start, as 32-bit addresses are.
static unsigned address_of(const void *p) { return (unsigned)((const unsigned char *)p - me->shared); }
static unsigned char *shared_at(unsigned address) { return me->shared + address; }

