#include "linnet/nnx/transforms_call.h"

#include <set>

#include "linnet/detail/format.h"

namespace linnet::nnx::detail {
namespace {

/// Dimensions that belong to the value itself behind those of an array of it: the words of a key.
size_t inner_rank(const VariableCellPtr& cell) {
  return cell && cell->type->is(RngKey::static_type()) ? 1 : 0;
}

/// `axis` as a position among `rank` dimensions.
int64_t position_in(const char* name, const ObjectCall::Place& place, size_t rank,
                    const TensorType& type) {
  const auto count = static_cast<int64_t>(rank);
  const int64_t given = place.axis.position(), position = given < 0 ? given + count : given;
  if (position < 0 || position >= count) {
    fail<ShapeError>("{}: axis {} of {} is out of range for {}", name, given, place.text(),
                     to_string(type));
  }
  return position;
}

StateLeaf state_leaf(const NodeLeaf& leaf) {
  return {std::static_pointer_cast<VariableCell>(leaf.cell), leaf.tensor ? *leaf.tensor : Tensor()};
}

VariableCellPtr variable_of(const NodeLeaf& leaf) {
  return std::static_pointer_cast<VariableCell>(leaf.cell);
}

std::string structure_of(const Visit& visit) {
  tree::Flattener flattener;
  visit(flattener);
  return flattener.take().structure;
}

ObjectCall::Place place_of(const ObjectCall::Leaf& leaf) {
  return {leaf.axis, 0, leaf.argument, false, false, leaf.node.path};
}

/// A value whose traces are about to end.
void make_abstract(state::Cell& cell) {
  state::Value value = cell.raw();
  for (Tensor& tensor : value.tensors) tensor = abstract(tensor.type());
  cell.set_raw(std::move(value));
}

}  // namespace

std::vector<tree::LeafRef> leaves_of(const Visit& visit) {
  tree::Flattener flattener;
  visit(flattener);
  return flattener.take().leaves;
}

/// Mapped variables have the values that were given; all others are those of the scope around.
class ObjectCall::Scope final : public state::Scope {
 public:
  Scope(const ObjectCall& call, const TensorList& traced) : call_(call) {
    size_t input = 0;
    for (const Leaf& leaf : call.leaves_) {
      if (!leaf.axis.mapped() || !leaf.node.cell) {
        input += leaf.node.tensor && !leaf.axis.none() && leaf.node.tensor->defined() ? 1 : 0;
        continue;
      }
      state::Value value = state::read_outside(leaf.node.cell);
      for (Tensor& tensor : value.tensors) {
        if (tensor.defined()) tensor = traced[input++];
      }
      presets_[leaf.node.cell.get()] = std::move(value);
    }
  }

  /// Shows the given values to those who ask for a shape before they write.
  void enter() {
    for (const Leaf& leaf : call_.leaves_) {
      if (leaf.node.cell && presets_.count(leaf.node.cell.get())) read(leaf.node.cell);
    }
  }
  /// Present values of the variables that are written.
  std::map<const state::Cell*, const Entry*> written() const {
    std::map<const state::Cell*, const Entry*> out;
    for (const Entry& entry : entries()) {
      if (entry.written) out[entry.cell.get()] = &entry;
    }
    return out;
  }
  std::set<const state::Cell*> made() const {
    std::set<const state::Cell*> out;
    for (const state::CellPtr& cell : survivors()) out.insert(cell.get());
    return out;
  }
  /// What the scope around has to learn.
  std::vector<std::pair<state::CellPtr, state::Value>> outward() const {
    std::vector<std::pair<state::CellPtr, state::Value>> out;
    for (const Entry& entry : entries()) {
      if (!entry.written || presets_.count(entry.cell.get())) continue;
      if (!lost(entry)) out.emplace_back(entry.cell, entry.inner);
    }
    return out;
  }

 protected:
  state::Value lift(const state::CellPtr& cell, const state::Value& outer) override {
    const auto preset = presets_.find(cell.get());
    return preset == presets_.end() ? outer : preset->second;
  }

