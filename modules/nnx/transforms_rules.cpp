#include "linnet/nnx/transforms_rules.h"

#include "linnet/detail/format.h"

namespace linnet::nnx::detail {
namespace {

/// Of a run: the positions of the tensors of the function's own result.
std::vector<size_t> result_positions(const ObjectCall& objects) {
  std::vector<size_t> out;
  const std::vector<ObjectCall::Place> places = objects.results();
  for (size_t k = 0; k < places.size(); ++k) {
    if (places[k].result) out.push_back(k);
  }
  return out;
}

AxesPrefix axes_of(const Direction& direction) {
  if (!direction.by_path) return 0;
  std::vector<StateAxes::Entry> entries;
  for (const auto& [path, leaf] : direction.state.entries())
    entries.emplace_back(path_in({tree::to_string(path)}), 0);
  entries.emplace_back(everything(), kNone);
  return StateAxes(std::move(entries));
}

}  // namespace

void remat_call(std::vector<Visit> arguments, const Body& body, const CheckpointPolicy& policy) {
  const std::vector<AxesPrefix> axes(arguments.size(), kCarry);
  ObjectCall objects("checkpoint", std::move(arguments), axes);
  state::Scope writes;
  const TensorList results = linnet::detail::remat_call(
      objects.inputs(),
      [&](const TensorList& traced) { return objects.run(traced, body, {kCarry}); }, policy);
  objects.finish(results, writes);
}

Pullback::Pullback(std::vector<Visit> arguments, const std::vector<AxesPrefix>& axes,
                   const Body& body)
    : Pullback(ObjectCall("vjp", std::move(arguments), axes, {.differentiates = true}), body) {}

Pullback::Pullback(ObjectCall&& objects, const Body& body) : places_(objects) {
  call_ = std::make_shared<linnet::detail::ReverseCall>("vjp", objects.inputs(), false);
  state::Scope writes;
  TensorList results;
  call_->run([&] { results = objects.run(call_->traced(), body, {kNone}); });
  for (size_t k : result_positions(objects)) outputs_.push_back(results[k]);
  for (Tensor& result : results) result = call_->primal(result);
  objects.finish(results, writes);
}

TensorList Pullback::operator()(const TensorList& cotangents, size_t count) const {
  return call_->pullback(
      TensorList(outputs_.begin(), outputs_.begin() + static_cast<int64_t>(count)), cotangents);
}

TensorList jvp_call(std::vector<Visit> arguments, const Body& body,
                    const std::vector<Direction>& directions) {
  std::vector<AxesPrefix> axes;
  for (const Direction& direction : directions) axes.push_back(axes_of(direction));
  ObjectCall objects("jvp", std::move(arguments), axes, {.differentiates = true});
  std::vector<size_t> used(directions.size());
  TensorList tangents;
  for (size_t k = 0; k < objects.inputs().size(); ++k) {
    const size_t argument = objects.places()[k].argument;
    const Direction& direction = directions[argument];
    const size_t next = used[argument]++;
    if (direction.by_path) {
      tangents.push_back(direction.state.find(objects.input_leaves()[k].path)->value());
    } else if (next < direction.list.size()) {
      tangents.push_back(direction.list[next]);
    }
  }
  for (size_t i = 0; i < directions.size(); ++i) {
    const size_t given =
        directions[i].by_path ? directions[i].state.size() : directions[i].list.size();
    if (given == used[i]) continue;
    fail<ValueError>(
        "jvp: {} tangents were given for argument {}, which has {} tensors of that name", given, i,
        used[i]);
  }
  TensorList derivative, out;
  state::Scope writes;
  const TensorList results = linnet::detail::forward_call(
      objects.inputs(), tangents,
      [&](const TensorList& traced) { return objects.run(traced, body, {kNone}); }, derivative);
  for (size_t k : result_positions(objects)) out.push_back(derivative[k]);
  objects.finish(results, writes);
  return out;
}

TensorList cotangents_in_order(const Visit& argument, const State& state) {
  TensorList out;
  size_t found = 0;
  for (const NodeLeaf& leaf : walk(argument)) {
    const StateLeaf* given = state.find(leaf.path);
    found += given ? 1 : 0;
    if (given && given->cell) {
      append(out, state::read(given->cell).tensors);
    } else if (given) {
      out.push_back(given->tensor);
    } else {
      out.resize(out.size() + (leaf.cell ? leaf.cell->raw().tensors.size() : 1));
    }
  }
  if (found != state.size()) {
    fail<ValueError>(
        "custom_vjp: the backward rule returned {} cotangents for an object that has {} of these "
        "variables",
        state.size(), found);
  }
  return out;
}

}  // namespace linnet::nnx::detail
