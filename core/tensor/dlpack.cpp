#include "linnet/io/dlpack.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/error.h"

namespace linnet::dlpack {
namespace {

// DLDeviceType and DLDataTypeCode.
constexpr int32_t kHost = 1, kHostOfCuda = 3;
constexpr uint8_t kInt = 0, kUnsigned = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBoolean = 6;

/// Far above every shape in use, and far below where sizes overflow.
constexpr int32_t kMaxRank = 64;
constexpr __int128 kMaxBytes = __int128{1} << 62;

ElementType type_of(DType dtype) {
  const uint8_t bits = static_cast<uint8_t>(8 * size_of(dtype));
  if (dtype == DType::kBool) return {kBoolean, bits, 1};
  if (dtype == DType::kBF16) return {kBfloat, bits, 1};
  if (is_complex(dtype)) return {kComplex, bits, 1};
  return {is_floating(dtype) ? kFloat : is_signed_integer(dtype) ? kInt : kUnsigned, bits, 1};
}

DType dtype_of_type(const ElementType& type) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const DType dtype = static_cast<DType>(i);
    const ElementType known = type_of(dtype);
    if (known.code == type.code && known.bits == type.bits && type.lanes == 1) return dtype;
  }
  fail<DTypeError>("from_dlpack: no dtype has the element type with code {}, {} bits and {} lanes",
                   type.code, type.bits, type.lanes);
}

/// What a view says, checked.
struct Layout {
  DType dtype;
  Shape shape;
  std::vector<int64_t> strides;
  const std::byte* data;
  int64_t count, least = 0, most = 0;  ///< elements; offsets of the outermost ones
};

void check_shape(const View& view) {
  if (view.ndim < 0 || view.ndim > kMaxRank)
    fail<ShapeError>("from_dlpack: expected from 0 to {} dimensions, got {}", kMaxRank, view.ndim);
  if (view.ndim > 0 && view.shape == nullptr) fail<ValueError>("from_dlpack: there is no shape");
  __int128 bytes = 8;
  for (int32_t d = 0; d < view.ndim; ++d) {
    if (view.shape[d] < 0)
      fail<ShapeError>("from_dlpack: dimension {} has size {}", d, view.shape[d]);
    bytes *= std::max<int64_t>(view.shape[d], 1);
    if (bytes > kMaxBytes)
      fail<ShapeError>("from_dlpack: the shape has more elements than memory can hold");
  }
}

/// Row-major without gaps, where none are given.
std::vector<int64_t> strides_of(const View& view) {
  std::vector<int64_t> out(static_cast<size_t>(view.ndim), 1);
  if (view.strides) {
    std::copy_n(view.strides, view.ndim, out.begin());
  } else {
    for (size_t d = out.size(); d-- > 1;) out[d - 1] = out[d] * std::max<int64_t>(view.shape[d], 1);
  }
  return out;
}

Layout layout_of(const View& view) {
  if (view.device.type != kHost && view.device.type != kHostOfCuda)
    fail<DeviceError>(
        "from_dlpack: the memory is on a device of type {}\n  hint: copy it to the host first",
        view.device.type);
  check_shape(view);
  Layout out{dtype_of_type(view.dtype), Shape(view.shape, view.shape + view.ndim), strides_of(view),
             static_cast<const std::byte*>(view.data), 1};
  __int128 least = 0, most = 0;
  for (size_t d = 0; d < out.strides.size(); ++d) {
    out.count *= out.shape[d];
    const __int128 reach = __int128{std::max<int64_t>(out.shape[d] - 1, 0)} * out.strides[d];
    (reach < 0 ? least : most) += reach;
    if (-least > kMaxBytes / 8 || most > kMaxBytes / 8)
      fail<ShapeError>("from_dlpack: the strides reach further than memory can");
  }
  out.least = static_cast<int64_t>(least);
  out.most = static_cast<int64_t>(most);
  if (out.count > 0 && out.data == nullptr) fail<ValueError>("from_dlpack: there is no memory");
  if (out.data) out.data += view.byte_offset;
  return out;
}

