// Every allocation of loops, branches, recomputation and custom rules fails in turn, with
// variables that their bodies write.
#include <memory>

#include "linnet/core.h"
#include "tests/failures/allocation_walk.h"

namespace linnet::allocation_control_test {
namespace {

using testing::Scenario;
using testing::walk;

/// A captured variable.
class Cell {
 public:
  Tensor read() const { return state::read(cell_).tensors[0]; }
  void write(const Tensor& value) const { state::write(cell_, state::Value(value)); }

 private:
  state::CellPtr cell_ = state::make_cell(state::Value(ones({4})));
};

using Body = Tensor (*)(const Cell& cell, const Tensor& x);

/// `body` as it is called, or compiled.
auto scenario(Body body, bool compiled) {
  return [=] {
    auto cell = std::make_shared<Cell>();
    const auto call = [=](const Tensor& x) { return body(*cell, x); };
    const auto step = std::make_shared<decltype(jit(call))>(jit(call));
    return Scenario{.run =
                        [=] {
                          const Tensor x = ones({4});
                          return compiled ? (*step)(x) : call(x);
                        },
                    .state = [=] { return TensorList{cell->read()}; }};
  };
}

/// Eagerly, while it is traced and compiled, and when it has been.
void walk_through(Body body) {
  walk(scenario(body, false), 1, 1, {100, 3});
  walk(scenario(body, true), 0, 1, {50, 23});
  walk(scenario(body, true), 1, 0);
}

// Each is one call of the library, the last thing that its body does: what a function has written
// by calls that ended stays written.
Tensor scanned(const Cell& cell, const Tensor& x) {
  const auto step = [&](const Tensor& h, const Tensor& part) {
    cell.write(cell.read() * 0.5 + h);
    return std::pair(h * part + 1, h);
  };
  return scan(step, x, x).first;
}

TEST(AllocationFailure, R_041_scan) { walk_through(scanned); }
TEST(AllocationFailure, R_041_while_loop) {
  walk_through([](const Cell& cell, const Tensor& x) {
    const auto near = [](const Tensor& y) { return sum(y) < 20; };
    const auto twice = [&](const Tensor& y) {
      cell.write(cell.read() + y);
      return y * 2;
    };
    return while_loop(near, twice, x);
  });
}
TEST(AllocationFailure, R_041_counted_loop) {
  walk_through([](const Cell& cell, const Tensor& x) {
    const auto step = [&](const Tensor& i, const Tensor& y) {
      cell.write(cell.read() + y);
      return y * i;
    };
    return fori_loop(0, 2, step, x);
  });
}
TEST(AllocationFailure, R_041_branches) {
  walk_through([](const Cell& cell, const Tensor& x) {
    const auto writes = [&](const Tensor& y) {
      cell.write(cell.read() - y);
      return y * 3;
    };
    const auto negated = [](const Tensor& y) { return -y; };
    return cond(sum(x) > 0, writes, negated, x);
  });
  walk_through([](const Cell& cell, const Tensor& x) {
    const auto writes = [&](const Tensor& y) {
      cell.write(cell.read() - y);
      return y * 3;
    };
    const auto negated = [](const Tensor& y) { return -y; };
    return switch_case(Tensor(1), std::tuple(negated, writes), x);
  });
}
TEST(AllocationFailure, R_041_elements_one_by_one_and_in_a_tree) {
  walk_through([](const Cell&, const Tensor& x) {
    const auto add = [](const Tensor& a, const Tensor& b) { return a + b; };
    return map_each([](const Tensor& y) { return exp(y); }, x) + associative_scan(add, x);
  });
}
TEST(AllocationFailure, R_041_gradient_of_a_loop) {
  walk_through([](const Cell& cell, const Tensor& x) {
    return grad([&](const Tensor& y) { return sum(scanned(cell, y)); })(x);
  });
}
TEST(AllocationFailure, R_041_loop_over_a_batch) {
  walk_through([](const Cell&, const Tensor& x) {
    const auto row = [](const Tensor& y) {
      return while_loop([](const Tensor& z) { return z < 9; },
                        [](const Tensor& z) { return z * 2; }, y);
    };
    return vmap(row)(x);
  });
}
TEST(AllocationFailure, R_041_checkpoint) {
  walk_through([](const Cell& cell, const Tensor& x) {
    const auto block = checkpoint([&](const Tensor& y) {
      cell.write(cell.read() * 2);
      return sin(y) * exp(y);
    });
    return grad([&](const Tensor& y) { return sum(block(y)); })(x);
  });
}
TEST(AllocationFailure, R_041_custom_reverse_rule) {
  walk_through([](const Cell&, const Tensor& x) {
    const auto f = custom_vjp([](const Tensor& y) { return sin(y); },
                              [](const Tensor& y) { return std::pair(sin(y), std::pair(y, y)); },
                              [](const std::pair<Tensor, Tensor>& kept, const Tensor& slope) {
                                return slope * kept.first + kept.second;
                              });
    return grad([&](const Tensor& y) { return sum(f(y)); })(x) + f(x);
  });
}
TEST(AllocationFailure, R_041_custom_forward_rule) {
  walk_through([](const Cell&, const Tensor& x) {
    const auto f = custom_jvp([](const Tensor& y) { return sin(y); },
                              [](const std::tuple<Tensor>& at, const std::tuple<Tensor>& along) {
                                return std::pair(sin(std::get<0>(at)), std::get<0>(along) * 3);
                              });
    return grad([&](const Tensor& y) { return sum(f(y)); })(x) + jvp(f, x, x).second;
  });
}

}  // namespace
}  // namespace linnet::allocation_control_test
