// jit: state arguments, inputs, results, captures, donation, and nesting.
#include <optional>
#include <stdexcept>
#include <variant>

#include "tests/core/core_support.h"

namespace linnet::jit_test {
namespace {

using test::Box;
using test::expect_error;
using test::floats;
using test::type_text;
using test::values;

Tensor vec(std::initializer_list<float> list) { return tensor(list); }

TEST(Jit, J_083_traces_once_per_types_and_statics) {
  int traced = 0;
  const auto f = jit([&](const Tensor& x, int n, const std::string& mode) {
    ++traced;
    return mode == "add" ? x + n : x * n;
  });
  EXPECT_EQ(values(f(vec({1, 2}), 3, "add")), floats({4, 5}));
  EXPECT_EQ(values(f(vec({5, 6}), 3, "add")), floats({8, 9}));
  EXPECT_EQ(traced, 1);
  EXPECT_EQ(values(f(vec({1, 2}), 4, "add")), floats({5, 6}));
  EXPECT_EQ(values(f(vec({1, 2}), 3, "mul")), floats({3, 6}));
  EXPECT_EQ(traced, 3);
  f(tensor({1, 2}), 3, "add");
  f(zeros({2, 1}), 3, "add");
  EXPECT_EQ(type_text(f(Tensor(1.f), 3, "add")), "~f32[]") << "weak types are part of the type";
  EXPECT_EQ(type_text(f(scalar(1, DType::kF32), 3, "add")), "f32[]");
  EXPECT_EQ(traced, 7);
  f(vec({7, 7}), 3, "add");
  EXPECT_EQ(traced, 7);
  EXPECT_EQ(f.trace_count(), 7u);
}

TEST(Jit, J_083_side_effects_happen_while_tracing_only) {
  std::string log;
  const auto f = jit([&](const Tensor& x) {
    log += "x";
    return x + 1;
  });
  for (int i = 0; i < 5; ++i) f(vec({1}));
  EXPECT_EQ(log, "x");
}

TEST(Jit, results_are_trees) {
  struct Out {
    Tensor sum, product;
    int count = 0;
  };
  const auto f = jit([](const Tensor& a, const Tensor& b) {
    return std::make_pair(Out{a + b, a * b, 7},
                          std::map<std::string, std::optional<Tensor>>{{"a", a}, {"none", {}}});
  });
  for (int i = 1; i < 3; ++i) {
    const auto [out, map] = f(vec({1, 2}), Tensor(float(i)));
    EXPECT_EQ(values(out.sum), floats({1.f + i, 2.f + i}));
    EXPECT_EQ(values(out.product), floats({1.f * i, 2.f * i}));
    EXPECT_EQ(out.count, 7);
    EXPECT_FALSE(map.at("none").has_value());
    EXPECT_EQ(values(*map.at("a")), floats({1, 2}));
  }
}

TEST(Jit, functions_of_every_kind) {
  struct Functor {
    float factor;
    Tensor operator()(const Tensor& x) const { return x * factor; }
  };
  Tensor (*const pointer)(const Tensor&) = &sin;
  EXPECT_EQ(values(jit(Functor{3})(vec({1, 2}))), floats({3, 6}));
  EXPECT_EQ(values(jit(pointer)(vec({0}))), floats({0}));
  EXPECT_EQ(values(jit(std::function<Tensor(const Tensor&)>([](const Tensor& x) { return -x; }))(
                vec({1}))),
            floats({-1}));
  EXPECT_EQ(values(jit([](Tensor by_value) { return by_value + 1; })(vec({1}))), floats({2}));
  EXPECT_EQ(values(jit([](const Tensor& x) noexcept { return x; })(vec({1}))), floats({1}));
  EXPECT_EQ(values(jit([](const Tensor& x) -> const Tensor& { return x; })(vec({5}))), floats({5}));
  EXPECT_EQ(values(jit([] { return vec({1, 2}) * 2; })()), floats({2, 4}));
  EXPECT_EQ(jit([](int a, int b) { return a + b; })(2, 3), 5) << "no tensor at all";
}

TEST(Jit, plain_tensors_are_state_if_taken_by_reference) {
  const auto f = jit([](Tensor& total, const Tensor& x) {
    total = total + x;
    return total * 10;
  });
  Tensor total = vec({0, 0});
  for (int i = 1; i <= 4; ++i)
    EXPECT_EQ(values(f(total, vec({1, 2}))), floats({10.f * i, 20.f * i}));
  EXPECT_EQ(values(total), floats({4, 8}));
  EXPECT_EQ(f.trace_count(), 1u);
}

TEST(Jit, void_results_and_several_states) {
  const auto f = jit([](Tensor& a, const Tensor& x, std::vector<Tensor>& b) {
    a = a * x;
    b[1] = b[0] + x;
  });
  Tensor a = vec({1});
  std::vector<Tensor> b{vec({5}), vec({6})};
  const Tensor untouched = b[0];
  f(a, vec({3}), b);
  f(a, vec({2}), b);
  EXPECT_EQ(values(a), floats({6}));
  EXPECT_EQ(values(b[1]), floats({7}));
  EXPECT_EQ(b[0].impl(), untouched.impl()) << "what is not written stays the same tensor";
}

TEST(Jit, whole_containers_may_be_assigned) {
  const auto doubled = [](auto& object) {
    object = tree::map(object, [](const Tensor& t) { return t * 2; });
  };
  const auto f =
      jit([&](std::vector<Tensor>& v, std::map<std::string, Tensor>& m, std::optional<Tensor>& o) {
        doubled(v);
        doubled(m);
        doubled(o);
      });
  std::vector<Tensor> v{vec({1}), vec({2})};
  std::map<std::string, Tensor> m{{"x", vec({3})}};
  std::optional<Tensor> o = vec({4});
  for (int i = 0; i < 3; ++i) f(v, m, o);
  EXPECT_EQ(values(v[0]), floats({8}));
  EXPECT_EQ(values(v[1]), floats({16}));
  EXPECT_EQ(values(m.at("x")), floats({24}));
  EXPECT_EQ(values(*o), floats({32}));
  EXPECT_EQ(f.trace_count(), 1u);
}

TEST(Jit, leaves_may_change_places) {
  const auto f = jit([](std::vector<Tensor>& v) { std::swap(v[0], v[1]); });
  std::vector<Tensor> v{vec({1, 1, 1}), vec({2, 2, 2})};
  f(v);
  EXPECT_EQ(values(v[0]), floats({2, 2, 2}));
  EXPECT_EQ(values(v[1]), floats({1, 1, 1}));
  f(v);
  EXPECT_EQ(values(v[0]), floats({1, 1, 1}));
}

TEST(Jit, state_may_change_its_type) {
  const auto grow = jit([](Tensor& t) { t = concatenate({t, t}); });
  Tensor t = vec({1});
  for (int i = 0; i < 3; ++i) grow(t);
  EXPECT_EQ(t.size(), 8);
  EXPECT_EQ(grow.trace_count(), 3u);
}

TEST(Jit, state_may_change_its_structure) {
  struct History {
    std::vector<Tensor> past;
    std::variant<int, Tensor> last = 0;
    int steps = 0;
  };
  const auto f = jit([](History& h, const Tensor& x) {
    h.past.push_back(x * 2);
    h.last = x;
    ++h.steps;
    return static_cast<int>(h.past.size());
  });
  for (int repeat = 0; repeat < 2; ++repeat) {
    History h;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(f(h, vec({float(i)})), i + 1);
    ASSERT_EQ(h.past.size(), 3u);
    EXPECT_EQ(values(h.past[2]), floats({4}));
    EXPECT_EQ(values(std::get<Tensor>(h.last)), floats({2}));
    EXPECT_EQ(h.steps, 3);
  }
  EXPECT_EQ(f.trace_count(), 3u) << "one trace for each structure";
}

TEST(Jit, variables_in_state_arguments) {
  struct Model {
    std::vector<Box> weights;
    Box count{Tensor(0)};
    LINNET_FIELDS(weights, count)
  };
  const auto f = jit([](Model& m, const Tensor& x) {
    m.weights[0] = m.weights[0].value() + x;
    m.count = m.count.value() + 1;
    return m.weights[1].value() * x;
  });
  Model a{{Box(vec({0})), Box(vec({2}))}}, b{{Box(vec({100})), Box(vec({3}))}};
  const state::CellPtr cell = a.weights[0].cell();
  EXPECT_EQ(values(f(a, vec({5}))), floats({10}));
  EXPECT_EQ(values(f(b, vec({5}))), floats({15})) << "the same program serves another model";
  f(a, vec({6}));
  EXPECT_EQ(f.trace_count(), 1u);
  EXPECT_EQ(values(a.weights[0].value()), floats({11}));
  EXPECT_EQ(values(b.weights[0].value()), floats({105}));
  EXPECT_EQ(a.count.value().item<int>(), 2);
  EXPECT_EQ(a.weights[0].cell(), cell) << "variables keep their identity";
}

TEST(Jit, growing_a_list_of_variables) {
  const auto f = jit([](std::vector<Box>& boxes, const Tensor& x) {
    boxes.front() = boxes.front().value() + x;
    boxes.emplace_back(x * 10);
  });
  std::vector<Box> boxes{Box(vec({1}))};
  const state::CellPtr first = boxes[0].cell();
  f(boxes, vec({2}));
  f(boxes, vec({3}));
  ASSERT_EQ(boxes.size(), 3u);
  EXPECT_EQ(values(boxes[0].value()), floats({6}));
  EXPECT_EQ(values(boxes[1].value()), floats({20}));
  EXPECT_EQ(values(boxes[2].value()), floats({30}));
}

TEST(Jit, one_object_passed_twice) {
  const auto add = jit([](Tensor& a, const Tensor& b) { a = a + b; });
  Tensor x = vec({1, 2, 3});
  add(x, x);
  add(x, x);
  EXPECT_EQ(values(x), floats({4, 8, 12}));
  const auto swapped = jit([](const Tensor& b, Tensor& a) { a = a + b; });
  swapped(x, x);
  EXPECT_EQ(values(x), floats({8, 16, 24}));
  const auto both = jit([](Tensor& a, Tensor& b) {
    a = a + 1;
    b = b * 2;
  });
  Tensor y = vec({1, 1, 1}), z = vec({5, 5, 5});
  both(y, z);
  EXPECT_EQ(values(y), floats({2, 2, 2}));
  EXPECT_EQ(values(z), floats({10, 10, 10}));
  both(y, y);
  EXPECT_EQ(values(y), floats({6, 6, 6})) << "(2 + 1) * 2, as without jit";
  both(y, z);
  EXPECT_EQ(values(y), floats({7, 7, 7}));
  std::vector<Box> boxes{Box(vec({3, 3, 3}))};
  const auto twice = jit(
      [](std::vector<Box>& a, const std::vector<Box>& b) { a[0] = a[0].value() * b[0].value(); });
  twice(boxes, boxes);
  EXPECT_EQ(values(boxes[0].value()), floats({9, 9, 9}));
}

TEST(Jit, inputs_are_not_changed) {
  const auto f = jit([](Tensor x, std::vector<Box> boxes) {
    x = x + 1;
    return boxes[0].value() * x;
  });
  const Tensor x = vec({1});
  const std::vector<Box> boxes{Box(vec({7}))};
  EXPECT_EQ(values(f(x, boxes)), floats({14}));
  EXPECT_EQ(values(x), floats({1}));
  EXPECT_EQ(values(boxes[0].value()), floats({7}));
}

TEST(Jit, captured_tensors_are_fixed_at_tracing) {
  Tensor c = vec({1, 2, 3}), s = Tensor(10.f);
  const auto f = jit([&](const Tensor& x) { return x * c + s; });
  EXPECT_EQ(values(f(vec({1, 1, 1}))), floats({11, 12, 13}));
  c = vec({100, 100, 100});
  s = Tensor(0.f);
  EXPECT_EQ(values(f(vec({2, 2, 2}))), floats({12, 14, 16}));
}

TEST(Jit, captured_variables_are_state) {
  Box w(vec({1, 2}));
  const auto f = jit([&](const Tensor& x) {
    const Tensor old = w.value();
    w = old + x;
    return old;
  });
  EXPECT_EQ(values(f(vec({1, 1}))), floats({1, 2}));
  EXPECT_EQ(values(f(vec({1, 1}))), floats({2, 3}));
  w = vec({50, 60});
  EXPECT_EQ(values(f(vec({1, 1}))), floats({50, 60}));
  EXPECT_EQ(values(w.value()), floats({51, 61}));
  EXPECT_EQ(f.trace_count(), 1u);
}

TEST(Jit, captured_variables_must_live_and_keep_their_type) {
  auto w = std::make_unique<Box>(vec({1, 2}));
  const auto f = jit([&](const Tensor& x) { return x + w->value(); });
  f(vec({1, 1}));
  *w = vec({1, 2, 3});
  expect_error<TraceError>(
      "jit: a variable that the function captured was f32[2] when it was traced and is f32[3] now\n"
      "  hint: pass what changes its type as an argument instead of capturing it",
      [&] {
        f(vec({1, 1}));
      });
  w.reset();
  expect_error<TraceError>(
      "jit: a variable that the function captured no longer exists\n"
      "  hint: pass the module as a reference parameter instead of capturing it",
      [&] {
        f(vec({1, 1}));
      });
}

TEST(Jit, exceptions_put_the_state_back) {
  struct State {
    Tensor tensor;
    std::vector<Tensor> list;
    Box box{vec({1})};
    int number = 0;
    LINNET_FIELDS(tensor, list, box, number)
  };
  const auto f = jit([](State& s, const Tensor& x) {
    s.tensor = s.tensor + x;
    s.box = x;
    s.list.push_back(x);
    s.number = 5;
    if (x.shape(0) == 1) throw std::runtime_error("boom");
  });
  State s;
  s.tensor = vec({1});
  s.list = {vec({2})};
  const Tensor before = s.tensor;
  const state::CellPtr cell = s.box.cell();
  EXPECT_THROW(f(s, vec({1})), std::runtime_error);
  EXPECT_EQ(s.tensor.impl(), before.impl());
  EXPECT_EQ(s.list.size(), 1u);
  EXPECT_EQ(s.number, 0);
  EXPECT_EQ(s.box.cell(), cell);
  EXPECT_EQ(values(s.box.value()), floats({1}));
  EXPECT_EQ(f.trace_count(), 0u);
  EXPECT_EQ(current_trace(), nullptr);
  f(s, vec({1, 1}));
  EXPECT_EQ(s.list.size(), 2u);
  EXPECT_EQ(s.number, 5);
}

TEST(Jit, J_095_donation_never_changes_what_somebody_holds) {
  const auto step = jit([](std::vector<Tensor>& w, const Tensor& x) {
    for (Tensor& t : w) t = t * 0.5f + x;
    return sum(w[0]);
  });
  std::vector<Tensor> w{test::ramp({100}), test::ramp({100})};
  const Tensor x = test::ramp({100});
  std::vector<Tensor> kept;
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < 10; ++i) {
    kept.push_back(w[0]);
    if (i % 3 == 1) kept.push_back(w[1].reshape({10, 10}).transpose());  // a view of the memory
    if (i % 3 == 2) w[1] = w[0];                                         // one tensor in two leaves
    while (expected.size() < kept.size()) expected.push_back(values(kept[expected.size()]));
    step(w, x);
    for (size_t k = 0; k < kept.size(); ++k)
      ASSERT_EQ(values(kept[k]), expected[k]) << "call " << i;
  }
  EXPECT_EQ(step.trace_count(), 1u);
}

TEST(Jit, J_095_memory_that_nobody_else_holds_is_used_again) {
  const auto step = jit([](Tensor& w) { w = w * 0.5f + 1; });
  Tensor w = test::ramp({100000});
  step(w);
  const void* memory = w.data<float>().data();
  allocator_of(kCpu).reset_peak();
  const size_t live = memory_stats().live_bytes;
  for (int i = 0; i < 5; ++i) step(w);
  EXPECT_EQ(w.data<float>().data(), memory);
  EXPECT_LT(memory_stats().peak_bytes, live + 100000) << "no second buffer of 400000 bytes";
}

TEST(Jit, J_095_results_and_inputs_that_alias_state) {
  const auto f = jit([](Tensor& w, const Tensor& x) {
    const Tensor old = w;
    w = w + x;
    return std::make_pair(old, w);
  });
  Tensor w = vec({1, 2, 3});
  const auto [old, now] = f(w, vec({1, 1, 1}));
  const auto [old2, now2] = f(w, w);
  EXPECT_EQ(values(old), floats({1, 2, 3}));
  EXPECT_EQ(values(now), floats({2, 3, 4}));
  EXPECT_EQ(values(old2), floats({2, 3, 4}));
  EXPECT_EQ(values(w), floats({4, 6, 8}));
}

TEST(Jit, external_memory_is_never_donated) {
  auto memory = std::make_shared<std::vector<float>>(100, 1.f);
  Tensor w = from_external(memory->data(), DType::kF32, {100}, memory);
  const auto f = jit([](Tensor& t) { t = t + 1; });
  f(w);
  EXPECT_EQ(memory->at(0), 1.f);
  EXPECT_EQ(w[0].item<float>(), 2.f);
}

TEST(Jit, strided_arguments_are_taken_as_they_are) {
  const Tensor x = test::ramp({3, 4}).transpose();
  const auto f = jit([](Tensor& w, const Tensor& y) { w = w + y; });
  Tensor w = x;
  f(w, broadcast_to(Tensor(1.f), {4, 3}));
  EXPECT_EQ(values(w), values(x + 1));
}

TEST(Jit, nests) {
  int inner_traces = 0;
  const auto inner = jit([&](Tensor& count, const Tensor& x) {
    ++inner_traces;
    count = count + 1;
    return x * x;
  });
  const auto outer =
      jit([&](Tensor& count, const Tensor& x) { return inner(count, x) + inner(count, x + 1); });
  Tensor count = Tensor(0);
  EXPECT_EQ(values(outer(count, vec({2}))), floats({13}));
  EXPECT_EQ(values(outer(count, vec({3}))), floats({25}));
  EXPECT_EQ(count.item<int>(), 4);
  EXPECT_LE(inner_traces, 2) << "a weak count and a strong one at most";
}

TEST(Jit, captures_of_an_enclosing_transformation_are_not_kept) {
  const auto outer = [](const Tensor& x) {
    const auto inner = jit([&](const Tensor& y) { return y * x; });
    return sum(inner(x) + inner(x * 2));
  };
  EXPECT_EQ(values(grad(outer)(vec({1, 2}))), floats({6, 12}));
  EXPECT_EQ(values(vmap(outer)(vec({1, 2}))), floats({3, 12}));
  EXPECT_EQ(jit([&](const Tensor& x) { return outer(x); })(vec({3})).item<float>(), 27);
  Tensor scale;
  const auto f = jit([&](const Tensor& y) { return y * scale; });
  for (float s : {2.f, 3.f}) {
    const auto g = [&](const Tensor& x) {
      scale = x;
      return sum(f(vec({1, 1})));
    };
    EXPECT_EQ(grad(g)(scalar(s, DType::kF32)).item<float>(), 2);
  }
}

TEST(Jit, under_grad_vmap_and_jvp_with_state) {
  const auto f = jit([](Tensor& seen, const Tensor& x) {
    seen = seen + sum(stop_gradient(x));
    return sum(x * x) * 0.5f;
  });
  Tensor seen = Tensor(0.f);
  const auto loss = [&](const Tensor& x) { return f(seen, x); };
  EXPECT_EQ(values(grad(loss)(vec({1, 2}))), floats({1, 2}));
  EXPECT_TRUE(seen.traced())
      << "a plain tensor that a function captures by reference keeps the traced value";
  seen = Tensor(0.f);
  const auto through = [&](const Tensor& s, const Tensor& x) {
    Tensor mine = s;
    const Tensor y = f(mine, x);
    return std::make_pair(y, mine);
  };
  const auto [y, mine] =
      jvp([&](const Tensor& x) { return through(Tensor(1.f), x); }, vec({3, 4}), vec({1, 0})).first;
  EXPECT_EQ(y.item<float>(), 12.5f);
  EXPECT_EQ(mine.item<float>(), 8.f);
  const auto [ys, states] =
      vmap(through, {.in_axes = {kNone, 0}})(Tensor(0.f), tensor({{1.f, 2.f}, {3.f, 4.f}}));
  EXPECT_EQ(values(ys), floats({2.5, 12.5}));
  EXPECT_EQ(values(states), floats({3, 7}));
}

TEST(Jit, reading_state_does_not_count_as_writing_it) {
  std::vector<Box> boxes{Box(vec({2, 3}))};
  const auto read = jit([](std::vector<Box>& b, const Tensor& x) { return sum(b[0].value() * x); });
  const auto f = checkpoint([&](const Tensor& x) { return read(boxes, x); });
  EXPECT_EQ(values(grad(f)(vec({1, 1}))), floats({2, 3}));
}

TEST(Jit, undefined_tensors_are_named) {
  const auto f = jit([](const Tensor& x, std::vector<Tensor>& s) {
    s[0] = Tensor();
    return x;
  });
  std::vector<Tensor> s{vec({1})}, undefined(1);
  expect_error<ValueError>("jit: a state argument is an undefined tensor", [&] { f(vec({1}), s); });
  EXPECT_EQ(values(s[0]), floats({1}));
  expect_error<ValueError>(
      "jit: argument 1 holds an undefined tensor\n"
      "  hint: give it a value, or use std::optional<Tensor> for one that may be absent",
      [&] { f(vec({1}), undefined); });
  expect_error<ValueError>("jit: a result is an undefined tensor",
                           [] { jit([](const Tensor&) { return Tensor(); })(vec({1})); });
}

TEST(Jit, J_084_programs_can_be_read) {
  const auto f = jit([](Tensor& w, const Tensor& x) {
    w = w + x * 2.f;
    return sum(w);
  });
  Tensor w = zeros({3});
  const Lowered lowered = f.lower(w, ones({3}));
  EXPECT_EQ(values(w), floats({0, 0, 0})) << "lowering runs nothing";
  EXPECT_EQ(f.trace_count(), 1u);
  f(w, ones({3}));
  EXPECT_EQ(f.trace_count(), 1u) << "and its trace is kept";
  const std::string text = lowered.text();
  EXPECT_EQ(text.substr(0, text.find('\n')), "graph(%0:f32[3], %1:f32[3]) {");
  for (const char* part : {"= mul(", "= add(", "reduce_sum", "return"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_NE(lowered.optimized_text().find("fused"), std::string::npos) << lowered.optimized_text();
  const Lowered kept = [] {
    return jit([](const Tensor& x) { return matmul(x, x) + 1; }).lower(zeros({64, 64}));
  }();
  EXPECT_NE(kept.text().find("dot_general"), std::string::npos) << "outlives the function";
  EXPECT_GE(kept.arena_bytes(), 0u);
}

TEST(Jit, a_model_passed_by_value_and_trained_inside_is_refused) {
  struct Model {
    Box w{Tensor(1.f)};
    std::map<std::string, Box> more;
    Model() { more.emplace("b", Box(Tensor(2.f))); }
    LINNET_FIELDS(w, more)
  };
  Model model;
  const auto train = [](Model& m, const Tensor& x) {
    m.more.at("b") = m.more.at("b").value() + x;
    return m.w.value() * m.more.at("b").value();
  };
  const auto by_value = jit([&](Model m, const Tensor& x) { return train(m, x); });
  const auto by_constant =
      jit([&](const Model& m, const Tensor& x) { return train(const_cast<Model&>(m), x); });
  const std::string text =
      "jit: argument 0 is passed by value, and its variable 'more/b' is written inside: the caller "
      "would not see it\n"
      "  hint: take the argument by reference, as T&";
  expect_error<TraceError>(text, [&] { by_value(model, Tensor(1.f)); });
  expect_error<TraceError>(text, [&] { by_constant(model, Tensor(1.f)); });
  EXPECT_EQ(model.more.at("b").value().item<float>(), 2);
  const auto by_reference = jit([&](Model& m, const Tensor& x) { return train(m, x); });
  EXPECT_EQ(by_reference(model, Tensor(1.f)).item<float>(), 3);
  EXPECT_EQ(model.more.at("b").value().item<float>(), 3);
  const auto read = jit([](Model m, const Tensor& x) { return m.w.value() * x; });
  EXPECT_EQ(read(model, Tensor(5.f)).item<float>(), 5);
  const auto of_copy = jit([&](const Model& m, const Tensor& x) {
    Model mine = m;
    return train(mine, x);
  });
  EXPECT_EQ(of_copy(model, Tensor(1.f)).item<float>(), 4) << "a copy made inside is its own";
  EXPECT_EQ(model.more.at("b").value().item<float>(), 3);
}

TEST(Jit, results_with_variables_keep_no_tracer) {
  const auto make = jit([](const Tensor& x) { return std::vector<Box>{Box(x * 2)}; });
  const auto outer = jit([&](const Tensor& x) { return make(x)[0].value() + 1; });
  const auto again = jit([&](const Tensor& x) { return make(x)[0].value() + 2; });
  EXPECT_EQ(outer(Tensor(3.f)).item<float>(), 7);
  EXPECT_EQ(again(Tensor(3.f)).item<float>(), 8);
  EXPECT_EQ(make(Tensor(4.f))[0].value().item<float>(), 8);
}

TEST(Jit, a_call_that_fails_leaves_state_as_it_was) {
  std::vector<Box> boxes{Box(vec({1, 2}))};
  std::vector<Tensor> plain{vec({3, 4})};
  Box captured(vec({5, 6}));
  const auto refuses = jit([&](std::vector<Box>& b, std::vector<Tensor>& p, const Tensor& x) {
    b[0] = x;
    p[0] = x * 2;
    p.push_back(x);
    captured = x;
    return grad([](const Tensor& y) { return y; })(x);
  });
  EXPECT_THROW(refuses(boxes, plain, vec({7, 8})), ShapeError);
  EXPECT_EQ(values(boxes[0].value()), floats({1, 2}));
  ASSERT_EQ(plain.size(), 1u);
  EXPECT_EQ(values(plain[0]), floats({3, 4}));
  EXPECT_EQ(values(captured.value()), floats({5, 6}));
}

TEST(Jit, long_loops_keep_memory_constant) {
  struct Net {
    std::vector<Tensor> w{test::ramp({8, 8}), test::ramp({8, 8})};
  };
  const auto step = jit([](Net& net, const Tensor& x) {
    const auto loss = [&](const std::vector<Tensor>& w) {
      return mean(square(matmul(tanh(matmul(x, w[0])), w[1])));
    };
    const auto [value, g] = value_and_grad(loss)(net.w);
    net.w = tree::map(net.w, g, [](const Tensor& a, const Tensor& b) { return a - b * 0.1; });
    return value;
  });
  Net net;
  const Tensor x = test::ramp({16, 8});
  float first = 0, last = 0;
  size_t live = 0;
  for (int i = 0; i < 200; ++i) {
    last = step(net, x).item<float>();
    if (i == 0) first = last;
    if (i == 1) live = memory_stats().live_bytes;
  }
  EXPECT_EQ(memory_stats().live_bytes, live);
  EXPECT_LT(last, first * 0.5f);
}

}  // namespace
}  // namespace linnet::jit_test
