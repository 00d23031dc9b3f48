// 8-bit pictures: writing PNG files, drawing short texts, and sheets of captioned predictions.
//
//   Image sheet = prediction_grid(images, predicted, truth, kFashionMnistClasses);
//   write_png("predictions.png", sheet);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/io/host_array.h"

namespace linnet {

/// Red, green, blue.
using Color = std::array<uint8_t, 3>;

/// Pixels row by row from the top, interleaved channels: 1 (grey) or 3 (red, green, blue).
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels = 3;
  std::vector<uint8_t> pixels;
};

/// The bytes of a PNG file.
/// @throws ValueError if a side is not within 1..32768, the channels are not 1 or 3, or the number
/// of pixels disagrees.
std::vector<std::byte> encode_png(const Image& image);

/// Writes a PNG file, atomically (see AtomicFile).
void write_png(const std::string& path, const Image& image);

/// Width in pixels of `text` in the built-in font: 6 pixels a character times `scale`.
int64_t text_width(std::string_view text, int scale);

/// Draws printable ASCII with the built-in font, 5x8 pixels a character times `scale`, with the
/// upper left corner at (x, y). Pixels outside the image are left out; other characters appear as a
/// box. The image must have 3 channels.
void draw_text(Image& image, int64_t x, int64_t y, std::string_view text, const Color& color,
               int scale);

/// Layout of `prediction_grid`.
struct PredictionGridOptions {
  int64_t columns = 8;
  int scale = 5;       ///< pixels a side for one picture element
  int text_scale = 2;  ///< largest size of captions; long ones are drawn smaller to fit
};

/// A sheet of N pictures with the predicted class under each: green if it is the true one, else red
/// with the true class in a second line.
/// @param images u8 [N,height,width] (0..255) or f32 [N,height,width] (0..1, clamped); a trailing
///   dimension of 1 is allowed.
/// @param predicted, truth class indices, N each.
/// @throws ShapeError, DTypeError or ValueError if counts, types or indices do not fit.
Image prediction_grid(const HostArray& images, std::span<const int64_t> predicted,
                      std::span<const int64_t> truth, std::span<const std::string_view> class_names,
                      const PredictionGridOptions& options = {});

}  // namespace linnet
