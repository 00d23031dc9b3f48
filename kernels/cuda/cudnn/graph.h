// Descriptions of cuDNN graphs, without a header of cuDNN: what to compute, on which layouts.
//
//   Graph graph;
//   const Id x = graph.input(Type::kBF16, {8, 64, 28, 28}, channels_last), w = …;
//   const Id y = graph.output(Type::kBF16, {8, 128, 28, 28}, channels_last);
//   graph.nodes.push_back(Convolution{.x = x, .w = w, .y = y, …});
//
// Dimensions are in cuDNN's order: batch, channels, spatial…; for attention batch, heads, length,
// size of a head. What lies where is said by the strides.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace linnet::cuda::cudnn {

enum class Type : uint8_t { kBool, kI32, kF16, kBF16, kF32, kF64, kE4M3, kE5M2 };

/// A tensor of a graph; its position in `Graph::tensors`.
using Id = int;
constexpr Id kNone = -1;
using Sizes = std::vector<int64_t>;

struct GraphTensor {
  Type type = Type::kF32;
  Sizes shape, strides;
  bool is_inner = false;       ///< a value between two nodes, which has no memory of its own
  std::optional<float> value;  ///< a number that is known when the graph is built
};

/// y = convolution of x and w, or the gradient of one of them. The three tensors are always those
/// of the forward convolution; `wanted` says which one is the result.
struct Convolution {
  enum class Wanted : uint8_t { kResult, kData, kWeights } wanted = Wanted::kResult;
  Id x = kNone, w = kNone, y = kNone;
  Sizes padding_low, padding_high, strides, dilation;
};

enum class PointwiseMode : uint8_t {
  kAdd,
  kMul,
  kRelu,
  kTanh,
  kLogistic,
  kSilu,
  kGeluErf,
  kGeluTanh,
  kReluGrad  ///< x where `other` is positive, else 0
};
struct Pointwise {
  PointwiseMode mode = PointwiseMode::kAdd;
  Id x = kNone, other = kNone, y = kNone;
};

/// c = a b, over the last two dimensions.
struct Product {
  Id a = kNone, b = kNone, c = kNone;
};

/// Sums of x and of its squares for each channel.
struct Statistics {
  Id x = kNone, sum = kNone, squares = kNone;
};
/// The same as reductions, which other engines compute.
struct ChannelSums {
  Id x = kNone, sum = kNone, squares = kNone;
};

/// softmax(scale q k^T + bias, masked) v. With lengths, [batch, 1, 1, 1] of kI32, keys from there
/// on are masked. With dropout, seed and offset are numbers of kI32 in device memory.
struct Attention {
  Id q = kNone, k = kNone, v = kNone, y = kNone;
  Id log_sum_exp = kNone;  ///< [batch, heads, q_len, 1]; kNone: not wanted
  Id bias = kNone, q_lengths = kNone, kv_lengths = kNone, seed = kNone, offset = kNone;
  /// Factors of the weights, 1 or 0, and the numbers that what is left is multiplied and divided
  /// by.
  Id factors = kNone, factors_scale = kNone, factors_scale_inverse = kNone;
  float scale = 1, dropout = 0;
  bool causal = false;  ///< aligned at the first query and key
};

struct AttentionBackward {
  Attention forward;
  Id dy = kNone, dq = kNone, dk = kNone, dv = kNone, dbias = kNone;
  bool deterministic = false;
};

/// Over all dimensions but the first; scale and bias have that shape.
struct LayerNorm {
  Id x = kNone, scale = kNone, bias = kNone, epsilon = kNone, y = kNone, mean = kNone,
     inverse_deviation = kNone;
};

/// Over all dimensions but that of channels, with the statistics of the batch.
struct BatchNorm {
  Id x = kNone, scale = kNone, bias = kNone, epsilon = kNone, y = kNone, mean = kNone,
     inverse_deviation = kNone;
};

using Node = std::variant<Convolution, Pointwise, Product, Statistics, ChannelSums, Attention,
                          AttentionBackward, LayerNorm, BatchNorm>;

struct Graph {
  std::vector<GraphTensor> tensors;
  std::vector<Node> nodes;
  Type compute = Type::kF32;
  /// Whether products may round f32 operands to fewer bits. Without it only engines serve that do
  /// not.
  bool may_round_operands = false;
  /// Whether results may depend on the order in which blocks come to add.
  bool may_be_unordered = false;
  int64_t most_workspace = INT64_MAX;

  Id tensor(Type type, Sizes shape, Sizes strides) {
    tensors.push_back({type, std::move(shape), std::move(strides), false, {}});
    return static_cast<Id>(tensors.size()) - 1;
  }
  Id inner(Type type, Sizes shape, Sizes strides) {
    tensors.push_back({type, std::move(shape), std::move(strides), true, {}});
    return static_cast<Id>(tensors.size()) - 1;
  }
  Id number(float value) {
    tensors.push_back({Type::kF32, {}, {}, false, value});
    return static_cast<Id>(tensors.size()) - 1;
  }
};

}  // namespace linnet::cuda::cudnn
