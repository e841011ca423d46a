// The gradient of the kernel of a convolution of 3x3 with strides of 1.

#include "product.h"
#include "winograd_tiles.h"

namespace faceemo {
namespace {

using namespace winograd;

// Tiles whose points are in memory at the same time.
constexpr int64_t kTilesTogether = 1024;
// Tiles of a task that transforms them.
constexpr int64_t kTilesOfTask = 32;

void PackInputs(const Sizes& at, const float* inputs, int64_t start, int64_t first, int64_t last,
                const Groups& points, float* result) {
  const Map& map = at.large;
  for (int64_t channel = 0; channel < map.channels; channel += kLanes) {
    at.tiles.For(first, last, [&](int64_t tile, int64_t image, int64_t y, int64_t x) {
      Lanes square[kSide][kSide], all[kSide][kSide];
      map.LoadSquare(inputs + image * map.height * map.width * map.channels, y - at.above,
                     x - at.left, channel, square);
      TransformInputs(square, all);
      for (int point = 0; point < kPoints; ++point) {
        StoreGroups(points, point, channel, tile - start, all[point / kSide][point % kSide],
                    result);
      }
    });
  }
}

void PackGradient(const Sizes& at, const float* gradient, int64_t start, int64_t first,
                  int64_t last, const Groups& points, float* result) {
  const Map& map = at.small;
  for (int64_t channel = 0; channel < map.channels; channel += kLanes) {
    at.tiles.For(first, last, [&](int64_t tile, int64_t image, int64_t y, int64_t x) {
      Lanes square[kStep][kStep], all[kSide][kSide];
      map.LoadSquare(gradient + image * map.height * map.width * map.channels, y, x, channel,
                     square);
      TransformGradient(square, all);
      for (int point = 0; point < kPoints; ++point) {
        Store(result + points.Place(point, channel, tile - start),
              all[point / kSide][point % kSide]);
      }
    });
  }
}

// Transforms sums [point][panel][channel][kWide] to the gradient [3, 3, channels, features].
void StoreGradient(ffi::ThreadPool& pool, const float* sums, int64_t channels, int64_t features,
                   float* result) {
  const int64_t panels = features / kWide;
  Divide(pool, panels * channels, [&](int64_t task) {
    const int64_t panel = task % panels, channel = task / panels;
    for (int64_t d = 0; d < kWide; d += kLanes) {
      Lanes points[kSide][kSide], square[kKernel][kKernel];
      for (int point = 0; point < kPoints; ++point) {
        points[point / kSide][point % kSide] =
            Load<Lanes>(sums + ((point * panels + panel) * channels + channel) * kWide + d);
      }
      TransformKernelGradient(points, square);
      for (int place = 0; place < kKernel * kKernel; ++place) {
        Store(result + (place * channels + channel) * features + panel * kWide + d,
              square[place / kKernel][place % kKernel]);
      }
    }
  });
}

ffi::Error KernelGradient(ffi::ThreadPool pool, Array inputs, Array gradient, int64_t above,
                          int64_t left, Result result) {
  const Sizes at = Sizes::Make(inputs, gradient, above, left);
  const int64_t channels = at.large.channels, features = at.small.channels;
  const Parts blocks(at.tiles.count(), kTilesTogether);
  const Groups lefts{kPoints, channels, blocks.largest(), kGroup};
  const Groups rights{kPoints, features, blocks.largest(), kWide};
  const Scratch left_points(lefts.size()), right_points(rights.size());
  const Scratch sums(kPoints * channels * features);
  for (int64_t block = 0; block < blocks.number; ++block) {
    const int64_t start = blocks.begin(block), count = blocks.size(block);
    const Parts parts(count, kTilesOfTask);
    Divide(pool, parts.number, [&](int64_t part) {
      const int64_t first = start + parts.begin(part), last = first + parts.size(part);
      PackInputs(at, inputs.typed_data(), start, first, last, lefts, left_points.get());
      PackGradient(at, gradient.typed_data(), start, first, last, rights, right_points.get());
    });
    MultiplyOverRows(pool, lefts, left_points.get(), rights, right_points.get(), count, block == 0,
                     sums.get());
  }
  StoreGradient(pool, sums.get(), channels, features, result->typed_data());
  return ffi::Error::Success();
}

}  // namespace
}  // namespace faceemo

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_winograd_kernel_gradient, faceemo::KernelGradient,
                              faceemo::BindArrays()
                                  .Attr<int64_t>("above")
                                  .Attr<int64_t>("left")
                                  .Ret<faceemo::Array>());
