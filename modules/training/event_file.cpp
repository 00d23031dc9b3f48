#include "linnet/training/event_file.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "linnet/detail/format.h"
#include "linnet/io/checksum.h"
#include "linnet/ops.h"
#include "protobuf.h"

namespace linnet::training {
namespace {

using protobuf::append_bytes;
using protobuf::append_double;
using protobuf::append_fixed;
using protobuf::append_float;
using protobuf::append_integer;

// Field numbers of event.proto and summary.proto.
namespace event {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace summary {
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2, kImage = 4, kHistogram = 5;
}
namespace histogram_field {
constexpr int kMin = 1, kMax = 2, kCount = 3, kSum = 4, kSumSquares = 5, kLimit = 6, kBucket = 7;
}
namespace image_field {
constexpr int kHeight = 1, kWidth = 2, kColorspace = 3, kEncoded = 4;
}
constexpr int kSessionStatus = 1, kSessionStart = 1;

double system_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Readers order the files of a folder by the time in their names.
std::string default_name(double seconds) {
  return fmt::format("events.out.tfevents.{:010}.{}", static_cast<int64_t>(seconds), ::getpid());
}

// A checksum that is stored beside data which may contain checksums (TFRecord).
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t sum = crc32c(std::as_bytes(std::span(bytes)));
  return ((sum >> 15) | (sum << 17)) + 0xA282EAD8u;
}

std::string record_of(std::string_view data) {
  std::string out;
  append_fixed(out, static_cast<uint64_t>(data.size()));
  append_fixed(out, masked_crc(out));
  out.append(data);
  append_fixed(out, masked_crc(data));
  return out;
}

// Upper ends of the classes: ±1e-12 * 1.1^k up to 1e20, zero, and the largest number.
const std::vector<double>& bucket_limits() {
  static const std::vector<double> limits = [] {
    std::vector<double> positive;
    for (double v = 1e-12; v < 1e20; v *= 1.1) positive.push_back(v);
    positive.push_back(std::numeric_limits<double>::max());
    std::vector<double> all;
    for (auto it = positive.rbegin(); it != positive.rend(); ++it) all.push_back(-*it);
    all.push_back(0);
    all.insert(all.end(), positive.begin(), positive.end());
    return all;
  }();
  return limits;
}

std::string packed(std::span<const double> values) {
  std::string out;
  for (const double value : values) append_fixed(out, std::bit_cast<uint64_t>(value));
  return out;
}

struct Distribution {
  double min = 0, max = 0, sum = 0, sum_squares = 0, count = 0;
  std::vector<double> limits, buckets;  ///< without empty classes at the ends
};

Distribution distribution_of(const std::vector<double>& values) {
  const std::vector<double>& limits = bucket_limits();
  std::vector<double> buckets(limits.size());
  Distribution out;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    out.min = out.count == 0 ? v : std::min(out.min, v);
    out.max = out.count == 0 ? v : std::max(out.max, v);
    out.sum += v;
    out.sum_squares += v * v;
    ++out.count;
    // A class holds what is below its upper end, as in TensorFlow.
    const auto above = std::upper_bound(limits.begin(), limits.end() - 1, v);
    ++buckets[static_cast<size_t>(above - limits.begin())];
  }
  const auto is_used = [](double n) { return n > 0; };
  const auto first = std::find_if(buckets.begin(), buckets.end(), is_used);
  const auto last = std::find_if(buckets.rbegin(), buckets.rend(), is_used).base();
  if (first < last) {
    const auto begin = first - buckets.begin(), end = last - buckets.begin();
    out.buckets.assign(first, last);
    out.limits.assign(limits.begin() + begin, limits.begin() + end);
  } else {
    out.limits = {0};
    out.buckets = {0};
  }
  return out;
}

std::string message_of(const Distribution& d) {
  using namespace histogram_field;  // NOLINT(build/namespaces)
  std::string out;
  // A number that is zero is not written, as protocol buffers do.
  const auto number = [&](int field, double value) {
    if (std::bit_cast<uint64_t>(value) != 0) append_double(out, field, value);
  };
  number(kMin, d.min);
  number(kMax, d.max);
  number(kCount, d.count);
  number(kSum, d.sum);
  number(kSumSquares, d.sum_squares);
  append_bytes(out, kLimit, packed(d.limits));
  append_bytes(out, kBucket, packed(d.buckets));
  return out;
}

}  // namespace

EventFile::EventFile(const std::string& directory, EventFileOptions options,
                     FileSystem& file_system)
    : clock_(options.clock ? std::move(options.clock) : system_seconds),
      file_(directory + "/" + (options.name.empty() ? default_name(clock_()) : options.name),
            file_system) {
  std::string content;
  append_bytes(content, event::kFileVersion, "brain.Event:2");
  write_event(0, content);
}

void EventFile::write_event(int64_t step, std::string_view content) {
  std::string event;
  append_double(event, event::kWallTime, clock_());
  if (step != 0) append_integer(event, event::kStep, step);
  event.append(content);
  file_.write(record_of(event));
}

void EventFile::write_summary(std::string_view tag, int64_t step, std::string_view value) {
  std::string tagged, values, content;
  append_bytes(tagged, summary::kTag, tag);
  tagged.append(value);
  append_bytes(values, summary::kValue, tagged);
  append_bytes(content, event::kSummary, values);
  write_event(step, content);
}

void EventFile::scalar(std::string_view tag, double value, int64_t step) {
  std::string content;
  append_float(content, summary::kSimpleValue, static_cast<float>(value));
  write_summary(tag, step, content);
}

void EventFile::histogram(std::string_view tag, const Tensor& values, int64_t step) {
  std::string content;
  append_bytes(content, summary::kHistogram,
               message_of(distribution_of(values.to_vector<double>())));
  write_summary(tag, step, content);
}

void EventFile::image(std::string_view tag, std::span<const std::byte> encoded, int64_t width,
                      int64_t height, int64_t channels, int64_t step) {
  if (width < 1 || height < 1 || (channels != 1 && channels != 3 && channels != 4)) {
    fail<ValueError>("EventFile: a picture of {}x{} pixels with {} channels; expected 1, 3 or 4",
                     width, height, channels);
  }
  std::string message, content;
  append_integer(message, image_field::kHeight, height);
  append_integer(message, image_field::kWidth, width);
  append_integer(message, image_field::kColorspace, channels);
  append_bytes(message, image_field::kEncoded,
               {reinterpret_cast<const char*>(encoded.data()), encoded.size()});
  append_bytes(content, summary::kImage, message);
  write_summary(tag, step, content);
}

void EventFile::restart(int64_t step) {
  std::string session, content;
  append_integer(session, kSessionStatus, kSessionStart);
  append_bytes(content, event::kSessionLog, session);
  write_event(step, content);
}

}  // namespace linnet::training