/// Calls `visit` with the offset of every element, in row-major order.
template <class F>
void for_each_offset(const Layout& layout, F visit) {
  std::vector<int64_t> index(layout.strides.size(), 0);
  int64_t offset = 0;
  for (int64_t i = 0; i < layout.count; ++i) {
    visit(offset);
    for (size_t d = index.size(); d-- > 0;) {
      offset += layout.strides[d];
      if (++index[d] < layout.shape[d]) break;
      offset -= layout.strides[d] * layout.shape[d];
      index[d] = 0;
    }
  }
}

void check_bools(const Layout& layout) {
  for_each_offset(layout, [&](int64_t offset) {
    const auto value = static_cast<uint8_t>(layout.data[offset]);
    if (value > 1) fail<ValueError>("from_dlpack: a bool is {}, neither 0 nor 1", value);
  });
}

Tensor copied(const Layout& layout) {
  const size_t size = size_of(layout.dtype);
  std::vector<std::byte> dense(static_cast<size_t>(layout.count) * size);
  std::byte* to = dense.data();
  for_each_offset(layout, [&](int64_t offset) {
    std::memcpy(to, layout.data + offset * static_cast<int64_t>(size), size);
    to += size;
  });
  return from_bytes(dense.data(), layout.dtype, layout.shape, kCpu);
}

Tensor tensor_of(const View& view, std::shared_ptr<const void> owner) {
  const Layout layout = layout_of(view);
  if (layout.count == 0) return from_bytes(nullptr, layout.dtype, layout.shape, kCpu);
  if (layout.dtype == DType::kBool) check_bools(layout);
  const bool aligned = reinterpret_cast<uintptr_t>(layout.data) % size_of(layout.dtype) == 0;
  if (!aligned || layout.least < 0) return copied(layout);
  const Tensor line = from_external(layout.data, layout.dtype, {layout.most + 1}, std::move(owner));
  return make_view(line, layout.shape, Strides(layout.strides.begin(), layout.strides.end()), 0);
}

template <class M>
std::shared_ptr<const void> owner_of(M* managed) {
  return std::shared_ptr<M>(managed, [](M* m) {
    if (m && m->deleter) m->deleter(m);
  });
}

/// What lies behind a managed tensor that was given away.
template <class M>
struct Given {
  M managed;
  Tensor tensor;
  std::vector<int64_t> shape, strides;

  explicit Given(const Tensor& t)
      : tensor(t),
        shape(t.shape().begin(), t.shape().end()),
        strides(t.impl()->strides.begin(), t.impl()->strides.end()) {
    managed.manager_ctx = this;
    managed.deleter = [](M* m) { delete static_cast<Given*>(m->manager_ctx); };
    View& view = managed.dl_tensor;
    view.data = t.size() == 0 ? nullptr : t.impl()->data;
    view.ndim = static_cast<int32_t>(shape.size());
    view.dtype = type_of(t.dtype());
    view.shape = shape.data();
    view.strides = strides.data();
  }
};

}  // namespace

Tensor take(ManagedTensor* managed) {
  if (!managed) fail<ValueError>("from_dlpack: got a null pointer");
  // The deleter is where it was in every version.
  const std::shared_ptr<const void> owner = owner_of(managed);
  if (managed->version.major != 1)
    fail<ValueError>("from_dlpack: expected version 1 of the protocol, got {}.{}",
                     managed->version.major, managed->version.minor);
  return tensor_of(managed->dl_tensor, owner);
}
Tensor take(LegacyManagedTensor* managed) {
  if (!managed) fail<ValueError>("from_dlpack: got a null pointer");
  return tensor_of(managed->dl_tensor, owner_of(managed));
}

ManagedTensor* give(const Tensor& tensor) {
  require_concrete(tensor, "to_dlpack");
  const bool here = tensor.device().host();
  auto* given = new Given<ManagedTensor>(here ? tensor : host_view(tensor));
  given->managed.flags = kReadOnly | (here ? 0 : kIsCopied);
  return &given->managed;
}
LegacyManagedTensor* give_legacy(const Tensor& tensor) {
  require_concrete(tensor, "to_dlpack");
  const Tensor dense = host_view(tensor);
  const Tensor own = from_bytes(dense.impl()->data, dense.dtype(), dense.shape(), kCpu);
  return &(new Given<LegacyManagedTensor>(own))->managed;
}

}  // namespace linnet::dlpack
