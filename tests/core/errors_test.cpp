// The words of errors: typical mistakes, whole texts. A message starts with the operation, shows
// types as f32[32,784], and ends with a hint if there is an obvious remedy.
#include <regex>

#include "tests/core/core_support.h"

namespace linnet::errors_test {
namespace {

using test::expect_error;

Tensor f32(const Shape& shape) { return zeros(shape); }

TEST(Errors, E_01_matmul) {
  expect_error<ShapeError>(
      "matmul: inner sizes differ: lhs f32[32,784] ends in 784, rhs f32[512,10] starts with 512",
      [] {
        matmul(f32({32, 784}), f32({512, 10}));
      });
  expect_error<ShapeError>(
      "matmul: inner sizes differ: lhs f32[32,784] ends in 784, rhs f32[512,784] starts with 512\n"
      "  hint: rhs looks transposed for an operand with 784 columns",
      [] {
        matmul(f32({32, 784}), f32({512, 784}));
      });
  expect_error<ShapeError>(
      "matmul: expected operands with at least one dimension, got f32[] and f32[3]\n  hint: use * "
      "for scalars",
      [] { matmul(f32({}), f32({3})); });
  expect_error<ShapeError>(
      "matmul: shapes [2] and [3] do not broadcast\n  hint: counted from the last, sizes must be "
      "equal or 1",
      [] {
        matmul(f32({2, 4, 5}), f32({3, 5, 6}));
      });
}

TEST(Errors, errors_name_the_module) {
  const ModulePathScope model("model"), head("head");
  expect_error<ShapeError>(
      "matmul: inner sizes differ: lhs f32[32,784] ends in 784, rhs f32[512,10] starts with 512\n  "
      "in model/head",
      [] {
        matmul(f32({32, 784}), f32({512, 10}));
      });
}

TEST(Errors, E_02_broadcast) {
  const std::string hint = "\n  hint: counted from the last, sizes must be equal or 1";
  expect_error<ShapeError>("add: shapes do not broadcast: f32[32,10] and f32[32]" + hint, [] {
    f32({32, 10}) + f32({32});
  });
  expect_error<ShapeError>("where: shapes [2] and [3] do not broadcast" + hint,
                           [] { where(zeros({2}, DType::kBool), f32({3}), f32({3})); });
  expect_error<ShapeError>(
      "broadcast_to: f32[3] does not broadcast to [4,2]\n  hint: trailing sizes must be equal or 1",
      [] {
        broadcast_to(f32({3}), {4, 2});
      });
}

TEST(Errors, E_03_E_04_conv) {
  expect_error<ShapeError>(
      "conv_general_dilated: expected x [batch, spatial..., in] and w [spatial..., in / groups, "
      "out] with 1 to 3 "
      "spatial dimensions, got f32[28,28,1] and f32[3,3,1,16]",
      [] {
        conv_general_dilated(f32({28, 28, 1}), f32({3, 3, 1, 16}));
      });
  expect_error<ShapeError>(
      "conv_general_dilated: channels differ: x f32[1,28,28,3] has 3, the kernel takes 1\n"
      "  hint: a kernel is [spatial..., in / groups, out] with groups = 1",
      [] {
        conv_general_dilated(f32({1, 28, 28, 3}), f32({3, 3, 1, 16}));
      });
  expect_error<ShapeError>("conv_general_dilated: expected 2 strides, got [2]", [] {
    conv_general_dilated(f32({1, 8, 8, 1}), f32({3, 3, 1, 1}), {.strides = {2}});
  });
  expect_error<ValueError>("conv_general_dilated: strides must be at least 1, got [1,0]", [] {
    conv_general_dilated(f32({1, 8, 8, 1}), f32({3, 3, 1, 1}), {.strides = {1, 0}});
  });
}

TEST(Errors, E_06_E_07_reshape) {
  expect_error<ShapeError>("reshape: f32[32,28,28] has 25088 elements, which do not fill [32,700]",
                           [] {
                             reshape(f32({32, 28, 28}), {32, 700});
                           });
  expect_error<ShapeError>("reshape: [-1,-1,3] must have sizes of at least 0 and at most one -1",
                           [] {
                             reshape(f32({12}), {-1, -1, 3});
                           });
  expect_error<ShapeError>("reshape: no size for -1 lets f32[10], with 10 elements, fill [3,-1]",
                           [] {
                             reshape(f32({10}), {3, -1});
                           });
}

TEST(Errors, E_08_E_09_axes) {
  expect_error<ShapeError>("sum: axis 2 is out of range for a tensor of rank 2; expected -2 to 1",
                           [] {
                             sum(f32({2, 3}), Axes{2});
                           });
  expect_error<ShapeError>("sum: axis -2 is given twice in [0,-2]", [] {
    sum(f32({2, 3}), Axes{0, -2});
  });
  expect_error<ShapeError>("transpose: axis 0 is given twice in [0,0,1]", [] {
    transpose(f32({2, 3, 4}), {0, 0, 1});
  });
  expect_error<ShapeError>(
      "softmax: axis 1 is out of range for a tensor of rank 1; expected -1 to 0",
      [] { softmax(f32({3}), 1); });
  expect_error<ShapeError>("max: no elements of f32[2,0] along axes [1]", [] {
    max(f32({2, 0}), Axes{1});
  });
  expect_error<ShapeError>("squeeze: axis 1 of f32[2,3] has size 3; expected 1", [] {
    squeeze(f32({2, 3}), {1});
  });
}

TEST(Errors, E_10_joining_and_splitting) {
  expect_error<ShapeError>(
      "concatenate: parts must agree but for axis 0, got f32[2,8] and f32[4,7]", [] {
        concatenate({f32({2, 8}), f32({4, 7})});
      });
  expect_error<ValueError>("concatenate: expected at least one tensor, got none",
                           [] { concatenate({}); });
  expect_error<ShapeError>("stack: parts must have one shape, got f32[2] and f32[3]", [] {
    stack({f32({2}), f32({3})});
  });
  expect_error<ShapeError>("split: axis 0 of f32[7] does not divide into 3 equal sections",
                           [] { split(f32({7}), 3); });
}

TEST(Errors, E_11_E_13_indexing) {
  expect_error<ShapeError>(
      "slice: start [0], stop [40], strides [1] do not fit f32[32]\n"
      "  hint: expected 0 <= start <= stop <= size and strides of at least 1 in every dimension",
      [] { slice(f32({32}), {0}, {40}); });
  expect_error<ShapeError>(
      "index_axis: index -3 is out of range for axis 0 of f32[2]; expected -2 to 1",
      [] { (void)f32({2})[-3]; });
  expect_error<DTypeError>("take: indices must be integers, got f32[8]",
                           [] { take(f32({4}), f32({8})); });
}

TEST(Errors, dtypes) {
  const Tensor b = zeros({2}, DType::kBool);
  expect_error<DTypeError>("shift_left: expected an integer dtype, got f32[2]",
                           [] { f32({2}) << f32({2}); });
  expect_error<DTypeError>("neg: expected a numeric dtype, got bool[2]", [&] { -b; });
  expect_error<DTypeError>("bitcast: expected a dtype of 4 bytes for f32[2], got f64 of 8 bytes",
                           [] { bitcast(f32({2}), DType::kF64); });
  expect_error<DTypeError>(
      "softmax_cross_entropy_with_integer_labels: expected integer labels, got f32[32,10]\n"
      "  hint: softmax_cross_entropy takes probabilities",
      [] {
        softmax_cross_entropy_with_integer_labels(f32({32, 10}), f32({32, 10}));
      });
}

TEST(Errors, E_20_E_21_values_of_tracers) {
  const auto text = [](const char* operation, const char* type, const char* transformation) {
    return std::string(operation) + ": the value of " + type + " is not known while " +
           transformation +
           " traces the function\n  hint: C++ control flow cannot depend on traced values; use "
           "where(condition, a, b), "
           "or compute the value outside the transformation";
  };
  const auto branch = [](const Tensor& x) { return sum(x).item<float>() > 0 ? sum(x) : -sum(x); };
  expect_error<TraceError>(text("item", "f32[]", "jit"),
                           [&] { jit([&](const Tensor& x) { return branch(x); })(f32({3})); });
  expect_error<TraceError>(text("item", "f32[]", "grad"), [&] { grad(branch)(f32({3})); });
  expect_error<TraceError>(text("item", "f32[]", "vmap"), [&] { vmap(branch)(f32({2, 3})); });
  expect_error<TraceError>(text("item", "f32[]", "jvp"), [&] { jvp(branch, f32({3}), f32({3})); });
  expect_error<TraceError>(text("item", "bool[]", "jit"), [] {
    jit([](const Tensor& x) { return all(x > 0).item<bool>() ? x : -x; })(f32({3}));
  });
  expect_error<TraceError>(text("to_vector", "f32[3]", "jit"), [] {
    jit([](const Tensor& x) { return Tensor(x.to_vector<float>()[0]); })(f32({3}));
  });
  expect_error<TraceError>(text("data", "f32[3]", "grad"), [] {
    grad([](const Tensor& x) { return Tensor(x.data<float>()[0]); })(f32({3}));
  });
  // The outer transformation is named if the value is its own.
  expect_error<TraceError>(text("item", "f32[]", "grad"), [] {
    grad([](const Tensor& x) {
      return jit([&](const Tensor& y) { return y * x.item<float>(); })(x);
    })(f32({}));
  });
}

TEST(Errors, E_22_escaped_tracers) {
  const auto text = [](const char* operation, const char* type) {
    return std::string(operation) + ": " + type +
           " was made inside a transformation that has ended\n"
           "  hint: return the value from the transformed function instead of storing it outside";
  };
  Tensor escaped;
  const auto leak = [&](const Tensor& x) {
    escaped = x * 2;
    return sum(x);
  };
  jit([&](const Tensor& x) { return leak(x); })(f32({3}));
  expect_error<TraceError>(text("add", "f32[3]"), [&] { escaped + escaped; });
  expect_error<TraceError>(text("item", "f32[3]"), [&] { (void)escaped.item<float>(); });
  expect_error<TraceError>(text("jit", "f32[3]"),
                           [&] { jit([&](const Tensor& x) { return x + escaped; })(f32({3})); });
  grad(leak)(f32({3}));
  expect_error<TraceError>(text("mul", "f32[3]"), [&] { escaped* f32({3}); });
  expect_error<TraceError>(text("mul", "f32[3]"), [&] {
    grad([&](const Tensor& x) { return sum(x * escaped); })(f32({3}));
  });
  expect_error<TraceError>(text("jit", "f32[3]"),
                           [&] { jit([](const Tensor& x) { return x; })(escaped); });
}

TEST(Errors, E_23_generic_lambdas_are_refused_while_compiling) {
  // `jit([](auto x) { … })` fails a static_assert; what it tests is this.
  const auto generic = [](const auto& x) { return x; };
  const auto spelled = [](const Tensor& x) { return x; };
  EXPECT_FALSE(detail::HasSignature<decltype(generic)>);
  EXPECT_TRUE(detail::HasSignature<decltype(spelled)>);
}

/// No message shows a mangled or very long type name, an address or an assertion.
TEST(Errors, messages_are_for_people) {
  struct Model {
    Tensor a, b;
    LINNET_FIELDS(a)
  };
  const std::vector<std::function<void()>> mistakes{
      [] {
        matmul(f32({2, 3}), f32({2, 3}));
      },
      [] { tree::leaves(Model()); },
      [] {
        tree::map(std::vector<Tensor>(1, 1), std::vector<Tensor>(2, 1),
                  [](const Tensor& a, const Tensor&) { return a; });
      },
      [] { grad([](const Tensor& x) { return x; })(f32({3})); },
      [] { vmap([](const Tensor& x) { return x; })(f32({})); },
      [] { jit([](const Tensor& x) { return Tensor(x.item<float>()); })(f32({})); },
      [] {
        allocator_of({DeviceType::kCuda, 0});
      },
  };
  const std::regex unwanted("0x[0-9a-f]{4,}|St6vector|_GLOBAL__N|[Aa]ssertion|std::__|\\[with ");
  for (const auto& mistake : mistakes) {
    try {
      mistake();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_FALSE(std::regex_search(text, unwanted)) << text;
      EXPECT_NE(text.find(": "), std::string::npos) << text;
    }
  }
}

}  // namespace
}  // namespace linnet::errors_test
