#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "core/data/host_tensor.h"
#include "linnet/data/data_set.h"
#include "linnet/data/image.h"
#include "linnet/detail/format.h"
#include "linnet/io/file_system.h"

namespace linnet::data {
namespace {

// Names in a folder, ascending, without those that begin with a dot.
std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  if (FileSystem::system().list(path.c_str(), names) != 0)
    throw_file_error("data::ImageFolder: list", path, errno);
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
  std::sort(names.begin(), names.end());
  return names;
}

FileStatus status_of(const std::string& path) {
  FileStatus status;
  if (FileSystem::system().status(path.c_str(), status) != 0)
    throw_file_error("data::ImageFolder: inspect", path, errno);
  return status;
}

bool is_picture(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name.ends_with(".png") || name.ends_with(".jpg") || name.ends_with(".jpeg");
}

// The middle of an image that is at least as large.
Tensor middle(const Tensor& image, int64_t height, int64_t width) {
  const int64_t top = (image.shape(0) - height) / 2, left = (image.shape(1) - width) / 2;
  const int64_t channels = image.shape(2);
  const WritableHostArray out = allocate_host_array(DType::kU8, {height, width, channels});
  const uint8_t* from = image.data<uint8_t>().data();
  for (int64_t y = 0; y < height; ++y) {
    std::memcpy(out.data + y * width * channels,
                from + ((top + y) * image.shape(1) + left) * channels,
                static_cast<size_t>(width * channels));
  }
  return host_tensor(out);
}

Tensor covering(const Tensor& image, int64_t height, int64_t width) {
  const double scale = std::max(static_cast<double>(height) / image.shape(0),
                                static_cast<double>(width) / image.shape(1));
  const auto scaled = [scale](int64_t size, int64_t least) {
    return std::max<int64_t>(least, std::llround(static_cast<double>(size) * scale));
  };
  return middle(resize_image(image, scaled(image.shape(0), height), scaled(image.shape(1), width)),
                height, width);
}

}  // namespace

struct ImageFolder::Impl {
  struct Example {
    std::string path;
    int32_t label;
  };
  std::vector<std::string> classes;
  std::vector<Example> examples;
  ImageFolderOptions options;

  void add_class(const std::string& path, const std::string& name) {
    const size_t before = examples.size();
    for (const std::string& file : names_in(path)) {
      if (is_picture(file))
        examples.push_back({path + "/" + file, static_cast<int32_t>(classes.size())});
    }
    if (examples.size() == before) {
      fail<IoError>("{}: the class has no pictures: expected files .png, .jpg or .jpeg", path);
    }
    classes.push_back(name);
  }

  Tensor fitted(const Example& example) const {
    const Tensor image = read_image(example.path, options.image);
    switch (options.fit) {
      case Fit::kStretch:
        return resize_image(image, options.height, options.width);
      case Fit::kCover:
        return covering(image, options.height, options.width);
      case Fit::kExact:
        break;
    }
    if (image.shape(0) != options.height || image.shape(1) != options.width) {
      fail<IoError>("{}: {}, expected {} x {} pixels\n  hint: Fit::kCover or Fit::kStretch",
                    example.path, to_string(image.type()), options.height, options.width);
    }
    return image;
  }
};

ImageFolder::ImageFolder(const std::string& path, const ImageFolderOptions& options) {
  auto impl = std::make_shared<Impl>();
  impl->options = options;
  for (const std::string& name : names_in(path)) {
    const std::string folder = path + "/" + name;
    if (status_of(folder).is_directory) impl->add_class(folder, name);
  }
  if (impl->classes.empty())
    fail<IoError>("{}: no classes: expected a folder for each, with its pictures", path);
  if (options.height < 1 || options.width < 1) {
    const Tensor first = read_image(impl->examples[0].path, options.image);
    if (options.height < 1) impl->options.height = first.shape(0);
    if (options.width < 1) impl->options.width = first.shape(1);
  }
  impl_ = std::move(impl);
}

int64_t ImageFolder::size() const { return static_cast<int64_t>(impl_->examples.size()); }
const std::vector<std::string>& ImageFolder::classes() const { return impl_->classes; }

const std::string& ImageFolder::file(int64_t row) const {
  detail::check_rows(std::span(&row, 1), size(), "data::ImageFolder");
  return impl_->examples[static_cast<size_t>(row)].path;
}

ImageBatch ImageFolder::gather(std::span<const int64_t> rows) const {
  detail::check_rows(rows, size(), "data::ImageFolder");
  const ImageFolderOptions& options = impl_->options;
  const int64_t count = static_cast<int64_t>(rows.size());
  const WritableHostArray images = allocate_host_array(
      DType::kU8, {count, options.height, options.width, options.image.channels});
  const WritableHostArray labels = allocate_host_array(DType::kI32, {count});
  std::byte* to = images.data;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Impl::Example& example = impl_->examples[static_cast<size_t>(rows[i])];
    const Tensor image = impl_->fitted(example);
    std::memcpy(to, image.data<uint8_t>().data(), static_cast<size_t>(image.size()));
    to += image.size();
    reinterpret_cast<int32_t*>(labels.data)[i] = example.label;
  }
  return {host_tensor(images), host_tensor(labels)};
}

}  // namespace linnet::data
