// A second device (tests/support/fake_device.h): where tensors are, what may meet, and what the
// host may read.
#include <gtest/gtest.h>

#include "core/tensor/tensor_impl.h"
#include "core_support.h"
#include "linnet/core.h"
#include "support/fake_device.h"

namespace linnet::testing::second_device_test {
namespace {

using Floats = std::vector<float>;

Tensor on_fake(std::initializer_list<float> values) { return tensor(values).to(fake_device()); }

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const DeviceError& e) {
    return e.what();
  }
  return "no error";
}

TEST(SecondDevice, host_code_cannot_touch_its_memory) {
  const Tensor x = on_fake({1, 2, 3});
  EXPECT_FALSE(readable(x.impl()->data));
  const Tensor host = tensor({1.f, 2.f, 3.f});
  EXPECT_TRUE(readable(host.impl()->data));
}

TEST(SecondDevice, work_is_done_when_somebody_waits) {
  const Tensor x = on_fake({1, 2, 3});
  synchronize(fake_device());
  EXPECT_EQ(fake_device_counts().waiting, 0u);
  const Tensor y = x * x + 1.f;
  EXPECT_GT(fake_device_counts().waiting, 0u);
  EXPECT_EQ(y.to_vector<float>(), (Floats{2, 5, 10}));
  EXPECT_EQ(fake_device_counts().waiting, 0u);
}

TEST(SecondDevice, tensors_travel_there_and_back) {
  const Device fake = fake_device(), other = fake_device(1);
  const Tensor x = reshape(arange(12.0, 0.0, -1.0, DType::kF32), {3, 4});
  for (const Tensor& y :
       {x, x.transpose(), flip(x, Axes{1}), x[1], zeros({0, 3}), scalar(2, DType::kF64)}) {
    const Tensor there = y.to(fake);
    EXPECT_EQ(there.device(), fake);
    EXPECT_EQ(there.type().shape, y.shape());
    EXPECT_EQ(there.to_vector<double>(), y.to_vector<double>());
    const Tensor beside = there.to(other);
    EXPECT_EQ(beside.device(), other);
    EXPECT_EQ(beside.to(kCpu).to_vector<double>(), y.to_vector<double>());
    EXPECT_EQ(to_string(there), to_string(y.contiguous()));
  }
  EXPECT_EQ(x.to(kCpu).impl(), x.impl());
  const Tensor strided = x.to(fake).transpose();
  EXPECT_EQ(strided.to_vector<float>(), x.transpose().to_vector<float>());
  EXPECT_EQ(strided.to(other).to_vector<float>(), x.transpose().to_vector<float>());
  EXPECT_TRUE(Tensor(1.5).to(fake).weak());
}

TEST(SecondDevice, S_071_S_260_operands_on_two_devices_are_an_error_that_names_both) {
  const Tensor host = tensor({1.f, 2.f, 3.f}), there = on_fake({1, 2, 3});
  const auto names_both = [](const std::string& text) {
    return text.find("cpu:0") != std::string::npos && text.find("ext:0") != std::string::npos;
  };
  for (const auto& f : std::vector<std::function<void()>>{
           [&] { add(host, there); }, [&] { add(there, host); },
           [&] { where(greater(host, 2.f), there, there); },
           [&] { where(greater(there, 2.f), there, host); }, [&] { matmul(host, there); },
           [&] {
             concatenate({host, there});
           },
           [&] {
             take(there, tensor({0, 1}));
           },
           [&] { clip(there, host, host); },
           [&] { jit([](const Tensor& a, const Tensor& b) { return a + b; })(host, there); },
           [&] { grad([&](const Tensor& a) { return sum(a * host); })(there); },
           [&] {
             vmap([&](const Tensor& a) { return a + host; })(reshape(there, {1, 3}));
           }}) {
    EXPECT_TRUE(names_both(message_of(f))) << message_of(f);
  }
  EXPECT_NE(message_of([&] { add(there, there.to(fake_device(1))); }).find("ext:1"),
            std::string::npos);
  EXPECT_NE(message_of([&] { add(host, there); }).find("f32[3] on cpu:0 and f32[3] on ext:0"),
            std::string::npos)
      << "with their shapes";
}

