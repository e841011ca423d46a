// Products of packed matrices: what they share is kept in registers.

#ifndef FACEEMO_PRODUCT_H_
#define FACEEMO_PRODUCT_H_

#include <cstdlib>
#include <memory>

#include "support.h"

namespace faceemo {

// Columns of a panel: a matrix is packed as [panel][row][kWide].
constexpr int kRegistersWide = 2;
constexpr int64_t kWide = kRegistersWide * kLanes;

// Rows of sums that fit into the registers beside a row of a panel.
#ifdef __AVX512F__
constexpr int kTall = 14;
#else
constexpr int kTall = 6;
#endif

// Uninitialised numbers whose address suits every register.
class Scratch {
 public:
  explicit Scratch(int64_t size) {
    constexpr int64_t kAlignment = 64;
    const int64_t bytes = (size * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    numbers_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
    if (!numbers_) throw std::bad_alloc();
  }
  float* get() const { return numbers_.get(); }

 private:
  struct Free {
    void operator()(float* numbers) const { std::free(numbers); }
  };
  std::unique_ptr<float, Free> numbers_;
};

// Multiplies [kRows, count] by a panel [count, kWide]; `left(row, i)` is an element of the first.
template <int kRows, typename Left, typename Finish>
inline void Multiply(int64_t count, const Left& left, const float* panel, const Finish& finish) {
  Lanes sums[kRows][kRegistersWide] = {};
  for (int64_t i = 0; i < count; ++i) {
    Lanes weights[kRegistersWide];
    for (int r = 0; r < kRegistersWide; ++r) weights[r] = Load<Lanes>(panel + i * kWide + r * kLanes);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; ++row) {
      for (int r = 0; r < kRegistersWide; ++r) sums[row][r] += left(row, i) * weights[r];
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
    for (int r = 0; r < kRegistersWide; ++r) finish(row, r * kLanes, sums[row][r]);
  }
}

// Multiplies rows [rows, count], `apart` numbers from one to the next, by a panel [count, kWide] to
// [rows, kWide]; `rows` is from 1 to kMost.
template <int kMost = kTall>
void MultiplyRows(int64_t rows, int64_t count, const float* left, int64_t apart,
                  const float* panel, float* result) {
  if constexpr (kMost > 1) {
    if (rows < kMost) {
      return MultiplyRows<kMost - 1>(rows, count, left, apart, panel, result);
    }
  }
  Multiply<kMost>(
      count, [=](int row, int64_t i) { return left[row * apart + i]; }, panel,
      [=](int row, int column, const Lanes& sums) { Store(result + row * kWide + column, sums); });
}

}  // namespace faceemo

#endif  // FACEEMO_PRODUCT_H_
