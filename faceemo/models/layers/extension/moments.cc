// Sums over images and positions for BatchNorm, in fewer passes over the memory than XLA takes.

#include <vector>

#include "support.h"

namespace faceemo {
namespace {

// Rows [first, last) of an array [rows, channels] that one thread sums: about 64 KiB, so that a
// second pass finds them in the cache.
struct Rows {
  static int64_t Each(int64_t channels) {
    return std::max<int64_t>(8, 16384 / std::max<int64_t>(channels, 1));
  }
  static int64_t Count(int64_t rows, int64_t channels) {
    const int64_t each = Each(channels);
    return (rows + each - 1) / each;
  }
  Rows(int64_t part, int64_t rows, int64_t channels)
      : first(part * Each(channels)), last(std::min(rows, first + Each(channels))) {}
  int64_t first, last;
};

// Calls `work(row)` for the rows of real images, of which each has `positions` rows.
template <typename Work>
void ForRealRows(const Rows& rows, int64_t positions, const float* mask, const Work& work) {
  for (int64_t row = rows.first; row < rows.last;) {
    const int64_t image = row / positions, end = std::min(rows.last, (image + 1) * positions);
    if (mask[image] > 0) {
      for (int64_t real = row; real < end; ++real) work(real);
    }
    row = end;
  }
}

ffi::Error Moments(ffi::ThreadPool pool, Array values, Array mask, Result mean, Result squares) {
  const auto shape = values.dimensions();
  const int64_t channels = shape.back(), positions = shape[1] * shape[2];
  const int64_t rows = shape[0] * positions, parts = Rows::Count(rows, channels);
  const float* data = values.typed_data();
  std::vector<float> means(parts * channels), deviations(parts * channels);
  std::vector<int64_t> counts(parts);
  Divide(pool, parts, [&](int64_t part) {
    const Rows own(part, rows, channels);
    float* average = &means[part * channels];
    float* deviation = &deviations[part * channels];
    int64_t count = 0;
    ForRealRows(own, positions, mask.typed_data(), [&](int64_t row) {
      const float* from = data + row * channels;
      for (int64_t c = 0; c < channels; ++c) average[c] += from[c];
      ++count;
    });
    counts[part] = count;
    if (count == 0) return;
    for (int64_t c = 0; c < channels; ++c) average[c] /= static_cast<float>(count);
    ForRealRows(own, positions, mask.typed_data(), [&](int64_t row) {
      const float* from = data + row * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const float difference = from[c] - average[c];
        deviation[c] += difference * difference;
      }
    });
  });
  // Chan et al. 1983: deviations from the mean of each part become those from the common mean.
  int64_t total = 0;
  for (int64_t count : counts) total += count;
  const double divisor = static_cast<double>(std::max<int64_t>(total, 1));
  std::vector<double> sum(channels, 0.0), square(channels, 0.0);
  for (int64_t part = 0; part < parts; ++part) {
    const double count = static_cast<double>(counts[part]);
    for (int64_t c = 0; c < channels; ++c) sum[c] += count * means[part * channels + c];
  }
  for (int64_t part = 0; part < parts; ++part) {
    const double count = static_cast<double>(counts[part]);
    for (int64_t c = 0; c < channels; ++c) {
      const double apart = means[part * channels + c] - sum[c] / divisor;
      square[c] += deviations[part * channels + c] + count * apart * apart;
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    mean->typed_data()[c] = static_cast<float>(sum[c] / divisor);
    squares->typed_data()[c] = static_cast<float>(square[c]);
  }
  return ffi::Error::Success();
}

ffi::Error GradientSums(ffi::ThreadPool pool, Array values, Array mean, Array gradient,
                        Result plain, Result weighted) {
  const auto shape = values.dimensions();
  const int64_t channels = shape.back(), rows = shape[0] * shape[1] * shape[2];
  const int64_t parts = Rows::Count(rows, channels);
  const float* data = values.typed_data();
  const float* slopes = gradient.typed_data();
  const float* center = mean.typed_data();
  std::vector<float> sums(2 * parts * channels);
  Divide(pool, parts, [&](int64_t part) {
    const Rows own(part, rows, channels);
    float* one = &sums[2 * part * channels];
    float* other = one + channels;
    for (int64_t row = own.first; row < own.last; ++row) {
      const float* from = data + row * channels;
      const float* slope = slopes + row * channels;
      for (int64_t c = 0; c < channels; ++c) {
        one[c] += slope[c];
        other[c] += slope[c] * (from[c] - center[c]);
      }
    }
  });
  std::vector<double> totals(2 * channels, 0.0);
  for (int64_t part = 0; part < parts; ++part) {
    for (int64_t i = 0; i < 2 * channels; ++i) totals[i] += sums[2 * part * channels + i];
  }
  for (int64_t c = 0; c < channels; ++c) {
    plain->typed_data()[c] = static_cast<float>(totals[c]);
    weighted->typed_data()[c] = static_cast<float>(totals[channels + c]);
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace faceemo

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_moments, faceemo::Moments,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Ret<faceemo::Array>()
                                  .Ret<faceemo::Array>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_gradient_sums, faceemo::GradientSums,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Arg<faceemo::Array>()
                                  .Ret<faceemo::Array>()
                                  .Ret<faceemo::Array>());
