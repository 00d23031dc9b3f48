#include "tests/models/model_golden.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/jit.h"
#include "linnet/nnx/transforms.h"
#include "linnet/parallel.h"
#include "linnet/program_cost.h"
#include "linnet/transforms.h"

namespace linnet::testing {
namespace {

struct Leaf {
  std::string path, text;
  Tensor value;
};

std::string text_of_entry(const SpecEntry& entry) {
  return entry.axes().size() == 1 ? entry.axes()[0] : linnet::to_string(entry);
}

struct MetadataText {
  std::string operator()(std::monostate) const { return "None"; }
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const AxisNames& value) const {
    std::string out;
    for (const SpecEntry& entry : value.names)
      out += (out.empty() ? "" : ",") + text_of_entry(entry);
    return "(" + out + ")";
  }
  template <class T>
  std::string operator()(const T&) const {
    return "?";
  }
};

/// As `_metadata_text` of the recorder: without what every variable has.
std::string text_of(const Metadata& metadata) {
  std::string out;
  for (const auto& [name, value] : metadata.entries()) {
    if (name == "eager_sharding" || name == "linen_meta_type") continue;
    if (std::holds_alternative<std::monostate>(value)) continue;
    out += (out.empty() ? "" : ",") + name + "=" + std::visit(MetadataText{}, value);
  }
  return out;
}

std::string type_of(const Tensor& value) { return type_string(value.dtype(), value.shape()); }

std::vector<Leaf> sorted(std::vector<Leaf> leaves) {
  std::sort(leaves.begin(), leaves.end(),
            [](const Leaf& a, const Leaf& b) { return a.path < b.path; });
  return leaves;
}

/// Slashes within names, as those of weight norms, are not marked.
std::string joined(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& part : path) out += (out.empty() ? "" : "/") + part;
  return out;
}

/// Static entries (graph definitions of wrapped objects) have no counterpart in Flax.
std::vector<Leaf> leaves_of(const linen::Variables& variables) {
  std::vector<Leaf> leaves;
  for (const auto& [path, node] : linen::flat_leaves(variables)) {
    if (node->fixed()) continue;
    std::string text = type_of(node->value());
    if (node->box()) text += " " + node->box()->kind + "(" + text_of(node->box()->metadata) + ")";
    leaves.push_back({joined(path), std::move(text), node->value()});
  }
  return sorted(std::move(leaves));
}

std::vector<Leaf> leaves_of(const nnx::State& state) {
  std::vector<Leaf> leaves;
  for (const auto& [path, leaf] : state.entries()) {
    std::string text = type_of(leaf.value());
    if (leaf.cell) {
      const std::string metadata = text_of(leaf.cell->metadata);
      text += " " + leaf.type()->name() + (metadata.empty() ? "" : " " + metadata);
    }
    leaves.push_back({joined(tree::names(path)), std::move(text), leaf.value()});
  }
  return sorted(std::move(leaves));
}

std::string text_of(const std::vector<Leaf>& leaves) {
  std::string out;
  for (const Leaf& leaf : leaves) out += leaf.path + " " + leaf.text + "\n";
  return out;
}

constexpr int64_t kColumns = 7, kMagnitude = 1, kLargest = 6;

/// As `row` of the recorder.
std::array<double, kColumns> row_of(const std::vector<double>& v) {
  double sum = 0, magnitude = 0, waves = 0, largest = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    sum += v[i];
    magnitude += std::abs(v[i]);
    waves += v[i] * std::cos(static_cast<double>(i));
    largest = std::max(largest, std::abs(v[i]));
  }
  return {sum, magnitude, waves, v.front(), v[v.size() / 2], v.back(), largest};
}

/// @param absolute what each element may differ by in any case.
void expect_row(const Leaf& leaf, const double* expected, double relative, double absolute) {
  const std::vector<double> values = leaf.value.to_vector<double>();
  const auto count = static_cast<double>(values.size());
  // Integers are exact; of their sum with cosines the last bit may be another library's.
  if (!is_floating(leaf.value.dtype())) relative = 1e-15, absolute = 0;
  const std::array<double, kColumns> got = row_of(values);
  for (int64_t i = 0; i < kColumns; ++i) {
    const bool of_all = i < 3;
    const double allowed =
        relative * expected[of_all ? kMagnitude : kLargest] + absolute * (of_all ? count : 1);
    EXPECT_NEAR(got[i], expected[i], allowed) << leaf.path << ", column " << i;
  }
}

