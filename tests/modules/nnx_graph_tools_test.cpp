// Walks over models and states: modules, nodes, duplicates, maps, filters, plain dictionaries, pure
// calls, threads, and saving and loading.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <variant>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/safetensors.h"
#include "linnet/nnx.h"
#include "linnet/nnx_tools.h"
#include "tests/modules/error_message.h"

namespace linnet::nnx_graph_tools_test {
namespace {

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }
struct Block {
  nnx::Linear up;
  nnx::Dropout drop;
  int64_t depth = 1;
  explicit Block(nnx::Rngs& rngs) : up(2, 2, rngs), drop(0.5, rngs) {}
  LINNET_FIELDS(up, drop, depth)
  Tensor operator()(const Tensor& x) { return drop(up(x)); }
};
struct Net {
  std::vector<Block> blocks;
  nnx::Shared<nnx::Linear> first, last;
  nnx::Param scale;
  Tensor table;
  explicit Net(nnx::Rngs& rngs)
      : first(nnx::Shared<nnx::Linear>::make(2, 2, rngs)),
        last(first),
        scale(ones({2})),
        table(ones({3})) {
    for (int i = 0; i < 2; ++i) blocks.emplace_back(rngs);
  }
  LINNET_FIELDS(blocks, first, last, scale, table)
  Tensor operator()(const Tensor& x) {
    Tensor y = (*first)(x);
    for (Block& block : blocks) y = block(y);
    return (*last)(y)*scale;
  }
};
Net make() {
  nnx::Rngs rngs(0);
  return Net(rngs);
}

std::string listed(const nnx::ModuleList& modules) {
  std::string out;
  for (const auto& [path, module] : modules)
    out += tree::to_string(path) + ":" + module.type_name() + " ";
  return out;
}

TEST(NnxGraphTools, N_039_modules_of_a_model) {
  Net model = make();
  EXPECT_EQ(listed(nnx::iter_modules(model)),
            "blocks/0/up:Linear blocks/0/drop:Dropout blocks/0:Block "
            "blocks/1/up:Linear blocks/1/drop:Dropout blocks/1:Block first:Linear :Net ")
      << "inner ones first, shared ones once, no random streams";
  EXPECT_EQ(listed(nnx::iter_module_children(model)),
            "blocks/0:Block blocks/1:Block first:Linear ");
  for (const auto& [path, module] : nnx::iter_modules(model)) {
    if (auto* drop = module.as<nnx::Dropout>()) drop->deterministic = true;
    EXPECT_EQ(module.as<nnx::Conv>(), nullptr);
  }
  EXPECT_TRUE(model.blocks[1].drop.deterministic);
  int linears = 0;
  nnx::for_each_module(std::as_const(model), [&](const tree::Path&, const auto& module) {
    linears += std::is_same_v<std::remove_cvref_t<decltype(module)>, nnx::Linear>;
  });
  EXPECT_EQ(linears, 3);
  // All children, also those that are no modules, are the first steps of paths; what is shared is
  // listed once.
  std::set<std::string> children;
  for (const nnx::GraphItem& item : nnx::iter_graph(model)) {
    if (!item.path.empty()) children.insert(tree::to_string(item.path[0]));
  }
  EXPECT_EQ(children, (std::set<std::string>{"blocks", "first", "scale", "table"}));
}

TEST(NnxGraphTools, N_049_pure_calls) {
  Net model = make();
  nnx::eval(model);
  const Tensor x = ones({1, 2});
  auto [graphdef, state] = nnx::split(model);
  auto [y, parts] = nnx::call<Net>(graphdef, state)([&](Net& m) { return m(x); });
  EXPECT_EQ(floats(y), floats(model(x)));
  // What the call changes is in the new state only.
  const auto grow = [](const nnx::GraphDef& definition, const nnx::State& s, const Tensor& v) {
    auto [out, changed] = nnx::call<Net>(definition, s)([&](Net& m) {
      m.scale = m.scale + 1;
      return m.blocks[1].up(v);
    });
    return std::make_pair(out, std::get<1>(changed));
  };
  const auto [part, next] = grow(graphdef, state, x);
  EXPECT_EQ(floats(part), floats(model.blocks[1].up(x)));
  EXPECT_EQ(floats(next["scale"])[0], 2);
  EXPECT_EQ(floats(model.scale)[0], 1);
  const auto compiled = jit([&, definition = graphdef](const nnx::State& s, const Tensor& v) {
    return grow(definition, s, v);
  });
  nnx::State carried = state;
  for (int i = 0; i < 3; ++i) carried = compiled(carried, x).second;
  EXPECT_EQ(floats(carried["scale"])[0], 4);
  EXPECT_EQ(compiled.trace_count(), 1u);
  // States may come in parts, in any order.
  auto [definition, params, rest] =
      nnx::split(model, nnx::of_type<nnx::Param>(), nnx::everything());
  EXPECT_EQ(floats(nnx::call<Net>(definition, rest, params)([&](Net& m) { return m(x); }).first),
            floats(y));
}

TEST(NnxGraphTools, N_055_mapped_leaves) {
  Net model = make();
  std::vector<std::string> paths;
  const Net half = nnx::map(model, [&](const tree::Path& path, const nnx::StateLeaf& leaf) {
    paths.push_back(tree::to_string(path));
    return leaf.type() && leaf.type()->is(nnx::Param::static_type()) ? leaf.value() * 0.5f
                                                                     : leaf.value();
  });
  EXPECT_EQ(paths.size(), nnx::state(model).size());
  EXPECT_EQ(floats(half.scale)[0], 0.5);
  EXPECT_EQ(floats(half.table)[0], 1);
  EXPECT_EQ(floats(model.scale)[0], 1);
  EXPECT_EQ(&*half.first, &*half.last) << "sharing stays";
  const nnx::Param w(ones({2}), {{"tag", std::string("a")}});
  const nnx::Param doubled =
      nnx::map(w, [](const tree::Path&, const nnx::StateLeaf& leaf) { return leaf.value() * 2; });
  EXPECT_EQ(floats(doubled)[0], 2);
  EXPECT_EQ(*doubled.metadata().get<std::string>("tag"), "a");
  EXPECT_EQ(floats(w)[0], 1);
}

struct Choice {
  std::variant<nnx::Linear, nnx::Einsum> layer;
  int64_t visits = 0;
  LINNET_FIELDS(layer, visits)
};
struct Chooser {
  std::vector<Choice> choices;
  nnx::Shared<Choice> first, second;
  LINNET_FIELDS(choices, first, second)
};

TEST(NnxGraphTools, N_056_nodes_are_rewritten_in_a_copy) {
  nnx::Rngs rngs(0);
  Chooser model;
  for (int i = 0; i < 2; ++i) model.choices.push_back({nnx::Linear(2, 2, rngs)});
  model.first = nnx::Shared<Choice>::make(nnx::Linear(2, 2, rngs));
  model.second = model.first;
  std::string order;
  Chooser out = nnx::recursive_map(model, [&](const tree::Path& path, auto& node) {
    using Node = std::remove_cvref_t<decltype(node)>;
    if constexpr (std::is_same_v<Node, Choice>) ++node.visits;
    if constexpr (std::is_same_v<Node, std::variant<nnx::Linear, nnx::Einsum>>) {
      order += tree::to_string(path) + " ";
      if (path[0].name == "first") node = nnx::Einsum("ab,bc->ac", {2, 3}, {}, rngs);
    }
  });
  EXPECT_EQ(order, "choices/0/layer choices/1/layer first/layer ");
  EXPECT_EQ(out.first->visits, 1) << "a shared node is visited once";
  EXPECT_EQ(&*out.first, &*out.second);
  EXPECT_TRUE(std::holds_alternative<nnx::Einsum>(out.second->layer));
  EXPECT_TRUE(std::holds_alternative<nnx::Linear>(model.first->layer)) << "the model is untouched";
  EXPECT_EQ(model.choices[0].visits, 0);
  EXPECT_EQ(std::get<nnx::Linear>(out.choices[1].layer).kernel.cell(),
            std::get<nnx::Linear>(model.choices[1].layer).kernel.cell())
      << "variables are the model's";
  struct Circle {
    nnx::Param w{ones({1})};
    nnx::Shared<Circle> self{};
    LINNET_FIELDS(w, self)
  };
  auto circle = nnx::Shared<Circle>::make();
  circle->self = circle;
  EXPECT_HAS(
      message<ValueError>([&] { nnx::recursive_map(circle, [](const tree::Path&, auto&) {}); }),
      "the module at 'self' contains itself");
  circle->self = nnx::Shared<Circle>();
}

TEST(NnxGraphTools, N_057_everything_of_a_graph) {
  Net model = make();
  std::string order;
  size_t nodes = 0;
  std::set<const state::Cell*> cells;
  for (const nnx::GraphItem& item : nnx::iter_graph(model)) {
    const std::string path = tree::to_string(item.path);
    using Kind = nnx::GraphItem::Kind;
    if (path.starts_with("first")) order += path + (item.kind == Kind::kNode ? "* " : " ");
    nodes += item.kind == Kind::kNode;
    if (item.kind == Kind::kVariable) {
      EXPECT_TRUE(cells.insert(item.leaf.cell.get()).second);
    }
    if (item.kind == Kind::kTensor) {
      EXPECT_EQ(floats(item.leaf.value()), floats(model.table));
    }
  }
  EXPECT_EQ(cells.size(), nnx::state(model).size() - 1);
  EXPECT_TRUE(order.starts_with("first/kernel first/bias* ") ||
              order.starts_with("first/kernel first/bias first/bias* "))
      << order;
  EXPECT_TRUE(order.ends_with("first* ")) << "a node after what is in it: " << order;
  EXPECT_NE(order.find("first/in_features"), std::string::npos) << "settings too: " << order;
  EXPECT_GT(nodes, 8u);
  EXPECT_TRUE(nnx::iter_graph(model).back().path.empty()) << "the model itself at last";
}

TEST(NnxGraphTools, N_058_paths_of_what_is_shared) {
  Net model = make();
  const auto text = [](const std::vector<std::vector<tree::Path>>& all) {
    std::string out;
    for (const auto& paths : all) {
      for (const tree::Path& path : paths) out += tree::to_string(path) + " ";
      out += "| ";
    }
    return out;
  };
  EXPECT_EQ(text(nnx::find_duplicates(model)), "first last | ");
  EXPECT_EQ(text(nnx::find_duplicates(model.blocks)), "");
  model.blocks[0].up.kernel.cell() = model.blocks[1].up.kernel.cell();
  model.blocks[0].up.bias->cell() = model.blocks[1].up.bias->cell();
  EXPECT_EQ(text(nnx::find_duplicates(model.blocks)),
            "0/up/kernel 1/up/kernel | 0/up/bias 1/up/bias | ");
  EXPECT_EQ(text(nnx::find_duplicates(model, nnx::path_contains("bias"))),
            "blocks/0/up/bias blocks/1/up/bias | ");
}

TEST(NnxGraphTools, N_060_metadata_of_many_variables) {
  Net model = make();
  nnx::set_metadata(model, nnx::path_contains("up"),
                    {{"tag", std::string("frozen")}, {"note", 3.0}});
  EXPECT_EQ(*model.blocks[1].up.kernel.metadata().get<std::string>("tag"), "frozen");
  EXPECT_EQ(*model.blocks[1].up.bias->metadata().get<double>("note"), 3);
  EXPECT_FALSE(model.scale.metadata().has("tag"));
  EXPECT_EQ(nnx::state(model, nnx::with_tag("frozen")).size(), 4u);
  nnx::set_metadata(model, {{"all", true}});
  EXPECT_TRUE(model.scale.metadata().has("all") && model.first->kernel.metadata().has("all"));
}

TEST(NnxGraphTools, N_061_states_without_variables) {
  Net model = make();
  const nnx::State pure = nnx::as_pure(model);
  EXPECT_EQ(pure.size(), nnx::state(model).size());
  for (const auto& [path, leaf] : pure.entries()) EXPECT_EQ(leaf.cell, nullptr);
  model.scale = zeros({2});
  EXPECT_EQ(floats(pure["scale"])[0], 1);
  // Merged, they become variables of the recorded kinds.
  Net back = nnx::merge<Net>(nnx::graphdef(model), pure);
  EXPECT_EQ(&back.scale.type(), &nnx::Param::static_type());
  EXPECT_EQ(floats(back.scale)[0], 1);
}

TEST(NnxGraphTools, N_066_models_are_taken_apart_in_several_threads) {
  std::vector<Net> models;
  for (int i = 0; i < 4; ++i) models.push_back(make());
  std::vector<size_t> sizes(models.size());
  std::vector<uint8_t> equal(models.size());
  std::vector<std::thread> threads;
  const nnx::GraphDef expected = nnx::graphdef(models[0]);
  for (size_t i = 0; i < models.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 20; ++k) {
        auto [graphdef, state] = nnx::split(models[i]);
        Net merged = nnx::merge<Net>(graphdef, state);
        const Net shared = nnx::share(merged);
        const auto [y, kept] =
            nnx::capture<nnx::Intermediate>(merged, [](Net& m) { return m.scale.value(); });
        sizes[i] = state.size();
        equal[i] = graphdef == expected && merged.scale.cell() == models[i].scale.cell() &&
                   shared.scale.cell() == merged.scale.cell();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sizes, std::vector<size_t>(4, nnx::state(models[0]).size()));
  EXPECT_EQ(equal, std::vector<uint8_t>(4, 1));
}

TEST(NnxGraphTools, N_068_flat_states) {
  Net model = make();
  const nnx::State state = nnx::state(model);
  nnx::FlatState flat = nnx::to_flat_state(state);
  ASSERT_EQ(flat.size(), state.size());
  EXPECT_TRUE(std::is_sorted(flat.begin(), flat.end(),
                             [](const auto& a, const auto& b) { return a.first < b.first; }));
  EXPECT_EQ(flat[0].second.cell, state.entries()[0].second.cell) << "the variables themselves";
  const nnx::FlatState part(flat.begin(), flat.begin() + 3);
  const nnx::State of_part = nnx::from_flat_state(part);
  EXPECT_EQ(of_part.size(), 3u);
  std::reverse(flat.begin(), flat.end());
  const nnx::State again = nnx::from_flat_state(flat);
  EXPECT_EQ(nnx::to_string(again), nnx::to_string(state)) << "sorted";
  // split, filter and merge are those of states, which are flat lists.
  const auto parts = nnx::split_state(again, {nnx::of_type<nnx::Param>(), nnx::everything()});
  EXPECT_EQ(nnx::merge_state({&parts[1], &parts[0]}).size(), state.size());
  EXPECT_EQ(nnx::filter_state(again, {nnx::path_contains("scale")})[0].size(), 1u);
}

TEST(NnxGraphTools, N_070_plain_dictionaries) {
  Net model = make();
  nnx::State state = nnx::state(model);
  const nnx::PureDict saved = nnx::to_pure_dict(state);
  EXPECT_EQ(saved.size(), state.size());
  EXPECT_EQ(floats(saved.at("blocks/1/up/kernel")), floats(model.blocks[1].up.kernel));
  nnx::replace_by_pure_dict(state, {{"blocks/1/up/bias", ones({2}) * 5}, {"table", zeros({3})}});
  EXPECT_EQ(floats(model.blocks[1].up.bias->value())[0], 5) << "digits are positions";
  EXPECT_EQ(floats(state["table"])[0], 0);
  EXPECT_EQ(floats(model.blocks[1].up.kernel), floats(saved.at("blocks/1/up/kernel")))
      << "what the dictionary lacks stays";
  EXPECT_HAS(message<ValueError>([&] {
               nnx::replace_by_pure_dict(
                   state, {{"blocks/0/up/bias", zeros({2})}, {"nowhere/at/all", zeros({2})}});
             }),
             "no leaf 'nowhere/at/all'; it has blocks/0/drop");
  EXPECT_THROW(
      nnx::replace_by_pure_dict(state, {{"blocks/1/up/bias", ones({2})}, {"scale", zeros({3})}}),
      ShapeError);
  EXPECT_EQ(floats(model.blocks[1].up.bias->value())[0], 5) << "nothing was written";
  const nnx::State restored = nnx::restore_int_paths(
      {{"a/0/b", ones({1})}, {"a/10/b", ones({2})}, {"a/2/b", ones({3})}, {"a/007", ones({4})}});
  std::string paths;
  for (const auto& [path, leaf] : restored.entries()) paths += tree::to_string(path) + " ";
  EXPECT_EQ(paths, "a/0/b a/2/b a/10/b a/007 ") << "positions by size, other digits are names";
  EXPECT_EQ(restored.entries()[1].first[1].index, 2);
  EXPECT_EQ(restored.entries()[3].first[1].name, "007");
}

TEST(NnxGraphTools, N_164_saved_and_loaded_into_an_abstract_model) {
  Net model = make();
  model.blocks[1].up.bias = ones({2}) * 3;
  model(ones({1, 2}));
  const std::string file =
      (std::filesystem::temp_directory_path() / "linnet_N_164.safetensors").string();
  std::map<std::string, HostArray> arrays;
  for (const auto& [path, value] : nnx::to_pure_dict(nnx::state(model)))
    arrays[path] = to_host_array(value);
  write_safetensors(file, arrays);

  nnx::Rngs rngs(5);
  Net shapes = nnx::eval_shape([](nnx::Rngs& r) { return Net(r); }, rngs);
  auto [graphdef, state] = nnx::split(shapes);
  const SafetensorsFile read = read_safetensors(file);
  nnx::PureDict values;
  for (const std::string& name : read.names()) values[name] = to_tensor(read.array(name));
  nnx::replace_by_pure_dict(state, values);
  Net loaded = nnx::merge<Net>(graphdef, state);
  EXPECT_EQ(&*loaded.first, &*loaded.last);
  const nnx::PureDict before = nnx::to_pure_dict(nnx::state(model)),
                      after = nnx::to_pure_dict(nnx::state(loaded));
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [path, value] : before)
    EXPECT_EQ(after.at(path).to_vector<double>(), value.to_vector<double>()) << path;
  EXPECT_EQ(floats(loaded(ones({1, 2}))), floats(model(ones({1, 2})))) << "streams go on";
  std::filesystem::remove(file);
  // Or at once, by a checkpoint of the module.
  const std::string folder =
      (std::filesystem::temp_directory_path() / "linnet_N_164_checkpoint").string();
  std::filesystem::remove_all(folder);
  save_checkpoint(folder, model);
  nnx::Rngs other(6);
  Net filled = nnx::eval_shape([](nnx::Rngs& r) { return Net(r); }, other);
  load_checkpoint(folder, filled);
  EXPECT_EQ(&*filled.first, &*filled.last);
  EXPECT_EQ(floats(filled(ones({1, 2}))), floats(model(ones({1, 2}))));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace linnet::nnx_graph_tools_test
