// Runs a grid, cluster by cluster: every thread is a fiber, resumed in turn until all have ended.
static void (*body)();
static void enter() { me->state = 1; body(); me->state = 2; for (;;) pass(); }
extern "C" void launch(int gx, int gy, int threads, int shared, int cluster) {
    gridDim = {gx, gy, 1}; per_block = threads; cluster_size = cluster;
    for (int y = 0; y < gy; y++) for (int x = 0; x < gx; x += cluster) {
        const int fixed = 1 << 16;
        // Nothing in shared memory can be relied on.
        std::vector<unsigned char> memory((size_t)cluster * (shared + fixed) + 64, 0xff);
        unsigned char *base = (unsigned char *)(((uintptr_t)memory.data() + 63) & ~(uintptr_t)63);
        fibers.clear(); fibers.resize((size_t)cluster * threads);
        for (auto &round : rounds) round.assign(fibers.size(), 0);
        for (int i = 0; i < (int)fibers.size(); i++) {
            Fiber &f = fibers[i];
            f.stack.resize(1 << 16); f.id = i; f.state = 0;
            f.thread = {i % threads, 0, 0}; f.block = {x + i / threads, y, 0};
            f.shared = base + (size_t)(i / threads) * (shared + fixed); f.fixed = f.shared + shared;
            getcontext(&f.at);
            f.at.uc_stack.ss_sp = f.stack.data(); f.at.uc_stack.ss_size = f.stack.size(); f.at.uc_link = nullptr;
            makecontext(&f.at, enter, 0);
        }
        for (bool left = true; left;) {
            left = false;
            for (auto &f : fibers) if (f.state != 2) { left = true; me = &f; swapcontext(&home, &f.at); }
        }
    }
}
