// Pictures from files, and their sizes.
#include "linnet/data/image.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/data/host_tensor.h"
#include "core/data/image_decoders.h"
#include "linnet/detail/format.h"
#include "linnet/io/byte_source.h"

namespace linnet::data {
namespace {

// As Pillow: weights of 16 bits, rounded.
uint8_t grey(const uint8_t* rgba) {
  return static_cast<uint8_t>((19595u * rgba[0] + 38470u * rgba[1] + 7471u * rgba[2] + 0x8000u) >>
                              16);
}

Tensor with_channels(const Pixels& pixels, int64_t channels) {
  const WritableHostArray out =
      allocate_host_array(DType::kU8, {pixels.height, pixels.width, channels});
  auto* to = reinterpret_cast<uint8_t*>(out.data);
  for (size_t i = 0; i < pixels.rgba.size(); i += 4) {
    if (channels == 1)
      *to++ = grey(&pixels.rgba[i]);
    else
      to = std::copy_n(&pixels.rgba[i], channels, to);
  }
  return host_tensor(out);
}

// For each place of the new axis the old ones around it, with weights that add up to 1.
struct Taps {
  int64_t first;
  std::vector<float> weights;
};
std::vector<Taps> triangle_taps(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double radius = std::max(scale, 1.0);
  std::vector<Taps> out;
  for (int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(centre - radius + 0.5));
    const int64_t end = std::min(from, static_cast<int64_t>(centre + radius + 0.5));
    Taps taps{first, {}};
    double total = 0;
    for (int64_t k = first; k < end; ++k) {
      const double distance = std::abs(static_cast<double>(k) + 0.5 - centre) / radius;
      taps.weights.push_back(static_cast<float>(std::max(0.0, 1 - distance)));
      total += taps.weights.back();
    }
    for (float& weight : taps.weights) weight = static_cast<float>(weight / total);
    out.push_back(std::move(taps));
  }
  return out;
}

// Along the middle axis of [outer,from,inner].
template <class T>
std::vector<float> resample(const T* x, int64_t outer, int64_t from, int64_t inner, int64_t to) {
  std::vector<float> out(static_cast<size_t>(outer * to * inner), 0.f);
  const std::vector<Taps> all = triangle_taps(from, to);
  float* row = out.data();
  for (int64_t o = 0; o < outer; ++o) {
    for (const Taps& taps : all) {
      const T* source = x + (o * from + taps.first) * inner;
      for (float weight : taps.weights) {
        for (int64_t i = 0; i < inner; ++i) row[i] += weight * static_cast<float>(source[i]);
        source += inner;
      }
      row += inner;
    }
  }
  return out;
}

}  // namespace

Tensor parse_image(std::span<const std::byte> bytes, const ImageOptions& options,
                   const std::string& name) {
  if (options.channels != 1 && options.channels != 3 && options.channels != 4) {
    fail<ValueError>("{}: channels must be 1 (grey), 3 (RGB) or 4 (RGBA), got {}", name,
                     options.channels);
  }
  const SizeCheck check = [&](uint64_t height, uint64_t width) {
    const auto limit = static_cast<uint64_t>(std::max<int64_t>(options.pixel_limit, 0));
    if (width == 0 || height == 0 || height > limit / width)
      fail<IoError>("{}: a picture of {} x {} pixels, at most {} pixels are read", name, width,
                    height, limit);
  };
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<size_t>(bytes.size(), 8));
  if (start == "\x89PNG\r\n\x1A\n")
    return with_channels(decode_png(bytes, check, name), options.channels);
  if (start.starts_with("\xFF\xD8\xFF"))
    return with_channels(decode_jpeg(bytes, check, name), options.channels);
  fail<IoError>("{}: neither a PNG nor a JPEG file", name);
}

Tensor read_image(const std::string& path, const ImageOptions& options) {
  const FileSource source(path);
  std::vector<std::byte> bytes(static_cast<size_t>(source.size()));
  source.read(0, bytes);
  return parse_image(bytes, options, path);
}

Tensor resize_image(const Tensor& image, int64_t height, int64_t width) {
  if (height < 1 || width < 1)
    fail<ValueError>("data::resize_image: sizes must be at least 1, got {} x {}", height, width);
  if (image.rank() != 3 || image.size() == 0) {
    fail<ShapeError>("data::resize_image: expected u8[height,width,channels], got {}",
                     type_of(image));
  }
  if (image.dtype() != DType::kU8)
    fail<DTypeError>("data::resize_image: expected u8, got {}", type_of(image));
  const int64_t h = image.shape(0), w = image.shape(1), c = image.shape(2);
  if (h == height && w == width) return image;
  const Tensor host = image.to(kCpu).contiguous();
  const std::vector<float> wide = resample(host.data<uint8_t>().data(), h, w, c, width);
  const std::vector<float> both = resample(wide.data(), 1, h, width * c, height);
  const WritableHostArray out = allocate_host_array(DType::kU8, {height, width, c});
  for (size_t i = 0; i < both.size(); ++i)
    out.data[i] = static_cast<std::byte>(std::clamp(std::lround(both[i]), 0L, 255L));
  return host_tensor(out);
}

}  // namespace linnet::data
