#include "core/data/image_decoders.h"
#include "linnet/data/image.h"
#include "linnet/detail/format.h"

#ifdef LINNET_WITH_JPEG
#include <turbojpeg.h>

namespace linnet::data {

bool can_read_jpeg() { return true; }

Pixels decode_jpeg(std::span<const std::byte> bytes, const SizeCheck& check,
                   const std::string& name) {
  const struct Decoder {
    tjhandle handle = tjInitDecompress();
    ~Decoder() {
      if (handle) tjDestroy(handle);
    }
  } decoder;
  if (!decoder.handle) throw std::bad_alloc();
  const auto refuse = [&] {
    fail<IoError>("{}: damaged JPEG file: {}", name, tjGetErrorStr2(decoder.handle));
  };
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0, height = 0, subsampling = 0, colours = 0;
  if (tjDecompressHeader3(decoder.handle, data, bytes.size(), &width, &height, &subsampling,
                          &colours) != 0)
    refuse();
  if (colours == TJCS_CMYK || colours == TJCS_YCCK)
    fail<IoError>("{}: a JPEG file in CMYK colours, which are not supported", name);
  check(static_cast<uint64_t>(height), static_cast<uint64_t>(width));
  Pixels out{height, width, std::vector<uint8_t>(static_cast<size_t>(height) * width * 4)};
  // A cut file is a warning to the library; and few scans of a small file can take very long.
  constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  if (tjDecompress2(decoder.handle, data, bytes.size(), out.rgba.data(), width, 0, height,
                    TJPF_RGBA, kFlags) != 0)
    refuse();
  return out;
}

}  // namespace linnet::data

#else

namespace linnet::data {

bool can_read_jpeg() { return false; }

Pixels decode_jpeg(std::span<const std::byte>, const SizeCheck&, const std::string& name) {
  fail<IoError>(
      "{}: a JPEG file, but this Linnet was built without libjpeg-turbo\n  hint: install "
      "libturbojpeg0-dev and configure Linnet again",
      name);
}

}  // namespace linnet::data

#endif
