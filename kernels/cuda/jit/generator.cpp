#include "kernels/cuda/jit/generator.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "core/ops/convert.h"
#include "core/ops/scalar_functions.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "kernels/cpu/register/scalar_params.h"
#include "linnet/detail/format.h"
#include "linnet/detail/sha1.h"

namespace linnet::cuda {
namespace {

/// In memory.
const char* storage_of(DType dtype) {
  constexpr const char* kNames[] = {"Bool",    "int8_t",   "int16_t",  "int32_t",  "int64_t",
                                    "uint8_t", "uint16_t", "uint32_t", "uint64_t", "Half",
                                    "Bf16",    "float",    "double"};
  return kNames[static_cast<int>(dtype)];
}

bool is_16_bit_float(DType dtype) { return dtype == DType::kF16 || dtype == DType::kBF16; }

/// Of values.
const char* arithmetic_name(DType dtype) {
  return is_16_bit_float(dtype) ? "float" : dtype == DType::kBool ? "bool" : storage_of(dtype);
}

const char* function_of(ScalarOp op) {
  constexpr const char* kFunctions[] = {
#define LINNET_NAME(id, name, function, arity, params, kind, cost) #function,
      LINNET_SCALAR_FUNCTIONS(LINNET_NAME)
#undef LINNET_NAME
  };
  return kFunctions[static_cast<int>(op)];
}

/// Functions that are shorter with approximate instructions.
bool has_fast_form(ScalarOp op) {
  using enum ScalarOp;
  constexpr ScalarOp kFast[] = {
      kReciprocal, kSqrt,    kRsqrt,    kExp, kExp2,       kTanh,     kLogistic,     kSilu,
      kGeluTanh,   kGeluErf, kSoftplus, kDiv, kLogSigmoid, kSiluGrad, kGeluTanhGrad, kGeluErfGrad};
  return std::find(std::begin(kFast), std::end(kFast), op) != std::end(kFast);
}

std::string double_text(double value) {
  return fmt::format("scalar::from_bits<double>(0x{:x}ull)", std::bit_cast<uint64_t>(value));
}

/// A constant of the body, exactly.
std::string constant_text(const Tensor& value) {
  const DType dtype = value.dtype();
  if (dtype == DType::kF64) return double_text(value.item<double>());
  if (is_floating(dtype)) {
    const auto number = static_cast<float>(value.item<double>());
    return fmt::format("scalar::from_bits<float>(0x{:x}u)", std::bit_cast<uint32_t>(number));
  }
  uint64_t word = 0;
  std::memcpy(&word, host_view(value).impl()->data, size_of(dtype));
  if (dtype == DType::kBool) return word != 0 ? "true" : "false";
  return fmt::format("static_cast<{}>(0x{:x}ull)", storage_of(dtype), word);
}

class Generator {
 public:
  Generator(const Graph& body, const ClusterLayout& layout) : body_(body), layout_(layout) {}

  ClusterSource run() {
    for (const Graph::Node& node : body_.nodes) values_ += definition(node);
    ClusterSource source;
    const size_t operands = body_.inputs.size() + body_.outputs.size();
    source.operands = static_cast<int>(std::bit_ceil(std::max<size_t>(operands, 4)));
    const std::string element = element_function(), kernel = kernel_text(source.operands);
    const std::string hashed = element + kernel;
    const auto* bytes = reinterpret_cast<const uint8_t*>(hashed.data());
    source.name = "cluster_";
    for (const uint8_t byte : sha1({bytes, hashed.size()}))
      source.name += fmt::format("{:02x}", byte);
    source.text = "#include \"kernels/cuda/jit/cluster.h\"\n\nnamespace linnet::cuda {\n\n" +
                  element + "LINNET_KERNEL(" + source.name + kernel +
                  "\n}  // namespace linnet::cuda\n";
    return source;
  }

 private:
  DType dtype_of(ValueId id) const { return body_.types[static_cast<size_t>(id)].dtype; }

