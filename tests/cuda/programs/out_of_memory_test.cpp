// What is said when memory of a device is not enough: for which operation of which module, and who
// has the most.
#include <gtest/gtest.h>

#include "linnet/linnet.h"
#include "linnet/memory_limit.h"

namespace linnet::out_of_memory_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

struct Block {
  nnx::Linear up, down;
  explicit Block(nnx::Rngs& rngs) : up(64, 1024, rngs), down(1024, 64, rngs) {}
  Tensor operator()(const Tensor& x) { return down(gelu(up(x))); }
  LINNET_FIELDS(up, down)
};
struct Model {
  Block first, second;
  explicit Model(nnx::Rngs& rngs) : first(rngs), second(rngs) {}
  Tensor operator()(const Tensor& x) { return second(first(x)); }
  LINNET_FIELDS(first, second)
};

class OutOfMemory : public ::testing::TestWithParam<Device> {
 protected:
  /// What `f` says if it may have so much more memory than there is in use.
  template <class F>
  std::string message_of(size_t more, const F& f) {
    synchronize(GetParam());
    set_memory_limit(GetParam(), memory_stats(GetParam()).live_bytes + more);
    std::string text = "no error";
    try {
      f();
    } catch (const DeviceError& error) {
      text = error.what();
    }
    set_memory_limit(GetParam(), 0);
    return text;
  }
  static void expect_in_order(const std::string& text, std::initializer_list<const char*> parts) {
    size_t at = 0;
    for (const char* part : parts) {
      const size_t found = text.find(part, at);
      EXPECT_NE(found, std::string::npos) << part << " is missing in\n" << text;
      if (found != std::string::npos) at = found;
    }
  }
};

TEST_P(OutOfMemory, R_043_an_eager_call_names_the_module_that_wanted_it) {
  const ScopedDevice here(GetParam());
  const auto model = [](linen::Scope& s, const Tensor& x) {
    return s("down", linen::Dense{.features = 64}, s("up", linen::Dense{.features = 1024}, x));
  };
  const Tensor x = ones({4096, 64});
  const linen::Variables variables = linen::init(model, Key(0), x);
  const auto call = [&] { return linen::apply(model, variables, x); };
  // 16 MiB are there for the product with `up`, not for the sum with its bias.
  const std::string text = message_of(size_t{20} << 20, call);
  expect_in_order(text, {to_string(GetParam()).c_str(), "wanted for up (add)",
                         "the largest owners:\n  up (dot_general): 16.0 MiB in 1 block"});
  EXPECT_EQ(call().shape(), (Shape{4096, 64})) << "it can go on";
}

TEST_P(OutOfMemory, R_043_a_program_names_the_modules_whose_values_it_would_hold) {
  const ScopedDevice here(GetParam());
  nnx::Rngs rngs(0);
  Model model(rngs);
  const Tensor x = ones({4096, 64});
  const auto gradient = jit([](Model& m, const Tensor& batch) {
    return nnx::grad([&](Model& net) { return sum(square(net(batch))); })(m);
  });
  const std::string text = message_of(size_t{24} << 20, [&] { gradient(model, x); });
  expect_in_order(
      text, {to_string(GetParam()).c_str(), "wanted for intermediate values of a compiled program",
             "the largest values of the program when it needs most:"});
  EXPECT_NE(text.find("first/up ("), std::string::npos) << text;
  EXPECT_NE(text.find("second/up ("), std::string::npos) << text;
  const auto gradients = gradient(model, x);
  EXPECT_TRUE(all(is_finite(tree::leaves(gradients)[0])).item<bool>()) << "it can go on";
}

INSTANTIATE_TEST_SUITE_P(Devices, OutOfMemory, ::testing::Values(Device{}, kGpu),
                         [](const auto& given) {
                           return std::string(given.param == kGpu ? "cuda" : "cpu");
                         });

}  // namespace
}  // namespace linnet::out_of_memory_test
