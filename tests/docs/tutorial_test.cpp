// The pieces of docs/tutorial.md that need tensors and transformations only.
#include <iostream>

#include "linnet/core.h"
#include "linnet/random.h"
#include "tests/docs/documents.h"

namespace {

using namespace linnet;

class Tutorial : public docs::Snippet {};

TEST_F(Tutorial, first_tensor) {
  // [first-tensor]
  Tensor x = tensor({1.f, 2.f, 3.f});
  Tensor y = x * 2 + 1;
  std::cout << y << "\n";
  std::cout << sum(y).item<float>() << "\n";
  // [first-tensor]
}

TEST_F(Tutorial, making_tensors) {
  // [making-tensors]
  Tensor table = tensor({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});   // rows
  Tensor ramp = arange(6).reshape({2, 3});                     // i32: 0, 1, …, 5
  Tensor grid = linspace(0, 1, 5);                             // both ends included
  std::vector<double> values{0.5, 1.5};
  Tensor copied = from_vector(values, {2, 1});                 // f64[2,1]
  std::cout << to_string(table.type()) << " " << to_string(ramp.type()) << "\n";
  std::cout << grid << "\n" << copied << "\n";
  std::vector<float> host = table.to_vector<float>();          // copies out, row by row
  std::cout << host[5] << "\n";
  // [making-tensors]
}

TEST_F(Tutorial, promotion) {
  // [promotion]
  Tensor count = tensor({1, 2, 3});                            // i32[3]
  Tensor byte = count.astype(DType::kU8);
  Tensor brain = count.astype(DType::kBF16);
  std::cout << name_of((count * 2).dtype()) << "\n";           // a literal adapts
  std::cout << name_of((count * 0.5).dtype()) << "\n";         // a float literal with integers: f32
  std::cout << name_of((brain * 0.5).dtype()) << "\n";         // and with bf16: bf16
  std::cout << name_of((byte + count).dtype()) << "\n";
  std::cout << name_of((brain + ones({3})).dtype()) << "\n";   // two strong types: the wider
  std::cout << name_of((count / count).dtype()) << "\n";       // / is true division
  // [promotion]
}

TEST_F(Tutorial, views) {
  // [views]
  Tensor x = arange(12).reshape({3, 4});
  Tensor column = slice(x, {0, 1}, {3, 2});                    // x[:, 1:2]
  Tensor turned = x.transpose();
  std::cout << column << "\n";
  std::cout << to_string(turned.shape()) << " strides " << to_string(turned.strides()) << "\n";
  std::cout << x[-1] << "\n";                                  // the last row
  std::cout << take(x, tensor({2, 0})) << "\n";                // chosen rows
  // [views]
}

TEST_F(Tutorial, immutable) {
  // [immutable]
  Tensor x = zeros({4});
  Tensor y = index_set(x, tensor({1, 3}), tensor({5.f, 7.f}));
  std::cout << x << "\n" << y << "\n";
  std::cout << where(y > 6, y, -1) << "\n";
  // [immutable]
}

TEST_F(Tutorial, random_keys) {
  // [random-keys]
  Key key(42);
  Key parts = random::split(key);                              // two independent keys
  Tensor noise = random::normal(parts[0], {2, 3});
  Tensor again = random::normal(parts[0], {2, 3});             // the same key: the same numbers
  Tensor mask = random::bernoulli(parts[1], 0.5, Shape{5});
  std::cout << all(noise == again) << "\n";
  std::cout << mask << "\n";
  std::cout << random::permutation(random::fold_in(key, 7), 5) << "\n";
  // [random-keys]
}

TEST_F(Tutorial, grad) {
  // [grad]
  auto f = [](const Tensor& x) { return sum(x * x * x); };
  Tensor x = tensor({1.f, 2.f, 3.f});
  std::cout << grad(f)(x) << "\n";                             // 3 x²
  auto [value, gradient] = value_and_grad(f)(x);
  std::cout << value.item<float>() << "\n";
  std::cout << hessian(f)(x) << "\n";                          // 6 x on the diagonal
  // [grad]
}

TEST_F(Tutorial, grad_arguments) {
  // [grad-arguments]
  auto loss = [](const Tensor& w, const Tensor& b, const Tensor& x) {
    Tensor y = matmul(x, w) + b;
    return std::make_pair(mean(square(y)), y);                 // the loss, and something to keep
  };
  Tensor w = tensor({{1.f}, {2.f}}), b = zeros({1}), x = tensor({{1.f, 1.f}, {2.f, 0.f}});
  auto [value, y, gradients] = value_and_grad<0, 1>(loss)(w, b, x);
  auto [dw, db] = gradients;
  std::cout << value.item<float>() << "\n" << y << "\n" << dw << "\n" << db << "\n";
  // [grad-arguments]
}

TEST_F(Tutorial, forward_reverse) {
  // [forward-reverse]
  auto f = [](const Tensor& x) { return x * x; };
  Tensor x = tensor({1.f, 2.f});
  auto [y, tangent] = jvp(f, x, tensor({1.f, 0.f}));           // forward: one direction in
  auto [z, pullback] = vjp(f, x);                              // reverse: one weighting back
  std::cout << tangent << "\n" << pullback(ones({2})) << "\n";
  std::cout << jacrev(f)(x) << "\n";
  // [forward-reverse]
}

TEST_F(Tutorial, custom_rule) {
  // [custom-rule]
  // The identity, whose gradient is cut to [-1, 1].
  auto gentle = custom_vjp([](const Tensor& x) { return x; },
                           [](const Tensor& x) { return std::make_pair(x, x); },
                           [](const Tensor&, const Tensor& ct) { return clip(ct, -1, 1); });
  auto f = [&](const Tensor& x) { return sum(10 * gentle(x)); };
  std::cout << grad(f)(tensor({1.f, 2.f})) << "\n";
  // [custom-rule]
}

TEST_F(Tutorial, vmap) {
  // [vmap]
  auto distance = [](const Tensor& a, const Tensor& b) { return sqrt(sum(square(a - b))); };
  Tensor points = tensor({{0.f, 0.f}, {3.f, 4.f}, {6.f, 8.f}});
  Tensor origin = zeros({2});
  // One axis per argument: the points along axis 0, the origin the same for all.
  std::cout << vmap(distance, {.in_axes = {0, kNone}})(points, origin) << "\n";
  // Transformations nest: all pairs, and a gradient per point.
  auto row = [&](const Tensor& a) {
    return vmap(distance, {.in_axes = {kNone, 0}})(a, points);
  };
  std::cout << vmap(row)(points) << "\n";
  auto height = [](const Tensor& p) { return sum(p * p) / 2; };
  std::cout << vmap(grad(height))(points) << "\n";
  // [vmap]
}

TEST_F(Tutorial, named_axes) {
  // [named-axes]
  auto centred = [](const Tensor& x) { return x - pmean(x, "batch"); };
  Tensor rows = tensor({{1.f, 10.f}, {2.f, 20.f}, {6.f, 30.f}});
  std::cout << vmap(centred, {.axis_name = "batch"})(rows) << "\n";
  auto passed_on = [](const Tensor& x) {
    return ppermute(x, "ring", {{0, 1}, {1, 2}, {2, 0}});       // from, to
  };
  std::cout << vmap(passed_on, {.axis_name = "ring"})(rows) << "\n";
  // The gradient of a data-parallel step: each element has an example, all have the weights.
  auto loss = [](const Tensor& w, const Tensor& x) { return square(sum(w * x)); };
  Tensor w = tensor({3.f, 0.f});
  auto gradient = [&](const Tensor& x) { return pmean(grad(loss)(w, x), "batch"); };
  std::cout << vmap(gradient, {.out_axes = {kNone}, .axis_name = "batch"})(rows) << "\n";
  // [named-axes]
}

TEST_F(Tutorial, jit) {
  // [jit]
  int traced = 0;
  auto f = jit([&](const Tensor& x, const Tensor& w) {
    ++traced;
    return tanh(matmul(x, w)) * 2 + 1;
  });
  Tensor w = ones({4, 2});
  f(ones({3, 4}), w);
  f(zeros({3, 4}), w);                                         // same types: runs the program again
  f(ones({5, 4}), w);                                          // another shape: traced anew
  std::cout << traced << " " << f.trace_count() << "\n";
  std::cout << f.lower(ones({3, 4}), w).text();
  // [jit]
}

TEST_F(Tutorial, jit_state) {
  // [jit-state]
  auto step = jit([](Tensor& average, const Tensor& x) {
    average = average * 0.5 + x * 0.5;                         // T&: the caller sees the new value
    return max(x);
  });
  Tensor average = zeros({3});
  step(average, tensor({2.f, 4.f, 6.f}));
  Tensor largest = step(average, tensor({2.f, 4.f, 6.f}));
  std::cout << average << " " << largest.item<float>() << "\n";
  // [jit-state]
}

TEST_F(Tutorial, scan) {
  // [scan]
  auto f = jit([](const Tensor& w, const Tensor& xs) {
    auto [last, states] = scan([&](const Tensor& h, const Tensor& x) {
      Tensor next = tanh(h * w + x);
      return std::pair(next, next);                            // the new carry, and what is stacked
    }, zeros({2}), xs);
    return states;
  });
  std::cout << f(ones({2}), ones({3, 2})) << "\n";
  // [scan]
}

TEST_F(Tutorial, branches) {
  // [branches]
  Tensor root = while_loop([](const Tensor& x) { return abs(x * x - 2) > 1e-6; },
                           [](const Tensor& x) { return 0.5 * (x + 2 / x); }, 1.0);
  Tensor power = fori_loop(0, 3, [](const Tensor& i, const Tensor& x) { return x * (i + 2); }, 1.0);
  Tensor x(-4.f);
  Tensor safe = cond(x > 0, [&] { return sqrt(x); }, [&] { return zeros_like(x); });
  auto name = [](const Tensor& i) {
    return switch_case(i, std::tuple([] { return Tensor(10); }, [] { return Tensor(20); }));
  };
  std::cout << root.item<float>() << " " << power.item<float>() << " " << safe.item<float>() << "\n";
  std::cout << vmap(name)(tensor({0, 1, 7})) << "\n";           // numbers out of range are clamped
  // [branches]
}

TEST_F(Tutorial, scan_gradient) {
  // [scan-gradient]
  auto loss = [](const Tensor& w, const Tensor& xs) {
    auto step = [&](const Tensor& h, const Tensor& x) { return tanh(h * w + x); };
    return sum(scan([&](const Tensor& h, const Tensor& x) {
      return std::pair(checkpoint(step)(h, x), std::tuple<>());  // nothing to stack
    }, zeros({2}), xs).first);
  };
  std::cout << grad(loss)(ones({2}), ones({3, 2})) << "\n";
  // [scan-gradient]
}

// [trees]
struct Layer {
  Tensor kernel, bias;
  LINNET_FIELDS(kernel, bias)
};

struct Network {
  std::vector<Layer> layers;
  int64_t classes = 2;
  LINNET_FIELDS(layers, classes)
};

Network make_network() {
  return {{{ones({3, 4}), zeros({4})}, {ones({4, 2}), zeros({2})}}, 2};
}
// [trees]

TEST_F(Tutorial, walking_trees) {
  // [walking-trees]
  Network net = make_network();
  for (const auto& [path, leaf] : tree::leaves_with_path(net)) {
    std::cout << path << " " << to_string(leaf.type()) << "\n";
  }
  Network half = tree::map(net, [](const Tensor& t) { return t.astype(DType::kF16); });
  std::cout << to_string(half.layers[0].kernel.type()) << "\n";
  // [walking-trees]
}

TEST_F(Tutorial, tree_gradients) {
  // [tree-gradients]
  auto loss = [](const Network& net, const Tensor& x) {
    Tensor h = tanh(matmul(x, net.layers[0].kernel) + net.layers[0].bias);
    return mean(matmul(h, net.layers[1].kernel) + net.layers[1].bias);
  };
  Network net = make_network();
  Network gradient = grad(loss)(net, zeros({1, 3}));           // a Network of gradients
  std::cout << gradient.layers[1].bias << "\n";
  Network next = tree::map(net, gradient,
                           [](const Tensor& p, const Tensor& g) { return p - 0.1 * g; });
  std::cout << next.layers[1].bias << "\n";
  // [tree-gradients]
}

TEST_F(Tutorial, errors) {
  // [errors]
  try {
    matmul(ones({32, 784}), ones({512, 10}));
  } catch (const ShapeError& error) {                          // every error is a linnet::Error
    std::cout << error.what() << "\n";
  }
  // [errors]
}

}  // namespace
