// Tiles and transforms of Winograd's convolution F(2x2, 3x3): 16 products for 4 results of a 3x3
// kernel, in place of 36.
//
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016. With the
// matrices B, G and A of that paper, the results of a tile of inputs d, with a kernel g, are
// A^T [(G g G^T) * (B^T d B)] A. The 16 elements of the brackets are called points.

#ifndef FACEEMO_WINOGRAD_TILES_H_
#define FACEEMO_WINOGRAD_TILES_H_

#include "support.h"

namespace faceemo {
namespace winograd {

constexpr int kKernel = 3;
constexpr int kStep = 2;                    // side of the results of a tile
constexpr int kSide = kStep + kKernel - 1;  // side of its inputs
constexpr int kPoints = kSide * kSide;

// Applies a transform of columns, `Out From(In)`, to the columns and then to the rows of a square.
template <int kIn, int kOut, typename Transform>
void TransformSquare(const Transform& transform, const Lanes (&in)[kIn][kIn],
                     Lanes (&out)[kOut][kOut]) {
  Lanes between[kOut][kIn];
  for (int column = 0; column < kIn; ++column) {
    Lanes line[kIn], result[kOut];
    for (int row = 0; row < kIn; ++row) line[row] = in[row][column];
    transform(line, result);
    for (int row = 0; row < kOut; ++row) between[row][column] = result[row];
  }
  for (int row = 0; row < kOut; ++row) transform(between[row], out[row]);
}

// B^T d B, of inputs.
inline void TransformInputs(const Lanes (&in)[kSide][kSide], Lanes (&out)[kSide][kSide]) {
  TransformSquare(
      [](const Lanes (&d)[kSide], Lanes (&to)[kSide]) {
        to[0] = d[0] - d[2];
        to[1] = d[1] + d[2];
        to[2] = d[2] - d[1];
        to[3] = d[1] - d[3];
      },
      in, out);
}

// G g G^T, of a kernel.
inline void TransformKernel(const Lanes (&in)[kKernel][kKernel], Lanes (&out)[kSide][kSide]) {
  TransformSquare(
      [](const Lanes (&g)[kKernel], Lanes (&to)[kSide]) {
        const Lanes ends = 0.5f * (g[0] + g[2]);
        to[0] = g[0];
        to[1] = ends + 0.5f * g[1];
        to[2] = ends - 0.5f * g[1];
        to[3] = g[2];
      },
      in, out);
}

// G^T u G: from the gradient of a transformed kernel to that of the kernel.
inline void TransformKernelGradient(const Lanes (&in)[kSide][kSide],
                                    Lanes (&out)[kKernel][kKernel]) {
  TransformSquare(
      [](const Lanes (&u)[kSide], Lanes (&to)[kKernel]) {
        const Lanes half = 0.5f * (u[1] + u[2]);
        to[0] = u[0] + half;
        to[1] = 0.5f * (u[1] - u[2]);
        to[2] = half + u[3];
      },
      in, out);
}

// A^T m A: from points to results.
inline void TransformPoints(const Lanes (&in)[kSide][kSide], Lanes (&out)[kStep][kStep]) {
  TransformSquare(
      [](const Lanes (&m)[kSide], Lanes (&to)[kStep]) {
        to[0] = m[0] + m[1] + m[2];
        to[1] = m[1] - m[2] - m[3];
      },
      in, out);
}

// A y A^T: from the gradient of results to that of points.
inline void TransformGradient(const Lanes (&in)[kStep][kStep], Lanes (&out)[kSide][kSide]) {
  TransformSquare(
      [](const Lanes (&y)[kStep], Lanes (&to)[kSide]) {
        to[0] = y[0];
        to[1] = y[0] + y[1];
        to[2] = y[0] - y[1];
        to[3] = -y[1];
      },
      in, out);
}

// A batch of images, [images, height, width, channels], as squares that overlap or do not.
struct Map {
  int64_t height, width, channels;

  // Loads a square of neighbouring channels from its first row and column on; outside there are
  // zeros.
  template <int kSquare>
  void LoadSquare(const float* image, int64_t y, int64_t x, int64_t channel,
                  Lanes (&square)[kSquare][kSquare]) const {
    const float* corner = image + (y * width + x) * channels + channel;
    const bool inside = y >= 0 && y + kSquare <= height && x >= 0 && x + kSquare <= width;
    for (int row = 0; row < kSquare; ++row) {
      for (int column = 0; column < kSquare; ++column) {
        const bool exists = inside || (y + row >= 0 && y + row < height && x + column >= 0 &&
                                       x + column < width);
        square[row][column] =
            exists ? Load<Lanes>(corner + (row * width + column) * channels) : Lanes{};
      }
    }
  }
};

// The tiles of the results of a convolution, in the order of images, rows and columns.
struct Tiles {
  int64_t images, down, across;

  int64_t count() const { return images * down * across; }

  // Calls `work(tile, image, y, x)` for the tiles [first, last): the place of the first result.
  template <typename Work>
  void For(int64_t first, int64_t last, const Work& work) const {
    for (int64_t tile = first; tile < last; ++tile) {
      const int64_t line = tile / across;
      work(tile, line / down, line % down * kStep, tile % across * kStep);
    }
  }
};

// Sizes of a convolution of [images, height, width, channels] to [images, rows, columns, features].
struct Sizes {
  Map large, small;
  Tiles tiles;
  int64_t above, left;  // zeros before the inputs

  template <typename Inputs, typename Outputs>
  static Sizes Make(const Inputs& inputs, const Outputs& outputs, int64_t above, int64_t left) {
    const auto large = inputs.dimensions(), small = outputs.dimensions();
    return {{large[1], large[2], large[3]},
            {small[1], small[2], small[3]},
            {large[0], (small[1] + kStep - 1) / kStep, (small[2] + kStep - 1) / kStep},
            above,
            left};
  }
};

}  // namespace winograd
}  // namespace faceemo

#endif  // FACEEMO_WINOGRAD_TILES_H_
