// eval_shape: types without values (J-085).
#include "linnet/random.h"
#include "tests/core/core_support.h"

namespace linnet::eval_shape_test {
namespace {

using test::expect_error;
using test::type_text;

struct Model {
  Tensor w, b;
  int width = 0;
};
Model init(const random::Key& key, int64_t in, int64_t out) {
  return {random::normal(key, {in, out}) * (1.0 / static_cast<double>(in)),
          zeros({out}, DType::kBF16), static_cast<int>(out)};
}

TEST(EvalShape, J_085_gives_trees_of_types) {
  const Model shapes =
      eval_shape([](const Tensor& x) { return init(random::Key(0), x.shape(-1), 512); },
                 abstract({DType::kF32, {32, 784}}));
  EXPECT_EQ(type_text(shapes.w), "f32[784,512]");
  EXPECT_EQ(type_text(shapes.b), "bf16[512]");
  EXPECT_EQ(shapes.width, 512);
  EXPECT_EQ(to_string(shapes.w), "Abstract(f32[784,512])");
  expect_error<TraceError>("to_vector: f32[784,512] has a type but no value",
                           [&] { (void)shapes.w.to_vector<float>(); });
}

TEST(EvalShape, J_085_allocates_nothing) {
  const std::vector<Tensor> w{test::ramp({64, 64}), test::ramp({64})};
  const Tensor x = test::ramp({32, 64});
  const auto loss = [](const std::vector<Tensor>& p, const Tensor& batch) {
    return mean(square(relu(matmul(batch, p[0]) + p[1])));
  };
  const auto step = [&](const std::vector<Tensor>& p, const Tensor& batch) {
    const Tensor noise = random::normal(random::Key(1), {1000, 1000});
    const auto [value, g] = value_and_grad(loss)(p, batch + slice(noise, {0, 0}, {32, 64}));
    return std::make_pair(value,
                          tree::map(p, g, [](const Tensor& a, const Tensor& b) { return a - b; }));
  };
  const MemoryStats before = memory_stats();
  const auto [value, updated] = eval_shape(step, w, x);
  EXPECT_EQ(memory_stats().allocations, before.allocations);
  EXPECT_EQ(type_text(value), "f32[]");
  EXPECT_EQ(type_text(updated[0]), "f32[64,64]");
}

TEST(EvalShape, types_agree_with_values) {
  const auto f = [](const Tensor& x) {
    return TensorList{x + 1,        x > 0,
                      argmax(x, 0), astype(x, DType::kF16),
                      x + 1.0,      vmap([](const Tensor& r) {
                        return sum(r); })(x)};
  };
  for (DType dtype : {DType::kI32, DType::kF32, DType::kBF16}) {
    const Tensor x = zeros({3, 4}, dtype);
    const TensorList types = eval_shape(f, x), real = f(x);
    for (size_t i = 0; i < real.size(); ++i) EXPECT_EQ(types[i].type(), real[i].type()) << i;
  }
}

TEST(EvalShape, errors_are_those_of_the_function) {
  const auto f = [](const Tensor& a, const Tensor& b) { return matmul(a, b); };
  EXPECT_THROW(eval_shape(f, zeros({2, 3}), zeros({4, 5})), ShapeError);
  expect_error<ValueError>("eval_shape: a leaf of the arguments is an undefined tensor", [&] {
    eval_shape(f, zeros({2, 3}), Tensor());
  });
  expect_error<ValueError>("eval_shape: a result is an undefined tensor", [&] {
    eval_shape([](const Tensor&) { return Tensor(); }, zeros({2, 3}));
  });
  expect_error<TraceError>(
      "item: the value of f32[] is not known while jit traces the function\n"
      "  hint: C++ control flow cannot depend on traced values; use where(condition, a, b), "
      "or compute the value outside the transformation",
      [&] {
        eval_shape([](const Tensor& x) { return sum(x).item<float>() > 0 ? x : -x; }, zeros({2}));
      });
}

TEST(EvalShape, nests_in_other_transformations) {
  const auto f = [](const Tensor& x) {
    const Tensor shape = eval_shape([](const Tensor& y) { return outer(y, y); }, x);
    return sum(x) * static_cast<double>(shape.size());
  };
  EXPECT_EQ(grad(f)(ones({3})).to_vector<float>(), test::floats({9, 9, 9}));
  EXPECT_EQ(jit([&](const Tensor& x) { return f(x); })(ones({2})).item<float>(), 8);
}

}  // namespace
}  // namespace linnet::eval_shape_test