  /// How an expression names a value.
  std::string value(ValueId id) const {
    for (const auto& [constant, number] : body_.constants)
      if (constant == id) return constant_text(number);
    return fmt::format("v{}", id);
  }

  std::string converted(ValueId from, DType to) const {
    const std::string x = value(from);
    if (dtype_of(from) == to) return x;
    if (is_16_bit_float(to)) return fmt::format("scalar::convert_for_half({})", x);
    return fmt::format("scalar::convert<{}>({})", arithmetic_name(to), x);
  }

  std::string called(const Graph::Node& node) const {
    const ScalarOp op = *find_scalar_op(node.primitive->name);
    const DType dtype = dtype_of(node.inputs.back());
    const bool fast = is_16_bit_float(dtype) && has_fast_form(op);
    std::string operands;
    for (const ValueId id : node.inputs) {
      operands += operands.empty() ? "" : ", ";
      operands += fast ? fmt::format("scalar::Fast({})", value(id)) : value(id);
    }
    if (scalar_op_info(op).param_count != 0)
      operands += ", " + double_text(scalar_param(node.params));
    if (op == ScalarOp::kNextafter && is_16_bit_float(dtype)) {
      return fmt::format("scalar::nextafter_of_words<scalar::Words<{}>>({})", storage_of(dtype),
                         operands);
    }
    return fmt::format("scalar::{}({}){}", function_of(op), operands, fast ? ".value" : "");
  }

  /// `v7` is the value, and for 16 bits `s7` what it is in memory.
  std::string definition(const Graph::Node& node) const {
    const ValueId id = node.outputs[0];
    const DType dtype = dtype_of(id);
    std::string expression;
    if (node.primitive == &broadcast_in_dim_primitive()) {
      expression = value(node.inputs[0]);
    } else if (node.primitive == &convert_primitive()) {
      expression = converted(node.inputs[0], dtype);
    } else {
      expression = called(node);
    }
    if (!is_16_bit_float(dtype))
      return fmt::format("  [[maybe_unused]] const {} v{} = {};\n", arithmetic_name(dtype), id,
                         expression);
    return fmt::format(
        "  const {0} s{1} = from_float<{0}>({2});\n"
        "  [[maybe_unused]] const float v{1} = to_float(s{1});\n",
        storage_of(dtype), id, expression);
  }

  /// The value of a result as it is in memory.
  std::string kept(ValueId id) const {
    const DType dtype = dtype_of(id);
    const bool computed =
        std::any_of(body_.nodes.begin(), body_.nodes.end(),
                    [&](const Graph::Node& node) { return node.outputs[0] == id; });
    if (computed && is_16_bit_float(dtype)) return fmt::format("s{}", id);
    return fmt::format("narrowed<{}>({})", storage_of(dtype), value(id));
  }

  /// `f(operand 0, operand 1, …, result 0, …)` with `input` and `output` for each, `{0}` a number
  /// and `{1}` the type in memory.
  std::string each(const char* input, const char* repeated_input, const char* output,
                   const char* between) const {
    std::string text;
    const auto add = [&](const char* form, size_t k, ValueId id) {
      if (!text.empty()) text += between;
      text += fmt::format(fmt::runtime(form), k, storage_of(dtype_of(id)), body_.inputs.size() + k);
    };
    for (size_t k = 0; k < body_.inputs.size(); ++k)
      add(layout_.repeated[k] ? repeated_input : input, k, body_.inputs[k]);
    for (size_t k = 0; k < body_.outputs.size(); ++k) add(output, k, body_.outputs[k]);
    return text;
  }

  /// A function of one element.
  std::string element_function() const {
    std::string text =
        "LINNET_DEVICE void compute(" + each("{1} x{0}", "{1} x{0}", "{1}& y{0}", ", ") + ") {\n";
    for (size_t k = 0; k < body_.inputs.size(); ++k) {
      const ValueId id = body_.inputs[k];
      text += fmt::format("  [[maybe_unused]] const {0} v{1} = widened<{0}>(x{2});\n",
                          arithmetic_name(dtype_of(id)), id, k);
    }
    text += values_;
    for (size_t k = 0; k < body_.outputs.size(); ++k)
      text += fmt::format("  y{} = {};\n", k, kept(body_.outputs[k]));
    return text + "}\n\n";
  }