void expect_rows(const GoldenFile& golden, const std::string& name, const std::vector<Leaf>& leaves,
                 const RowTolerance& tolerance) {
  const Tensor rows = golden.tensor(name + "/rows");
  ASSERT_EQ(to_string(rows.shape()),
            to_string(Shape{static_cast<int64_t>(leaves.size()), kColumns}))
      << name;
  const std::vector<double> expected = rows.to_vector<double>();
  double largest = 0;
  for (size_t i = 0; i < leaves.size(); ++i)
    if (is_floating(leaves[i].value.dtype()))
      largest = std::max(largest, expected[i * kColumns + kLargest]);
  for (size_t i = 0; i < leaves.size(); ++i)
    expect_row(leaves[i], expected.data() + i * kColumns, tolerance.relative,
               tolerance.of_tree * largest);
}

void expect_tree(const GoldenFile& golden, const std::string& name, const std::vector<Leaf>& leaves,
                 const RowTolerance& tolerance) {
  const std::vector<uint8_t> text = golden.tensor(name + "/tree").to_vector<uint8_t>();
  ASSERT_EQ(text_of(leaves), std::string(text.begin(), text.end())) << name;
  expect_rows(golden, name, leaves, tolerance);
}

/// These models are so small that a second thread costs many times what it brings.
class OneThread {
 public:
  OneThread() { set_num_threads(1); }
  ~OneThread() { set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = num_threads();
};

linen::Variables without_params(linen::Variables variables) {
  variables.children().erase("params");
  return variables;
}

/// The collections that training changes.
linen::CollectionFilter mutable_of(const linen::Variables& rest) {
  std::vector<std::string> names;
  for (const std::string& name : rest.keys())
    if (name != "nnx") names.push_back(name);
  return names;
}

/// A functional model in training mode: outputs and changed collections.
struct FunctionalRun {
  const FunctionalModel& model;
  linen::Variables rest;

  std::pair<Tensor, linen::Variables> operator()(const linen::Variables& params,
                                                 const linen::Variables& state, const Tensor& x,
                                                 const Tensor& t) const {
    linen::Variables all = rest | state;
    all.children()["params"] = params;
    return linen::apply_with(
        {.mutate = mutable_of(rest), .rngs = {{"dropout", random::fold_in(Key(1), t)}}}, model, all,
        x, true);
  }
};

}  // namespace

std::string tree_text(const linen::Variables& variables) { return text_of(leaves_of(variables)); }
std::string tree_text(const nnx::State& state) { return text_of(leaves_of(state)); }
void check_tree(const GoldenFile& golden, const std::string& name, const linen::Variables& tree,
                const RowTolerance& tolerance) {
  expect_tree(golden, name, leaves_of(tree), tolerance);
}
void check_tree(const GoldenFile& golden, const std::string& name, const nnx::State& tree,
                const RowTolerance& tolerance) {
  expect_tree(golden, name, leaves_of(tree), tolerance);
}
void check_rows(const GoldenFile& golden, const std::string& name, const linen::Variables& tree,
                const RowTolerance& tolerance) {
  expect_rows(golden, name, leaves_of(tree), tolerance);
}
void check_rows(const GoldenFile& golden, const std::string& name, const nnx::State& tree,
                const RowTolerance& tolerance) {
  expect_rows(golden, name, leaves_of(tree), tolerance);
}

void check_output(const GoldenFile& golden, const std::string& name, const Tensor& got,
                  double tolerance) {
  const Tensor expected = golden.tensor(name);
  ASSERT_EQ(type_of(got), type_of(expected)) << name;
  const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
  double largest = 0;
  for (const double value : b) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], tolerance * largest) << name << ", element " << i;
}

int64_t training_steps(int64_t recorded) {
  constexpr int64_t kOfEmulation = 3;
  return default_device().type == DeviceType::kCpu ? recorded : std::min(recorded, kOfEmulation);
}

void check_losses(const GoldenFile& golden, const std::string& name, const TensorList& losses) {
  const std::vector<double> expected = golden.tensor(name).to_vector<double>();
  ASSERT_EQ(static_cast<int64_t>(losses.size()),
            training_steps(static_cast<int64_t>(expected.size())))
      << name;
  for (size_t t = 0; t < losses.size(); ++t)
    EXPECT_NEAR(losses[t].item<double>(), expected[t], kLoss * std::max(1.0, expected[t]))
        << name << ", step " << t;
}

