// Convolutions of images, which have three channels: outputs and the gradient of the kernel.

#include <vector>

#include "support.h"

namespace faceemo {
namespace {

constexpr int64_t kColors = 3;

// Sizes of a convolution of [images, height, width, kColors] with [side, side, kColors, features] to
// [images, rows, columns, features].
struct Sizes {
  int64_t images, height, width, side, features, rows, columns;
  int64_t down, right;  // strides
  int64_t above, left;  // zeros before the inputs
};

// Computes one row of outputs.
struct ConvolveRow {
  const Sizes& at;
  const float* image;
  const float* kernel;
  int64_t row;
  float* outputs;

  template <typename T, int kRegisters>
  void Run(int64_t feature) const {
    constexpr int64_t kTogether = 4;  // columns that share the loading of a weight
    int64_t column = 0;
    while (column < at.columns) {
      const int64_t x = column * at.right - at.left;
      const int64_t last = x + (kTogether - 1) * at.right + at.side;
      if (x >= 0 && last <= at.width && column + kTogether <= at.columns) {
        Add<T, kRegisters, kTogether>(feature, column, 0, at.side);
        column += kTogether;
      } else {
        const int64_t begin = std::max<int64_t>(0, -x);
        Add<T, kRegisters, 1>(feature, column, begin, std::min(at.side, at.width - x));
        ++column;
      }
    }
  }

  // Computes `kColumns` outputs from the columns [begin, end) of the kernel.
  template <typename T, int kRegisters, int64_t kColumns>
  void Add(int64_t feature, int64_t column, int64_t begin, int64_t end) const {
    T sums[kColumns][kRegisters] = {};
    const int64_t x = column * at.right - at.left, step = at.right * kColors;
    for (int64_t i = 0; i < at.side; ++i) {
      const int64_t y = row * at.down - at.above + i;
      if (y < 0 || y >= at.height) continue;
      const float* value = image + (y * at.width + x) * kColors;
      const float* weight = kernel + i * at.side * kColors * at.features + feature;
      for (int64_t k = begin * kColors; k < end * kColors; ++k) {
        T weights[kRegisters];
        for (int r = 0; r < kRegisters; ++r) {
          weights[r] = Load<T>(weight + k * at.features + r * Width<T>());
        }
        for (int64_t c = 0; c < kColumns; ++c) {
          for (int r = 0; r < kRegisters; ++r) sums[c][r] += value[c * step + k] * weights[r];
        }
      }
    }
    for (int64_t c = 0; c < kColumns; ++c) {
      float* to = outputs + (column + c) * at.features + feature;
      for (int r = 0; r < kRegisters; ++r) Store(to + r * Width<T>(), sums[c][r]);
    }
  }
};

// Adds one row of outputs to the gradient of the kernel, [side, side, kColors, features].
struct KernelGradientRow {
  const Sizes& at;
  const float* image;
  const float* gradient;  // of the row
  int64_t row;
  float* result;

  template <typename T, int kRegisters>
  void Run(int64_t feature) const {
    for (int64_t i = 0; i < at.side; ++i) {
      const int64_t y = row * at.down - at.above + i;
      if (y < 0 || y >= at.height) continue;
      const float* line = image + y * at.width * kColors;
      for (int64_t j = 0; j < at.side; ++j) {
        T sums[kColors][kRegisters] = {};
        for (int64_t column = 0; column < at.columns; ++column) {
          const int64_t x = column * at.right - at.left + j;
          if (x < 0 || x >= at.width) continue;
          const float* slope = gradient + column * at.features + feature;
          for (int r = 0; r < kRegisters; ++r) {
            const T slopes = Load<T>(slope + r * Width<T>());
            for (int64_t c = 0; c < kColors; ++c) sums[c][r] += line[x * kColors + c] * slopes;
          }
        }
        float* to = result + (i * at.side + j) * kColors * at.features + feature;
        for (int64_t c = 0; c < kColors; ++c) {
          for (int r = 0; r < kRegisters; ++r) {
            float* sum = to + c * at.features + r * Width<T>();
            Store<T>(sum, Load<T>(sum) + sums[c][r]);
          }
        }
      }
    }
  }
};

template <typename Images, typename Kernel, typename Outputs>
Sizes Measure(const Images& images, const Kernel& kernel, const Outputs& outputs, int64_t down,
              int64_t right, int64_t above, int64_t left) {
  const auto large = images.dimensions(), sides = kernel.dimensions();
  const auto small = outputs.dimensions();
  return {large[0], large[1], large[2], sides[0], sides[3], small[1],
          small[2], down,     right,    above,    left};
}

ffi::Error Outputs(ffi::ThreadPool pool, Array inputs, Array kernel, int64_t down, int64_t right,
                   int64_t above, int64_t left, Result outputs) {
  const Sizes at = Measure(inputs, kernel, *outputs, down, right, above, left);
  Divide(pool, at.images * at.rows, [&](int64_t task) {
    const int64_t image = task / at.rows, row = task % at.rows;
    const ConvolveRow work{at, inputs.typed_data() + image * at.height * at.width * kColors,
                           kernel.typed_data(), row,
                           outputs->typed_data() + task * at.columns * at.features};
    ForChannels<2>(0, at.features, work);
  });
  return ffi::Error::Success();
}

ffi::Error KernelGradient(ffi::ThreadPool pool, Array inputs, Array gradient, int64_t down,
                          int64_t right, int64_t above, int64_t left, Result result) {
  const Sizes at = Measure(inputs, *result, gradient, down, right, above, left);
  const int64_t size = at.side * at.side * kColors * at.features;
  std::vector<float> sums(at.images * size);
  Divide(pool, at.images, [&](int64_t image) {
    for (int64_t row = 0; row < at.rows; ++row) {
      const int64_t line = (image * at.rows + row) * at.columns * at.features;
      const KernelGradientRow work{at, inputs.typed_data() + image * at.height * at.width * kColors,
                                   gradient.typed_data() + line, row, &sums[image * size]};
      ForChannels<4>(0, at.features, work);
    }
  });
  for (int64_t i = 0; i < size; ++i) {
    double total = 0;
    for (int64_t image = 0; image < at.images; ++image) total += sums[image * size + i];
    result->typed_data()[i] = static_cast<float>(total);
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace faceemo

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_images, faceemo::Outputs, faceemo::BindWindow());
XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_images_kernel_gradient, faceemo::KernelGradient,
                              faceemo::BindWindow());
