// Functions of the host in programs: what they see, how often, and in which order. Expected lines
// are those of JAX 0.10.2 for the same programs, which prints once more where `checkpoint` computes
// again.
#include "linnet/callback.h"

#include <cmath>
#include <functional>

#include "linnet/core.h"
#include "linnet/debug.h"
#include "tests/core/core_support.h"

namespace linnet::callback_test {
namespace {

using Lines = std::vector<std::string>;
using Unary = std::function<Tensor(const Tensor&)>;

/// Collects what is printed.
class Printed {
 public:
  Printed() {
    debug::set_print_sink([this](std::string_view line) { lines_.emplace_back(line); });
  }
  ~Printed() { debug::set_print_sink({}); }
  Lines take() { return std::exchange(lines_, {}); }

 private:
  Lines lines_;
};

Tensor doubled(const Tensor& x) {
  debug::print("x = {}", x);
  return x * 2.f;
}
std::pair<Tensor, Tensor> turn(const Tensor& w, const Tensor& c, const Tensor& x) {
  debug::print("c {} x {}", c, x);
  return {c * w + x, x};
}
Tensor loop(const Tensor& w) {
  return scan([&](const Tensor& c, const Tensor& x) { return turn(w, c, x); }, 1.f, arange(0., 3.))
      .first;
}
Tensor branches(const Tensor& x) {
  const auto yes = [](const Tensor& x) {
    debug::print("T {}", x);
    return x;
  };
  const auto no = [](const Tensor& x) {
    debug::print("F {}", x);
    return -x;
  };
  return cond(x < 0.5f, yes, no, x);
}
Tensor count_up(const Tensor& n) {
  const auto goes_on = [&](const Tensor& i) {
    debug::print("is {} < {}?", i, n);
    return i < n;
  };
  const auto body = [&](const Tensor& i) {
    debug::print("turn {}", i);
    return i + 1.f;
  };
  return while_loop(goes_on, body, 0.f);
}
Tensor unread(const Tensor& x) {
  debug::print("first {}", x + 1.f);
  scan(
      [](const Tensor& c, const Tensor& x) {
        debug::print("inside {}", x);
        return std::pair(c, std::tuple<>());
      },
      0.f, tensor({7.f, 8.f}));
  for (int i = 0; i < 2; ++i) debug::print("same");
  debug::print("last {}", x);
  return x;
}
Tensor checkpointed(const Tensor& x) {
  return sin(checkpoint([](const Tensor& x) { return sin(doubled(sin(x))); })(x));
}

/// The values and the type, weak or not.
std::string text_of(const Tensor& x) {
  std::string text = to_string(x);
  std::erase(text, '~');
  return text;
}

struct Case {
  const char* name;
  Unary f;
  Tensor x;
  Lines lines;
};

std::vector<Case> cases() {
  const Tensor two(2.f), three = arange(0., 3.), ends = tensor({0.f, 1.f});
  const auto each = [](auto f) { return Unary(vmap(f)); };
  const auto derivative = [](auto f) { return Unary(grad(f)); };
  return {
      {"plain", doubled, two, {"x = 2"}},
      {"vmap", each(doubled), three, {"x = 0", "x = 1", "x = 2"}},
      {"nested vmap",
       each(vmap(doubled)),
       arange(0., 4.).reshape(2, 2),
       {"x = 0", "x = 2", "x = 1", "x = 3"}},
      {"vmap of nothing of the batch",
       each([](const Tensor& x) {
         debug::print("y = {}", 3.5);
         return x;
       }),
       three,
       {"y = 3.5"}},
      {"grad", derivative(doubled), two, {"x = 2"}},
      {"jvp", [](const Tensor& x) { return jvp(doubled, x, x).second; }, two, {"x = 2"}},
      {"scan", loop, Tensor(1.f), {"c 1 x 0", "c 1 x 1", "c 2 x 2"}},
      {"grad of scan", derivative(loop), two, {"c 1 x 0", "c 2 x 1", "c 5 x 2"}},
      {"vmap of scan",
       each(loop),
       tensor({2.f, 3.f}),
       {"c 1 x 0", "c 1 x 0", "c 2 x 1", "c 3 x 1", "c 5 x 2", "c 10 x 2"}},
      {"cond", branches, Tensor(1.f), {"F 1"}},
      {"grad of cond", derivative(branches), Tensor(0.f), {"T 0"}},
      {"vmap of cond", each(branches), ends, {"F 0", "F 1", "T 0", "T 1"}},
      {"while", count_up, two, {"is 0 < 2?", "turn 0", "is 1 < 2?", "turn 1", "is 2 < 2?"}},
      {"nothing reads it",
       unread,
       two,
       {"first 3", "inside 7", "inside 8", "same", "same", "last 2"}},
      {"checkpoint", checkpointed, Tensor(0.f), {"x = 0"}},
      {"grad of checkpoint", derivative(checkpointed), Tensor(0.f), {"x = 0"}},
  };
}

TEST(Callback, J_092_prints_once_per_call_and_in_order) {
  Printed printed;
  for (const Case& c : cases()) {
    const Tensor eager = c.f(c.x);
    EXPECT_EQ(printed.take(), c.lines) << c.name;
    const auto compiled = jit([f = c.f](const Tensor& x) { return f(x); });
    for (int call = 0; call < 2; ++call) {
      const Tensor y = compiled(c.x);
      EXPECT_EQ(printed.take(), c.lines) << c.name << ", jit, call " << call;
      EXPECT_EQ(text_of(y), text_of(eager)) << c.name;
    }
  }
}

TEST(Callback, J_092_formats) {
  Printed printed;
  debug::print("{} {:.3f} {:d} {:>4} {} {{}}", tensor({1.f, 2.f}), Tensor(0.5f), 3, true, "text");
  EXPECT_EQ(printed.take(), Lines{"Tensor([1, 2], f32[2]) 0.500 3 true text {}"});
  debug::print("{} {}", Tensor(0.1f).astype(DType::kF64), Tensor(0.1f));
  EXPECT_EQ(printed.take(), Lines{"0.10000000149011612 0.1"});
  EXPECT_THROW(debug::print("{} {}", 1), ValueError);
  EXPECT_THROW(debug::print("{:.2f}", tensor({1.f})), ValueError);
  EXPECT_THROW(debug::print("{}", Tensor()), ValueError);
  EXPECT_TRUE(printed.take().empty());
}

struct Pair {
  Tensor a, b;
  LINNET_FIELDS(a, b)
};

TEST(Callback, J_092_callbacks_get_trees_that_they_may_keep) {
  std::vector<Tensor> kept;
  const auto keep = [&kept](const Pair& pair, const Tensor& n) {
    kept.insert(kept.end(), {pair.a, pair.b, n});
  };
  const auto step = jit([keep](const Tensor& x) {
    debug::callback(keep, Pair{x * 2.f, exp(x)}, 5);
    return exp(x) + 1.f;
  });
  for (int i = 0; i < 3; ++i) step(zeros({4}) + static_cast<float>(i));
  ASSERT_EQ(kept.size(), 9u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(kept[3 * i][3].item<float>(), 2.f * static_cast<float>(i));
    EXPECT_NEAR(kept[3 * i + 1][3].item<float>(), std::exp(static_cast<float>(i)), 1e-5);
    EXPECT_EQ(kept[3 * i + 2].item<int32_t>(), 5);
  }
}

/// A function that counts its calls.
struct Counter {
  std::shared_ptr<int> calls = std::make_shared<int>(0);
  Tensor operator()(const Tensor& x) const {
    ++*calls;
    return x * x;
  }
};

TEST(Callback, J_092_pure_results_are_values_of_the_program) {
  const Counter square;
  const auto f = [square](const Tensor& x) {
    const Tensor unread = pure_callback(square, x.type(), x - 1.f);
    return pure_callback(square, x.type(), x + 1.f) * 2.f;
  };
  const Tensor x = arange(0., 3.);
  EXPECT_EQ(to_string(f(x)), to_string(tensor({2.f, 8.f, 18.f})));
  *square.calls = 0;
  const auto compiled = jit(f);
  EXPECT_EQ(to_string(compiled(x)), to_string(tensor({2.f, 8.f, 18.f})));
  EXPECT_EQ(*square.calls, 1);  // what nobody reads is not called

  // In a loop with products that wait for nothing, which the compiler does for all turns at once.
  const auto turns = jit([square](const Tensor& w, const Tensor& xs) {
    return scan(
               [&](const Tensor& c, const Tensor& x) {
                 const Tensor y = matmul(x, w);
                 const Tensor z = pure_callback(square, y.type(), y);
                 return std::pair(c + sum(z), matmul(z, w));
               },
               0.f, xs)
        .second;
  });
  *square.calls = 0;
  const Tensor ys = turns(eye(2) * 2.f, ones({3, 1, 2}));
  EXPECT_EQ(*square.calls, 3);
  EXPECT_EQ(text_of(ys), text_of(full({3, 1, 2}, 8.f)));
}

TEST(Callback, J_092_pure_in_loops_without_turns_is_not_called) {
  const Counter square;
  const auto called = [square](const Tensor& x) { return pure_callback(square, x.type(), x); };
  const Tensor w = ones({2}), never = ones({2}) * -1.f;
  const auto no_turns = [&](const Tensor& h, const Tensor& v) {
    return fori_loop(
        0, 0, [&](const Tensor&, const Tensor& g) { return g + called(v); }, h);
  };
  const auto false_at_once = [&](const Tensor& h, const Tensor& v) {
    return while_loop([](const Tensor& g) { return sum(g) > 0.f; },
                      [&](const Tensor& g) { return g + called(v); }, h);
  };
  const auto each_turn = [](const auto& inner) {
    return jit([inner](const Tensor& h, const Tensor& v) {
      return scan([&](const Tensor& c,
                      const Tensor&) { return std::pair(inner(c, v), std::tuple<>()); },
                  h, zeros({3}))
          .first;
    });
  };
  EXPECT_EQ(text_of(jit(false_at_once)(never, w)), text_of(never));
  EXPECT_EQ(text_of(each_turn(no_turns)(never, w)), text_of(never));
  EXPECT_EQ(text_of(each_turn(false_at_once)(never, w)), text_of(never));
  EXPECT_EQ(*square.calls, 0);
}

// Products that follow a sequence are done for all turns at once, but not what a function of the
// host in a loop or branch in front of them makes.
TEST(Callback, J_092_pure_in_a_program_that_a_loop_holds_is_called_turn_by_turn) {
  const Counter square;
  const auto called = [square](const Tensor& x) { return pure_callback(square, x.type(), x); };
  const auto in_loop = [&](const Tensor& x) {
    return fori_loop(
        0, 2, [&](const Tensor&, const Tensor& h) { return called(h); }, x);
  };
  const auto in_branch = [&](const Tensor& x) {
    return cond(
        sum(x) > 0.f, [&](const Tensor& v) { return called(called(v)); },
        [](const Tensor& v) { return v; }, x);
  };
  const auto turns = [](const auto& inner) {
    return jit([inner](const Tensor& w, const Tensor& xs) {
      return scan([&](const Tensor& c,
                      const Tensor& x) { return std::pair(c, matmul(inner(x), w)); },
                  0.f, xs)
          .second;
    });
  };
  const Tensor w = eye(2) * 3.f, xs = full({4, 1, 2}, 2.f);
  EXPECT_EQ(text_of(turns(in_loop)(w, xs)), text_of(full({4, 1, 2}, 48.f)));
  EXPECT_EQ(*square.calls, 8);
  EXPECT_EQ(text_of(turns(in_branch)(w, xs)), text_of(full({4, 1, 2}, 48.f)));
  EXPECT_EQ(*square.calls, 16);
}

TEST(Callback, J_092_pure_under_vmap) {
  const Tensor x = arange(0., 4.), y(1.f);
  const auto under = [&](VmapMethod method, std::vector<std::string>& seen) {
    const auto f = [&](const Tensor& x, const Tensor& y) {
      seen.push_back(to_string(x.type()) + " " + to_string(y.type()));
      return x + y;
    };
    return vmap([&](const Tensor& x) {
      return pure_callback(f, {.vmap_method = method}, x.type(), x, y);
    })(x);
  };
  const struct {
    VmapMethod method;
    std::vector<std::string> calls;
  } rows[] = {{VmapMethod::kSequential, {4, "f32[] f32[]"}},
              {VmapMethod::kExpandDims, {"f32[4] f32[1]"}},
              {VmapMethod::kBroadcastAll, {"f32[4] f32[4]"}}};
  for (const auto& row : rows) {
    std::vector<std::string> seen;
    EXPECT_EQ(to_string(under(row.method, seen)), to_string(x + 1.f));
    for (std::string& each : seen) std::erase(each, '~');
    EXPECT_EQ(seen, row.calls);
  }
  std::vector<std::string> seen;
  EXPECT_THROW(under(VmapMethod::kNone, seen), TraceError);
}

TEST(Callback, J_092_io_runs_once_and_in_order_whoever_reads_it) {
  const auto log = std::make_shared<std::vector<float>>();
  const auto note = [log](const Tensor& x) {
    log->push_back(x.item<float>());
    return Tensor(static_cast<float>(log->size()));
  };
  const TensorType number{DType::kF32, {}};
  const auto f = [=](const Tensor& x) {
    io_callback(note, number, x);
    const Tensor second = io_callback(note, number, x + 1.f);
    io_callback([log](const Tensor& x) { log->push_back(-x.item<float>()); }, x);
    return second;
  };
  const auto compiled = jit(f);
  for (const auto& run : {std::function<Tensor(const Tensor&)>(f), {compiled}}) {
    log->clear();
    EXPECT_EQ(run(Tensor(3.f)).item<float>(), 2.f);
    EXPECT_EQ(*log, (std::vector<float>{3, 4, -3}));
  }
  log->clear();
  vmap([=](const Tensor& x) { return io_callback(note, number, x); })(arange(0., 3.));
  EXPECT_EQ(*log, (std::vector<float>{0, 1, 2}));
  const auto in_branch = vmap([=](const Tensor& x) {
    return cond(
        x < 1.f, [=](const Tensor& x) { return io_callback(note, number, x); },
        [](const Tensor& x) { return x; }, x);
  });
  EXPECT_THROW(in_branch(arange(0., 3.)), TraceError);
}

TEST(Callback, J_092_errors) {
  const auto wrong = [](const Tensor&) { return zeros({3}); };
  const auto shape = jit([=](const Tensor& x) {
    return pure_callback(wrong, TensorType{DType::kF32, {2}}, x);
  });
  EXPECT_THROW(shape(Tensor(1.f)), ShapeError);
  const auto type = jit([=](const Tensor& x) {
    return pure_callback(wrong, TensorType{DType::kI32, {3}}, x);
  });
  EXPECT_THROW(type(Tensor(1.f)), DTypeError);
  const auto derived = grad([](const Tensor& x) {
    return pure_callback([](const Tensor& x) { return x; }, x.type(), x);
  });
  EXPECT_THROW(derived(Tensor(1.f)), TraceError);

  // What a callback throws leaves the call, and the state is as it was.
  Tensor state = ones({3});
  const auto step = jit([](Tensor& state, const Tensor& x) {
    state = state + x;
    debug::callback(
        [](const Tensor& x) {
          if (x.item<float>() > 1) throw std::runtime_error("enough");
        },
        x);
  });
  step(state, 1.f);
  EXPECT_THROW(step(state, 2.f), std::runtime_error);
  EXPECT_EQ(text_of(state), text_of(full({3}, 2.f)));
}

}  // namespace
}  // namespace linnet::callback_test
