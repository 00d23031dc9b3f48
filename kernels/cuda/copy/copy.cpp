#include "kernels/cuda/copy/copy.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "kernels/cuda/copy/layout.h"
#include "kernels/cuda/register/device_kernel.h"

namespace linnet::cuda {
namespace {

/// The kernels for words of 1, 2, 4, 8 and 16 bytes.
#define LINNET_BY_SIZE(name)                                                            \
  {                                                                                     \
    {#name "_1", kCopyThreads}, {#name "_2", kCopyThreads}, {#name "_4", kCopyThreads}, \
        {#name "_8", kCopyThreads}, {#name "_16", kCopyThreads},                        \
  }
const Function kCopy[] = LINNET_BY_SIZE(copy);
const Function kDynamicCopy[] = LINNET_BY_SIZE(dynamic_copy);
const Function kFill[] = {{"fill_1", kCopyThreads},
                          {"fill_2", kCopyThreads},
                          {"fill_4", kCopyThreads},
                          {"fill_8", kCopyThreads}};
const Function kTranspose[] = {{"transpose_1", kCopyThreads},
                               {"transpose_2", kCopyThreads},
                               {"transpose_4", kCopyThreads},
                               {"transpose_8", kCopyThreads}};
#undef LINNET_BY_SIZE

const Function& of_size(const Function* functions, size_t bytes) {
  return functions[std::countr_zero(bytes)];
}

Address moved(Address address, int64_t bytes) {
  return {address.word + static_cast<uint64_t>(bytes)};
}

/// The widest word that all addresses, strides and the innermost run are multiples of.
size_t word_bytes(const ByteWalk<2>& walk, size_t element, size_t alignment) {
  const int64_t bytes = static_cast<int64_t>(element);
  if (walk.sizes.empty() || walk.strides.back() != std::array{bytes, bytes}) return element;
  size_t word = std::min(alignment, common_alignment({walk.sizes.back() * bytes}));
  for (size_t d = 0; d + 1 < walk.sizes.size(); ++d)
    word = std::min(word, common_alignment({walk.strides[d][0], walk.strides[d][1]}));
  return std::max(word, element);
}

/// The same walk in words of `word` bytes.
ByteWalk<2> in_words(ByteWalk<2> walk, size_t element, size_t word) {
  if (word == element) return walk;
  walk.sizes.back() /= static_cast<int64_t>(word / element);
  walk.strides.back() = {static_cast<int64_t>(word), static_cast<int64_t>(word)};
  return walk;
}

uint32_t copy_blocks(unsigned words, size_t word) {
  const int per_thread = word == 16 ? kCopyWords<16> : kCopyWords<4>;
  return blocks_for(words, int64_t{kCopyThreads} * per_thread);
}

uint32_t fill_blocks(int64_t count, size_t element) {
  return blocks_for(count, int64_t{kCopyThreads} * 16 / static_cast<int64_t>(element));
}

/// A tile's side must be filled well for the detour through shared memory to pay.
constexpr int64_t kLeastTransposed = 16;

/// The dimension along which the source runs through memory, if the destination does so along the
/// last one.
std::optional<size_t> transposed_dimension(const ByteWalk<2>& walk, int64_t element) {
  if (walk.sizes.size() < 2 || walk.strides.back()[1] != element ||
      walk.strides.back()[0] == element || walk.sizes.back() < kLeastTransposed)
    return std::nullopt;
  for (size_t d = 0; d + 1 < walk.sizes.size(); ++d) {
    if (walk.strides[d][0] == element && walk.sizes[d] >= kLeastTransposed) return d;
  }
  return std::nullopt;
}

/// Nothing if there are too many tiles for one launch.
std::optional<TransposeArgs> transpose_args(ByteWalk<2> walk, size_t rows, int tile,
                                            uint32_t* blocks) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 1;
  const size_t columns = walk.sizes.size() - 1;
  TransposeArgs args;
  if (walk.sizes[rows] > kMost || walk.sizes[columns] > kMost) return std::nullopt;
  args.rows = static_cast<int>(walk.sizes[rows]);
  args.columns = static_cast<int>(walk.sizes[columns]);
  args.column_stride = walk.strides[columns][0];
  args.row_stride = walk.strides[rows][1];
  const int64_t row_tiles = (walk.sizes[rows] + tile - 1) / tile;
  const int64_t column_tiles = (walk.sizes[columns] + tile - 1) / tile;
  for (const size_t d : {columns, rows}) {
    walk.sizes.erase(walk.sizes.begin() + static_cast<int64_t>(d));
    walk.strides.erase(walk.strides.begin() + static_cast<int64_t>(d));
  }
  if (row_tiles * column_tiles > kMost || walk.count() > kMost / (row_tiles * column_tiles))
    return std::nullopt;
  args.row_tiles = divisor_of(row_tiles);
  args.column_tiles = divisor_of(column_tiles);
  args.space = parts_of(walk).front().space;
  *blocks = static_cast<uint32_t>(walk.count() * row_tiles * column_tiles);
  return args;
}

DynamicCopyArgs dynamic_args(const CopyStarts& starts, int64_t element) {
  DynamicCopyArgs args;
  args.dimensions = static_cast<int>(starts.limits.size());
  args.moves_destination = starts.moves_destination;
  for (size_t d = 0; d < starts.limits.size(); ++d) {
    args.limit[d] = starts.limits[d];
    args.stride[d] = starts.strides[d] * element;
    args.storage[d] = static_cast<int>(starts.dtypes[d]);
  }
  return args;
}

}  // namespace

CopyPlan::CopyPlan(size_t element, std::span<const int64_t> shape, const CopySide& from,
                   const CopySide& to, const CopyStarts* starts) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return;
  if (starts != nullptr && starts->limits.size() > kMostDimensions) {
    reason_ = "more than 8 dimensions";
    return;
  }
  plan(element, shape, from, to, starts);
}

void CopyPlan::plan(size_t element, std::span<const int64_t> shape, const CopySide& from,
                    const CopySide& to, const CopyStarts* starts) {
  const int64_t bytes = static_cast<int64_t>(element);
  const int64_t from_bytes = from.offset * bytes, to_bytes = to.offset * bytes;
  const int64_t* const strides[] = {from.strides.data(), to.strides.data()};
  const cpu::StridedSpace space(shape, strides);
  const ByteWalk<2> walk = walk_of<2>(space, {bytes, bytes});
  const size_t rank = walk.sizes.size();
  const std::array dense{bytes, bytes};

  if (starts == nullptr) {
    if (rank == 0 || (rank == 1 && walk.strides[0] == dense)) {
      steps_.push_back(Bytes{from_bytes, to_bytes, static_cast<size_t>(walk.count()) * element});
      return;
    }
    if (rank == 1 && walk.strides[0] == std::array{int64_t{0}, bytes}) {
      FillArgs args;
      args.count = walk.count();
      steps_.push_back(Step<FillArgs>{&of_size(kFill, element), fill_blocks(args.count, element),
                                      from_bytes, to_bytes, args});
      return;
    }
    if (const auto rows = transposed_dimension(walk, bytes); rows && rank <= kMostDimensions + 2) {
      uint32_t blocks = 0;
      const int tile = element <= 2 ? kTransposeTile<2> : kTransposeTile<4>;
      if (const auto args = transpose_args(walk, *rows, tile, &blocks)) {
        steps_.push_back(Step<TransposeArgs>{&of_size(kTranspose, element), blocks, from_bytes,
                                             to_bytes, *args});
        return;
      }
    }
  }
  if (rank > kMostDimensions) {
    reason_ = "more than 8 dimensions that do not lie together";
    return;
  }
  size_t alignment = common_alignment({static_cast<int64_t>(from.alignment), from_bytes,
                                       static_cast<int64_t>(to.alignment), to_bytes});
  if (starts != nullptr) {
    for (size_t d = 0; d < starts->limits.size(); ++d) {
      if (starts->limits[d] != 0)
        alignment = std::min(alignment, common_alignment({starts->strides[d] * bytes}));
    }
  }
  const size_t word = word_bytes(walk, element, alignment);
  for (const WalkPart<2>& part : parts_of(in_words(walk, element, word))) {
    const int64_t from_part = from_bytes + part.offsets[0], to_part = to_bytes + part.offsets[1];
    const uint32_t blocks = copy_blocks(part.space.count, word);
    if (starts == nullptr) {
      CopyArgs args;
      args.space = part.space;
      steps_.push_back(Step<CopyArgs>{&of_size(kCopy, word), blocks, from_part, to_part, args});
    } else {
      DynamicCopyArgs args = dynamic_args(*starts, bytes);
      args.space = part.space;
      steps_.push_back(
          Step<DynamicCopyArgs>{&of_size(kDynamicCopy, word), blocks, from_part, to_part, args});
    }
  }
}

void CopyPlan::emit(LaunchSink& sink, Address from, Address to,
                    std::span<const Address> starts) const {
  for (const AnyStep& any : steps_) {
    if (const Bytes* bytes = std::get_if<Bytes>(&any)) {
      const Address source = moved(from, bytes->from), target = moved(to, bytes->to);
      if (source.word != target.word) sink.copy(target, source, bytes->count);
      continue;
    }
    std::visit(
        [&]<class S>(const S& step) {
          if constexpr (!std::is_same_v<S, Bytes>) {
            auto args = step.args;
            args.x = global<const char>(moved(from, step.from));
            args.y = global<char>(moved(to, step.to));
            if constexpr (std::is_same_v<S, Step<DynamicCopyArgs>>) {
              for (size_t d = 0; d < starts.size(); ++d)
                args.start[d] = global<const char>(starts[d]);
            }
            sink.launch(*step.function, {step.blocks}, args);
          }
        },
        any);
  }
}

void emit_fill(LaunchSink& sink, size_t element, int64_t count, Address value, Address to) {
  if (count == 0) return;
  FillArgs args;
  args.x = global<const char>(value);
  args.y = global<char>(to);
  args.count = count;
  args.zero = value.word == 0;
  sink.launch(of_size(kFill, element), {fill_blocks(count, element)}, args);
}

}  // namespace linnet::cuda
