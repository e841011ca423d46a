// The product of a matrix, transposed, and another: the gradient of the kernel of a 1x1 convolution.

#include "product.h"

namespace faceemo {
namespace {

// Rows that are in memory in packed form at the same time, and rows of a task that packs them.
constexpr int64_t kRowsPacked = 2048, kRowsOfTask = 64;

ffi::Error ProductOverRows(ffi::ThreadPool pool, Array one, Array other, Result result) {
  const int64_t count = one.dimensions()[0], channels = one.dimensions()[1];
  const int64_t features = other.dimensions()[1], panels = features / kWide;
  const Parts blocks(count, kRowsPacked);
  const Groups lefts{1, channels, blocks.largest(), kGroup};
  const Groups rights{1, features, blocks.largest(), kWide};
  const Scratch left(lefts.size()), right(rights.size()), sums(channels * features);
  for (int64_t block = 0; block < blocks.number; ++block) {
    const int64_t start = blocks.begin(block);
    const Parts parts(blocks.size(block), kRowsOfTask);
    Divide(pool, parts.number, [&](int64_t part) {
      for (int64_t i = 0; i < parts.size(part); ++i) {
        const int64_t row = parts.begin(part) + i;
        const float* lefts_of_row = one.typed_data() + (start + row) * channels;
        const float* rights_of_row = other.typed_data() + (start + row) * features;
        for (int64_t c = 0; c < channels; c += kLanes) {
          StoreGroups(lefts, 0, c, row, Load<Lanes>(lefts_of_row + c), left.get());
        }
        for (int64_t d = 0; d < features; d += kLanes) {
          Store(right.get() + rights.Place(0, d, row), Load<Lanes>(rights_of_row + d));
        }
      }
    });
    MultiplyOverRows(pool, lefts, left.get(), rights, right.get(), parts.count, block == 0,
                     sums.get());
  }
  Divide(pool, panels, [&](int64_t panel) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      std::memcpy(result->typed_data() + channel * features + panel * kWide,
                  sums.get() + (panel * channels + channel) * kWide, kWide * sizeof(float));
    }
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace faceemo

XLA_FFI_DEFINE_HANDLER_SYMBOL(faceemo_product_over_rows, faceemo::ProductOverRows,
                              faceemo::BindArrays().Ret<faceemo::Array>());
