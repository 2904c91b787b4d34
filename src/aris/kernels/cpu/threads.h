// A pool of threads for short phases: a step has hundreds of them, so whoever waits spins for some microseconds, no
// longer than the next phase mostly takes to come, and then sleeps until it is woken (futex, Linux).
#pragma once
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace aris {

constexpr double SPIN_SECONDS = 30e-6;

inline void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Sleeps while `word` is `value`; may return early.
inline void sleep_while(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

inline void wake(std::atomic<uint32_t>& word, int sleepers) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0);
}

// How many pauses fill SPIN_SECONDS: a pause is 10 to 150 cycles long, by processor.
inline int pauses_to_spin() {
  constexpr int TRIED = 200;
  double least = 1;
  for (int again = 0; again < 3; ++again) {
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < TRIED; ++i) pause_briefly();
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  return std::max(1, int(SPIN_SECONDS * TRIED / std::max(least, 1e-7)));
}

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads < 1 ? 1 : threads), spins_(pauses_to_spin()) {
    for (int i = 1; i < threads_; ++i) workers_.emplace_back([this] { work(); });
  }

  ~Pool() {
    stop_ = true;
    phase_.fetch_add(1);
    wake(phase_, INT_MAX);
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return threads_; }

  // Runs task(begin, end) over [0, count) in parts of `grain`; returns when all are done. Which thread takes a part is
  // chance, so a part's result must not depend on it.
  template <class Task>
  void run(int64_t count, int64_t grain, const Task& task) {
    if (count <= 0) return;
    if (grain < 1) grain = 1;
    if (threads_ == 1 || count <= grain) {
      task(int64_t{0}, count);
      return;
    }
    call_ = [](const void* what, int64_t begin, int64_t end) { (*static_cast<const Task*>(what))(begin, end); };
    what_ = &task;
    count_ = count;
    grain_ = grain;
    next_.store(0, std::memory_order_relaxed);
    gate_.store(OPEN);
    phase_.fetch_add(1);
    // Whoever counts itself as a sleeper after this look finds that the phase has changed, and does not sleep.
    if (sleeping_.load() > 0) wake(phase_, INT_MAX);
    take();
    // Whoever has not come in by now is not waited for: on a busy machine it may not even be running.
    gate_.fetch_and(~OPEN);
    for (int spins = 0; gate_.load(std::memory_order_acquire) & INSIDE; ++spins) {
      if (spins < spins_) {
        pause_briefly();
        continue;
      }
      const uint32_t gate = gate_.fetch_or(WAITED_FOR) | WAITED_FOR;
      if (gate & INSIDE) sleep_while(gate_, gate);
    }
  }

 private:
  void take() {
    for (;;) {
      int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= count_) return;
      int64_t end = begin + grain_ < count_ ? begin + grain_ : count_;
      call_(what_, begin, end);
    }
  }

  void work() {
    uint32_t seen = 0;
    for (;;) {
      for (int spins = 0; phase_.load(std::memory_order_acquire) == seen; ++spins) {
        if (spins < spins_) {
          pause_briefly();
          continue;
        }
        sleeping_.fetch_add(1);
        sleep_while(phase_, seen);
        sleeping_.fetch_sub(1);
      }
      seen = phase_.load();
      if (stop_) return;
      uint32_t gate = gate_.load();
      while (gate & OPEN) {
        if (!gate_.compare_exchange_weak(gate, gate + 1)) continue;
        take();
        const uint32_t before = gate_.fetch_sub(1, std::memory_order_acq_rel);
        if ((before & WAITED_FOR) && (before & INSIDE) == 1) wake(gate_, 1);
        break;
      }
    }
  }

  const int threads_, spins_;
  std::vector<std::thread> workers_;
  std::atomic<uint32_t> phase_{0};
  // OPEN while parts may be taken, WAITED_FOR while the caller sleeps, and how many workers are inside.
  static constexpr uint32_t OPEN = 1u << 31, WAITED_FOR = 1u << 30, INSIDE = WAITED_FOR - 1;
  std::atomic<uint32_t> gate_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<int64_t> next_{0};
  void (*call_)(const void*, int64_t, int64_t) = nullptr;
  const void* what_ = nullptr;
  int64_t count_ = 0, grain_ = 1;
  std::atomic<bool> stop_{false};
};

}  // namespace aris