 private:
  /// True for what a step does to a random stream that all steps share.
  /// @throws ValueError for another variable that they share.
  bool lost(const Entry& entry) const {
    const auto known = call_.by_cell_.find(entry.cell.get());
    if (!call_.options_.broadcast_is_constant || known == call_.by_cell_.end()) return false;
    const Leaf& leaf = call_.leaves_[known->second];
    if (!leaf.axis.none()) return false;
    const VariableType& type = *variable_of(leaf.node)->type;
    if (type.is(RngState::static_type())) return true;
    fail<ValueError>(
        "{}: variable {} ({}) is broadcast and written: every step would begin from its old value\n"
        "  hint: StateAxes can give it an axis, or kCarry",
        call_.name_, place_of(leaf).text(), type.name());
  }

  const ObjectCall& call_;
  std::map<const state::Cell*, state::Value> presets_;
};

ObjectCall::ObjectCall(const char* name, std::vector<Visit> arguments,
                       const std::vector<AxesPrefix>& axes, ObjectOptions options)
    : name_(name),
      arguments_(std::move(arguments)),
      axes_(axes.empty() ? std::vector<AxesPrefix>(arguments_.size(), 0) : axes),
      options_(std::move(options)) {
  if (axes_.size() != arguments_.size()) {
    fail<ValueError>("{}: in_axes has {} entries for {} argument{}", name, axes_.size(),
                     arguments_.size(), arguments_.size() == 1 ? "" : "s");
  }
  for (size_t i = 0; i < arguments_.size(); ++i) add_leaves(i);
  for (const Leaf& leaf : leaves_) add_inputs(leaf);
  if (!options_.fixed_structure) return;
  for (const Visit& visit : arguments_) structures_.push_back(structure_of(visit));
}

ObjectCall::~ObjectCall() = default;

std::string ObjectCall::Place::text() const {
  const std::string owner = !result ? fmt::format("argument {}", argument)
                            : whole ? std::string("the result")
                                    : fmt::format("result {}", argument);
  return path.empty() ? owner : fmt::format("'{}' of {}", tree::to_string(path), owner);
}

std::string ObjectCall::text_of(LeafAxis axis) const {
  if (options_.differentiates) return axis.mapped() ? "differentiated" : "constant";
  return (axis.mapped() ? "axis " : "") + to_string(axis);
}

void ObjectCall::add_leaves(size_t argument) {
  for (NodeLeaf& node : walk(arguments_[argument])) {
    const LeafAxis axis = axes_[argument].of(node.path, state_leaf(node));
    if (node.cell) {
      const auto [known, fresh] = by_cell_.try_emplace(node.cell.get(), leaves_.size());
      if (!fresh) {
        const Leaf& first = leaves_[known->second];
        if (first.axis == axis) continue;
        fail<ValueError>(
            "{}: inconsistent aliasing: one variable ({}) is reached in two ways\n"
            "  as {}: {}\n  as {}: {}",
            name_, variable_of(node)->type->name(), place_of(first).text(), text_of(first.axis),
            Place{axis, 0, argument, false, false, node.path}.text(), text_of(axis));
      }
    }
    leaves_.push_back({std::move(node), argument, axis});
  }
}

void ObjectCall::add_inputs(const Leaf& leaf) {
  const auto add = [&](const Tensor& tensor) {
    Place place = place_of(leaf);
    if (leaf.axis.mapped() && !options_.differentiates) {
      place.position = position_in(name_, place, tensor.rank() - inner_rank(variable_of(leaf.node)),
                                   tensor.type());
    }
    inputs_.push_back(tensor);
    places_.push_back(std::move(place));
    input_leaves_.push_back(leaf.node);
  };
  if (leaf.node.cell) {
    if (!leaf.axis.mapped()) return;
    for (const Tensor& tensor : state::read(leaf.node.cell).tensors) {
      if (tensor.defined()) add(tensor);
    }
    return;
  }
  PlainTensor plain{static_cast<size_t>(&leaf - leaves_.data()), {}, *leaf.node.tensor, {}};
  if (!leaf.axis.none() && plain.before.defined()) {
    plain.input = inputs_.size();
    add(plain.before);
  }
  plain_.push_back(std::move(plain));
}

/// Tensors are told apart by their order, since assigning a whole container moves them.
std::vector<Tensor*> ObjectCall::plain_now() const {
  std::vector<Tensor*> out;
  if (plain_.empty()) return out;
  std::vector<size_t> counts(arguments_.size()), expected(arguments_.size());
  for (size_t i = 0; i < arguments_.size(); ++i) {
    for (const tree::LeafRef& leaf : leaves_of(arguments_[i])) {
      if (!leaf.tensor) continue;
      out.push_back(leaf.tensor);
      ++counts[i];
    }
  }
  for (const PlainTensor& plain : plain_) ++expected[leaves_[plain.leaf].argument];
  for (size_t i = 0; i < arguments_.size(); ++i) {
    if (counts[i] == expected[i]) continue;
    fail<ValueError>(
        "{}: argument {} had {} tensors and has {} after the call\n"
        "  hint: what comes and goes should be a variable",
        name_, i, expected[i], counts[i]);
  }
  return out;
}

void ObjectCall::place_tensors(const TensorList& traced) {
  const std::vector<Tensor*> now = plain_now();
  for (size_t k = 0; k < plain_.size(); ++k) {
    plain_[k].placed = plain_[k].input ? traced[*plain_[k].input] : plain_[k].before;
    *now[k] = plain_[k].placed;
  }
}

void ObjectCall::restore() noexcept {
  for (auto& [cell, metadata] : metadata_before_) cell->metadata = std::move(metadata);
  metadata_before_.clear();
  // What the call removed has no place to go back to.
  try {
    const std::vector<Tensor*> now = plain_now();
    for (size_t k = 0; k < plain_.size(); ++k) *now[k] = plain_[k].before;
  } catch (...) {
  }
  for (PlainTensor& plain : plain_) plain.placed = Tensor();
}

bool ObjectCall::changes_metadata(LeafAxis axis) const {
  return axis.mapped() && options_.metadata.has(kPartitionName);
}

void ObjectCall::enter_metadata() {
  const state::Cell* last = nullptr;
  for (size_t k = 0; k < inputs_.size(); ++k) {
    const VariableCellPtr cell = variable_of(input_leaves_[k]);
    if (!cell || cell.get() == last || !changes_metadata(places_[k].axis)) continue;
    last = cell.get();
    Metadata inside = remove_axis(cell->metadata, places_[k].position, options_.metadata,
                                  inputs_[k].rank() - inner_rank(cell));
    // The array loses the axis with its description.
    inside.set_axes_beside_array(cell->metadata.axes_beside_array());
    metadata_before_.emplace_back(cell, std::exchange(cell->metadata, std::move(inside)));
  }
}

void ObjectCall::leave_metadata() {
  std::vector<std::pair<VariableCellPtr, Metadata>> after;
  const auto note = [&](const VariableCellPtr& cell, int64_t position, size_t rank) {
    Metadata outside = add_axis(cell->metadata, position, options_.metadata, rank);
    outside.set_axes_beside_array(cell->metadata.axes_beside_array());
    after.emplace_back(cell, std::move(outside));
  };
  const state::Cell* last = nullptr;
  for (size_t k = 0; k < inputs_.size(); ++k) {
    const VariableCellPtr cell = variable_of(input_leaves_[k]);
    if (!cell || cell.get() == last || !changes_metadata(places_[k].axis)) continue;
    last = cell.get();
    note(cell, places_[k].position, inputs_[k].rank() - inner_rank(cell) - 1);
  }
  for (const Output& output : outputs_) {
    if (!output.made || !changes_metadata(output.place.axis) || output.count == 0) continue;
    note(output.cell, output.place.position,
         output.cell->raw().tensors[0].rank() - inner_rank(output.cell));
  }
  for (auto& [cell, metadata] : after) cell->metadata = std::move(metadata);
  metadata_before_.clear();
}

void ObjectCall::add_output(Output output, std::span<const Tensor> values, TensorList& out) {
  Place& place = output.place;
  if (place.axis.mapped() && !options_.differentiates && !values.empty() && values[0].defined()) {
    place.position =
        position_in(name_, place, values[0].rank() + 1 - inner_rank(output.cell), values[0].type());
  }
  output.count = values.size();
  out.insert(out.end(), values.begin(), values.end());
  outputs_.push_back(std::move(output));
}

struct ObjectCall::Made {
  std::set<const state::Cell*> cells;
};

void ObjectCall::add_made(const VariableCellPtr& cell, Place place, TensorList& out) {
  const auto [known, fresh] = by_made_.try_emplace(cell.get(), outputs_.size());
  if (!fresh) {
    const Place& first = outputs_[known->second].place;
    if (first.axis == place.axis) return;
    fail<ValueError>(
        "{}: inconsistent aliasing: one new variable ({}) is reached in two ways\n"
        "  as {}: {}\n  as {}: {}",
        name_, cell->type->name(), first.text(), text_of(first.axis), place.text(),
        text_of(place.axis));
  }
  const state::Value& value = cell->raw();
  add_output({std::move(place), nullptr, cell, true, 0, value.tuple}, value.tensors, out);
}

void ObjectCall::collect_result_variable(const Made& made, const NodeLeaf& leaf, Place place,
                                         TensorList& out) {
  const auto known = by_cell_.find(leaf.cell.get());
  if (known != by_cell_.end()) {
    const Leaf& argument = leaves_[known->second];
    if (options_.differentiates || argument.axis == place.axis) return;
    fail<ValueError>(
        "{}: inconsistent aliasing: one variable ({}) is an argument and a result\n"
        "  as {}: {}\n  as {}: {}",
        name_, variable_of(leaf)->type->name(), place_of(argument).text(), text_of(argument.axis),
        place.text(), text_of(place.axis));
  }
  if (made.cells.count(leaf.cell.get())) return add_made(variable_of(leaf), std::move(place), out);
  fail<ValueError>(
      "{}: {} is a variable ({}) from outside that is no argument\n"
      "  hint: pass the module that owns it as an argument",
      name_, place.text(), variable_of(leaf)->type->name());
}

void ObjectCall::collect_result(const Made& made, const std::vector<Visit>& parts,
                                const std::vector<AxesPrefix>& axes, TensorList& out) {
  if (axes.size() > 1 && axes.size() != parts.size()) {
    fail<ValueError>("{}: out_axes has {} entries for {} result{}", name_, axes.size(),
                     parts.size(), parts.size() == 1 ? "" : "s");
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    part_variables_.emplace_back();
    const AxesPrefix& wanted = axes.empty() ? AxesPrefix(0) : axes.size() == 1 ? axes[0] : axes[i];
    for (const NodeLeaf& leaf : walk(parts[i])) {
      Place place{wanted.of(leaf.path, state_leaf(leaf)), 0, i, true, parts.size() == 1, leaf.path};
      if (leaf.tensor) {
        add_output({std::move(place), leaf.tensor, nullptr}, std::span(leaf.tensor, 1), out);
      } else {
        part_variables_.back().push_back(leaf.cell);
        collect_result_variable(made, leaf, std::move(place), out);
      }
    }
  }
}

void ObjectCall::collect_written(const Scope& scope, TensorList& out) {
  const auto written = scope.written();
  for (const Leaf& leaf : leaves_) {
    if (!leaf.node.cell || !leaf.axis.mapped()) continue;
    const auto found = written.find(leaf.node.cell.get());
    if (found == written.end()) continue;
    const state::Scope::Entry* entry = found->second;
    Place place = place_of(leaf);
    add_output({std::move(place), nullptr, variable_of(leaf.node), false, 0, entry->inner.tuple},
               entry->inner.tensors, out);
  }
}

void ObjectCall::collect_plain(TensorList& out) {
  const std::vector<Tensor*> now = plain_now();
  for (size_t k = 0; k < plain_.size(); ++k) {
    const Leaf& leaf = leaves_[plain_[k].leaf];
    if (options_.carry == leaf.argument) continue;
    const bool changed = now[k]->impl() != plain_[k].placed.impl();
    if (!changed && !(leaf.axis.carried() && plain_[k].input)) continue;
    if (leaf.axis.none() && options_.broadcast_is_constant) {
      fail<ValueError>(
          "{}: {} is broadcast and was changed\n  hint: StateAxes can give it an axis, or kCarry",
          name_, place_of(leaf).text());
    }
    Place place = place_of(leaf);
    add_output({std::move(place), now[k], nullptr}, std::span(now[k], 1), out);
  }
}

void ObjectCall::collect_made(const Made& made, TensorList& out) {
  if (made.cells.empty()) return;
  for (size_t i = 0; i < arguments_.size(); ++i) {
    for (const NodeLeaf& leaf : walk(arguments_[i])) {
      if (!leaf.cell || by_cell_.count(leaf.cell.get())) continue;
      Place place{axes_[i].of(leaf.path, state_leaf(leaf)), 0, i, false, false, leaf.path};
      if (!made.cells.count(leaf.cell.get())) continue;
      if (options_.broadcast_is_constant && !place.axis.mapped()) {
        fail<ValueError>("{}: {} was made inside and has no axis to be stacked along", name_,
                         place.text());
      }
      add_made(variable_of(leaf), std::move(place), out);
    }
  }
}

TensorList ObjectCall::run(const TensorList& traced, const Body& body,
                           const std::vector<AxesPrefix>& axes) {
  struct Restore {
    ObjectCall& call;
    ~Restore() { call.restore(); }
  } restore{*this};
  outputs_.clear();
  by_made_.clear();
  part_variables_.clear();
  place_tensors(traced);
  enter_metadata();
  TensorList out;
  std::vector<std::pair<state::CellPtr, state::Value>> outward;
  {
    Scope scope(*this, traced);
    scope.enter();
    const std::vector<Visit> parts = body(axes.size());
    const Made made{scope.made()};
    collect_result(made, parts, axes, out);
    collect_written(scope, out);
    collect_plain(out);
    collect_made(made, out);
    for (size_t i = 0; i < structures_.size(); ++i) {
      if (structure_of(arguments_[i]) == structures_[i]) continue;
      fail<ValueError>("{}: the function changes the structure of argument {}", name_, i);
    }
    outward = scope.outward();
    leave_metadata();
    for (const Output& output : outputs_) {
      if (output.made) make_abstract(*output.cell);
    }
    scope.commit_made();
  }
  for (auto& [cell, value] : outward) state::write(cell, std::move(value));
  return out;
}

std::vector<ObjectCall::Place> ObjectCall::results() const {
  std::vector<Place> out;
  for (const Output& output : outputs_) out.insert(out.end(), output.count, output.place);
  return out;
}

// Whatever needs memory comes before the first write outside of the scope.
void ObjectCall::finish(const TensorList& values, state::Scope& writes) {
  std::vector<state::Value> variables;
  size_t next = 0;
  for (const Output& output : outputs_) {
    state::Value& value = variables.emplace_back();
    const auto first = values.begin() + static_cast<int64_t>(next);
    next += output.count;
    value.tuple = output.tuple;
    value.tensors.assign(first, first + static_cast<int64_t>(output.count));
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Output& output = outputs_[i];
    if (!output.tensor && !output.made) state::write(output.cell, std::move(variables[i]));
  }
  writes.commit();
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    if (output.tensor) {
      *output.tensor = std::move(variables[i].tensors[0]);
    } else if (output.made) {
      // An axis that was added to the metadata beside the array is now one of the array.
      Metadata& metadata = output.cell->metadata;
      if (output.place.axis.mapped() && metadata.axes_beside_array() > 0)
        metadata.set_axes_beside_array(metadata.axes_beside_array() - 1);
      output.cell->set_raw(std::move(variables[i]));
    }
  }
}

void ObjectCall::require_same_variables(size_t argument, size_t part) const {
  std::vector<state::CellPtr> expected;
  for (const NodeLeaf& leaf : walk(arguments_[argument])) {
    if (leaf.cell) expected.push_back(leaf.cell);
  }
  if (expected == part_variables_[part]) return;
  fail<ValueError>(
      "{}: carry references must be the same between iterations: the carry has {} variables, and "
      "the result has {}, other ones\n"
      "  hint: return the object that was given (a reference or nnx::Shared), not a copy or a new "
      "one",
      name_, expected.size(), part_variables_[part].size());
}

}  // namespace linnet::nnx::detail