TEST(SecondDevice, S_072_numbers_of_the_host_go_anywhere) {
  const Tensor x = on_fake({1, 2, 3});
  const Device fake = fake_device();
  for (const Tensor& y : {x + 1.f, 1 + x, x - scalar(-1, DType::kF32), add(x, Tensor(true)),
                          maximum(x + 1.f, scalar(0, DType::kF32))}) {
    EXPECT_EQ(y.device(), fake);
    EXPECT_EQ(y.to_vector<float>(), (Floats{2, 3, 4}));
  }
  const Tensor chosen = where(x > 2.f, x, 0);
  EXPECT_EQ(chosen.device(), fake);
  EXPECT_EQ(chosen.to_vector<float>(), (Floats{0, 0, 3}));
  EXPECT_EQ(where(Tensor(true), x, 0).to_vector<float>(), (Floats{1, 2, 3}));
  EXPECT_EQ(pad(x, {{1, 0, 0}}, Tensor(7.f)).to_vector<float>(), (Floats{7, 1, 2, 3}));
  EXPECT_EQ(take(x, Tensor(1)).item<float>(), 2);
  const auto scaled = jit([](const Tensor& a, const Tensor& s) { return a * s; });
  EXPECT_EQ(scaled(x, scalar(2, DType::kF32)).to_vector<float>(), (Floats{2, 4, 6}));
  EXPECT_EQ(scaled(x, scalar(2, DType::kF32)).device(), fake);
}

TEST(SecondDevice, a_number_of_the_host_gets_its_derivative_there) {
  const Tensor x = on_fake({1, 2, 3}), s = scalar(2, DType::kF32);
  const auto f = [](const Tensor& a, const Tensor& b) { return sum(a * b); };
  for (const bool compiled : {false, true}) {
    const auto gradient = [&](const Tensor& b) {
      return grad([&](const Tensor& t) { return f(x, t); })(b);
    };
    const Tensor g = compiled ? jit(gradient)(s) : gradient(s);
    EXPECT_EQ(g.item<float>(), 6);
    EXPECT_EQ(g.device(), kCpu);
    EXPECT_EQ(g.shape(), Shape{});
  }
}

TEST(SecondDevice, what_is_made_like_a_tensor_is_beside_it) {
  const Tensor x = on_fake({1, 2, 3});
  const Device fake = fake_device();
  for (const Tensor& y : {zeros_like(x), ones_like(x), full_like(x, 2.f), tril(reshape(x, {1, 3})),
                          one_hot(astype(x, DType::kI32), 4), is_nan(astype(x, DType::kI32))}) {
    EXPECT_EQ(y.device(), fake);
  }
  const Tensor g = grad([](const Tensor& t) { return sum(t * t); })(x);
  EXPECT_EQ(g.device(), fake);
  EXPECT_EQ(g.to_vector<float>(), (Floats{2, 4, 6}));
  const Tensor unused = grad([](const Tensor& t) { return sum(stop_gradient(t)); })(x);
  EXPECT_EQ(unused.device(), fake);
}

TEST(SecondDevice, tensors_are_made_on_the_default_device) {
  const Device fake = fake_device();
  EXPECT_EQ(default_device(), kCpu);
  {
    const ScopedDevice here(fake);
    EXPECT_EQ(default_device(), fake);
    const random::Key key(3);
    for (const Tensor& y :
         {zeros({2}), ones({2}), full({2}, 3.f), iota(DType::kF32, {2}), arange(4), eye(3),
          linspace(0, 1, 5), tensor({1.f, 2.f}), key.data(), random::normal(key, {4})}) {
      EXPECT_EQ(y.device(), fake);
    }
    const random::Key split = random::split(key);
    EXPECT_EQ(split.data().device(), fake);
    EXPECT_EQ(full({2}, 3.f).to_vector<float>(), (Floats{3, 3}));
    EXPECT_EQ(Tensor(1.f).device(), kCpu);
  }
  EXPECT_EQ(default_device(), kCpu);
  const Tensor host = random::normal(random::Key(3), {4});
  const ScopedDevice here(fake);
  EXPECT_EQ(random::normal(random::Key(3), {4}).to_vector<float>(), host.to_vector<float>());
}

TEST(SecondDevice, statistics_of_an_array_of_the_host_stay_on_the_host) {
  const Tensor x = tensor({1.f, 2.f, 3.f, 6.f});
  const ScopedDevice scope(fake_device());
  EXPECT_EQ(var(x).item<float>(), 3.5f);
  for (const Tensor& y : {sum(x, {}, true), mean(x, 0, true), max(x, 0, true), var(x, 0, true)})
    EXPECT_EQ(y.device(), kCpu) << y.type();
}