  std::string place() const {
    std::string sizes;
    for (size_t k = 0; k < body_.inputs.size(); ++k) {
      sizes += fmt::format("{}{}", k == 0 ? "" : ", ",
                           layout_.repeated[k] ? 0 : size_of(dtype_of(body_.inputs[k])));
    }
    return fmt::format(
        "  constexpr int N = {0};\n"
        "  const int sizes[] = {{{1}}};\n"
        "  const ClusterPlace<{2}, N> place = place_of<{2}, N>(args, sizes);\n"
        "  if (place.count == 0) return;\n",
        layout_.elements, sizes, body_.inputs.size());
  }

  /// What follows the kernel's name.
  std::string kernel_text(int operands) const {
    std::string text = fmt::format(", {}ClusterArgs<{}>, kClusterThreads) {{\n",
                                   layout_.flat ? "Flat" : "Strided", operands);
    text += place();
    if (layout_.flat && layout_.elements > 1) {
      text +=
          "  if (place.count != N) {\n    LINNET_ROLLED\n"
          "    for (int i = 0; i < place.count; ++i) {\n      compute(" +
          each("element<{1}>(args.operands[{0}].get() + place.offsets[{0}], i)",
               "element<{1}>(args.operands[{0}].get(), 0)",
               "element<{1}>(args.operands[{2}].get(), place.index, N, i)", ",\n              ") +
          ");\n    }\n    return;\n  }\n";
    }
    text += each(
        "  Packs<{1}, N> x{0};\n"
        "  fetch(args.operands[{0}].get() + place.offsets[{0}], x{0});\n",
        "  Packs<{1}, N> x{0};\n"
        "  fetch_one(args.operands[{0}].get() + place.offsets[{0}], x{0});\n",
        "  Packs<{1}, N> y{0};\n", "");
    text += "  LINNET_UNROLL\n  for (int i = 0; i < N; ++i) compute(" +
            each("x{0}[i]", "x{0}[i]", "y{0}[i]", ", ") + ");\n";
    for (size_t k = 0; k < body_.outputs.size(); ++k) {
      text += fmt::format("  keep(args.operands[{}].get(), place.index, y{});\n",
                          body_.inputs.size() + k, k);
    }
    return text + "}\n";
  }

  const Graph& body_;
  const ClusterLayout& layout_;
  std::string values_;
};

}  // namespace

std::string cluster_reason(const Graph& body) {
  if (body.inputs.empty()) return "no operands";
  if (body.inputs.size() + body.outputs.size() > kMostClusterOperands)
    return fmt::format("{} operands and results, more than {}",
                       body.inputs.size() + body.outputs.size(), kMostClusterOperands);
  for (const Graph::Node& node : body.nodes) {
    if (node.primitive == &broadcast_in_dim_primitive() || node.primitive == &convert_primitive() ||
        find_scalar_op(node.primitive->name))
      continue;
    return fmt::format("{} of {}", node.primitive->name,
                       to_string(body.types[static_cast<size_t>(node.outputs[0])]));
  }
  return {};
}

int cluster_elements(const Graph& body) {
  size_t smallest = 8, bytes = 0;
  for (const auto* ids : {&body.inputs, &body.outputs}) {
    for (const ValueId id : *ids) {
      const size_t size = size_of(body.types[static_cast<size_t>(id)].dtype);
      smallest = std::min(smallest, size);
      bytes += size;
    }
  }
  constexpr size_t kMostKept = 256;  // bytes of a thread: a quarter of its registers
  size_t elements = 16 / std::max<size_t>(smallest, 2);
  while (elements > 1 && elements * bytes > kMostKept) elements /= 2;
  return static_cast<int>(elements);
}

ClusterSource generate_cluster(const Graph& body, const ClusterLayout& layout) {
  return Generator(body, layout).run();
}

}  // namespace linnet::cuda
