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

// Numbers between rows or matrices, so that they do not share their places in the cache.
constexpr int64_t kGap = 16;

// Matrices [rows, channels] packed as [matrix][group of channels][row][channel of the group].
struct Groups {
  int64_t matrices, channels, rows, width;  // `width` divides `channels`

  int64_t apart() const { return channels * rows + kGap; }
  int64_t size() const { return matrices * apart(); }
  // Returns where the numbers of a row are from a channel on.
  int64_t Place(int64_t matrix, int64_t channel, int64_t row) const {
    const int64_t group = channel / width;
    return matrix * apart() + (group * rows + row) * width + channel % width;
  }
};

// Channels whose sums fit into the registers beside a row of a panel: half a register, so that one
// is stored as two groups.
constexpr int64_t kGroup = kLanes / 2;

// Stores neighbouring channels of a row as groups of kGroup.
inline void StoreGroups(const Groups& groups, int64_t matrix, int64_t channel, int64_t row,
                        const Lanes& values, float* result) {
  for (int64_t half = 0; half < 2; ++half) {
    std::memcpy(result + groups.Place(matrix, channel + half * kGroup, row),
                reinterpret_cast<const float*>(&values) + half * kGroup, kGroup * sizeof(float));
  }
}

// Multiplies matrices over their rows: the sums are [matrix][panel of `rights`][channel of `lefts`]
// [kWide]. Adds to sums, or replaces them if these rows are the first.
inline void MultiplyOverRows(ffi::ThreadPool& pool, const Groups& lefts, const float* left,
                             const Groups& rights, const float* right, int64_t rows, bool first,
                             float* sums) {
  constexpr int64_t kTogether = 8;  // groups of a task
  const int64_t panels = rights.channels / kWide, groups = lefts.channels / kGroup;
  const int64_t parts = (groups + kTogether - 1) / kTogether;
  Divide(pool, lefts.matrices * panels * parts, [&](int64_t task) {
    const int64_t part = task % parts, panel = task / parts % panels, matrix = task / parts / panels;
    const float* rows_right = right + rights.Place(matrix, panel * kWide, 0);
    const int64_t end = std::min(groups, (part + 1) * kTogether);
    for (int64_t group = part * kTogether; group < end; ++group) {
      const float* rows_left = left + lefts.Place(matrix, group * kGroup, 0);
      float* to = sums + ((matrix * panels + panel) * lefts.channels + group * kGroup) * kWide;
      Multiply<kGroup>(
          rows, [=](int column, int64_t row) { return rows_left[row * kGroup + column]; },
          rows_right, [=](int row, int column, const Lanes& products) {
            float* sum = to + row * kWide + column;
            Store(sum, first ? products : Load<Lanes>(sum) + products);
          });
    }
  });
}

// Splits `count` into the fewest parts of at most `most`, of almost equal size.
struct Parts {
  int64_t count, number;

  Parts(int64_t all, int64_t most) : count(all), number((all + most - 1) / most) {}
  int64_t begin(int64_t part) const { return part * count / number; }
  int64_t size(int64_t part) const { return begin(part + 1) - begin(part); }
  int64_t largest() const { return (count + number - 1) / number; }
};

}  // namespace faceemo

#endif  // FACEEMO_PRODUCT_H_