TEST(SecondDevice, J_093_transfers_are_linear) {
  const Device fake = fake_device();
  const Tensor x = tensor({1.f, 2.f, 3.f});
  const auto f = [&](const Tensor& t) { return sum(square(t.to(fake))).to(kCpu); };
  EXPECT_EQ(f(x).device(), kCpu);
  const Tensor g = grad(f)(x);
  EXPECT_EQ(g.device(), kCpu);
  EXPECT_EQ(g.to_vector<float>(), (Floats{2, 4, 6}));
  const auto [y, tangent] = jvp(f, std::tuple(x), std::tuple(ones_like(x)));
  EXPECT_EQ(y.item<float>(), 14);
  EXPECT_EQ(tangent.item<float>(), 12);
  EXPECT_EQ(tangent.device(), kCpu);
  const Tensor mapped = vmap([&](const Tensor& t) { return t.to(fake) * 2.f; })(x);
  EXPECT_EQ(mapped.device(), fake);
  EXPECT_EQ(mapped.to_vector<float>(), (Floats{2, 4, 6}));
}

TEST(SecondDevice, J_093_transfers_in_compiled_programs_are_at_their_edges) {
  const Device fake = fake_device();
  const Tensor x = tensor({1.f, 2.f, 3.f});
  const auto f = jit([&](const Tensor& t) {
    const Tensor there = t.to(fake);
    return std::tuple(exp(there) * there, sum(there * 2.f).to(kCpu), t);
  });
  const auto before = fake_device_counts().program_runs;
  for (int call = 0; call < 2; ++call) {
    const auto [there, total, same] = f(x);
    EXPECT_EQ(there.device(), fake);
    EXPECT_EQ(there.to_vector<float>(), (exp(x) * x).to_vector<float>());
    EXPECT_EQ(total.device(), kCpu);
    EXPECT_EQ(total.item<float>(), 12);
    EXPECT_EQ(same.device(), kCpu);
    EXPECT_EQ(same.to_vector<float>(), x.to_vector<float>());
  }
  EXPECT_EQ(f.trace_count(), 1u);
  EXPECT_EQ(fake_device_counts().program_runs, before + 2);
}

TEST(SecondDevice, compiled_functions_keep_devices_apart) {
  const auto f = jit([](const Tensor& t) { return exp(t) * 2.f + iota(DType::kF32, {3}); });
  const Tensor host = tensor({1.f, 2.f, 3.f});
  const Tensor a = f(host);
  EXPECT_EQ(a.device(), kCpu);
  const auto g = jit([](const Tensor& t) { return exp(t) * 2.f; });
  EXPECT_EQ(g(host).device(), kCpu);
  const Tensor there = g(host.to(fake_device()));
  EXPECT_EQ(there.device(), fake_device());
  EXPECT_EQ(there.to_vector<float>(), g(host).to_vector<float>());
  EXPECT_EQ(g(host.to(fake_device(1))).device(), fake_device(1));
  EXPECT_EQ(g.trace_count(), 3u);
  // What is made inside follows the default device of the call.
  const ScopedDevice here(fake_device());
  EXPECT_EQ(f(host.to(fake_device())).to_vector<float>(), a.to_vector<float>());
  EXPECT_EQ(f.trace_count(), 2u);
}

TEST(SecondDevice, state_is_updated_in_place) {
  const Device fake = fake_device();
  Tensor state = full({1000}, 1.f).to(fake);
  const auto step = jit([](Tensor& s) {
    s = s * 2.f;
    return sum(s);
  });
  float total = 0;
  for (int i = 0; i < 3; ++i) {
    const void* before = state.impl()->data;
    total = step(state).item<float>();
    EXPECT_EQ(state.impl()->data, before);
  }
  EXPECT_EQ(total, 8000);
  EXPECT_EQ(state.device(), fake);
  EXPECT_EQ(state.to_vector<float>(), Floats(1000, 8));
}

TEST(SecondDevice, the_host_sees_values_through_downloads_only) {
  const Tensor x = on_fake({1, 2, 3});
  EXPECT_EQ(to_string(x), "Tensor([1, 2, 3], f32[3])");
  EXPECT_EQ(x[1].item<float>(), 2);
  const std::string text = message_of([&] { x.data<float>(); });
  EXPECT_NE(text.find("ext:0"), std::string::npos);
  const DlpackView view = dlpack_view(x);
  EXPECT_EQ(view.device_type, 12);
  EXPECT_EQ(view.data, x.impl()->data);
  EXPECT_EQ(tree::map(std::pair(x, x), [](const Tensor& t) { return t.to(kCpu); })
                .first.to_vector<float>(),
            (Floats{1, 2, 3}));
}

