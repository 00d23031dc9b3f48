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
    DType* const place = key == "params"    ? &out.param
                         : key == "compute" ? &out.compute
                         : key == "output"  ? &out.output
                                            : nullptr;
    if (!place || equals == std::string_view::npos) {
      fail<ValueError>(
          "policy: expected params=TYPE, compute=TYPE or output=TYPE, got '{}'\n"
          "  hint: write 'params=f32,compute=bf16,output=f32', or one type for all",
          part);
    }
    *place = floating_type(part.substr(equals + 1));
  }
  return out;
}

std::string to_string(const Policy& policy) {
  return fmt::format("params={},compute={},output={}", name_of(policy.param),
                     name_of(policy.compute), name_of(policy.output));
}

}  // namespace linnet
