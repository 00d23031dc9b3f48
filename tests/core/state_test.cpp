// State: variables read and written inside every transformation and every nesting of them.
#include <optional>
#include <stdexcept>

#include "linnet/state.h"
#include "tests/core/core_support.h"

namespace linnet::state_test {
namespace {

using test::Box;
using test::expect_error;
using test::type_text;
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
  const auto saving = [](auto f) { return checkpoint(f); };
  EXPECT_EQ(run(saving), plain);
  EXPECT_EQ(run([&](auto f) { return saving(saving(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return jitted(saving(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return saving(jitted(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return primal(saving(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return jitted(primal(saving(primal(jitted(f))))); }), plain);
  EXPECT_EQ(run([&](auto f) { return forward(saving(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return mapped_over_nothing(saving(f)); }), plain);
  EXPECT_EQ(run([&](auto f) { return jitted(mapped_over_nothing(primal(saving(f)))); }), plain);
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

TEST(State, J_086_checkpoint_reads_and_writes_variables) {
  Box box(f64(3));
  const auto read = [&](const Tensor& x) { return sin(x) * box.value(); };
  EXPECT_NEAR(grad(checkpoint(read))(f64(0)).item<double>(), 3, 1e-15);
  box = f64(5);
  EXPECT_NEAR(grad(checkpoint(read))(f64(0)).item<double>(), 5, 1e-15);
  const auto write = [&](const Tensor& x) {
    box = box.value() * x;
    return box.value() * x;
  };
  EXPECT_EQ(checkpoint(write)(f64(2)).item<double>(), 20);
  EXPECT_EQ(number(box), 10);
  EXPECT_EQ(grad(checkpoint(write))(f64(2)).item<double>(), 40) << "d (10 x^2) / d x";
  EXPECT_EQ(number(box), 20) << "running again in the backward pass writes nothing";
  EXPECT_FALSE(box.value().traced());
}

/// A random mask whose counter advances, like a dropout layer.
struct Noise {
  Box count{scalar_integer(0, DType::kU32)};
  Tensor operator()(const Tensor& x) {
    const Key key = random::fold_in(Key(7), count.value());
    count = count.value() + scalar_integer(1, DType::kU32);
    return where(random::bernoulli(key, 0.5, x.shape()), x * 2, zeros_like(x));
  }
};

TEST(State, J_086_checkpoint_draws_the_same_numbers_again) {
  const Tensor x = ones({64});
  const auto run = [&](auto wrap) {
    Noise noise;
    const auto f = [&](const Tensor& y) { return sum(square(noise(noise(y)))); };
    const Tensor g = wrap(f)(x);
    return std::make_pair(values(g), noise.count.value().item<int>());
  };
  const auto plain = run([](auto f) { return grad(f); });
  EXPECT_EQ(plain.second, 2);
  EXPECT_GT(*std::max_element(plain.first.begin(), plain.first.end()), 0.f);
  EXPECT_EQ(run([](auto f) { return grad(checkpoint(f)); }), plain);
  EXPECT_EQ(run([](auto f) { return grad(checkpoint(checkpoint(f))); }), plain);
  EXPECT_EQ(
      run([](auto f) { return jit([f](const Tensor& y) { return grad(checkpoint(f))(y); }); }),
      plain);
  EXPECT_EQ(
      run([](auto f) { return grad(jit([f](const Tensor& y) { return checkpoint(f)(y); })); }),
      plain);
  EXPECT_EQ(run([](auto f) {
              return grad(checkpoint([g = jit([f](const Tensor& y) { return f(y); })](
                                         const Tensor& y) { return g(y); }));
            }),
            plain);
  EXPECT_EQ(run([](auto f) {
              return [f](const Tensor& y) {
                return vmap([&](const Tensor& row) { return grad(checkpoint(f))(row); },
                            {.out_axes = {0}})(y.reshape({1, 64}))
                    .reshape({64});
              };
            }),
            plain)
      << "a counter is not batched by what it counts";
}

TEST(State, J_086_running_statistics_are_written_once) {
  struct Norm {
    Box mean_of_batches{zeros({3}, DType::kF64)};
    Tensor operator()(const Tensor& x) {
      const Tensor m = mean(x, Axes{0});
      mean_of_batches = mean_of_batches.value() * 0.9 + m * 0.1;
      return (x - m) * (1 + mean_of_batches.value());
    }
  };
  const Tensor x = test::ramp({4, 3}, DType::kF64);
  const auto run = [&](auto wrap) {
    Norm norm;
    const Tensor g = wrap([&](const Tensor& y) { return sum(square(norm(norm(y)))); })(x);
    return std::make_pair(g.to_vector<double>(), norm.mean_of_batches.value().to_vector<double>());
  };
  const auto near = [](const auto& a, const auto& b) {
    for (size_t i = 0; i < a.first.size(); ++i) EXPECT_NEAR(a.first[i], b.first[i], 1e-12);
    for (size_t i = 0; i < a.second.size(); ++i) EXPECT_NEAR(a.second[i], b.second[i], 1e-15);
  };
  const auto plain = run([](auto f) { return grad(f); });
  near(run([](auto f) { return grad(checkpoint(f)); }), plain);
  near(run([](auto f) {
         return grad(checkpoint([f](const Tensor& y) { return checkpoint(f)(y); }));
       }),
       plain);
  near(run([](auto f) { return jit([f](const Tensor& y) { return grad(checkpoint(f))(y); }); }),
       plain);
}

/// `f` with the rule that its derivative is the true one times ten, which leaves its variables to
/// it.
template <class F>
auto times_ten_backward(F f) {
  return custom_vjp(
      f,
      [f](const Tensor& x) {
        const auto [y, t] = jvp(f, x, ones_like(x));
        return std::make_pair(y, t);
      },
      [](const Tensor& t, const Tensor& ct) { return ct * t * 10; });
}
template <class F>
auto times_ten_forward(F f) {
  return custom_jvp(f, [f](const std::tuple<Tensor>& x, const std::tuple<Tensor>& t) {
    const auto [y, dy] = jvp(f, std::get<0>(x), std::get<0>(t));
    return std::make_pair(y, dy * 10);
  });
}

TEST(State, J_087_custom_rules_read_and_write_the_variables_of_their_function) {
  const auto run = [&](auto wrap) {
    Meter meter;
    const auto f = [&](const Tensor& x) { return meter.update(x); };
    std::vector<double> out;
    for (double x : {2.0, 3.0}) out.push_back(wrap(f)(f64(x)).template item<double>());
    out.push_back(number(meter.sum));
    out.push_back(meter.calls.value().item<double>());
    return out;
  };
  // y = (s + x) x, so that dy = (s + 2 x) dx.
  const std::vector<double> expected{40, 80, 5, 2};
  EXPECT_EQ(run([](auto f) { return grad(times_ten_backward(f)); }), expected);
  EXPECT_EQ(run([](auto f) { return grad(times_ten_forward(f)); }), expected);
  EXPECT_EQ(run([](auto f) { return grad(checkpoint(times_ten_backward(f))); }), expected);
  EXPECT_EQ(run([](auto f) { return grad(checkpoint(times_ten_forward(f))); }), expected);
  const auto both = [&](auto ten) {
    EXPECT_EQ(
        run([&](auto f) { return jit([g = grad(ten(f))](const Tensor& x) { return g(x); }); }),
        expected);
    EXPECT_EQ(
        run([&](auto f) { return grad(jit([g = ten(f)](const Tensor& x) { return g(x); })); }),
        expected);
    EXPECT_EQ(run([&](auto f) {
                return [g = ten(f)](const Tensor& x) { return jvp(g, x, f64(1)).second; };
              }),
              expected);
  };
  both([](auto f) { return times_ten_backward(f); });
  both([](auto f) { return times_ten_forward(f); });
}

TEST(State, J_087_a_counter_stays_one_number_under_vmap) {
  Box calls(f64(0));
  const auto f = [&](const Tensor& x) {
    calls = calls.value() + 1;
    return x * x * calls.value();
  };
  const auto gradients = [&](auto g) { return values(vmap(grad(g))(tensor({1.0, 2.0}))); };
  EXPECT_EQ(gradients(times_ten_backward(f)), test::floats({20, 40}));
  EXPECT_EQ(number(calls), 1);
  EXPECT_EQ(gradients(times_ten_forward(f)), test::floats({40, 80}));
  EXPECT_EQ(number(calls), 2);
  EXPECT_EQ(values(vmap(jit([&](const Tensor& x) { return f(x); }))(tensor({1.0, 2.0}))),
            test::floats({3, 12}));
  EXPECT_EQ(number(calls), 3);
}

TEST(State, J_087_rules_that_do_with_variables_what_the_function_does_not) {
  Box box(f64(3)), other(f64(1));
  other.cell()->label = "model/other";
  const auto f = [&](const Tensor& x) { return x * box.value(); };
  const auto with = [&](auto fwd, auto bwd) { return grad(custom_vjp(f, fwd, bwd)); };
  const auto plain_fwd = [&](const Tensor& x) { return std::make_pair(x * box.value(), x); };
  const auto plain_bwd = [](const Tensor&, const Tensor& ct) { return ct; };
  EXPECT_EQ(with(plain_fwd, plain_bwd)(f64(2)).item<double>(), 1);
  expect_error<TraceError>(
      "custom_vjp: the forward rule reads variable model/other, which the function does not read\n"
      "  hint: pass it as an argument, so that the rule gets the value that the function had",
      [&] {
        with([&](const Tensor& x) { return std::make_pair(x * other.value(), x); },
             plain_bwd)(f64(2));
      });
  expect_error<TraceError>(
      "custom_vjp: the forward rule writes a variable, which the function does not write", [&] {
        with(
            [&](const Tensor& x) {
              box = x;
              return std::make_pair(x * 2, x);
            },
            plain_bwd)(f64(2));
      });
  expect_error<TraceError>(
      "custom_vjp: variable model/other was written inside of the backward rule, which may run any "
      "number of times\n"
      "  hint: write it in the function and in the forward rule",
      [&] {
        with(plain_fwd, [&](const Tensor&, const Tensor& ct) {
          other = ct;
          return ct;
        })(f64(2));
      });
  EXPECT_EQ(number(box), 3);
  EXPECT_EQ(number(other), 1);
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

TEST(State, variables_made_inside_that_outlive_a_transformation_hold_plain_values) {
  const auto check = [](const char* what, auto transform) {
    std::optional<Box> made;
    transform([&](const Tensor& x) {
      made.emplace(x * 2);
      return made->value() * x;
    });
    ASSERT_TRUE(made) << what;
    EXPECT_FALSE(made->value().traced()) << what;
    EXPECT_EQ(number(*made), 6) << what;
  };
  check("grad", [](auto f) { EXPECT_EQ(grad(f)(f64(3)).template item<double>(), 12); });
  check("grad of grad",
        [](auto f) { EXPECT_EQ(grad(grad(f))(f64(3)).template item<double>(), 4); });
  check("vjp", [](auto f) {
    auto [y, pull] = vjp(f, f64(3));
    EXPECT_EQ(pull(f64(1)).template item<double>(), 12);
  });
  check("jvp",
        [](auto f) { EXPECT_EQ(jvp(f, f64(3), f64(1)).second.template item<double>(), 12); });
  check("vmap", [](auto f) {
    vmap([&](const Tensor& x) { return f(f64(3)) + x; })(zeros({2}, DType::kF64));
  });
  check("jit", [](auto f) {
    const auto g = jit([&](const Tensor& x) { return f(x); });
    g(f64(5));
    g(f64(3));
    EXPECT_EQ(g.trace_count(), 1u);
  });
  check("jit of grad", [](auto f) { jit([&](const Tensor& x) { return grad(f)(x); })(f64(3)); });
  check("grad of jit", [](auto f) {
    grad([&](const Tensor& x) { return jit([&](const Tensor& z) { return f(z); })(x); })(f64(3));
  });
}

TEST(State, variables_made_inside_a_run_that_fails_have_types_only) {
  std::optional<Box> made;
  EXPECT_THROW(grad([&](const Tensor& x) -> Tensor {
                 made.emplace(x * 2);
                 throw std::runtime_error("boom");
               })(f64(3)),
               std::runtime_error);
  expect_error<TraceError>("item: f64[] has a type but no value",
                           [&] { (void)made->value().item<double>(); });
}

TEST(State, results_that_hold_variables_keep_their_derivatives) {
  const auto f = [](const Tensor& x) { return std::vector<Box>{Box(x * x), Box(x * 3)}; };
  auto [boxes, pull] = vjp(f, f64(2));
  EXPECT_EQ(number(boxes[0]), 4);
  std::vector<Box> cotangents{Box(f64(1)), Box(f64(10))};
  EXPECT_EQ(pull(cotangents).item<double>(), 34);
  const auto [primal, tangent] = jvp(f, f64(2), f64(1));
  EXPECT_EQ(tangent[0].value().item<double>(), 4);
  const std::vector<Box> many = vmap(f)(tensor({1.0, 2.0}));
  EXPECT_EQ(type_text(many[0].value()), "f64[2]");
  const std::vector<Box> compiled = jit(std::function(f))(f64(2));
  EXPECT_EQ(compiled[1].value().item<double>(), 6);
  EXPECT_EQ(type_text(eval_shape(f, f64(2))[0].value()), "f64[]");
  EXPECT_EQ(checkpoint(f)(f64(2))[0].value().item<double>(), 4);
}

TEST(State, peek_does_not_lift) {
  Box box(f64(3));
  const auto f = jit([&](const Tensor& x) {
    EXPECT_EQ(type_text(state::peek(box.cell()).tensors[0]), "f64[]");
    return x;
  });
  EXPECT_EQ(f.lower(f64(1)).text().find("%1"), std::string::npos) << f.lower(f64(1)).text();
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
}  // namespace linnet::state_test
