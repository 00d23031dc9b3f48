#include "core/debug/nans.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/base/watch.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/operands.h"
#include "linnet/debug.h"
#include "linnet/detail/format.h"
#include "linnet/visit_dtype.h"

namespace linnet {
namespace {

/// What the environment asks of every thread.
const bool everywhere = [] {
  const char* value = std::getenv("LINNET_DEBUG_NANS");
  const bool on = value && *value && std::string_view(value) != "0";
  if (on) ++watchers;
  return on;
}();

/// What the innermost scope of this thread says; negative without one.
constinit thread_local int8_t here = -1;

/// The index of the first NaN, or -1.
int64_t first_nan(const Tensor& x) {
  if (!is_inexact(x.dtype())) return -1;
  const Tensor host = host_view(x);
  // Of a complex number one part is enough.
  const int64_t parts = is_complex(x.dtype()) ? 2 : 1;
  return visit_dtype(real_dtype_of(x.dtype()), [&](auto zero) -> int64_t {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      return -1;
    } else {
      const std::byte* const data = host.impl()->data;
      const int64_t count = host.size() * parts;
      for (int64_t i = 0; i < count; ++i) {
        T value;
        std::memcpy(&value, data + static_cast<size_t>(i) * sizeof value, sizeof value);
        // Rounding to f32 keeps a NaN and makes none.
        if (std::isnan(static_cast<float>(value))) return i / parts;
      }
      return -1;
    }
  });
}

/// `[1,0]` for the element at this place in row-major order.
std::string index_text(const Shape& shape, int64_t place) {
  std::string out;
  for (size_t d = shape.size(); d-- > 0; place /= shape[d])
    out = fmt::format("{}{}{}", place % shape[d], out.empty() ? "" : ",", out);
  return "[" + out + "]";
}

[[noreturn]] void report(const Primitive& primitive, Inputs inputs, Outputs outputs, size_t k,
                         int64_t place) {
  std::string came;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (first_nan(inputs[i]) >= 0) came += fmt::format("{}{}", came.empty() ? "" : ", ", i);
  }
  fail<NanError>(
      "{}: NaN at {} of result {}: ({}) -> {}\n  {}", primitive.name,
      index_text(outputs[k].shape(), place), k, types_text(inputs), types_text(outputs),
      came.empty() ? "no operand has a NaN: it arises here" : "it came with operand " + came);
}

}  // namespace

bool debug::nan_checks() { return here < 0 ? everywhere : here != 0; }

debug::NanChecks::NanChecks(bool on) : previous_(here) {
  here = on;
  ++watchers;
}
debug::NanChecks::~NanChecks() {
  here = previous_;
  --watchers;
}

debug::Here::Here(const char* file, int line)
    : ModulePathScope([&] {
        const std::string_view path = file;
        return fmt::format("{}:{}", path.substr(path.rfind('/') + 1), line);
      }()) {}

void check_for_nans(const Primitive& primitive, Inputs inputs, Outputs outputs) {
  if (!debug::nan_checks()) return;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const int64_t place = first_nan(outputs[k]);
    if (place >= 0) report(primitive, inputs, outputs, k, place);
  }
}

}  // namespace linnet
