#include "core/data/image_decoders.h"
#include "linnet/data/image.h"
#include "linnet/detail/format.h"

#ifdef LINNET_WITH_PNG
#include <png.h>

namespace linnet::data {

bool can_read_png() { return true; }

Pixels decode_png(std::span<const std::byte> bytes, const SizeCheck& check,
                  const std::string& name) {
  struct Image : png_image {
    Image() : png_image{} { version = PNG_IMAGE_VERSION; }
    ~Image() { png_image_free(this); }
  } image;
  const auto refuse = [&] { fail<IoError>("{}: damaged PNG file: {}", name, image.message); };
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size())) refuse();
  check(image.height, image.width);
  // Without a mark libpng takes 16-bit samples to be linear; other programs do not.
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  image.format = PNG_FORMAT_RGBA;
  Pixels out{image.height, image.width, std::vector<uint8_t>(PNG_IMAGE_SIZE(image))};
  if (!png_image_finish_read(&image, nullptr, out.rgba.data(), 0, nullptr)) refuse();
  return out;
}

}  // namespace linnet::data

#else

namespace linnet::data {

bool can_read_png() { return false; }

Pixels decode_png(std::span<const std::byte>, const SizeCheck&, const std::string& name) {
  fail<IoError>(
      "{}: a PNG file, but this Linnet was built without libpng\n  hint: install libpng-dev and "
      "configure Linnet again",
      name);
}

}  // namespace linnet::data

#endif
