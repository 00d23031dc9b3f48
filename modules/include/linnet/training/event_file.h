// Event files, which TensorBoard shows: curves, distributions and pictures over steps.
//
//   training::EventFile events("out/run1");
//   events.scalar("train/loss", 0.25, step);
//   events.histogram("up/kernel", model.up.kernel.value(), step);
//
// A file is a sequence of TFRecords (length, checksum, data, checksum), each an `Event` of
// tensorflow/core/util/event.proto in the encoding of protocol buffers.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "linnet/io/append_file.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::training {

struct EventFileOptions {
  std::string name = {};  ///< of the file; by default `events.out.tfevents.<time>.<process>`
  std::function<double()> clock = {};  ///< seconds since 1970; by default the system's
};

/// One event file in a folder, which is made if needed. Readers may follow it while it grows. Tags
/// are texts of any kind; those that begin alike up to a `/` are shown together.
class EventFile {
 public:
  /// @throws IoError if the file cannot be written; so do all other functions.
  explicit EventFile(const std::string& directory, EventFileOptions options = {},
                     FileSystem& file_system = FileSystem::system());

  /// A point of a curve, kept as f32.
  void scalar(std::string_view tag, double value, int64_t step);
  /// The distribution of the elements of a tensor of any shape and real type, in the classes that
  /// TensorFlow uses: limits grow by a tenth from 1e-12 on. What is not finite is left out.
  void histogram(std::string_view tag, const Tensor& values, int64_t step);
  /// An encoded picture, such as a PNG file.
  /// @param channels 1 (grey), 3 or 4.
  void image(std::string_view tag, std::span<const std::byte> encoded, int64_t width,
             int64_t height, int64_t channels, int64_t step);
  /// Says that what earlier files have from `step` on is void, since training goes on from before.
  void restart(int64_t step);

  const std::string& path() const { return file_.path(); }

 private:
  void write_event(int64_t step, std::string_view content);
  void write_summary(std::string_view tag, int64_t step, std::string_view value);

  std::function<double()> clock_;
  AppendFile file_;
};

}  // namespace linnet::training

#pragma GCC visibility pop
