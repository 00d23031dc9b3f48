#include "linnet/report/png.h"

#include <png.h>

#include <algorithm>

#include "bitmap_font.h"
#include "linnet/error.h"
#include "linnet/io/atomic_file.h"

namespace linnet {
namespace {

constexpr int64_t kSideLimit = 32768;

std::string describe(const Image& image) {
  return std::to_string(image.width) + "x" + std::to_string(image.height) + "x" +
         std::to_string(image.channels);
}

void check(const Image& image, const char* operation) {
  const bool has_size = image.width >= 1 && image.width <= kSideLimit && image.height >= 1 &&
                        image.height <= kSideLimit;
  if (!has_size || (image.channels != 1 && image.channels != 3)) {
    throw ValueError(std::string(operation) + ": image is " + describe(image) +
                     ", expected sides of 1 to 32768 and 1 or 3 channels");
  }
  const auto expected = static_cast<size_t>(image.width * image.height * image.channels);
  if (image.pixels.size() != expected) {
    throw ValueError(std::string(operation) + ": an image of " + describe(image) + " has " +
                     std::to_string(expected) + " values, got " +
                     std::to_string(image.pixels.size()));
  }
}

void fill_rectangle(Image& image, int64_t x, int64_t y, int64_t width, int64_t height,
                    const Color& color) {
  const int64_t left = std::max<int64_t>(x, 0), right = std::min(x + width, image.width);
  const int64_t top = std::max<int64_t>(y, 0), bottom = std::min(y + height, image.height);
  for (int64_t row = top; row < bottom; ++row) {
    for (int64_t column = left; column < right; ++column) {
      std::copy(color.begin(), color.end(),
                image.pixels.begin() + (row * image.width + column) * 3);
    }
  }
}

}  // namespace

std::vector<std::byte> encode_png(const Image& image) {
  check(image, "encode_png");
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::vector<std::byte> result(bytes);
  if (!png_image_write_to_memory(&png, result.data(), &bytes, 0, image.pixels.data(), 0, nullptr)) {
    const std::string reason = png.message;
    png_image_free(&png);
    throw IoError("encode_png: " + reason);
  }
  result.resize(bytes);
  return result;
}

void write_png(const std::string& path, const Image& image) {
  const std::vector<std::byte> bytes = encode_png(image);
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

int64_t text_width(std::string_view text, int scale) {
  return static_cast<int64_t>(text.size()) * font::kAdvance * scale;
}

void draw_text(Image& image, int64_t x, int64_t y, std::string_view text, const Color& color,
               int scale) {
  check(image, "draw_text");
  if (image.channels != 3 || scale < 1) {
    throw ValueError("draw_text: image is " + describe(image) + " and scale " +
                     std::to_string(scale) + ", expected 3 channels and a positive scale");
  }
  for (char character : text) {
    const auto& rows = font::glyph(character);
    for (int row = 0; row < font::kGlyphHeight; ++row) {
      for (int column = 0; column < font::kGlyphWidth; ++column) {
        if (rows[static_cast<size_t>(row)] >> (font::kGlyphWidth - 1 - column) & 1) {
          fill_rectangle(image, x + column * scale, y + row * scale, scale, scale, color);
        }
      }
    }
    x += font::kAdvance * scale;
  }
}

}  // namespace linnet
