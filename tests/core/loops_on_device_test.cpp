// Loops and branches on a second device (tests/support/fake_device.h), whose work is late and whose
// memory the host cannot touch: outside of and in compiled programs, values and derivatives are
// those of the CPU bit for bit.
#include <bit>
#include <cmath>
#include <functional>

#include "support/fake_device.h"
#include "tests/core/core_support.h"

namespace linnet::testing::loops_on_device_test {
namespace {

/// From a vector f32[5] to any tensor. What it makes is made on the default device.
using Program = std::function<Tensor(const Tensor&)>;

Tensor step(const Tensor& c, const Tensor& x) { return tanh(c * 0.7 + x) - c * x; }

Tensor rows_of(const Tensor& x) { return outer(arange(4).astype(DType::kF32) * 0.3f - 0.5f, x); }

Tensor scanned(const Tensor& x, bool reverse) {
  const auto [last, ys] = scan(
      [&](const Tensor& c, const Tensor& row) {
        const Tensor next = step(c, row) + x;
        return std::pair(next, sum(next * row));
      },
      x * 0.5, rows_of(x), {.reverse = reverse});
  return concatenate({last, ys});
}

/// Products with constants, which are hoisted and laid out in panels.
Tensor recurrent(const Tensor& x) {
  const Tensor w = outer(x, cos(x)), v = outer(sin(x), x);
  const auto [last, ys] = scan(
      [&](const Tensor& c, const Tensor& row) {
        const Tensor next = tanh(matmul(c, w) + matmul(row, v));
        return std::pair(next, next);
      },
      outer(x, x), stack({outer(x, x), outer(x, x) * 0.5, v}));
  return last + sum(ys, 0);
}

/// Turns that the host does not know: a predicate is downloaded before each.
Tensor halved(const Tensor& x) {
  const auto [turns, out] =
      while_loop([](const std::pair<Tensor, Tensor>& c) { return max(abs(c.second)) > 0.05; },
                 [](const std::pair<Tensor, Tensor>& c) {
                   return std::pair(c.first + 1, c.second * 0.5 + sin(c.second) * 0.1);
                 },
                 std::pair(Tensor(0), x));
  return out + turns.astype(DType::kF32);
}

Tensor counted(const Tensor& x) {
  return fori_loop(
      0, 5, [](const Tensor& i, const Tensor& c) { return c * 0.9 + i.astype(DType::kF32); }, x);
}

Tensor chosen(const Tensor& x) {
  const auto either = [&](const Tensor& row) {
    return cond(
        sum(row) > 0, [](const Tensor& r) { return exp(r); },
        [](const Tensor& r) { return r * r - 1; }, row);
  };
  return either(x) + either(-x);
}

Tensor switched(const Tensor& x) {
  const auto [last, ys] = scan(
      [&](const Tensor& i, const Tensor& row) {
        const Tensor y = switch_case(
            i,
            std::tuple([](const Tensor& r) { return sin(r); }, [](const Tensor& r) { return r; },
                       [](const Tensor& r) { return r * r; }),
            row);
        return std::pair(i + 1, y);
      },
      Tensor(0), rows_of(x));
  return ys;
}

/// A loop whose sequence lies in the middle of other memory, a loop in its body.
Tensor nested(const Tensor& x) {
  const Tensor all = rows_of(x);
  const auto [last, ys] = scan(
      [&](const Tensor& c, const Tensor& row) {
        const auto [inner, sums] = scan(
            [&](const Tensor& d, const Tensor& element) {
              const Tensor next = tanh(d + element);
              return std::pair(next, sum(next));
            },
            c, slice_axis(row, 1, 5, 0));
        return std::pair(inner, sums);
      },
      x, slice_axis(all, 1, 4, 0));
  return concatenate({last, ravel(ys)});
}

Tensor prefixes(const Tensor& x) {
  return associative_scan([](const Tensor& a, const Tensor& b) { return a * b + a; }, rows_of(x));
}

/// Begins with numbers of the host.
Tensor summed(const Tensor& x) {
  const auto [last, ys] = scan(
      [](const std::pair<Tensor, Tensor>& c, const Tensor& row) {
        const Tensor total = c.first + sum(row);
        return std::pair(std::pair(total, c.second + 1), total * c.second.astype(DType::kF32));
      },
      std::pair(Tensor(0.f), Tensor(0)), rows_of(x));
  return concatenate({ys, reshape(last.first, {1})}) * x[0];
}

/// Branches that give numbers of the host.
Tensor numbers(const Tensor& x) {
  return x * cond(
                 x[1] < 0, [] { return Tensor(2.f); }, [] { return Tensor(3.f); });
}

Tensor mapped(const Tensor& x) {
  return map_each([&](const Tensor& row) { return sum(row) * row + x; }, rows_of(x));
}

Tensor random_walk(const Tensor& x) {
  const auto [last, ys] = scan(
      [](const std::pair<Tensor, random::Key>& c, const Tensor& row) {
        const random::Key keys = random::split(c.second);
        const Tensor next = c.first + random::normal(keys[0], {5}) * row;
        return std::pair(std::pair(next, keys[1]), sum(next));
      },
      std::pair(x, random::Key(3)), rows_of(x));
  return concatenate({last.first, ys});
}

struct Named {
  const char* name;
  Program program;
  bool reverse_mode = true;
};

std::vector<Named> programs() {
  return {
      {"scan", [](const Tensor& x) { return scanned(x, false); }},
      {"scan in reverse", [](const Tensor& x) { return scanned(x, true); }},
      {"recurrent", recurrent},
      {"while_loop", halved, false},
      {"fori_loop", counted},
      {"cond", chosen},
      {"switch_case", switched},
      {"nested", nested},
      {"associative_scan", prefixes},
      {"map_each", mapped},
      {"numbers of the host", summed},
      {"branches of numbers", numbers},
      {"vmap of numbers of the host", [](const Tensor& x) { return vmap(summed)(rows_of(x)); }},
      {"vmap of branches of numbers", [](const Tensor& x) { return vmap(numbers)(rows_of(x)); }},
      {"checkpoint", [](const Tensor& x) { return checkpoint(nested)(x); }},
      {"vmap", [](const Tensor& x) { return vmap(chosen)(rows_of(x)); }},
      {"vmap of while_loop", [](const Tensor& x) { return vmap(halved)(rows_of(x)); }, false}};
}

Tensor weighted(const Program& f, const Tensor& x) {
  const Tensor y = ravel(f(x));
  return sum(y * sin(arange(y.size()).astype(DType::kF32)));
}

/// The same program on either device.
std::vector<float> on(Device device, const Program& f, bool compiled) {
  const ScopedDevice here(device);
  const Tensor x = from_vector<float>({0.3f, -0.7f, 1.1f, 0.2f, -0.4f}, {5});
  const Tensor y = compiled ? jit([&](const Tensor& t) { return f(t); })(x) : f(x);
  EXPECT_EQ(y.device(), device);
  return y.to_vector<float>();
}

/// By bits: NaN, of which fresh memory is full, would not be equal to itself.
void expect_same(const Program& f, const std::string& what) {
  for (const bool compiled : {false, true}) {
    const std::vector<float> wanted = on(kCpu, f, compiled), got = on(fake_device(), f, compiled);
    ASSERT_EQ(got.size(), wanted.size()) << what;
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_FALSE(std::isnan(got[i])) << what << (compiled ? " compiled" : "") << " at " << i;
      ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(wanted[i]))
          << what << (compiled ? " compiled" : "") << " at " << i;
    }
  }
}

