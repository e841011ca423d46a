// What all files of the extension share.
//
// All arrays are float32, with the channels last. No result depends on the number of threads: the
// work is divided in the same way whatever their number, and parts are added up in the same order.

#ifndef FACEEMO_SUPPORT_H_
#define FACEEMO_SUPPORT_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>

#include "xla/ffi/api/ffi.h"

namespace faceemo {

namespace ffi = xla::ffi;
using Array = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

// Calls `work(i)` for each i below `count`, on the threads of XLA and on the calling one.
//
// The calling thread waits for parts that another thread has begun, but never for a thread to
// become free: all threads of XLA may be in such a call at the same time.
template <typename Work>
void Divide(ffi::ThreadPool& pool, int64_t count, const Work& work) {
  struct State {
    std::atomic<int64_t> next{0};
    int64_t done = 0;
    std::mutex mutex;
    std::condition_variable all_done;
  };
  auto state = std::make_shared<State>();
  // A thread that begins after the last part was taken touches nothing but `state`.
  auto run = [state, count, &work] {
    int64_t finished = 0;
    for (int64_t i; (i = state->next.fetch_add(1)) < count; ++finished) work(i);
    if (finished == 0) return;
    std::lock_guard<std::mutex> lock(state->mutex);
    if ((state->done += finished) == count) state->all_done.notify_all();
  };
  const int64_t helpers = std::min(pool.num_threads(), count) - 1;
  for (int64_t i = 0; i < helpers; ++i) pool.Schedule(decltype(run)(run));
  run();
  std::unique_lock<std::mutex> lock(state->mutex);
  state->all_done.wait(lock, [&] { return state->done == count; });
}

// Neighbouring channels in one register.
#ifdef __AVX512F__
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));

// `T` is `Lanes`, or float for the last channels. Copies, because channels are not aligned as
// registers are.
template <typename T>
T Load(const float* from) {
  T values;
  std::memcpy(&values, from, sizeof(T));
  return values;
}

template <typename T>
void Store(float* to, const T& values) {
  std::memcpy(to, &values, sizeof(T));
}

template <typename T>
constexpr int64_t Width() {
  return sizeof(T) / sizeof(float);
}

// Calls `work.Run<T, registers>(channel)` so that each channel from `first` to `last` has its turn:
// `kRegisters` registers of them, then one, then single channels. `T` is `Lanes` or float.
template <int kRegisters, typename Work>
void ForChannels(int64_t first, int64_t last, const Work& work) {
  int64_t channel = first;
  for (; channel + kRegisters * kLanes <= last; channel += kRegisters * kLanes) {
    work.template Run<Lanes, kRegisters>(channel);
  }
  for (; channel + kLanes <= last; channel += kLanes) work.template Run<Lanes, 1>(channel);
  for (; channel < last; ++channel) work.template Run<float, 1>(channel);
}

// Describes a function of two arrays. Attributes and results are still to be added.
inline auto BindArrays() {
  return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Array>().Arg<Array>();
}

// Describes a function of two arrays and of how a kernel moves: strides, and zeros before the inputs.
inline auto BindWindow() {
  return BindArrays()
      .Attr<int64_t>("down")
      .Attr<int64_t>("right")
      .Attr<int64_t>("above")
      .Attr<int64_t>("left")
      .Ret<Array>();
}

}  // namespace faceemo

#endif  // FACEEMO_SUPPORT_H_