TEST(SecondDevice, trees_move_with_one_call) {
  const Device fake = fake_device();
  const auto batch = to(std::pair(tensor({1.f, 2.f}), std::vector{Tensor(3), zeros({2})}), fake);
  EXPECT_EQ(batch.first.device(), fake);
  EXPECT_EQ(batch.second[1].device(), fake);
  EXPECT_EQ(batch.second[0].item<int>(), 3);
  std::pair here(tensor({1.f, 2.f}), zeros({2}));
  move_to(here, fake);
  EXPECT_EQ(here.first.device(), fake);
  EXPECT_EQ(here.first.to_vector<float>(), (Floats{1, 2}));
}

TEST(SecondDevice, devices_that_do_not_exist_are_named) {
  fake_device();
  EXPECT_NE(message_of([] {
              zeros({2}).to({DeviceType::kExtension, 5});
            }).find("ext:5"),
            std::string::npos);
  EXPECT_NE(message_of([] {
              zeros({2}).to({DeviceType::kCpu, 1});
            }).find("cpu:1"),
            std::string::npos);
  EXPECT_NE(message_of([] {
              synchronize({static_cast<DeviceType>(10), 0});
            }).find("no back end"),
            std::string::npos);
  EXPECT_NE(
      message_of([] { register_back_end(DeviceType::kCpu, back_end_of(kCpu)); }).find("already"),
      std::string::npos);
}

/// An allocator for a type of device that nothing computes on.
class BareAllocator final : public Allocator {
 public:
  void* allocate(size_t bytes) override { return ::operator new(bytes + 1); }
  void deallocate(void* block, size_t) noexcept override { ::operator delete(block); }
  MemoryStats stats() const override { return {}; }
  void reset_peak() override {}
  void trim() override {}
};

TEST(SecondDevice, memory_without_a_back_end_can_be_written_and_read_but_not_computed_with) {
  static BareAllocator allocator;
  const Device bare{static_cast<DeviceType>(10), 0};
  ASSERT_EQ(set_allocator(bare, &allocator), nullptr);
  const Tensor host = tensor({1.f, 2.f, 3.f}), x = host.to(bare);
  EXPECT_EQ(x.to_vector<float>(), (Floats{1, 2, 3}));
  EXPECT_NE(message_of([&] { exp(x); }).find("no back end"), std::string::npos);
  EXPECT_NE(message_of([&] { add(x, x); }).find("no back end"), std::string::npos);
  EXPECT_NE(message_of([&] { add(host, x); }).find("different devices"), std::string::npos);
  EXPECT_NE(message_of([&] { jit([](const Tensor& t) { return exp(t); })(x); }).find("no back end"),
            std::string::npos);
  EXPECT_EQ(set_allocator(bare, nullptr), &allocator);
}

/// Fills its result.
class FillKernel final : public DeviceKernel {
 public:
  void emit(LaunchSink& sink, std::span<const Address>, std::span<const Address> outputs,
            Address) const override {
    sink.fill(outputs[0], 0x3F800000u, 3);
  }
};

TEST(SecondDevice, kernels_describe_launches_copies_and_fills) {
  const Device fake = fake_device();
  const Tensor y = make_uninitialized(DType::kF32, {3}, fake);
  EXPECT_TRUE(std::isnan(y.to_vector<float>()[1])) << "fresh memory is no number";
  const FakeDeviceCounts before = fake_device_counts();
  const Address to = Address::of(y.impl()->data);
  emit_on_fake_device(0, FillKernel(), {}, {&to, 1});
  EXPECT_EQ(y.to_vector<float>(), (Floats{1, 1, 1}));
  const ScopedDevice here(fake);
  EXPECT_EQ(iota(DType::kI32, {70}).to_vector<int>()[69], 69);
  EXPECT_EQ((y + 1.f).to_vector<float>(), (Floats{2, 2, 2}));
  const FakeDeviceCounts after = fake_device_counts();
  EXPECT_GT(after.fills, before.fills);
  EXPECT_EQ(after.launches, before.launches + 1);
  EXPECT_EQ(after.libraries, before.libraries + 1);
}

TEST(SecondDevice, addresses_are_a_base_and_an_offset) {
  const uint64_t bases[] = {0, 1000, 5000};
  EXPECT_EQ(Address::at(2, 24).resolve(bases), 5024u);
  EXPECT_EQ(Address::at(1, 0).resolve(bases), 1000u);
  EXPECT_EQ(Address::of(reinterpret_cast<const void*>(0x7F0012345678)).resolve(bases),
            0x7F0012345678u);
  EXPECT_EQ(Address().resolve(bases), 0u);
}

}  // namespace
}  // namespace linnet::testing::second_device_test
