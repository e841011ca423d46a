// Depthwise convolutions of kernels with 3 or 5 rows and columns, and their gradients.

#include <vector>

#include "depthwise_row.h"

namespace faceemo {
namespace {

// The output is the sum itself.
struct KeepSum {
  template <typename T>
  T operator()(const T& sum, int64_t) const {
    return sum;
  }
};

template <int kSide>
void Convolve(ffi::ThreadPool& pool, const Sizes& at, const float* inputs, const float* kernel,
              float* outputs) {
  const std::vector<float> zeros(at.width * at.channels);
  const int64_t line = at.width * at.channels;
  Divide(pool, at.images * at.rows, [&](int64_t task) {
    const int64_t image = task / at.rows, row = task % at.rows;
    const float* lines[kSide];
    for (int i = 0; i < kSide; ++i) {
      const int64_t y = row * at.down - at.above + i;
      lines[i] = y < 0 || y >= at.height ? zeros.data() : inputs + (image * at.height + y) * line;
    }
    const KeepSum keep;
    ComputeRow<kSide, KeepSum>({at, lines, kernel, keep, outputs + task * at.columns * at.channels});
  });
}

// Computes one row of the inputs' gradient, for strides above 1. `lines` are the rows of the
// outputs' gradient that the kernel's rows connect with it; the others are null.
template <int kSide>
struct InputGradientRow {
  const Sizes& at;
  const float* const (&lines)[kSide];
  const float* kernel;
  float* result;

  template <typename T, int kRegisters>
  void Run(int64_t channel) const {
    const int64_t channels = at.channels;
    for (int64_t x = 0; x < at.width; ++x) {
      T sums[kRegisters] = {};
      for (int64_t j = (x + at.left) % at.right; j < kSide; j += at.right) {
        const int64_t column = (x + at.left - j) / at.right;
        if (x + at.left < j || column >= at.columns) continue;
        for (int i = 0; i < kSide; ++i) {
          if (lines[i] == nullptr) continue;
          const float* slope = lines[i] + column * channels + channel;
          const float* weight = kernel + (i * kSide + j) * channels + channel;
          for (int r = 0; r < kRegisters; ++r) {
            sums[r] += Load<T>(slope + r * Width<T>()) * Load<T>(weight + r * Width<T>());
          }
        }
      }
      for (int r = 0; r < kRegisters; ++r) {
        Store(result + x * channels + channel + r * Width<T>(), sums[r]);
      }
    }
  }
};

template <int kSide>
void ComputeInputGradient(ffi::ThreadPool& pool, const Sizes& at, const float* gradient,
                          const float* kernel, float* result) {
  if (at.down == 1 && at.right == 1) {
    // The convolution of the gradient with the kernel turned by 180 degrees.
    constexpr int64_t kPlaces = kSide * kSide;
    std::vector<float> turned(kPlaces * at.channels);
    for (int64_t place = 0; place < kPlaces; ++place) {
      std::copy_n(kernel + (kPlaces - 1 - place) * at.channels, at.channels,
                  turned.begin() + place * at.channels);
    }
    const Sizes back{at.images, at.rows, at.columns, at.channels, at.height, at.width,
                     1,         1,       kSide - 1 - at.above,    kSide - 1 - at.left};
    Convolve<kSide>(pool, back, gradient, turned.data(), result);
    return;
  }
  Divide(pool, at.images * at.height, [&](int64_t task) {
    const int64_t image = task / at.height, y = task % at.height;
    const float* lines[kSide];
    for (int i = 0; i < kSide; ++i) {
      const int64_t row = (y + at.above - i) / at.down;
      const bool meets = y + at.above >= i && (y + at.above - i) % at.down == 0 && row < at.rows;
      lines[i] = meets ? gradient + (image * at.rows + row) * at.columns * at.channels : nullptr;
    }
    const InputGradientRow<kSide> work{at, lines, kernel, result + task * at.width * at.channels};
    ForChannels<4>(0, at.channels, work);
  });
}

// Computes the gradient of the kernel by some of the images: [kSide, kSide, channels].
template <int kSide>
struct KernelGradientPart {
  const Sizes& at;
  const float* inputs;
  const float* gradient;
  int64_t first, last;  // images
  float* result;

