#include "linnet/primitive.h"

#include <deque>
#include <mutex>

#include "core/base/format.h"

namespace linnet {
namespace {

struct Registry {
  std::mutex mutex;
  std::deque<Primitive> primitives;  // stable addresses
  std::vector<const Primitive*> pointers;
};
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

bool accepted(Accepts accepts, DType dtype) {
  switch (accepts) {
    case Accepts::kAny:
      return true;
    case Accepts::kNumeric:
      return dtype != DType::kBool;
    case Accepts::kFloating:
      return is_floating(dtype);
    case Accepts::kInteger:
      return is_integer(dtype);
    case Accepts::kIntegerOrBool:
      return !is_floating(dtype);
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

std::string_view name_of(Kind kind) {
  constexpr std::string_view kNames[] = {"elementwise", "linear",  "bilinear", "smooth",
                                         "composite",   "control", "opaque"};
  return kNames[static_cast<int>(kind)];
}

const Primitive& define_primitive(Primitive primitive) {
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
  r.pointers.push_back(&kept);
  return kept;
}

const Primitive& define(Control description) {
  Primitive p;
  p.name = description.name;
  p.kind = Kind::kControl;
  p.infer = std::move(description.infer);
  p.decompose = std::move(description.decompose);
  p.control = std::move(description.rules);
  return define_primitive(std::move(p));
}

std::span<const Primitive* const> all_primitives() { return registry().pointers; }

TypeList infer_elementwise(const char* name, Accepts accepts, bool boolean_result,
                           bool predicate_first, int arity, Inputs x) {
  if (static_cast<int>(x.size()) != arity)
    fail<ValueError>("{}: expected {} operands, got {}", name, arity, x.size());
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
