#include "linnet/policy.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet {
namespace {

DType floating_type(std::string_view name) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    if (name_of(dtype) == name) return dtype;
  }
  fail<DTypeError>("policy: expected one of f16, bf16, f32, f64, got '{}'", name);
}

Products products_named(std::string_view name) {
  for (const Products products : {Products::kPlain, Products::kFloat8}) {
    if (name_of(products) == name) return products;
  }
  fail<ValueError>("policy: expected products=plain or products=float8, got '{}'", name);
}

}  // namespace

Policy Policy::parse(std::string_view text) {
  Policy out;
  if (text.find('=') == std::string_view::npos) {
    out.param = out.compute = out.output = floating_type(text);
    return out;
  }
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    if (key == "products" && equals != std::string_view::npos) {
      out.products = products_named(part.substr(equals + 1));
      continue;
    }
    DType* const place = key == "params"    ? &out.param
                         : key == "compute" ? &out.compute
                         : key == "output"  ? &out.output
                                            : nullptr;
    if (!place || equals == std::string_view::npos) {
      fail<ValueError>(
          "policy: expected params=TYPE, compute=TYPE, output=TYPE or products=KIND, got '{}'\n"
          "  hint: write 'params=f32,compute=bf16,output=f32', or one type for all",
          part);
    }
    *place = floating_type(part.substr(equals + 1));
  }
  return out;
}

void Policy::check_types_only() const {
  if (products == Products::kPlain) return;
  fail<ValueError>(
      "policy: the settings of a layer hold types, not products={}\n"
      "  hint: put the layer into linen::with_policy or nnx::WithPolicy",
      name_of(products));
}

std::string to_string(const Policy& policy) {
  std::string out = fmt::format("params={},compute={},output={}", name_of(policy.param),
                                name_of(policy.compute), name_of(policy.output));
  if (policy.products != Products::kPlain)
    out += fmt::format(",products={}", name_of(policy.products));
  return out;
}

}  // namespace linnet
