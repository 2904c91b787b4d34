// A pool of threads for short phases: a step has hundreds of them, so waiting threads spin before they sleep.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace aris {

inline void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads < 1 ? 1 : threads) {
    for (int i = 1; i < threads_; ++i) workers_.emplace_back([this] { work(); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> hold(lock_);
      stop_ = true;
      phase_.fetch_add(1);
    }
    wake_.notify_all();
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
    if (sleeping_.load() > 0) {
      std::lock_guard<std::mutex> hold(lock_);
      phase_.fetch_add(1);
      wake_.notify_all();
    } else {
      phase_.fetch_add(1);
      if (sleeping_.load() > 0) {
        std::lock_guard<std::mutex> hold(lock_);
        wake_.notify_all();
      }
    }
    take();
    // Whoever has not come in by now is not waited for: on a busy machine it may not even be running.
    gate_.fetch_and(~OPEN);
    for (int spins = 0; gate_.load(std::memory_order_acquire) > 0; ++spins) {
      if (spins > 4000) std::this_thread::yield();
      else pause_briefly();
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
    uint64_t seen = 0;
    for (;;) {
      int spins = 0;
      while (phase_.load(std::memory_order_acquire) == seen) {
        if (++spins < 20000) {
          pause_briefly();
          continue;
        }
        std::unique_lock<std::mutex> hold(lock_);
        sleeping_.fetch_add(1);
        wake_.wait(hold, [&] { return phase_.load() != seen; });
        sleeping_.fetch_sub(1);
      }
      seen = phase_.load();
      if (stop_) return;
      uint32_t gate = gate_.load();
      while (gate & OPEN) {
        if (!gate_.compare_exchange_weak(gate, gate + 1)) continue;
        take();
        gate_.fetch_sub(1, std::memory_order_release);
        break;
      }
    }
  }

  const int threads_;
  std::vector<std::thread> workers_;
  std::atomic<uint64_t> phase_{0};
  static constexpr uint32_t OPEN = 1u << 31;
  std::atomic<uint32_t> gate_{0};  // OPEN while parts may be taken, and how many workers are taking them
  std::atomic<int> sleeping_{0};
  std::atomic<int64_t> next_{0};
  void (*call_)(const void*, int64_t, int64_t) = nullptr;
  const void* what_ = nullptr;
  int64_t count_ = 0, grain_ = 1;
  std::atomic<bool> stop_{false};
  std::mutex lock_;
  std::condition_variable wake_;
};

}  // namespace aris
