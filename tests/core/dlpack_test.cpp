// Tensors to and from other libraries by DLPack.
#include "linnet/io/dlpack.h"

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/error.h"

namespace linnet::dlpack_test {
namespace {

// As in dlpack.h, version 1.1.
struct DLDevice {
  int32_t device_type;
  int32_t device_id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManagedTensorVersioned {
  struct {
    uint32_t major, minor;
  } version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor dl_tensor;
};
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};
static_assert(sizeof(DLTensor) == 48 && sizeof(DLManagedTensorVersioned) == 80);

/// A library that lends memory.
struct Lender {
  int lent = 0, returned = 0;
  std::vector<int64_t> shape, strides;

  template <class M = DLManagedTensorVersioned>
  M* lend(void* data, DLDataType type, std::vector<int64_t> sizes,
          std::vector<int64_t> steps = {}) {
    shape = std::move(sizes);
    strides = std::move(steps);
    auto* m = new M{};
    if constexpr (dlpack::Versioned<M>) m->version = {1, 1};
    m->manager_ctx = this;
    m->deleter = [](M* self) {
      ++static_cast<Lender*>(self->manager_ctx)->returned;
      delete self;
    };
    m->dl_tensor = {data, {1, 0},       static_cast<int32_t>(shape.size()),
                    type, shape.data(), strides.empty() ? nullptr : strides.data(),
                    0};
    ++lent;
    return m;
  }
};
constexpr DLDataType kFloat32{2, 32, 1};

TEST(Dlpack, memory_is_taken_over_and_returned) {
  Lender lender;
  std::vector<float> memory(12);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  {
    const Tensor x = from_dlpack(lender.lend(memory.data(), kFloat32, {3, 4}));
    memory[0] = 42;  // seen: nothing was copied
    EXPECT_EQ(x.to_vector<float>()[0], 42);
    const Tensor column = from_dlpack(lender.lend(memory.data() + 1, kFloat32, {3}, {4}));
    EXPECT_EQ(column.to_vector<float>(), (std::vector<float>{1, 5, 9}));
    const Tensor again =
        from_dlpack(lender.lend<DLManagedTensor>(memory.data(), kFloat32, {2, 3}, {0, 1}));
    EXPECT_EQ((again + 1).to_vector<float>(), (std::vector<float>{43, 2, 3, 43, 2, 3}));
    EXPECT_EQ(lender.returned, 0);
    EXPECT_EQ(sum(matmul(transpose(x), x)).item<float>(), sum(square(sum(x, 1))).item<float>());
  }
  EXPECT_EQ(lender.returned, 3);
  // Backwards, out of line, and nothing: copies, so that the memory goes back at once.
  const Tensor back = from_dlpack(lender.lend(memory.data() + 3, kFloat32, {2}, {-2}));
  EXPECT_EQ(back.to_vector<float>(), (std::vector<float>{3, 1}));
  auto* odd = lender.lend(memory.data(), DLDataType{1, 32, 1}, {1});
  odd->dl_tensor.byte_offset = 2;
  EXPECT_EQ(from_dlpack(odd).dtype(), DType::kU32);
  EXPECT_EQ(from_dlpack(lender.lend(nullptr, kFloat32, {2, 0})).shape(), (Shape{2, 0}));
  EXPECT_EQ(from_dlpack(lender.lend(memory.data(), kFloat32, {})).item<float>(), 42);
  EXPECT_EQ(lender.returned, lender.lent);
}

TEST(Dlpack, what_does_not_fit_is_refused_and_returned) {
  Lender lender;
  std::vector<uint8_t> memory(64, 2);
  const auto refused = [&]<class E>(
                           std::type_identity<E>, const std::string& part, DLDataType type,
                           std::vector<int64_t> shape, std::vector<int64_t> strides = {},
                           const std::function<void(DLManagedTensorVersioned&)>& change = {}) {
    auto* m = lender.lend(memory.data(), type, std::move(shape), std::move(strides));
    if (change) change(*m);
    try {
      from_dlpack(m);
      ADD_FAILURE() << "nothing was thrown; expected " << part;
    } catch (const E& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
    EXPECT_EQ(lender.returned, lender.lent) << part;
  };
  const std::type_identity<DTypeError> dtype;
  const std::type_identity<ShapeError> shape;
  const std::type_identity<ValueError> value;
  refused(dtype, "code 5, 32 bits", {5, 32, 1}, {1});
  refused(dtype, "4 lanes", {2, 32, 4}, {1});
  refused(dtype, "code 10, 8 bits", {10, 8, 1}, {1});
  refused(shape, "dimension 1 has size -1", kFloat32, {2, -1});
  refused(shape, "more elements", kFloat32, {int64_t{1} << 40, int64_t{1} << 40});
  refused(shape, "reach further", kFloat32, {2}, {INT64_MAX});
  refused(shape, "reach further", kFloat32, {3, 2}, {INT64_MIN, 1});
  refused(shape, "got -1", kFloat32, {1}, {}, [](auto& m) { m.dl_tensor.ndim = -1; });
  refused(value, "a bool is 2", {6, 8, 1}, {3});
  refused(value, "no memory", kFloat32, {1}, {}, [](auto& m) { m.dl_tensor.data = nullptr; });
  refused(value, "no shape", kFloat32, {1}, {}, [](auto& m) { m.dl_tensor.shape = nullptr; });
  refused(value, "got 2.0", kFloat32, {1}, {}, [](auto& m) { m.version = {2, 0}; });
  refused(std::type_identity<DeviceError>{}, "a device of type 2", kFloat32, {1}, {},
          [](auto& m) { m.dl_tensor.device.device_type = 2; });
  EXPECT_THROW(from_dlpack(static_cast<DLManagedTensor*>(nullptr)), ValueError);
}

TEST(Dlpack, tensors_are_given_with_their_strides_and_come_back) {
  const Tensor x = ones({2, 3}, DType::kF64) * 2;
  auto* m = to_dlpack<DLManagedTensorVersioned>(transpose(x));
  EXPECT_EQ(m->version.major, 1u);
  EXPECT_EQ(m->flags, dlpack::kReadOnly);
  EXPECT_EQ(m->dl_tensor.ndim, 2);
  EXPECT_EQ(m->dl_tensor.shape[0], 3);
  EXPECT_EQ(m->dl_tensor.strides[0], 1);
  EXPECT_EQ(m->dl_tensor.strides[1], 3);
  EXPECT_EQ(from_dlpack(m).to_vector<double>(), std::vector<double>(6, 2));
  auto* old = to_dlpack<DLManagedTensor>(x);
  static_cast<double*>(old->dl_tensor.data)[0] = 5;
  EXPECT_EQ(x.to_vector<double>()[0], 2) << "the old form gets a copy";
  old->deleter(old);
  for (DType dtype :
       {DType::kBool, DType::kI8, DType::kI16, DType::kI32, DType::kI64, DType::kU8, DType::kU16,
        DType::kU32, DType::kU64, DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    for (const Shape& shape : {Shape{}, Shape{0, 2}, Shape{2, 3}}) {
      const Tensor t = ones(shape, dtype);
      const Tensor same = from_dlpack(to_dlpack(t));
      EXPECT_EQ(to_string(same.type()), to_string(t.type()));
      EXPECT_EQ(same.to_vector<double>(), t.to_vector<double>());
    }
  }
  EXPECT_EQ(from_dlpack(to_dlpack(Tensor(2.5f))).item<float>(), 2.5f);
  EXPECT_THROW(jit([](const Tensor& t) {
                 to_dlpack(t);
                 return t;
               })(x),
               TraceError);
}

}  // namespace
}  // namespace linnet::dlpack_test
