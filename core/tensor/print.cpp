// Text of tensors: nested rows as NumPy writes them, then the type.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <ostream>

#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/visit_dtype.h"

namespace linnet {
namespace {

constexpr int64_t kSummaryThreshold = 1000;  ///< elements beyond which only the edges are shown
constexpr int64_t kEdgeItems = 3;
constexpr size_t kLineWidth = 78;
constexpr std::string_view kPrefix = "Tensor(";

/// A decimal text short of noise: for 32 and 64 bits the shortest that reads back as the same
/// number.
template <class T>
std::string element_text(T value) {
  if constexpr (std::is_same_v<T, bool>)
    return value ? "true" : "false";
  else if constexpr (std::is_integral_v<T>)
    return fmt::format("{}", static_cast<int64_t>(value));
  else if constexpr (std::is_same_v<T, float16>)
    return fmt::format("{:.4g}", static_cast<float>(value));
  else if constexpr (std::is_same_v<T, bfloat16>)
    return fmt::format("{:.3g}", static_cast<float>(value));
  else
    return fmt::format("{}", value);
}
template <>
std::string element_text(uint64_t value) {
  return fmt::format("{}", value);
}

/// Formats one tensor; two passes, since columns are as wide as the widest element shown.
class Printer {
 public:
  explicit Printer(const TensorImpl& impl)
      : impl_(impl), summarise_(element_count(impl.shape) > kSummaryThreshold) {}

  std::string text() {
    visit(0, 0, [this](const std::string& element) { width_ = std::max(width_, element.size()); });
    std::string out(kPrefix);
    append(out, 0, 0);
    return fmt::format("{}, {})", out, type());
  }

 private:
  std::string type() const {
    return to_string(TensorType{impl_.dtype, impl_.shape, impl_.weak, impl_.device});
  }

  template <class Part>
  std::string complex_element(int64_t offset) const {
    Part parts[2];
    std::memcpy(parts, impl_.data + offset * static_cast<int64_t>(sizeof parts), sizeof parts);
    // The sign of a zero or NaN is shown too.
    return fmt::format("{}{:+}j", parts[0], parts[1]);
  }

  std::string element(int64_t offset) const {
    if (impl_.dtype == DType::kC64) return complex_element<float>(offset);
    if (impl_.dtype == DType::kC128) return complex_element<double>(offset);
    return visit_dtype(impl_.dtype, [&](auto zero) {
      auto value = zero;
      std::memcpy(&value, impl_.data + offset * static_cast<int64_t>(sizeof value), sizeof value);
      return element_text(value);
    });
  }

  bool shortened(size_t axis) const { return summarise_ && impl_.shape[axis] > 2 * kEdgeItems; }

  /// Calls `f(i)` for the indices shown along an axis, and `gap()` where some are left out.
  template <class F, class G>
  void each_index(size_t axis, F f, G gap) const {
    const int64_t size = impl_.shape[axis];
    for (int64_t i = 0; i < size; ++i) {
      if (shortened(axis) && i == kEdgeItems) {
        gap();
        i = size - kEdgeItems;
      }
      f(i);
    }
  }

  template <class F>
  void visit(size_t axis, int64_t offset, const F& f) const {
    if (axis == impl_.shape.size()) return f(element(offset));
    each_index(
        axis, [&](int64_t i) { visit(axis + 1, offset + i * impl_.strides[axis], f); }, [] {});
  }

  void append(std::string& out, size_t axis, int64_t offset) const {
    if (axis == impl_.shape.size()) {
      out += element(offset);
    } else if (axis + 1 == impl_.shape.size()) {
      append_row(out, axis, offset);
    } else {
      append_rows(out, axis, offset);
    }
  }

  std::string indentation(size_t axis) const { return std::string(kPrefix.size() + axis + 1, ' '); }

  void append_row(std::string& out, size_t axis, int64_t offset) const {
    out += '[';
    size_t line = indentation(axis).size();
    bool first = true;
    const auto put = [&](const std::string& item) {
      if (!first) {
        out += ',';
        if (line + 2 + item.size() > kLineWidth) {
          out += '\n' + indentation(axis);
          line = indentation(axis).size();
        } else {
          out += ' ';
          line += 2;
        }
      }
      first = false;
      out += item;
      line += item.size();
    };
    each_index(
        axis,
        [&](int64_t i) {
          put(fmt::format("{:>{}}", element(offset + i * impl_.strides[axis]), width_));
        },
        [&] { put("..."); });
    out += ']';
  }

  void append_rows(std::string& out, size_t axis, int64_t offset) const {
    // As many line ends as there are dimensions below, so that blocks are set apart.
    const std::string line_ends(impl_.shape.size() - axis - 1, '\n');
    const std::string separator = fmt::format(",{}{}", line_ends, indentation(axis));
    out += '[';
    bool first = true;
    const auto separate = [&] {
      if (!first) out += separator;
      first = false;
    };
    each_index(
        axis,
        [&](int64_t i) {
          separate();
          append(out, axis + 1, offset + i * impl_.strides[axis]);
        },
        [&] {
          separate();
          out += "...";
        });
    out += ']';
  }

  const TensorImpl& impl_;
  bool summarise_;
  size_t width_ = 0;
};

std::string text_without_value(const Tensor& tensor) {
  const std::string type = to_string(tensor.type());
  if (tensor.impl()->serial == TensorImpl::kAbstract) return fmt::format("Abstract({})", type);
  for (const Trace* trace = current_trace(); trace; trace = trace->parent()) {
    if (trace->owns(tensor)) return fmt::format("Traced<{}>({})", trace->transformation(), type);
  }
  return fmt::format("Traced<ended>({})", type);
}

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) return "Tensor(undefined)";
  if (tensor.traced()) return text_without_value(tensor);
  if (tensor.size() == 0) return fmt::format("Tensor([], {})", to_string(tensor.type()));
  const Tensor near = tensor.device().host() ? tensor : host_view(tensor);
  return Printer(*near.impl()).text();
}

std::ostream& operator<<(std::ostream& stream, const Tensor& tensor) {
  return stream << to_string(tensor);
}
std::ostream& operator<<(std::ostream& stream, const std::optional<Tensor>& tensor) {
  return stream << (tensor ? to_string(*tensor) : "nullopt");
}
std::ostream& operator<<(std::ostream& stream, const TensorType& type) {
  return stream << to_string(type);
}
std::ostream& operator<<(std::ostream& stream, const Shape& shape) {
  return stream << to_string(shape);
}
std::ostream& operator<<(std::ostream& stream, DType dtype) { return stream << name_of(dtype); }
std::ostream& operator<<(std::ostream& stream, Device device) {
  return stream << to_string(device);
}

}  // namespace linnet
