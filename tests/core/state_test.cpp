// State: variables read and written inside every transformation and every nesting of them.
#include <stdexcept>

#include "linnet/state.h"
#include "tests/core/core_support.h"

namespace linnet {
namespace {

using test::Box;
using test::expect_error;
using test::values;

double number(const Box& box) { return box.value().item<double>(); }

/// Adds x to the running sum and counts the call: two variables, one read before written.
struct Meter {
  Box sum{scalar(0, DType::kF64)};
  Box calls{scalar(0, DType::kI32)};
  Tensor update(const Tensor& x) {
    sum = sum.value() + x;
    calls = calls.value() + 1;
    return sum.value() * x;
  }
};

Tensor f64(double value) { return scalar(value, DType::kF64); }

TEST(State, construction_moves_identity_assignment_moves_values) {
  Box a(Tensor(1));
  const state::CellPtr cell = a.cell();
  Box copy = a;
  EXPECT_NE(copy.cell(), cell);
  Box moved = std::move(a);
  EXPECT_EQ(moved.cell(), cell);
  copy = moved.value() + 5;
  EXPECT_EQ(moved.value().item<int>(), 1);
  moved = copy;
  EXPECT_EQ(moved.cell(), cell);
  EXPECT_EQ(moved.value().item<int>(), 6);
  std::vector<Box> many;
  many.push_back(std::move(moved));
  for (int i = 0; i < 100; ++i) many.emplace_back(Tensor(i));
  EXPECT_EQ(many[0].cell(), cell) << "a growing vector keeps its cells";
}

TEST(State, every_nesting_updates_captured_variables_alike) {
  const auto body = [](Meter& m, const Tensor& x) { return m.update(x) + m.update(x * 2); };
  const auto run = [&](auto wrap) {
    Meter meter;
    const auto call = wrap([&](const Tensor& x) { return body(meter, x); });
    double total = 0;
    for (double x : {1.0, 2.0, 3.0}) total += call(f64(x)).template item<double>();
    return std::array<double, 3>{total, number(meter.sum), meter.calls.value().item<double>()};
  };
  const auto plain = run([](auto f) { return f; });
  EXPECT_EQ(plain, (std::array<double, 3>{7 + 46 + 144, 18, 6}));
  const auto jitted = [](auto f) { return jit([f](const Tensor& x) { return f(x); }); };
  const auto primal = [](auto f) {
    return [f](const Tensor& x) { return value_and_grad(f)(x).first; };
  };
  const auto pulled = [](auto f) { return [f](const Tensor& x) { return vjp(f, x).first; }; };
  const auto forward = [](auto f) {
    return [f](const Tensor& x) { return jvp(f, x, f64(1)).first; };
  };
  const auto mapped_over_nothing = [](auto f) {
    return [f](const Tensor& x) {
      return vmap([&](const Tensor&) { return f(x); }, {.out_axes = {kNone}})(zeros({3}));
    };
  };
  EXPECT_EQ(run(jitted), plain);
  EXPECT_EQ(run([&](auto f) { return jitted(jitted(f)); }), plain);
  EXPECT_EQ(run(primal), plain);
  EXPECT_EQ(run(pulled), plain);
  EXPECT_EQ(run(forward), plain);
  EXPECT_EQ(run(mapped_over_nothing), plain);
  EXPECT_EQ(run([&](auto f) { return jitted(primal(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return primal(jitted(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return jitted(primal(jitted(f))); }), plain);
  EXPECT_EQ(run([&](auto f) { return primal(forward(jitted(f))); }), plain);
  EXPECT_EQ(run([&](auto f) { return jitted(mapped_over_nothing(jitted(f))); }), plain);
  EXPECT_EQ(run([&](auto f) { return forward(pulled(f)); }), plain);
}

TEST(State, gradients_flow_through_values_written_and_read_again) {
  Box box(f64(0));
  const auto f = [&](const Tensor& x) {
    box = x * x;
    return box.value() * x;
  };
  EXPECT_EQ(grad(f)(f64(2)).item<double>(), 12);
  EXPECT_EQ(number(box), 4);
  EXPECT_EQ(jvp(f, f64(3), f64(1)).second.item<double>(), 27);
  EXPECT_EQ(jit([&](const Tensor& x) { return grad(grad(f))(x); })(f64(5)).item<double>(), 30);
  EXPECT_FALSE(box.value().traced());
  EXPECT_EQ(number(box), 25);
}

TEST(State, gradients_do_not_reach_variables_that_are_not_arguments) {
  Box box(f64(3));
  EXPECT_EQ(grad([&](const Tensor& x) { return x * box.value(); })(f64(2)).item<double>(), 3);
}

TEST(State, gradients_with_respect_to_variables_come_in_a_copy) {
  std::vector<Box> boxes{Box(f64(2)), Box(f64(3))};
  const auto loss = [](const std::vector<Box>& b) {
    return b[0].value() * b[0].value() * b[1].value();
  };
  const auto [value, gradient] = value_and_grad(loss)(boxes);
  EXPECT_EQ(value.item<double>(), 12);
  EXPECT_EQ(number(gradient[0]), 12);
  EXPECT_EQ(number(gradient[1]), 4);
  EXPECT_EQ(number(boxes[0]), 2);
  EXPECT_NE(const_cast<Box&>(gradient[0]).cell(), boxes[0].cell());
}

TEST(State, a_batched_write_to_an_unbatched_variable_is_refused) {
  Box mean(zeros({2}));
  const auto f = [&](const Tensor& row) {
    mean = row * 2;
    return sum(row);
  };
  expect_error<TraceError>(
      "vmap: a variable was given a value that differs between the elements of the batch, f32[2]\n"
      "  hint: reduce the value over the batch, or return it and write the variable outside",
      [&] {
        vmap(f)(ones({5, 2}));
      });
  mean.cell()->label = "model/norm/mean";
  expect_error<TraceError>(
      "vmap: variable model/norm/mean was given a value that differs between the elements of the "
      "batch, f32[2]\n"
      "  hint: reduce the value over the batch, or return it and write the variable outside",
      [&] {
        jit([&](const Tensor& x) { return vmap(f)(x); })(ones({5, 2}));
      });
  EXPECT_EQ(values(mean.value()), test::floats({0, 0}));
}

TEST(State, nothing_is_written_when_a_transformation_fails) {
  Box box(f64(1));
  const auto boom = [&](const Tensor& x) -> Tensor {
    box = x;
    throw std::runtime_error("boom");
  };
  EXPECT_THROW(grad(boom)(f64(2)), std::runtime_error);
  EXPECT_THROW(jvp(boom, f64(2), f64(1)), std::runtime_error);
  EXPECT_THROW(vmap(boom)(zeros({2})), std::runtime_error);
  EXPECT_THROW(jit([&](const Tensor& x) { return boom(x); })(f64(2)), std::runtime_error);
  // Errors found after the function has run.
  const auto vector_loss = [&](const Tensor& x) {
    box = box.value() + 1;
    return stack({x, x});
  };
  EXPECT_THROW(grad(vector_loss)(f64(2)), ShapeError);
  EXPECT_THROW(vmap(vector_loss, {.out_axes = {kNone}})(zeros({2})), ValueError);
  EXPECT_EQ(number(box), 1);
  EXPECT_EQ(current_trace(), nullptr);
  EXPECT_EQ(state::current_scope(), nullptr);
}

TEST(State, staged_functions_read_but_do_not_write) {
  Box box(f64(3));
  const auto read = [&](const Tensor& x) { return sin(x) * box.value(); };
  EXPECT_NEAR(grad(checkpoint(read))(f64(0)).item<double>(), 3, 1e-15);
  box = f64(5);
  EXPECT_NEAR(grad(checkpoint(read))(f64(0)).item<double>(), 5, 1e-15);
  const auto write = [&](const Tensor& x) {
    box = x;
    return x;
  };
  expect_error<TraceError>(
      "checkpoint: a variable was written inside\n  hint: return the new value and write the "
      "variable outside",
      [&] { checkpoint(write)(f64(1)); });
  expect_error<TraceError>(
      "custom_vjp: a variable was written inside\n  hint: return the new value and write the "
      "variable outside",
      [&] {
        custom_vjp(
            write, [](const Tensor& x) { return std::make_pair(x, x); },
            [](const Tensor&, const Tensor& ct) { return ct; })(f64(1));
      });
  EXPECT_EQ(number(box), 5);
}

TEST(State, eval_shape_discards_writes) {
  Box box(zeros({4}));
  const Tensor shape = eval_shape(
      [&](const Tensor& x) {
        box = box.value() + x;
        return concatenate({box.value(), x});
      },
      zeros({4}));
  EXPECT_EQ(test::type_text(shape), "f32[8]");
  EXPECT_EQ(values(box.value()), test::floats({0, 0, 0, 0}));
}

TEST(State, variables_made_inside_are_ordinary) {
  const auto f = [](const Tensor& x) {
    Meter local;
    for (int i = 0; i < 3; ++i) local.update(x);
    return local.sum.value() * x;
  };
  EXPECT_EQ(grad(f)(f64(2)).item<double>(), 12);
  EXPECT_EQ(jit([&](const Tensor& x) { return f(x); })(f64(2)).item<double>(), 12);
  EXPECT_EQ(jit([&](const Tensor& x) { return grad(f)(x); })(f64(5)).item<double>(), 30);
  EXPECT_EQ(values(vmap(f)(tensor({1.0, 2.0}))), test::floats({3, 12}));
}

TEST(State, one_variable_under_two_names) {
  Box box(f64(1));
  std::vector<state::CellPtr> names{box.cell(), box.cell()};
  const auto f = jit([&](const Tensor& x) {
    state::write(names[0], state::Value(x * 2));
    return state::read(names[1]).tensors[0] + 1;
  });
  EXPECT_EQ(f(f64(3)).item<double>(), 7);
  EXPECT_EQ(number(box), 6);
}

TEST(State, scopes_lift_on_first_touch_and_lower_what_was_written) {
  struct Doubling : state::Scope {
    state::Value lift(const state::CellPtr&, const state::Value& outer) override {
      return state::Value(outer.tensors[0] * 2);
    }
    state::Value lower(const Entry& entry) override {
      return state::Value(entry.inner.tensors[0] / 2);
    }
  };
  Box read(f64(1)), written(f64(2)), untouched(f64(3));
  {
    Doubling outer;
    Doubling inner;
    EXPECT_EQ(number(read), 4);
    written = written.value() + 4;
    EXPECT_EQ(number(written), 12);
    EXPECT_EQ(state::read_outside(written.cell()).tensors[0].item<double>(), 4);
    EXPECT_EQ(inner.entries().size(), 2u);
    EXPECT_TRUE(inner.entries()[1].written);
    inner.commit();
    EXPECT_EQ(outer.entries().size(), 2u);
    outer.commit();
  }
  EXPECT_EQ(number(read), 1);
  EXPECT_EQ(number(written), 3);
  EXPECT_EQ(number(untouched), 3);
}

}  // namespace
}  // namespace linnet
