// A depthwise convolution between two normalisations with fixed statistics, each with its activation.
//
// Computed one after the other, these are five passes over the memory, here they are one.

#include <vector>

#include "depthwise_row.h"

namespace faceemo {
namespace {

// The integers that a value of type `T` is turned into.
template <typename T>
struct Whole;
template <>
struct Whole<float> {
  typedef int32_t Type;
  static Type From(float value) { return static_cast<int32_t>(value); }
};
template <>
struct Whole<Lanes> {
  typedef int32_t Type __attribute__((vector_size(kLanes * sizeof(int32_t))));
  static Type From(const Lanes& values) { return __builtin_convertvector(values, Type); }
};

// e to the power of `value`, with a relative error below 1e-6; powers beyond float32 are clipped.
//
// 2^n e^r with the integer n next to value / ln 2; e^r is a polynomial (Cephes's coefficients).
template <typename T>
T Exponential(T value) {
  constexpr float kPerLn2 = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: a sum with it has no fraction
  value = value > 88.0f ? T{} + 88.0f : value;
  value = value < -87.0f ? T{} - 87.0f : value;
  const T whole = (value * kPerLn2 + kRound) - kRound;
  const T rest = (value - whole * kLn2High) - whole * kLn2Low;
  T power = T{} + 1.9875691500e-4f;
  power = power * rest + 1.3981999507e-3f;
  power = power * rest + 8.3334519073e-3f;
  power = power * rest + 4.1665795894e-2f;
  power = power * rest + 1.6666665459e-1f;
  power = power * rest + 5.0000001201e-1f;
  power = power * rest * rest + rest + 1.0f;
  const typename Whole<T>::Type bits = (Whole<T>::From(whole) + 127) << 23;
  T scale;
  std::memcpy(&scale, &bits, sizeof(T));
  return power * scale;
}

struct Swish {
  template <typename T>
  static T Apply(const T& value) {
    return value / (Exponential<T>(-value) + 1.0f);
  }
};

struct Relu6 {
  template <typename T>
  static T Apply(T value) {
    value = value < 0.0f ? T{} : value;
    return value > 6.0f ? T{} + 6.0f : value;
  }
};

// Maps a value of a channel to activation(value * scale + shift).
template <typename Activation>
struct Normalize {
  const float* scale;
  const float* shift;

  template <typename T>
  T operator()(const T& value, int64_t channel) const {
    return Activation::template Apply<T>(value * Load<T>(scale + channel) +
                                         Load<T>(shift + channel));
  }
};

// Normalises and activates the channels of one position.
template <typename Activation>
struct NormalizePosition {
  const Normalize<Activation>& normalize;
  const float* from;
  float* to;

  template <typename T, int kRegisters>
  void Run(int64_t channel) const {
    for (int r = 0; r < kRegisters; ++r) {
      const int64_t first = channel + r * Width<T>();
      Store(to + first, normalize(Load<T>(from + first), first));
    }
  }
};

// Adds the positions of a row [positions, channels] to `sums`.
struct AddRow {
  const Sizes& at;
  const float* row;
  float* sums;

  template <typename T, int kRegisters>
  void Run(int64_t channel) const {
    T totals[kRegisters] = {};
    for (int64_t column = 0; column < at.columns; ++column) {
      const float* values = row + column * at.channels + channel;
      for (int r = 0; r < kRegisters; ++r) totals[r] += Load<T>(values + r * Width<T>());
    }
    for (int r = 0; r < kRegisters; ++r) {
      float* sum = sums + channel + r * Width<T>();
      Store(sum, Load<T>(sum) + totals[r]);
    }
  }
};

// `averages` are those of the outputs of each image, [images, channels], or null.
template <int kSide, typename Activation>
void Compute(ffi::ThreadPool& pool, const Sizes& at, const float* inputs,
             const Normalize<Activation>& before, const float* kernel,
             const Normalize<Activation>& after, float* outputs, float* averages) {
  // Rows that a task computes. A task needs the lines of a few rows more, so many rows are better;
  // but few images have to be divided, too.
  constexpr int64_t kManyImages = 8, kFewRows = 8;
  const int64_t rows = at.images < kManyImages ? kFewRows : at.rows;
  const int64_t tasks = (at.rows + rows - 1) / rows, line = at.width * at.channels;
  const std::vector<float> zeros(line);
  std::vector<float> sums(averages ? at.images * tasks * at.channels : 0);
  Divide(pool, at.images * tasks, [&](int64_t task) {
    const int64_t image = task / tasks, first = task % tasks * rows;
    // The line of row y is in place y % kSide, until that of row y + kSide takes it.
    std::vector<float> activated(kSide * line);
    int64_t held[kSide];
    std::fill_n(held, kSide, -1);
    for (int64_t row = first; row < std::min(at.rows, first + rows); ++row) {
      const float* lines[kSide];
      for (int i = 0; i < kSide; ++i) {
        const int64_t y = row * at.down - at.above + i;
        if (y < 0 || y >= at.height) {
          lines[i] = zeros.data();
          continue;
        }
        float* place = &activated[y % kSide * line];
        lines[i] = place;
        if (held[y % kSide] == y) continue;
        held[y % kSide] = y;
        const float* from = inputs + (image * at.height + y) * line;
        for (int64_t x = 0; x < at.width; ++x) {
          const NormalizePosition<Activation> work{before, from + x * at.channels,
                                                   place + x * at.channels};
          ForChannels<4>(0, at.channels, work);
        }
      }
      float* to = outputs + (image * at.rows + row) * at.columns * at.channels;
      ComputeRow<kSide, Normalize<Activation>>({at, lines, kernel, after, to});
      if (averages) ForChannels<4>(0, at.channels, AddRow{at, to, &sums[task * at.channels]});
    }
  });
  if (averages == nullptr) return;
  const float positions = static_cast<float>(at.rows * at.columns);
  for (int64_t image = 0; image < at.images; ++image) {
    for (int64_t channel = 0; channel < at.channels; ++channel) {
      float total = 0;
      for (int64_t task = image * tasks; task < (image + 1) * tasks; ++task) {
        total += sums[task * at.channels + channel];
      }
      averages[image * at.channels + channel] = total / positions;
    }
  }
}

ffi::Error Between(ffi::ThreadPool pool, Array inputs, Array kernel, Array scale_before,
                   Array shift_before, Array scale_after, Array shift_after, int64_t down,
                   int64_t right, int64_t above, int64_t left, int64_t swish, Result outputs,
                   Result averages) {
  const Sizes at = Measure(inputs, *outputs, down, right, above, left);
  return WithSide(kernel, [&](auto side) {
    auto compute = [&](auto activation) {
      using Activated = Normalize<decltype(activation)>;
      const Activated before{scale_before.typed_data(), shift_before.typed_data()};
      const Activated after{scale_after.typed_data(), shift_after.typed_data()};
      Compute<side>(pool, at, inputs.typed_data(), before, kernel.typed_data(), after,
                    outputs->typed_data(),
                    averages->element_count() ? averages->typed_data() : nullptr);
    };
    if (swish) {
      compute(Swish());
    } else {
      compute(Relu6());
    }
  });
}

}  // namespace
}  // namespace faceemo

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_depthwise_between, faceemo::Between,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Attr<int64_t>("down")
                                  .Attr<int64_t>("right")
                                  .Attr<int64_t>("above")
                                  .Attr<int64_t>("left")
                                  .Attr<int64_t>("swish")
                                  .Ret<faceemo::Array>()
                                  .Ret<faceemo::Array>());
