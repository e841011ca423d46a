// Convolutions with kernels of 3x3 and strides of 1: outputs, and the gradient of the inputs.

#include "product.h"
#include "winograd_tiles.h"

namespace faceemo {
namespace {

using namespace winograd;

// Tiles of a task: its points stay in the processor's cache from one panel to the next.
constexpr int64_t kTilesTogether = 42;

// Transforms the kernel [3, 3, channels, features] to panels [panel][point][channel][kWide]. If it
// is turned, the kernel given is [3, 3, features, channels], and each 3x3 is rotated by 180 degrees.
void PackKernel(ffi::ThreadPool& pool, const float* kernel, int64_t channels, int64_t features,
                bool turned, float* panels) {
  constexpr int64_t kDeep = 16;  // channels of a task
  const int64_t size = channels * features;
  const int64_t deep = channels / kDeep;
  Divide(pool, features / kWide * deep, [&](int64_t task) {
    const int64_t panel = task / deep, channel = task % deep * kDeep, feature = panel * kWide;
    float weights[kKernel * kKernel][kDeep][kWide];
    for (int64_t place = 0; place < kKernel * kKernel; ++place) {
      if (turned) {
        const float* from = kernel + (kKernel * kKernel - 1 - place) * size + channel;
        for (int64_t d = 0; d < kWide; ++d) {
          for (int64_t c = 0; c < kDeep; ++c) {
            weights[place][c][d] = from[(feature + d) * channels + c];
          }
        }
      } else {
        const float* from = kernel + place * size + channel * features + feature;
        for (int64_t c = 0; c < kDeep; ++c) {
          std::memcpy(weights[place][c], from + c * features, sizeof(weights[place][c]));
        }
      }
    }
    for (int64_t c = 0; c < kDeep; ++c) {
      for (int64_t d = 0; d < kWide; d += kLanes) {
        Lanes square[kKernel][kKernel], points[kSide][kSide];
        for (int place = 0; place < kKernel * kKernel; ++place) {
          square[place / kKernel][place % kKernel] = Load<Lanes>(&weights[place][c][d]);
        }
        TransformKernel(square, points);
        for (int point = 0; point < kPoints; ++point) {
          Store(panels + ((panel * kPoints + point) * channels + channel + c) * kWide + d,
                points[point / kSide][point % kSide]);
        }
      }
    }
  });
}

// Transforms the inputs of some tiles to rows of channels, [point][tile][channel].
void PackInputs(const Sizes& at, const float* inputs, int64_t first, int64_t last, int64_t apart,
                float* rows) {
  const Map& map = at.large;
  at.tiles.For(first, last, [&](int64_t tile, int64_t image, int64_t y, int64_t x) {
    const float* from = inputs + image * map.height * map.width * map.channels;
    for (int64_t channel = 0; channel < map.channels; channel += kLanes) {
      Lanes square[kSide][kSide], points[kSide][kSide];
      map.LoadSquare(from, y - at.above, x - at.left, channel, square);
      TransformInputs(square, points);
      for (int point = 0; point < kPoints; ++point) {
        Store(rows + (point * (last - first) + tile - first) * apart + channel,
              points[point / kSide][point % kSide]);
      }
    }
  });
}

// Stores the results of some tiles, given as [point][tile][kWide], from one feature on.
void StoreResults(const Sizes& at, const float* products, int64_t first, int64_t last,
                  int64_t feature, float* outputs) {
  const Map& map = at.small;
  at.tiles.For(first, last, [&](int64_t tile, int64_t image, int64_t y, int64_t x) {
    float* to = outputs + ((image * map.height + y) * map.width + x) * map.channels + feature;
    for (int64_t d = 0; d < kWide; d += kLanes) {
      Lanes points[kSide][kSide], square[kStep][kStep];
      for (int point = 0; point < kPoints; ++point) {
        points[point / kSide][point % kSide] =
            Load<Lanes>(products + (point * (last - first) + tile - first) * kWide + d);
      }
      TransformPoints(points, square);
      for (int row = 0; row < kStep && y + row < map.height; ++row) {
        for (int column = 0; column < kStep && x + column < map.width; ++column) {
          Store(to + (row * map.width + column) * map.channels + d, square[row][column]);
        }
      }
    }
  });
}

ffi::Error Outputs(ffi::ThreadPool pool, Array inputs, Array kernel, int64_t above, int64_t left,
                   bool turned, Result outputs) {
  const Sizes at = Sizes::Make(inputs, *outputs, above, left);
  const int64_t channels = at.large.channels, features = at.small.channels;
  const Scratch panels(kPoints * channels * features);
  PackKernel(pool, kernel.typed_data(), channels, features, turned, panels.get());
  const Parts blocks(at.tiles.count(), kTilesTogether);
  const int64_t apart = channels + kGap;
  Divide(pool, blocks.number, [&](int64_t block) {
    const int64_t first = blocks.begin(block), count = blocks.size(block);
    const Scratch rows(kPoints * count * apart), products(kPoints * count * kWide);
    PackInputs(at, inputs.typed_data(), first, first + count, apart, rows.get());
    const Parts groups(count, kTall);
    for (int64_t panel = 0; panel < features / kWide; ++panel) {
      for (int64_t point = 0; point < kPoints; ++point) {
        const float* weights = panels.get() + (panel * kPoints + point) * channels * kWide;
        for (int64_t group = 0; group < groups.number; ++group) {
          const int64_t tile = point * count + groups.begin(group);
          MultiplyRows(groups.size(group), channels, rows.get() + tile * apart, apart, weights,
                       products.get() + tile * kWide);
        }
      }
      StoreResults(at, products.get(), first, first + count, panel * kWide, outputs->typed_data());
    }
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace faceemo

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_winograd, faceemo::Outputs,
                              faceemo::BindArrays()
                                  .Attr<int64_t>("above")
                                  .Attr<int64_t>("left")
                                  .Attr<bool>("turned")
                                  .Ret<faceemo::Array>());
