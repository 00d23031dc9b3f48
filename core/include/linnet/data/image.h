// Pictures: PNG and JPEG files as tensors, and folders of them as data sets.
//
//   Tensor cat = data::read_image("cat.jpg");                          // u8[height,width,3]
//   Tensor small = data::resize_image(cat, 64, 64);                    // u8[64,64,3]
//   data::ImageFolder set("flowers/train", {.height = 64, .width = 64});   // a folder for each
//   class data::Loader loader(set, {.batch_size = 32, .shuffle = Key(0), .workers = 4}); for (auto&
//   batch : loader) step(batch.image.astype(DType::kF32) / 255, batch.label);
//
// PNG files are read with libpng and JPEG files with libjpeg-turbo, if Linnet was built with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "linnet/fields.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::data {

/// Whether Linnet was built with libpng, and with libjpeg-turbo.
bool can_read_png();
bool can_read_jpeg();

struct ImageOptions {
  /// 1 (grey: 0.299 R + 0.587 G + 0.114 B), 3 (RGB; alpha is left out) or 4 (with alpha).
  int64_t channels = 3;
  /// Pictures of more pixels are refused before memory for them is requested.
  int64_t pixel_limit = int64_t{1} << 27;
};

/// u8 [height,width,channels] on the host. The content of the file says which of the two it is.
/// @throws IoError with path and reason if it is neither, is damaged or cut, is larger than the
/// limit, or if Linnet was built without the library that it needs; ValueError for other channels.
Tensor read_image(const std::string& path, const ImageOptions& options = {});
/// The same for a file in memory; `name` begins the error messages.
Tensor parse_image(std::span<const std::byte> bytes, const ImageOptions& options = {},
                   const std::string& name = "image");

/// u8 [h,w,channels] -> u8 [height,width,channels]: each pixel is the mean of those around its
/// place, weighted by a triangle as wide as two pixels of the coarser grid (bilinear when
/// enlarging, without aliases when reducing; Pillow's BILINEAR).
/// @throws ShapeError or DTypeError for another image; ValueError for sizes below 1.
Tensor resize_image(const Tensor& image, int64_t height, int64_t width);

/// How pictures get the size of a batch.
enum class Fit : uint8_t {
  kExact,    ///< they must have it
  kStretch,  ///< resized to it
  kCover     ///< resized without distortion until they cover it; the middle is kept
};

struct ImageFolderOptions {
  /// Size of the pictures; 0: that of the first one.
  int64_t height = 0, width = 0;
  Fit fit = Fit::kCover;
  ImageOptions image = {};
};

struct ImageBatch {
  Tensor image;  ///< u8 [batch,height,width,channels]
  Tensor label;  ///< i32 [batch]
  LINNET_FIELDS(image, label)
};

/// A folder with one folder for each class, whose files `.png`, `.jpg` and `.jpeg` (or in capitals)
/// are its examples. Classes are numbered in the order of their names, examples in the order of
/// classes and names; other files, and names that begin with a dot, are passed over. Files are read
/// when a batch needs them.
class ImageFolder {
 public:
  using Batch = ImageBatch;

  /// @throws IoError if the folder cannot be read or holds no classes, or a class holds no
  /// pictures.
  explicit ImageFolder(const std::string& path, const ImageFolderOptions& options = {});
  int64_t size() const;
  const std::vector<std::string>& classes() const;
  /// The file of an example. @throws ValueError if there is none.
  const std::string& file(int64_t row) const;
  /// @throws IoError naming the file that cannot be read or, with Fit::kExact, has another size.
  Batch gather(std::span<const int64_t> rows) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace linnet::data

#pragma GCC visibility pop
