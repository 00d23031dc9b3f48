#include <algorithm>
#include <cmath>

#include "bitmap_font.h"
#include "linnet/error.h"
#include "linnet/report/png.h"

namespace linnet {
namespace {

constexpr Color kRight = {0, 120, 50};
constexpr Color kWrong = {190, 30, 20};
constexpr Color kTruth = {90, 90, 90};
constexpr int64_t kMargin = 8;
constexpr int64_t kCaptionGap = 3;

struct Pictures {
  const HostArray& array;
  int64_t count, height, width;

  uint8_t at(int64_t picture, int64_t row, int64_t column) const {
    const auto index = static_cast<size_t>((picture * height + row) * width + column);
    if (array.dtype == DType::kU8) return array.values<uint8_t>()[index];
    const float value = array.values<float>()[index];
    // NaN fails both comparisons of clamp, so it is treated first.
    return std::isnan(value)
               ? uint8_t{0}
               : static_cast<uint8_t>(std::lround(std::clamp(value, 0.0f, 1.0f) * 255));
  }
};

Pictures pictures_of(const HostArray& images) {
  const std::string type = type_string(images.dtype, images.shape);
  if (images.dtype != DType::kU8 && images.dtype != DType::kF32) {
    throw DTypeError("prediction_grid: images are " + type + ", expected u8 or f32");
  }
  const size_t rank = images.shape.size();
  const bool has_channel = rank == 4 && images.shape[3] == 1;
  if ((rank != 3 && !has_channel) || images.size() == 0) {
    throw ShapeError("prediction_grid: images are " + type +
                     ", expected [N,height,width] or [N,height,width,1]");
  }
  return {images, images.shape[0], images.shape[1], images.shape[2]};
}

void check_indices(const Pictures& pictures, std::span<const int64_t> indices, size_t classes,
                   const char* what) {
  if (static_cast<int64_t>(indices.size()) != pictures.count) {
    throw ShapeError("prediction_grid: " + std::to_string(pictures.count) + " images but " +
                     std::to_string(indices.size()) + " " + what + " classes");
  }
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= 0 && indices[i] < static_cast<int64_t>(classes)) continue;
    throw ValueError("prediction_grid: " + std::string(what) + " class " +
                     std::to_string(indices[i]) + " at position " + std::to_string(i) +
                     ", there are names for " + std::to_string(classes));
  }
}

void check_options(const PredictionGridOptions& options) {
  if (options.columns >= 1 && options.scale >= 1 && options.text_scale >= 1) return;
  throw ValueError("prediction_grid: columns " + std::to_string(options.columns) + ", scale " +
                   std::to_string(options.scale) + " and text_scale " +
                   std::to_string(options.text_scale) + " must be positive");
}

// Centred below a picture, smaller if it does not fit; a name too long even then loses its end.
void draw_caption(Image& sheet, int64_t x, int64_t y, int64_t width, std::string_view text,
                  const Color& color, int scale) {
  while (scale > 1 && text_width(text, scale) - scale > width) --scale;
  const int64_t fitting = (width + scale) / (font::kAdvance * scale);
  text = text.substr(0, static_cast<size_t>(std::max<int64_t>(fitting, 0)));
  draw_text(sheet, x + std::max<int64_t>(0, (width - text_width(text, scale) + scale) / 2), y, text,
            color, scale);
}

void draw_picture(Image& sheet, const Pictures& pictures, int64_t picture, int64_t x, int64_t y,
                  int scale) {
  for (int64_t row = 0; row < pictures.height * scale; ++row) {
    uint8_t* out = sheet.pixels.data() + ((y + row) * sheet.width + x) * 3;
    for (int64_t column = 0; column < pictures.width * scale; ++column) {
      const uint8_t value = pictures.at(picture, row / scale, column / scale);
      for (int channel = 0; channel < 3; ++channel) *out++ = value;
    }
  }
}

}  // namespace

Image prediction_grid(const HostArray& images, std::span<const int64_t> predicted,
                      std::span<const int64_t> truth, std::span<const std::string_view> class_names,
                      const PredictionGridOptions& options) {
  const Pictures pictures = pictures_of(images);
  check_indices(pictures, predicted, class_names.size(), "predicted");
  check_indices(pictures, truth, class_names.size(), "true");
  check_options(options);

  const int64_t columns = std::min(options.columns, pictures.count);
  const int64_t rows = (pictures.count + columns - 1) / columns;
  const int64_t line = font::kGlyphHeight * options.text_scale + kCaptionGap;
  const int64_t cell_width = pictures.width * options.scale + kMargin;
  const int64_t cell_height = pictures.height * options.scale + 2 * line + kMargin;
  Image sheet{columns * cell_width + kMargin, rows * cell_height + kMargin, 3, {}};
  constexpr int64_t kSheetSide = 32768;
  if (sheet.width > kSheetSide || sheet.height > kSheetSide) {
    throw ValueError("prediction_grid: the sheet would have " + std::to_string(sheet.width) + "x" +
                     std::to_string(sheet.height) + " pixels, at most 32768 a side are possible");
  }
  sheet.pixels.assign(static_cast<size_t>(sheet.width * sheet.height * 3), 255);
  for (int64_t i = 0; i < pictures.count; ++i) {
    const int64_t x = kMargin + i % columns * cell_width;
    const int64_t y = kMargin + i / columns * cell_height;
    draw_picture(sheet, pictures, i, x, y, options.scale);
    const auto prediction = static_cast<size_t>(predicted[static_cast<size_t>(i)]);
    const auto label = static_cast<size_t>(truth[static_cast<size_t>(i)]);
    const int64_t width = pictures.width * options.scale;
    const int64_t caption = y + pictures.height * options.scale + kCaptionGap;
    draw_caption(sheet, x, caption, width, class_names[prediction],
                 prediction == label ? kRight : kWrong, options.text_scale);
    if (prediction != label) {
      draw_caption(sheet, x, caption + line, width, class_names[label], kTruth, options.text_scale);
    }
  }
  return sheet;
}

}  // namespace linnet
