// The pieces of docs/errors.md that need tensors, transformations and files only: each throws, and
// the message is what the document shows.
#include <optional>

#include "linnet/core.h"
#include "linnet/io/safetensors.h"
#include "tests/docs/documents.h"

using namespace linnet;

// [forgotten-member]
struct Affine {
  Tensor kernel, bias;
  LINNET_FIELDS(kernel)
};
// [forgotten-member]

namespace {

class Errors : public docs::Snippet {};

TEST_F(Errors, inner_sizes) {
  message<ShapeError>([] {
    // [inner-sizes]
    matmul(ones({32, 784}), ones({512, 10}));
    // [inner-sizes]
  });
}

TEST_F(Errors, no_broadcast) {
  message<ShapeError>([] {
    // [no-broadcast]
    ones({32, 10}) + ones({32});
    // [no-broadcast]
  });
}

TEST_F(Errors, axis_range) {
  message<ShapeError>([] {
    // [axis-range]
    sum(ones({2, 3}), Axes{2});
    // [axis-range]
  });
}

TEST_F(Errors, loss_not_scalar) {
  message<ShapeError>([] {
    // [loss-not-scalar]
    grad([](const Tensor& x) { return x * x; })(ones({3}));
    // [loss-not-scalar]
  });
}

TEST_F(Errors, mapped_sizes) {
  message<ShapeError>([] {
    // [mapped-sizes]
    vmap([](const Tensor& a, const Tensor& b) { return a + b; })(ones({3, 2}), ones({4, 2}));
    // [mapped-sizes]
  });
}

TEST_F(Errors, integer_input) {
  message<DTypeError>([] {
    // [integer-input]
    grad([](const Tensor& x) { return sum(x * 2.0); })(tensor({1, 2, 3}));
    // [integer-input]
  });
}

TEST_F(Errors, bits_of_floats) {
  message<DTypeError>([] {
    // [bits-of-floats]
    bitwise_and(ones({3}), ones({3}));
    // [bits-of-floats]
  });
}

TEST_F(Errors, traced_condition) {
  message<TraceError>([] {
    // [traced-condition]
    auto f = jit([](const Tensor& x) {
      if (sum(x).item<float>() > 0) return x;   // the program is made before any value is known
      return -x;
    });
    f(ones({3}));
    // [traced-condition]
  });
}

TEST_F(Errors, escaped) {
  message<TraceError>([] {
    // [escaped]
    Tensor kept;
    grad([&](const Tensor& x) {
      kept = x * x;
      return sum(kept);
    })(ones({3}));
    kept + 1;
    // [escaped]
  });
}

TEST_F(Errors, type_only) {
  message<TraceError>([] {
    // [type-only]
    Tensor y = eval_shape([](const Tensor& x) { return matmul(x, x); }, ones({3, 3}));
    y.item<float>();
    // [type-only]
  });
}

TEST_F(Errors, undefined_tensor) {
  message<ValueError>([] {
    // [undefined-tensor]
    Tensor x;
    x + 1;
    // [undefined-tensor]
  });
}

TEST_F(Errors, nothing_mapped) {
  message<ValueError>([] {
    // [nothing-mapped]
    vmap([](const Tensor& x) { return x; }, {.in_axes = {kNone}})(ones({3}));
    // [nothing-mapped]
  });
}

TEST_F(Errors, unknown_axis) {
  message<UnknownAxisError>([] {
    // [unknown-axis]
    vmap([](const Tensor& x) { return x - pmean(x, "batch"); })(ones({3}));
    // [unknown-axis]
  });
}

TEST_F(Errors, other_structure) {
  message<TreeError>([] {
    // [other-structure]
    std::vector<Tensor> a{ones({2}), ones({3})}, b{ones({2})};
    tree::map(a, b, [](const Tensor& x, const Tensor& y) { return x + y; });
    // [other-structure]
  });
}

TEST_F(Errors, forgotten_member_use) {
  message<TreeError>([] {
    // [forgotten-member-use]
    tree::leaves(Affine{ones({2, 2}), zeros({2})});
    // [forgotten-member-use]
  });
}

TEST_F(Errors, no_device) {
  message<DeviceError>([] {
    // [no-device]
    memory_stats(Device{DeviceType::kCpu, 1});
    // [no-device]
  });
}

TEST_F(Errors, no_file) {
  message<IoError>([] {
    // [no-file]
    read_safetensors("/nowhere/weights.safetensors");
    // [no-file]
  });
}

}  // namespace
