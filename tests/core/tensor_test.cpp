// Tensor: construction, views, host access, printing, DLPack, and its errors word for word.
#include <limits>
#include <sstream>

#include "tests/core/core_support.h"

namespace linnet::tensor_test {
namespace {

using test::expect_error;
using test::type_text;
using test::values;

TEST(Tensor, constructors_give_dense_tensors_of_the_element_type) {
  EXPECT_EQ(type_text(tensor({1.f, 2.f})), "f32[2]");
  EXPECT_EQ(type_text(tensor({1.0, 2.0, 3.0})), "f64[3]");
  EXPECT_EQ(type_text(tensor({1, 2, 3})), "i32[3]");
  EXPECT_EQ(type_text(tensor({true, false})), "bool[2]");
  EXPECT_EQ(type_text(tensor<uint8_t>({1, 2})), "u8[2]");
  EXPECT_EQ(type_text(tensor<bfloat16>({bfloat16(1), bfloat16(2)})), "bf16[2]");
  const Tensor rows = tensor({{1, 2, 3}, {4, 5, 6}});
  EXPECT_EQ(type_text(rows), "i32[2,3]");
  EXPECT_EQ(rows.to_vector<int>(), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(type_text(from_vector<int64_t>({1, 2, 3, 4}, {2, 2})), "i64[2,2]");
  EXPECT_EQ(type_text(from_vector<float>({}, {3, 0})), "f32[3,0]");
  EXPECT_EQ(scalar(2.5, DType::kF64).item<double>(), 2.5);
  EXPECT_EQ(scalar_integer(-3, DType::kI8).item<int>(), -3);
  EXPECT_EQ(scalar_integer(7, DType::kF32).item<int>(), 7);
  EXPECT_TRUE(scalar_integer(4, DType::kBool).item<bool>());
  EXPECT_FALSE(scalar(1, DType::kF32).weak());
}

TEST(Tensor, constructors_refuse_what_does_not_fit) {
  expect_error<ShapeError>("tensor: 3 values do not fill f32[2,2]", [] {
    from_vector<float>({1, 2, 3}, {2, 2});
  });
  expect_error<ShapeError>("tensor: negative size in shape [2,-1]", [] {
    from_vector<float>({1, 2}, {2, -1});
  });
  expect_error<ShapeError>("tensor: f64[1152921504606846976] has more bytes than can be addressed",
                           [] { zeros({int64_t{1} << 60}, DType::kF64); });
  expect_error<ShapeError>(
      "tensor: f32[4294967296,4294967296,0] has more bytes than can be addressed", [] {
        from_vector<float>({}, {int64_t{1} << 32, int64_t{1} << 32, 0});
      });
  expect_error<ShapeError>("tensor: row 1 has 1 values, expected 3 as in row 0", [] {
    tensor({{1, 2, 3}, {4}});
  });
}

TEST(Tensor, undefined_tensors_say_so) {
  const Tensor nothing;
  EXPECT_FALSE(nothing.defined());
  EXPECT_EQ(to_string(nothing), "Tensor(undefined)");
  const std::string text =
      "an undefined tensor was used\n  hint: a default-constructed Tensor holds nothing yet";
  expect_error<ValueError>(text, [&] { (void)nothing.dtype(); });
  expect_error<ValueError>(text, [&] { (void)nothing.shape(); });
  expect_error<ValueError>(text, [&] { (void)nothing.traced(); });
  expect_error<ValueError>(text, [&] { (void)nothing.item<float>(); });
  expect_error<ValueError>(text, [&] { (void)dlpack_view(nothing); });
  expect_error<ValueError>(text, [&] { (void)(nothing + 1); });
}

TEST(Tensor, J_002_literals_are_weak_scalars) {
  EXPECT_EQ(type_text(Tensor(1)), "~i32[]");
  EXPECT_EQ(type_text(Tensor(true)), "~bool[]");
  EXPECT_EQ(type_text(Tensor(1.5)), "~f32[]");
  EXPECT_EQ(type_text(Tensor(1.5f)), "~f32[]");
  EXPECT_EQ(type_text(Tensor(int64_t{1} << 40)), "~i64[]");
  EXPECT_EQ(type_text(Tensor(uint32_t{4000000000u})), "~i64[]");
  EXPECT_EQ(type_text(Tensor(std::numeric_limits<uint64_t>::max())), "~u64[]");
  EXPECT_EQ(Tensor(std::numeric_limits<uint64_t>::max()).item<uint64_t>(),
            std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(type_text(zeros({2}, DType::kBF16) + 1.0), "bf16[2]");
  EXPECT_EQ(type_text(zeros({2}, DType::kU8) + 1), "u8[2]");
  EXPECT_EQ(type_text(zeros({2}, DType::kI32) + 1.0), "~f32[2]");
  EXPECT_EQ(type_text(Tensor(1) + 2.0), "~f32[]");
  EXPECT_EQ(type_text(tensor({true}) + 1), "~i32[1]");
}

TEST(Tensor, literals_keep_all_their_digits_next_to_f64) {
  const Tensor one = scalar(1, DType::kF64);
  EXPECT_EQ((one + 0.1).item<double>(), 1.1);
  EXPECT_EQ((one * 1e-300).item<double>(), 1e-300);
  EXPECT_EQ(Tensor(0.1).item<double>(), static_cast<double>(0.1f));
}

TEST(Tensor, values_of_eight_bytes_live_in_the_handle) {
  const uint64_t before = memory_stats().allocations;
  Tensor x = scalar(3, DType::kF64);
  for (int i = 0; i < 10; ++i) x = x * 0.5 + sin(x);
  Tensor pair = tensor({1.f, 2.f});
  const Tensor second = pair[1];
  const Tensor reversed = flip(pair, {0});
  const Tensor copy = pair;
  pair = Tensor();
  EXPECT_EQ(memory_stats().allocations, before);
  EXPECT_EQ(second.item<float>(), 2.f);
  EXPECT_EQ(values(reversed), test::floats({2, 1}));
  EXPECT_EQ(values(copy), test::floats({1, 2}));
  EXPECT_EQ(values(tensor({1.f, 2.f, 3.f})), test::floats({1, 2, 3}));
  EXPECT_EQ(memory_stats().allocations, before + 1);
}

TEST(Tensor, views_share_memory_and_outlive_their_base) {
  Tensor base = test::ramp({4, 6});
  const uint64_t before = memory_stats().allocations;
  const Tensor turned = base.transpose();
  const Tensor row = base[-1];
  const Tensor block = slice(base, {1, 2}, {3, 6}, {1, 2});
  const Tensor flat = base.reshape({24});
  const Tensor spread = broadcast_to(row, {1000, 6});
  EXPECT_EQ(memory_stats().allocations, before) << "views allocate nothing";
  EXPECT_EQ(turned.strides(), (Strides{1, 6}));
  EXPECT_EQ(block.strides(), (Strides{6, 2}));
  EXPECT_EQ(spread.strides(), (Strides{0, 1}));
  EXPECT_EQ(flat.data<float>().data(), base.data<float>().data());
  const float* memory = base.data<float>().data();
  base = Tensor();
  EXPECT_EQ(flat.data<float>().data(), memory);
  EXPECT_FLOAT_EQ(turned[5][3].item<float>(), 2.3f);
  EXPECT_FLOAT_EQ(row[0].item<float>(), 1.8f);
  EXPECT_EQ(values(block), values(tensor({{0.8f, 1.f}, {1.4f, 1.6f}})));
  EXPECT_EQ(values(spread[999]), values(row));
}

TEST(Tensor, contiguous_copies_only_what_is_strided) {
  const Tensor x = test::ramp({3, 4});
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_EQ(x.contiguous().impl(), x.impl());
  const Tensor t = x.transpose();
  EXPECT_FALSE(t.is_contiguous());
  EXPECT_TRUE(t.contiguous().is_contiguous());
  EXPECT_EQ(values(t.contiguous()), values(t));
  EXPECT_TRUE(x.reshape({1, 3, 4}).transpose({1, 0, 2}).is_contiguous())
      << "sizes of 1 do not matter";
  EXPECT_TRUE(zeros({0, 5}).transpose().is_contiguous());
}

TEST(Tensor, a_program_may_ask_for_dense_results) {
  const auto f = jit([](const Tensor& x) {
    return TensorList{x.transpose().contiguous(), x.contiguous(), exp(x).contiguous()};
  });
  const Tensor x = test::ramp({6, 9});
  for (const Tensor& given : {x, x.transpose().contiguous().transpose()}) {
    const TensorList out = f(given);
    for (const Tensor& y : out) EXPECT_TRUE(y.is_contiguous());
    EXPECT_EQ(values(out[0]), values(x.transpose()));
    EXPECT_EQ(values(out[1]), values(x));
  }
  const Tensor gradient = grad([](const Tensor& v) {
    return sum(v.transpose().contiguous() * test::ramp({9, 6}));
  })(x);
  EXPECT_EQ(values(gradient), values(test::ramp({9, 6}).transpose()));
  const Tensor batched =
      vmap([](const Tensor& v) { return v.transpose().contiguous(); })(test::ramp({2, 6, 9}));
  EXPECT_EQ(values(batched), values(test::ramp({2, 6, 9}).transpose({0, 2, 1})));
}

TEST(Tensor, large_transposed_operands) {
  const auto f = [](const Tensor& a, const Tensor& b) {
    return exp(a.transpose()) * b + a.transpose({1, 0});
  };
  const auto compiled = jit(f);
  const Tensor a = test::ramp({131, 97}) * 1e-3f, b = test::ramp({97, 131}),
               row = test::ramp({131});
  for (const Tensor& other :
       {b, b.transpose().contiguous().transpose(), broadcast_to(row, {97, 131})}) {
    const std::vector<float> x = values(a), y = values(other), got = values(f(a, other));
    for (size_t i = 0; i < 97; ++i) {
      for (size_t j = 0; j < 131; ++j) {
        const double from = x[j * 97 + i], wanted = std::exp(from) * y[i * 131 + j] + from;
        ASSERT_NEAR(got[i * 131 + j], wanted, 1e-5 * std::abs(wanted)) << i << " " << j;
      }
    }
    EXPECT_EQ(values(compiled(a, other)), got);
  }
}

TEST(Tensor, shape_and_axes) {
  const Tensor x = zeros({2, 3, 4});
  EXPECT_EQ(x.shape(0), 2);
  EXPECT_EQ(x.shape(-1), 4);
  EXPECT_EQ(x.rank(), 3u);
  EXPECT_EQ(x.size(), 24);
  expect_error<ShapeError>("shape: axis 3 is out of range for a tensor of rank 3; expected -3 to 2",
                           [&] { (void)x.shape(3); });
  expect_error<ShapeError>("shape: axis 0 is out of range for a tensor without dimensions",
                           [] { (void)Tensor(1).shape(0); });
  expect_error<ShapeError>(
      "index_axis: index 2 is out of range for axis 0 of f32[2,3,4]; expected -2 to 1",
      [&] { (void)x[2]; });
  EXPECT_EQ(type_text(x[-2]), "f32[3,4]");
}

TEST(Tensor, host_access_converts) {
  const Tensor x = tensor({1.75f, -2.5f, 0.f});
  EXPECT_EQ(x.to_vector<int>(), (std::vector<int>{1, -2, 0}));
  EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{1.75, -2.5, 0}));
  EXPECT_EQ(x.to_vector<bool>(), (std::vector<bool>{true, true, false}));
  EXPECT_EQ(float(x.to_vector<bfloat16>()[1]), -2.5f);
  EXPECT_EQ(float(x.to_vector<float16>()[0]), 1.75f);
  EXPECT_EQ(tensor<float16>({float16(0.5f)}).item<double>(), 0.5);
  EXPECT_EQ(tensor<bfloat16>({bfloat16(3.f)}).to_vector<uint8_t>(), (std::vector<uint8_t>{3}));
  EXPECT_EQ(tensor({{7}}).item<int64_t>(), 7);
  EXPECT_TRUE(tensor({true}).item<bool>());
  EXPECT_EQ(x.data<float>()[1], -2.5f);
  EXPECT_TRUE(zeros({0}).to_vector<float>().empty());
}

TEST(Tensor, host_access_refuses) {
  const Tensor x = zeros({2, 3});
  expect_error<ShapeError>("item: expected one element, got f32[2,3]",
                           [&] { (void)x.item<float>(); });
  expect_error<ShapeError>("item: expected one element, got f32[0]",
                           [] { (void)zeros({0}).item<float>(); });
  expect_error<DTypeError>("data: expected f64, got f32[2,3]", [&] { (void)x.data<double>(); });
  expect_error<ShapeError>("data: f32[3,2] is a strided view\n  hint: call contiguous() first",
                           [&] { (void)x.transpose().data<float>(); });
  const Tensor promised = abstract({DType::kBF16, {8}});
  expect_error<TraceError>("to_vector: bf16[8] has a type but no value",
                           [&] { (void)promised.to_vector<float>(); });
}

TEST(Tensor, prints_what_is_known) {
  EXPECT_EQ(to_string(tensor({1.f, 2.5f})), "Tensor([  1, 2.5], f32[2])");
  EXPECT_EQ(to_string(Tensor(3)), "Tensor(3, ~i32[])");
  EXPECT_EQ(to_string(zeros({0, 3})), "Tensor([], f32[0,3])");
  EXPECT_EQ(to_string(abstract({DType::kF32, {2}})), "Abstract(f32[2])");
  std::ostringstream stream;
  stream << tensor({true, false});
  EXPECT_EQ(stream.str(), "Tensor([ true, false], bool[2])");
  std::vector<std::string> seen;
  const auto look = [&](const Tensor& x) {
    seen.push_back(to_string(x));
    return sum(x);
  };
  Tensor escaped;
  jit([&](const Tensor& x) { return look(escaped = x); })(zeros({2}));
  grad(look)(zeros({2}));
  vmap(look)(zeros({5, 2}));
  jvp(look, zeros({2}), ones({2}));
  EXPECT_EQ(seen, (std::vector<std::string>{"Traced<jit>(f32[2])", "Traced<grad>(f32[2])",
                                            "Traced<vmap>(f32[2])", "Traced<jvp>(f32[2])"}));
  EXPECT_EQ(to_string(escaped), "Traced<ended>(f32[2])");
}

TEST(Tensor, handles_count_references) {
  Tensor a = test::ramp({100});
  const TensorImpl* impl = a.impl();
  Tensor b = a;
  EXPECT_EQ(b.impl(), impl);
  const Tensor& same = b;
  b = same;
  EXPECT_EQ(b.impl(), impl);
  Tensor c = std::move(b);
  EXPECT_FALSE(b.defined());  // NOLINT
  b = std::move(c);
  EXPECT_EQ(b.impl(), impl);
  TensorImpl* raw = b.release();
  EXPECT_FALSE(b.defined());
  const Tensor adopted(raw);
  a = Tensor();
  EXPECT_FLOAT_EQ(adopted[99].item<float>(), 9.9f);
}

TEST(Tensor, external_memory_is_kept_as_long_as_it_is_seen) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> watch = owner;
  const float* memory = owner->data();
  Tensor x = from_external(memory, DType::kF32, {2, 2}, owner);
  owner.reset();
  EXPECT_EQ(x.data<float>().data(), memory);
  const Tensor column = x.transpose()[1];
  x = Tensor();
  EXPECT_EQ(values(column * 2), test::floats({4, 8}));
  EXPECT_FALSE(watch.expired());
  const_cast<Tensor&>(column) = Tensor();
  EXPECT_TRUE(watch.expired());
  alignas(8) static const char bytes[16] = {};
  expect_error<ValueError>("from_external: the address is not aligned to 4 bytes, as f32 needs",
                           [] { from_external(bytes + 2, DType::kF32, {2}, nullptr); });
}

TEST(Tensor, dlpack_view_describes_the_memory) {
  const Tensor x = test::ramp({2, 3}).transpose();
  const DlpackView view = dlpack_view(x);
  EXPECT_EQ(view.data, x.transpose().data<float>().data());
  EXPECT_EQ(view.device_type, 1);
  EXPECT_EQ(view.device_id, 0);
  EXPECT_EQ(view.lanes, 1);
  EXPECT_EQ(view.byte_offset, 0u);
  EXPECT_EQ(std::vector<int64_t>(view.shape.begin(), view.shape.end()),
            (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(std::vector<int64_t>(view.strides.begin(), view.strides.end()),
            (std::vector<int64_t>{1, 3}));
  // Codes of DLDataTypeCode: int 0, uint 1, float 2, bfloat 4, bool 6.
  const std::vector<std::tuple<DType, int, int>> codes{
      {DType::kBool, 6, 8}, {DType::kI8, 0, 8},   {DType::kI16, 0, 16},  {DType::kI32, 0, 32},
      {DType::kI64, 0, 64}, {DType::kU8, 1, 8},   {DType::kU16, 1, 16},  {DType::kU32, 1, 32},
      {DType::kU64, 1, 64}, {DType::kF16, 2, 16}, {DType::kBF16, 4, 16}, {DType::kF32, 2, 32},
      {DType::kF64, 2, 64}};
  for (const auto& [dtype, code, bits] : codes) {
    const Tensor of_dtype = zeros({2}, dtype);
    const DlpackView v = dlpack_view(of_dtype);
    EXPECT_EQ(v.type_code, code) << name_of(dtype);
    EXPECT_EQ(v.type_bits, bits) << name_of(dtype);
  }
  expect_error<TraceError>("dlpack_view: f32[3] has a type but no value", [] {
    dlpack_view(abstract({DType::kF32, {3}}));
  });
}

TEST(Tensor, operations_never_change_their_operands) {
  const Tensor x = test::ramp({5, 5});
  const std::vector<float> before = values(x);
  Tensor y = x;
  y = y + 1;
  (void)sort(x);
  (void)index_set(x, tensor({0}), zeros({1, 5}));
  (void)matmul(x, x);
  (void)cumsum(x, 0);
  EXPECT_EQ(values(x), before);
}

TEST(Tensor, text_of_types_and_devices) {
  EXPECT_EQ(to_string(TensorType{DType::kF32, {32, 784}}), "f32[32,784]");
  EXPECT_EQ(to_string(TensorType{DType::kI64, {}, true}), "~i64[]");
  EXPECT_EQ(to_string(kCpu), "cpu:0");
  EXPECT_EQ(to_string(Device{DeviceType::kCuda, 1}), "cuda:1");
  EXPECT_EQ(to_string(Device{DeviceType::kExtension, 2}), "ext:2");
  expect_error<DeviceError>(
      [] {
        from_bytes("abcdefghijkl", DType::kU8, {12}, Device{static_cast<DeviceType>(9), 0});
      },
      "ext:0: no back end for this device is linked in or registered");
}

}  // namespace
}  // namespace linnet::tensor_test