/// The memory plan of a training step needs at most a twentieth more than what lives at one time.
/// On other devices values begin at multiples of 256 bytes, of which small models have little else.
void check_memory_plan(const Lowered& program) {
  if (default_device() != Device{}) return;
  const ProgramCost cost = program.cost();
  EXPECT_GT(cost.live_bytes, 0u);
  EXPECT_LE(static_cast<double>(cost.arena_bytes), 1.05 * static_cast<double>(cost.live_bytes))
      << "the arena is far from the most that lives at one time";
}

void check_functional(const GoldenFile& golden, const std::string& name, const ModelTask& task,
                      const FunctionalModel& model) {
  SCOPED_TRACE(name);
  const OneThread one;
  const Tensor x = task.x[0];
  const linen::Variables variables =
      linen::init(model, {{"params", Key(0)}, {"dropout", Key(1)}}, x, false);
  check_tree(golden, name + "/initial", variables, task.initial);
  check_output(golden, name + "/evaluated", linen::apply(model, variables, x, false), kOutput);

  const FunctionalRun run{model, without_params(variables)};
  const auto [out, updates] = run(variables["params"], {}, x, scalar_integer(0, DType::kU32));
  check_output(golden, name + "/trained", out, kOutput);
  if (golden.contains(name + "/updates/rows"))
    check_rows(golden, name + "/updates", updates, kUpdates);

  const auto gradient = [&](const linen::Variables& params, const linen::Variables& state,
                            const Tensor& input, const Tensor& target, const Tensor& t) {
    return value_and_grad([&](const linen::Variables& p) {
      auto [result, changed] = run(p, state, input, t);
      return std::make_pair(task.loss(result, target), changed);
    })(params);
  };
  const auto step =
      jit([&](linen::Variables& params, linen::Variables& state, optim::TransformState& optimizer,
              const Tensor& input, const Tensor& target, const Tensor& t) {
        auto [loss, changed, grads] = gradient(params, state, input, target, t);
        optim::step(task.tx, params, grads, optimizer);
        state = state | changed;
        return std::make_pair(loss, grads);
      });
  linen::Variables params = variables["params"], state = run.rest;
  state.children().erase("nnx");
  optim::TransformState optimizer = task.tx.init(params);
  TensorList losses;
  for (int64_t t = 0; t < training_steps(50); ++t) {
    const int64_t batch = t % task.x.shape(0);
    const auto [loss, grads] = step(params, state, optimizer, task.x[batch], task.target[batch],
                                    scalar_integer(t, DType::kU32));
    if (t == 0) check_rows(golden, name + "/gradients", grads, kGradient);
    losses.push_back(loss);
  }
  check_losses(golden, name + "/losses", losses);
  check_memory_plan(step.lower(params, state, optimizer, task.x[0], task.target[0],
                               scalar_integer(0, DType::kU32)));
  EXPECT_EQ(step.trace_count(), 1u);
}

void check_object(const GoldenFile& golden, const std::string& name, const ModelTask& task,
                  const std::function<ObjectModel()>& make) {
  SCOPED_TRACE(name);
  const OneThread one;
  ObjectModel model = make();
  check_tree(golden, name + "/initial", model.state, task.initial);
  check_output(golden, name + "/evaluated", model.call(task.x[0], false), kOutput);

  model = make();
  check_output(golden, name + "/trained", model.call(task.x[0], true), kOutput);
  if (golden.contains(name + "/updates/rows")) {
    const auto rest =
        nnx::split_state(model.state, {nnx::of_type<nnx::Param>(), nnx::everything()})[1];
    check_rows(golden, name + "/updates", rest, kUpdates);
  }

  model = make();
  optim::Optimizer optimizer(model.state, task.tx);
  const auto step = jit([&](const Tensor& input, const Tensor& target) {
    auto [loss, grads] = nnx::value_and_grad(
        [&](nnx::State&) { return task.loss(model.call(input, true), target); }, model.state);
    optimizer.update(model.state, grads);
    return std::make_pair(loss, grads);
  });
  TensorList losses;
  for (int64_t t = 0; t < training_steps(50); ++t) {
    const int64_t batch = t % task.x.shape(0);
    const auto [loss, grads] = step(task.x[batch], task.target[batch]);
    if (t == 0) check_rows(golden, name + "/gradients", grads, kGradient);
    losses.push_back(loss);
  }
  check_losses(golden, name + "/losses", losses);
  check_memory_plan(step.lower(task.x[0], task.target[0]));
  EXPECT_EQ(step.trace_count(), 1u);
}

}  // namespace linnet::testing
