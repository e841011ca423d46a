// A row of a depthwise convolution, which two files of the extension compute.

#ifndef FACEEMO_DEPTHWISE_ROW_H_
#define FACEEMO_DEPTHWISE_ROW_H_

#include "support.h"

namespace faceemo {

// Sizes of a convolution of [images, height, width, channels] to [images, rows, columns, channels].
struct Sizes {
  int64_t images, height, width, channels, rows, columns;
  int64_t down, right;  // strides
  int64_t above, left;  // zeros before the inputs
};

// Computes one row of outputs. `lines` are the rows of the inputs that meet the kernel's rows; those
// outside of the image are lines of zeros. `finish(sum, channel)` gives the output for a sum.
template <int kSide, typename Finish>
struct ConvolveRow {
  const Sizes& at;
  const float* const (&lines)[kSide];
  const float* kernel;
  const Finish& finish;
  float* outputs;

  template <typename T, int kRegisters>
  void Run(int64_t channel) const {
    const int64_t channels = at.channels;
    T weights[kSide][kSide][kRegisters];
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        for (int r = 0; r < kRegisters; ++r) {
          weights[i][j][r] =
              Load<T>(kernel + (i * kSide + j) * channels + channel + r * Width<T>());
        }
      }
    }
    for (int64_t column = 0; column < at.columns; ++column) {
      const int64_t x = column * at.right - at.left;
      T sums[kRegisters] = {};
      if (x >= 0 && x + kSide <= at.width) {
        const int64_t offset = x * channels + channel;
        for (int i = 0; i < kSide; ++i) {
          for (int j = 0; j < kSide; ++j) {
            for (int r = 0; r < kRegisters; ++r) {
              sums[r] += Load<T>(lines[i] + offset + j * channels + r * Width<T>()) *
                         weights[i][j][r];
            }
          }
        }
      } else {
        for (int j = 0; j < kSide; ++j) {
          if (x + j < 0 || x + j >= at.width) continue;
          for (int i = 0; i < kSide; ++i) {
            const float* value = lines[i] + (x + j) * channels + channel;
            for (int r = 0; r < kRegisters; ++r) {
              sums[r] += Load<T>(value + r * Width<T>()) * weights[i][j][r];
            }
          }
        }
      }
      for (int r = 0; r < kRegisters; ++r) {
        const int64_t first = channel + r * Width<T>();
        Store(outputs + column * channels + first, finish(sums[r], first));
      }
    }
  }
};

// Computes one row, two registers of channels at a time where there is room for the kernel.
template <int kSide, typename Finish>
void ComputeRow(const ConvolveRow<kSide, Finish>& row) {
  ForChannels<kSide == 3 ? 2 : 1>(0, row.at.channels, row);
}

// Calls `work` with the side of the kernel [side, side, channels, 1] as a constant.
template <typename Kernel, typename Work>
ffi::Error WithSide(const Kernel& kernel, const Work& work) {
  const int64_t side = kernel.dimensions()[0];
  if (side == 3) {
    work(std::integral_constant<int, 3>());
  } else if (side == 5) {
    work(std::integral_constant<int, 5>());
  } else {
    return ffi::Error::InvalidArgument("expected a kernel with a side of 3 or 5");
  }
  return ffi::Error::Success();
}

template <typename Images, typename Outputs>
Sizes Measure(const Images& images, const Outputs& outputs, int64_t down, int64_t right,
              int64_t above, int64_t left) {
  const auto large = images.dimensions(), small = outputs.dimensions();
  return {large[0], large[1], large[2], large[3], small[1], small[2], down, right, above, left};
}

}  // namespace faceemo

#endif  // FACEEMO_DEPTHWISE_ROW_H_