TEST(LoopsOnDevice, J_088_J_089_J_090_values) {
  for (const Named& each : programs()) expect_same(each.program, each.name);
}

TEST(LoopsOnDevice, J_088_J_090_gradients) {
  for (const Named& each : programs()) {
    if (!each.reverse_mode) continue;
    const auto loss = [&](const Tensor& x) { return weighted(each.program, x); };
    expect_same([&](const Tensor& x) { return grad(loss)(x); }, each.name);
  }
}

TEST(LoopsOnDevice, tangents) {
  for (const Named& each : programs()) {
    expect_same(
        [&](const Tensor& x) {
          const auto [y, tangent] = jvp(each.program, x, cos(x));
          return concatenate({ravel(y), ravel(tangent)});
        },
        each.name);
  }
}

TEST(LoopsOnDevice, keys_in_loops) { expect_same(random_walk, "random walk"); }

TEST(LoopsOnDevice, a_compiled_loop_starts_its_kernels_and_waits_for_nothing) {
  const ScopedDevice here(fake_device());
  const Tensor x = from_vector<float>({0.3f, -0.7f, 1.1f, 0.2f, -0.4f}, {5});
  const auto f = jit([](const Tensor& t) { return scanned(t, false); });
  f(x);
  synchronize(fake_device());
  const Tensor y = f(x);
  EXPECT_GT(fake_device_counts().waiting, 0u);
  EXPECT_EQ(y.to_vector<float>().size(), 9u);
}

TEST(LoopsOnDevice, carried_state_is_updated_there) {
  const Device fake = fake_device();
  const auto run = [](Device device) {
    const ScopedDevice here(device);
    Tensor state = from_vector<float>({1, 2, 3, 4, 5}, {5});
    const auto train = jit([](Tensor& s) {
      s = fori_loop(
          0, 3, [](const Tensor&, const Tensor& c) { return c * 0.5 + sin(c); }, s);
      return sum(s);
    });
    for (int i = 0; i < 3; ++i) train(state);
    EXPECT_EQ(state.device(), device);
    return state.to_vector<float>();
  };
  EXPECT_EQ(run(fake), run(kCpu));
}

}  // namespace
}  // namespace linnet::testing::loops_on_device_test
