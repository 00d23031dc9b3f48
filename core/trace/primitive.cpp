#include "linnet/primitive.h"

#include <deque>
#include <mutex>

#include "linnet/detail/format.h"

namespace linnet {
namespace {

struct Registry {
  std::mutex mutex;
  std::deque<Primitive> primitives;  // stable addresses
  std::vector<const Primitive*> pointers;
  std::vector<std::vector<const Primitive*>> outgrown;  // spans of them may be in use

  void list(const Primitive& primitive) {
    if (pointers.size() == pointers.capacity()) {
      std::vector<const Primitive*> larger;
      larger.reserve(pointers.size() * 2 + 512);
      larger.insert(larger.end(), pointers.begin(), pointers.end());
      outgrown.push_back(std::exchange(pointers, std::move(larger)));
    }
    pointers.push_back(&primitive);
  }
};
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

/// Complex numbers go where floating ones do; whether at all, `check_complex` has said before.
bool accepted(Accepts accepts, DType dtype) {
  switch (accepts) {
    case Accepts::kAny:
      return true;
    case Accepts::kNumeric:
      return dtype != DType::kBool;
    case Accepts::kFloating:
      return is_inexact(dtype);
    case Accepts::kInteger:
      return is_integer(dtype);
    case Accepts::kIntegerOrBool:
      return !is_inexact(dtype);
  }
  return false;
}

const char* text_of(Accepts accepts) {
  switch (accepts) {
    case Accepts::kAny:
      return "any";
    case Accepts::kNumeric:
      return "a numeric";
    case Accepts::kFloating:
      return "a floating";
    case Accepts::kInteger:
      return "an integer";
    case Accepts::kIntegerOrBool:
      return "an integer or bool";
  }
  return "";
}

}  // namespace

std::string_view name_of(const DerivativeRule& rule) {
  constexpr std::string_view kNames[] = {"opaque", "partials", "transpose", "bilinear",
                                         "vjp",    "zero",     "composite", "control"};
  static_assert(std::size(kNames) == std::variant_size_v<DerivativeRule>);
  return kNames[rule.index()];
}

std::string_view name_of(const IndexMap& map) {
  constexpr std::string_view kNames[] = {"custom", "pointwise", "dimensions", "parts"};
  static_assert(std::size(kNames) == std::variant_size_v<IndexMap>);
  return kNames[map.index()];
}

namespace {

/// New factors for every dimension of `shape`.
TensorFactors factors_of(DimMap& map, const Shape& shape, FactorKind kind) {
  TensorFactors out;
  for (int64_t size : shape) out.push_back({map.add(size, kind)});
  return out;
}

[[noreturn]] void refuse(const Primitive& p, const char* why) {
  fail<ValueError>("define: {} ({} rule, {} map) {}", p.name.empty() ? "a primitive" : p.name,
                   name_of(p.rule), name_of(p.map), why);
}

/// Whether the functions that the rule consists of are there.
bool complete(const DerivativeRule& rule) {
  if (const auto* r = std::get_if<rules::Partials>(&rule)) return static_cast<bool>(r->partials);
  if (const auto* r = std::get_if<rules::Transpose>(&rule)) return static_cast<bool>(r->transpose);
  if (const auto* r = std::get_if<rules::Bilinear>(&rule))
    return static_cast<bool>(r->transpose_in);
  if (const auto* r = std::get_if<rules::Vjp>(&rule)) return static_cast<bool>(r->vjp);
  return true;
}

void check_description(const Primitive& p) {
  if (p.name.empty()) refuse(p, "has no name");
  if (!p.infer && !p.decompose) refuse(p, "has neither a typing rule nor a decomposition");
  if (!complete(p.rule)) refuse(p, "lacks the function of its derivative rule");
  if ((p.composite() || p.control()) && !p.decompose) refuse(p, "has no decomposition");
  if (p.rule_as<rules::Partials>() && !p.pointwise())
    refuse(p, "has partial derivatives, which are multiplied element by element");
  if (p.rule_as<rules::Bilinear>() && (p.nondifferentiable != 0 || p.pointwise()))
    refuse(p, "must be differentiable in both of its operands, whose dimensions differ");
  if (std::holds_alternative<maps::Parts>(p.map) && !p.decompose)
    refuse(p, "has no parts to batch");
  if (p.control() && !std::holds_alternative<maps::Parts>(p.map))
    refuse(p, "is batched by its control rules");
  if (const auto* dims = std::get_if<maps::Dims>(&p.map)) {
    if (!dims->dims || !dims->with_leading) refuse(p, "lacks a function of its map");
  }
  if (p.all_boolean_result && !p.rule_as<rules::Zero>())
    refuse(p, "gives bools, which have no derivative");
}

}  // namespace

DimMap dim_map(const Primitive& primitive, ParamsRef params, Inputs x) {
  if (const auto* dims = std::get_if<maps::Dims>(&primitive.map)) return dims->dims(params, x);
  const auto* custom = std::get_if<maps::Custom>(&primitive.map);
  if (custom && custom->dims) return custom->dims(params, x);
  DimMap map;
  if (primitive.pointwise()) {
    const TensorFactors all = factors_of(map, x[0].shape(), FactorKind::kPass);
    map.operands.assign(x.size(), all);
    map.results = {all};
    return map;
  }
  for (const Tensor& operand : x)
    map.operands.push_back(factors_of(map, operand.shape(), FactorKind::kWhole));
  for (const TensorType& result : primitive.infer(params, x))
    map.results.push_back(factors_of(map, result.shape, FactorKind::kWhole));
  return map;
}

const Primitive& define_primitive(Primitive primitive) {
  check_description(primitive);
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  primitive.id = static_cast<int>(r.primitives.size());
  r.primitives.push_back(std::move(primitive));
  Primitive& kept = r.primitives.back();
  if (!kept.infer) {
    kept.infer = [self = &kept](ParamsRef params, Inputs x) {
      return infer_by_tracing(*self, params, x);
    };
  }
  r.list(kept);
  return kept;
}

const Primitive& define(Control description) {
  Primitive p;
  p.name = description.name;
  p.rule = rules::Control{std::move(description.rules), description.is_its_body};
  p.map = maps::Parts{};
  p.infer = std::move(description.infer);
  p.decompose = std::move(description.decompose);
  p.complex = true;  // what its body computes says more
  return define_primitive(std::move(p));
}

std::span<const Primitive* const> all_primitives() {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  return r.pointers;
}

const Primitive* find_primitive(std::string_view name) {
  for (const Primitive* primitive : all_primitives()) {
    if (primitive->name == name) return primitive;
  }
  return nullptr;
}

void expect_operands(const char* name, int count, Inputs x) {
  if (static_cast<int>(x.size()) != count)
    fail<ValueError>("{}: expected {} operands, got {}", name, count, x.size());
}

void check_complex(const Primitive& primitive, Inputs x) {
  if (primitive.complex) return;
  for (const Tensor& operand : x) {
    if (!is_complex(operand.dtype())) continue;
    fail<DTypeError>(
        "{}: complex numbers are not accepted, got {}\n  hint: take real(x), imag(x) or abs(x)",
        primitive.name, to_string(operand.type()));
  }
}

TypeList infer_elementwise(const char* name, Accepts accepts, bool boolean_result,
                           bool predicate_first, int arity, Inputs x) {
  expect_operands(name, arity, x);
  const size_t first = predicate_first ? 1 : 0;
  if (predicate_first && x[0].dtype() != DType::kBool) {
    fail<DTypeError>("{}: the predicate must be bool, got {}", name, to_string(x[0].type()));
  }
  const DType dtype = x[first].dtype();
  if (!accepted(accepts, dtype)) {
    fail<DTypeError>("{}: expected {} dtype, got {}", name, text_of(accepts),
                     to_string(x[first].type()));
  }
  bool weak = true;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].shape() != x[0].shape()) {
      fail<ShapeError>("{}: shapes differ: {} and {}", name, to_string(x[0].type()),
                       to_string(x[i].type()));
    }
    if (i >= first) {
      if (x[i].dtype() != dtype) {
        fail<DTypeError>("{}: dtypes differ: {} and {}", name, to_string(x[first].type()),
                         to_string(x[i].type()));
      }
      weak = weak && x[i].weak();
    }
  }
  return {{boolean_result ? DType::kBool : dtype, x[0].shape(), weak && !boolean_result,
           x[0].device()}};
}

}  // namespace linnet
