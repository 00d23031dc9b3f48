// shard_map: values and derivatives of programs for many positions against those on whole arrays.
#include "linnet/shard_map.h"

#include "linnet/collectives.h"
#include "linnet/control_flow.h"
#include "linnet/jit.h"
#include "linnet/sharding.h"
#include "tests/core/sharding_support.h"

namespace linnet::shard_map_test {
namespace {

using test::expect_facts;
using test::mesh_of;

void expect_equal(const Tensor& got, const Tensor& wanted, const char* what) {
  ASSERT_EQ(to_string(got.type()), to_string(wanted.type())) << what;
  const auto a = got.to_vector<double>(), b = wanted.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 1e-5 * std::max(1.0, std::abs(b[i]))) << what << ", element " << i;
}
Tensor wave(const Shape& shape) {
  return astype(sin(1 + 2.3 * arange(element_count(shape))), DType::kF32).reshape(shape);
}

using List = std::vector<Tensor>;
using Body = std::function<Tensor(const List&)>;

/// A program for one position, the specs of its operands and of its result, and the same on whole
/// arrays.
struct Program {
  const char* name;
  Body body;
  std::vector<PartitionSpec> in;
  PartitionSpec out;
  Body whole;
  List operands;
};

Tensor mapped(const Program& p, const Mesh& mesh, const List& x, bool check) {
  const ShardMapOptions options{
      .mesh = mesh, .in_specs = p.in, .out_specs = {p.out}, .check = check};
  if (x.size() == 1) return shard_map([&](const Tensor& a) { return p.body({a}); }, options)(x[0]);
  return shard_map(
      [&](const Tensor& a, const Tensor& b) {
        return p.body({a, b});
      },
      options)(x[0], x[1]);
}

std::vector<Program> programs() {
  const auto same = [](const List& x) { return x[0]; };
  const Tensor m = wave({8, 4}), n = wave({4, 6});
  return {
      {"identity", same, {P("x", "y")}, P("x", "y"), same, {m}},
      {"two axes of one dimension", same, {P(axes("y", "x"))}, P(axes("y", "x")), same, {m}},
      {"blocks elsewhere",
       same,
       {P("x", "y")},
       P("y", "x"),
       [](const List& x) {
         // Block (i, j) of [2, 2] goes to where block (j, i) of an [4, 8] array is.
         return reshape(transpose(reshape(x[0], {4, 2, 2, 2}), {2, 1, 0, 3}), {4, 8});
       },
       {m}},
      {"sum",
       [](const List& x) { return psum(x[0], "x"); },
       {P("x")},
       P(),
       [](const List& x) {
         return sum(reshape(x[0], {4, 2, 4}), 0);
       },
       {m}},
      {"inner product",
       [](const List& x) { return psum(matmul(x[0], x[1]), "y"); },
       {P("x", "y"), P("y")},
       P("x"),
       [](const List& x) { return matmul(x[0], x[1]); },
       {m, n}},
      {"gathered",
       [](const List& x) { return matmul(x[0], all_gather(x[1], "y", {.tiled = true})); },
       {P("x"), P("y")},
       P("x"),
       [](const List& x) { return matmul(x[0], x[1]); },
       {m, n}},
      {"positions",
       [](const List& x) {
         return x[0] * axis_index({"x", "y"});
       },
       {P(axes("x", "y"))},
       P(axes("x", "y")),
       [](const List& x) {
         return x[0] * reshape(arange(8), {8, 1});
       },
       {m}},
      {"shifted",
       [](const List& x) {
         return ppermute(x[0], "x", {{0, 1}, {1, 2}, {2, 3}, {3, 0}});
       },
       {P("x")},
       P("x"),
       [](const List& x) { return roll(x[0], 2, 0); },
       {m}},
      {"replicated operand",
       [](const List& x) { return x[0] * x[1]; },
       {P("x"), P()},
       P("x"),
       [](const List& x) { return x[0] * x[1]; },
       {m, wave({4})}},
  };
}

TEST(ShardMap, J_094_S_230_S_233_S_234_S_238_programs_are_those_on_whole_arrays) {
  const Mesh mesh = mesh_of({4, 2}, {"x", "y"});
  for (const Program& p : programs()) {
    expect_equal(mapped(p, mesh, p.operands, true), p.whole(p.operands), p.name);
    const auto compiled = jit([&](const List& x) { return mapped(p, mesh, x, true); });
    expect_equal(compiled(p.operands), p.whole(p.operands), p.name);
    const auto loss = [&](const auto& f) {
      return [f](const List& x) { return sum(square(f(x)) * 0.5); };
    };
    const List got =
        grad(loss([&](const List& x) { return mapped(p, mesh, x, true); }))(p.operands);
    const List wanted = grad(loss(p.whole))(p.operands);
    for (size_t i = 0; i < got.size(); ++i) expect_equal(got[i], wanted[i], p.name);
  }
}

TEST(ShardMap, J_094_S_230_one_device_and_trees) {
  const Mesh mesh = make_mesh({1}, "x");
  const auto f = [](const std::pair<Tensor, Tensor>& x, const Tensor& y) {
    return std::pair(x.first + y, psum(x.second, "x"));
  };
  const auto g =
      shard_map(f, {.mesh = mesh, .in_specs = {P("x"), P()}, .out_specs = {P("x"), P()}});
  const auto [a, b] = g(std::pair(arange(3), arange(2)), Tensor(10));
  EXPECT_EQ(a.to_vector<int>(), (std::vector<int>{10, 11, 12}));
  EXPECT_EQ(b.to_vector<int>(), (std::vector<int>{0, 1}));
  const MeshScope scope = set_mesh(mesh);
  const auto current = shard_map([](const Tensor& x) { return axis_index("x") + x; },
                                 {.in_specs = {P("x")}, .out_specs = {P("x")}});
  EXPECT_EQ(current(arange(2)).to_vector<int>(), (std::vector<int>{0, 1}));
  const Mesh other = mesh_of({2}, "x");
  expect_facts<MeshError>(
      [&] {
        shard_map([](const Tensor& x) { return x; },
                  {.mesh = other, .in_specs = {P("x")}, .out_specs = {P("x")}})(arange(2));
      },
      {"is not the current one"});
}

TEST(ShardMap, J_094_S_231_S_232_S_263_what_does_not_fit) {
  const Mesh mesh = mesh_of({4, 2}, {"x", "y"});
  const Tensor m = wave({8, 4});
  const auto with = [&](std::vector<PartitionSpec> in, std::vector<PartitionSpec> out,
                        bool check = true, Mesh on = {}) {
    return [=] {
      shard_map(
          [](const Tensor& x) { return x * 1; },
          {.mesh = on.empty() ? mesh : on, .in_specs = in, .out_specs = out, .check = check})(m);
    };
  };
  expect_facts<MeshError>(
      [&] {
        shard_map([](const Tensor& x) { return x; }, {.in_specs = {P()}, .out_specs = {P()}})(m);
      },
      {"there is no mesh", "set_mesh"});
  expect_facts<UnknownAxisError>(with({P("z")}, {P()}), {"'z'", "'x': 4"});
  expect_facts<UnknownAxisError>(with({P("x")}, {P("z")}), {"'z'"});
  expect_facts<SpecRankError>(with({P("x", kNone, "y")}, {P("x")}), {"P('x', None, 'y')"});
  expect_facts<SpecRankError>(with({P("x")}, {P("x", kNone, kNone)}), {"result 0", "f32[2,4]"});
  expect_facts<IndivisibleError>(with({P(kNone, axes("x", "y"))}, {P()}), {"dimension 1", "8"});
  expect_facts<SpecError>(with({P(kUnconstrained)}, {P()}), {"leaves a dimension open"});
  expect_facts<ValueError>(with({P(), P()}, {P()}), {"in_specs has 2 specs for 1 argument"});
  expect_facts<ValueError>(with({P("x", "y")}, {P("x")}),
                           {"P('x',)", "result 0", "leaves out axis 'y'", ".check = false"});
  // Without the check the first position's block is taken.
  const auto first =
      shard_map([](const Tensor& x) { return x; },
                {.mesh = mesh, .in_specs = {P("x", "y")}, .out_specs = {P("x")}, .check = false});
  expect_equal(first(m), slice_axis(m, 0, 2, 1), "unchecked");
}

TEST(ShardMap, S_235_other_transformations_inside) {
  const Mesh mesh = mesh_of({4, 2}, {"x", "y"});
  const Tensor m = wave({8, 4}), n = wave({4, 6});
  const auto product = [](const Tensor& a, const Tensor& b) { return psum(matmul(a, b), "y"); };
  const auto whole = [](const List& x) { return matmul(x[0], x[1]); };
  const std::vector<PartitionSpec> in{P("x", "y"), P("y")};
  const std::vector<Program> bodies{
      {"remat",
       [&](const List& x) { return checkpoint(product)(x[0], x[1]); },
       in,
       P("x"),
       whole,
       {m, n}},
      {"vmap",
       [&](const List& x) {
         return vmap([&](const Tensor& row) { return product(row, x[1]); })(x[0]);
       },
       in,
       P("x"),
       whole,
       {m, n}},
      {"scan",
       [&](const List& x) {
         const auto step = [&](const Tensor& turn, const Tensor& row) {
           return std::pair(turn + 1.f, product(row, x[1]));
         };
         return scan(step, Tensor(0.f), x[0]).second;
       },
       in,
       P("x"),
       whole,
       {m, n}},
      {"cond",
       [&](const List& x) {
         const Tensor odd = equal(mod(axis_index("x"), 2), 1);
         return cond(
             odd, [](const Tensor& t) { return -t; }, [](const Tensor& t) { return t; }, x[0]);
       },
       {P("x", "y")},
       P("x", "y"),
       [](const List& x) {
         const Tensor signs = where(equal(mod(floor_divide(arange(8), 2), 2), 1), -1.f, 1.f);
         return x[0] * reshape(signs, {8, 1});
       },
       {m}},
      {"grad",
       [](const List& x) { return grad([](const Tensor& t) { return sum(sin(t)); })(x[0]); },
       {P("x", "y")},
       P("x", "y"),
       [](const List& x) { return cos(x[0]); },
       {m}}};
  for (const Program& p : bodies) {
    const auto run = [&](const List& x) { return mapped(p, mesh, x, true); };
    expect_equal(run(p.operands), p.whole(p.operands), p.name);
    expect_equal(jit(run)(p.operands), p.whole(p.operands), p.name);
    const auto loss = [](const auto& f) {
      return [f](const List& x) { return sum(square(f(x))); };
    };
    const List got = grad(loss(run))(p.operands), wanted = grad(loss(p.whole))(p.operands);
    for (size_t i = 0; i < got.size(); ++i) expect_equal(got[i], wanted[i], p.name);
  }
  // Each row of positions turns as often as its number says.
  const Program loop{
      "while",
      [](const List& x) {
        const auto turned = while_loop(
            [](const std::pair<Tensor, Tensor>& c) { return less(c.first, axis_index("x")); },
            [](const std::pair<Tensor, Tensor>& c) {
              return std::pair(c.first + 1, c.second * 2.f);
            },
            std::pair(zeros({}, DType::kI32), x[0]));
        return turned.second;
      },
      {P("x")},
      P("x"),
      [](const List& x) {
        const Tensor turns = astype(floor_divide(arange(8), 2), DType::kF32);
        return x[0] * reshape(exp2(turns), {8, 1});
      },
      {m}};
  expect_equal(mapped(loop, mesh, loop.operands, true), loop.whole(loop.operands), loop.name);
}

TEST(ShardMap, S_235_other_transformations_around) {
  const Mesh mesh = mesh_of({4, 2}, {"x", "y"});
  const auto product =
      shard_map([](const Tensor& a, const Tensor& b) { return psum(matmul(a, b), "y"); },
                {.mesh = mesh, .in_specs = {P("x", "y"), P("y")}, .out_specs = {P("x")}});
  const Tensor many = wave({3, 8, 4}), n = wave({4, 6});
  const Tensor wanted = matmul(many, n);
  const auto batched = vmap([&](const Tensor& a) { return product(a, n); });
  expect_equal(batched(many), wanted, "vmap");
  const auto loss = [](const auto& f) {
    return [f](const Tensor& a) { return sum(square(f(a))); };
  };
  const Tensor slope = grad(loss([&](const Tensor& a) { return matmul(a, n); }))(many);
  expect_equal(grad(loss(batched))(many), slope, "grad of vmap");
  const auto looped = [&](const Tensor& all) {
    return scan([&](const Tensor& c, const Tensor& a) { return std::pair(c, product(a, n)); },
                Tensor(0.f), all)
        .second;
  };
  expect_equal(looped(many), wanted, "scan");
  expect_equal(grad(loss(looped))(many), slope, "grad of scan");
  const auto again = checkpoint([&](const Tensor& a) { return product(a, n); });
  const Tensor first = many[0];
  expect_equal(grad(loss(again))(first), slope[0], "remat");
  const auto chosen = jit([&](const Tensor& flag, const Tensor& a) {
    return cond(
        flag, [&](const Tensor& t) { return product(t, n); },
        [&](const Tensor& t) { return product(-t, n); }, a);
  });
  expect_equal(chosen(Tensor(true), first), wanted[0], "cond");
  expect_equal(chosen(Tensor(false), first), -wanted[0], "cond");
  const auto twice = while_loop([](const std::pair<Tensor, Tensor>& c) { return less(c.first, 2); },
                                [&](const std::pair<Tensor, Tensor>& c) {
                                  return std::pair(c.first + 1, c.second + product(first, n));
                                },
                                std::pair(zeros({}, DType::kI32), zeros({8, 6})));
  expect_equal(twice.second, wanted[0] * 2.f, "while");
}

TEST(ShardMap, S_237_S_239_S_264_collectives_that_fit_nothing) {
  const Mesh mesh = mesh_of({4, 2}, {"x", "y"});
  const auto run = [&](const std::function<Tensor(const Tensor&)>& body) {
    return [&mesh, body] {
      shard_map(body, {.mesh = mesh, .in_specs = {P("x")}, .out_specs = {P("x")}})(wave({8, 4}));
    };
  };
  expect_facts<UnknownAxisError>([] { psum(ones({2}), "x"); },
                                 {"psum: no axis 'x' here; bound are: none"});
  expect_facts<UnknownAxisError>(run([](const Tensor& a) { return psum(a, "z"); }),
                                 {"no axis 'z' here", "'x' of size 4", "'y' of size 2"});
  const auto sent = [&](std::vector<std::pair<int64_t, int64_t>> pairs) {
    return run([pairs](const Tensor& a) { return ppermute(a, "x", pairs); });
  };
  expect_facts<ValueError>(sent({{0, 1}, {4, 0}}), {"(4, 0)", "'x', which has 4"});
  expect_facts<ValueError>(sent({{0, -1}}), {"(0, -1)"});
  expect_facts<ValueError>(sent({{0, 1}, {2, 1}}), {"two pairs have one destination"});
  expect_facts<ValueError>(sent({{0, 1}, {0, 2}}), {"two pairs have one source"});
}

}  // namespace
}  // namespace linnet::shard_map_test