  template <typename T, int kRegisters>
  void Run(int64_t channel) const {
    T total[kSide][kSide][kRegisters] = {};
    for (int64_t image = first; image < last; ++image) {
      for (int64_t row = 0; row < at.rows; ++row) {
        const float* slopes =
            gradient + (image * at.rows + row) * at.columns * at.channels + channel;
        for (int i = 0; i < kSide; ++i) {
          const int64_t y = row * at.down - at.above + i;
          if (y < 0 || y >= at.height) continue;
          AddRow(inputs + (image * at.height + y) * at.width * at.channels + channel, slopes,
                 total[i]);
        }
      }
    }
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        float* to = result + (i * kSide + j) * at.channels + channel;
        for (int r = 0; r < kRegisters; ++r) Store(to + r * Width<T>(), total[i][j][r]);
      }
    }
  }

  // Adds a row of positions to the gradient of a row of the kernel.
  template <typename T, int kRegisters>
  void AddRow(const float* line, const float* slopes, T (&total)[kSide][kRegisters]) const {
    const int64_t channels = at.channels;
    T sums[kSide][kRegisters] = {};
    for (int64_t column = 0; column < at.columns; ++column, slopes += channels) {
      const int64_t x = column * at.right - at.left;
      if (x >= 0 && x + kSide <= at.width) {
        const float* value = line + x * channels;
        for (int r = 0; r < kRegisters; ++r) {
          const T slope = Load<T>(slopes + r * Width<T>());
          for (int j = 0; j < kSide; ++j) {
            sums[j][r] += Load<T>(value + j * channels + r * Width<T>()) * slope;
          }
        }
      } else {
        for (int j = 0; j < kSide; ++j) {
          if (x + j < 0 || x + j >= at.width) continue;
          const float* value = line + (x + j) * channels;
          for (int r = 0; r < kRegisters; ++r) {
            sums[j][r] += Load<T>(value + r * Width<T>()) * Load<T>(slopes + r * Width<T>());
          }
        }
      }
    }
    // Row by row, because a sum of all positions would lose digits.
    for (int j = 0; j < kSide; ++j) {
      for (int r = 0; r < kRegisters; ++r) total[j][r] += sums[j][r];
    }
  }
};

template <int kSide>
void ComputeKernelGradient(ffi::ThreadPool& pool, const Sizes& at, const float* inputs,
                           const float* gradient, float* result) {
  constexpr int64_t kMostParts = 8;  // into which the images are divided
  constexpr int64_t kRegisters = kLanes == 16 ? 4 : 2, kBlock = kRegisters * kLanes;
  const int64_t blocks = (at.channels + kBlock - 1) / kBlock;
  const int64_t parts = std::min(kMostParts, at.images), size = kSide * kSide * at.channels;
  std::vector<float> sums(parts * size);
  Divide(pool, parts * blocks, [&](int64_t task) {
    const int64_t part = task / blocks, channel = task % blocks * kBlock;
    const KernelGradientPart<kSide> work{
        at, inputs, gradient, part * at.images / parts, (part + 1) * at.images / parts,
        &sums[part * size]};
    ForChannels<kRegisters>(channel, std::min(at.channels, channel + kBlock), work);
  });
  for (int64_t i = 0; i < size; ++i) {
    double total = 0;
    for (int64_t part = 0; part < parts; ++part) total += sums[part * size + i];
    result[i] = static_cast<float>(total);
  }
}

ffi::Error Outputs(ffi::ThreadPool pool, Array inputs, Array kernel, int64_t down, int64_t right,
                   int64_t above, int64_t left, Result outputs) {
  const Sizes at = Measure(inputs, *outputs, down, right, above, left);
  return WithSide(kernel, [&](auto side) {
    Convolve<side>(pool, at, inputs.typed_data(), kernel.typed_data(), outputs->typed_data());
  });
}

ffi::Error InputGradient(ffi::ThreadPool pool, Array gradient, Array kernel, int64_t down,
                         int64_t right, int64_t above, int64_t left, Result result) {
  const Sizes at = Measure(*result, gradient, down, right, above, left);
  return WithSide(kernel, [&](auto side) {
    ComputeInputGradient<side>(pool, at, gradient.typed_data(), kernel.typed_data(),
                               result->typed_data());
  });
}

ffi::Error KernelGradient(ffi::ThreadPool pool, Array inputs, Array gradient, int64_t down,
                          int64_t right, int64_t above, int64_t left, Result result) {
  const Sizes at = Measure(inputs, gradient, down, right, above, left);
  return WithSide(*result, [&](auto side) {
    ComputeKernelGradient<side>(pool, at, inputs.typed_data(), gradient.typed_data(),
                                result->typed_data());
  });
}

}  // namespace
}  // namespace faceemo

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_depthwise, faceemo::Outputs, faceemo::BindWindow());
XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_depthwise_input_gradient, faceemo::InputGradient,
                              faceemo::BindWindow());
XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_depthwise_kernel_gradient, faceemo::KernelGradient,
                              faceemo::BindWindow());
