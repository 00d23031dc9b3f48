// The template-free side of loops and branches: bodies are staged, what they read outside becomes
// an operand, and variables that they write become part of the carry.
#include <algorithm>

#include "core/control/loops.h"
#include "core/control/stage.h"
#include "core/ops/convert.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/control_flow.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::detail {
namespace {

std::string name_of(const state::Cell& cell) {
  return cell.label.empty() ? "a variable" : "variable " + cell.label;
}

std::string leaf_text(const LeafName& name_of_leaf, size_t index) {
  const std::string name = name_of_leaf ? name_of_leaf(index) : "";
  return name.empty() ? fmt::format("leaf {}", index) : name;
}

bool same_type(const TensorType& a, const TensorType& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.device == b.device;
}

/// One number of the host, which goes to whatever device needs it.
bool goes_anywhere(const TensorType& type) { return type.device.host() && type.shape.empty(); }

/// Results that are numbers of the host on the devices where they are wanted.
TensorList on_devices(TensorList results, std::span<const Device> devices) {
  for (size_t k = 0; k < devices.size() && k < results.size(); ++k) {
    if (results[k].defined() && goes_anywhere(results[k].type()))
      results[k] = results[k].to(devices[k]);
  }
  return results;
}

std::string text_of(const TensorType& type, bool with_device) {
  return with_device ? fmt::format("{} on {}", to_string(type), to_string(type.device))
                     : to_string(type);
}

/// Gives weak elements of the carry the types that the body makes of them, and numbers of the host
/// the device. @return whether any changed, so that the body must be recorded anew.
/// @throws ShapeError or DTypeError naming the first element that does not keep its type.
bool promote_carry(const char* name, TensorList& carry, const TypeList& got,
                   const LeafName& name_of_leaf) {
  bool changed = false;
  for (size_t k = 0; k < carry.size(); ++k) {
    if (goes_anywhere(carry[k].type()) && !got[k].device.host()) {
      carry[k] = carry[k].to(got[k].device);
      changed = true;
    }
    const TensorType from = carry[k].type();
    const bool weak_only =
        from.weak && from.shape == got[k].shape && (from.dtype != got[k].dtype || !got[k].weak);
    if (weak_only &&
        promote_types({from.dtype, true}, {got[k].dtype, got[k].weak}).dtype == got[k].dtype) {
      carry[k] = astype(carry[k], got[k].dtype);
      changed = true;
    } else if (!same_type(from, got[k])) {
      const bool moved = from.device != got[k].device;
      const std::string text = fmt::format(
          "{}: the carry must keep its types: {} is {} at the beginning and {} after a step", name,
          leaf_text(name_of_leaf, k), text_of(from, moved), text_of(got[k], moved));
      if (from.shape != got[k].shape) throw ShapeError(text);
      if (moved) throw DeviceError(text + "\n  hint: x.to(device) moves a tensor");
      throw DTypeError(text + "\n  hint: convert it with astype, before the loop or in the body");
    }
  }
  return changed;
}

/// Where the values of a written variable come from, among the sources of a recording.
struct CarriedCell {
  const Recorded::Written* written;
  std::vector<int64_t> sources;  ///< positions among the program's inputs
  TensorList values;
};

/// The variables that a body writes, each with its value before the loop.
std::vector<CarriedCell> carried_cells(const char* name, const Recorded& recorded,
                                       size_t given_inputs) {
  std::vector<CarriedCell> out;
  for (const Recorded::Written& written : recorded.written) {
    if (written.made) {
      fail<TraceError>(
          "{}: the body makes {} for a module outside, which each step would make anew\n"
          "  hint: make it before the loop, or return its value",
          name, name_of(*written.cell));
    }
    CarriedCell carried{&written, {}, {}};
    for (size_t i = 0; i < recorded.sources.size(); ++i) {
      const Recorded::Source& source = recorded.sources[i];
      if (source.cell != written.cell) continue;
      carried.sources.push_back(static_cast<int64_t>(given_inputs + i));
      carried.values.push_back(source.value);
    }
    const Graph& graph = recorded.graph;
    bool same = carried.values.size() == written.count;
    for (size_t k = 0; same && k < written.count; ++k)
      same = same_type(carried.values[k].type(), graph.types[graph.outputs[written.first + k]]);
    if (!same) {
      std::string before, after;
      for (const Tensor& value : carried.values)
        before += (before.empty() ? "" : ", ") + to_string(value.type());
      for (size_t k = 0; k < written.count; ++k)
        after += (k ? ", " : "") + to_string(graph.types[graph.outputs[written.first + k]]);
      fail<TraceError>(
          "{}: {}, which the body writes, must keep its type: it is ({}) before and ({}) after a "
          "step\n  hint: give it a value of that type before the loop, or return what is to be "
          "collected",
          name, name_of(*written.cell), before, after);
    }
    out.push_back(std::move(carried));
  }
  return out;
}

bool is_carried(const std::vector<CarriedCell>& cells, int64_t position) {
  return std::any_of(cells.begin(), cells.end(), [&](const CarriedCell& cell) {
    return std::find(cell.sources.begin(), cell.sources.end(), position) != cell.sources.end();
  });
}

void append_range(std::vector<int64_t>& out, size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) out.push_back(static_cast<int64_t>(i));
}

/// Positions and values of what a recording read outside and does not carry.
struct Constants {
  std::vector<int64_t> positions;
  TensorList values;
};
Constants constants_of(const Recorded& recorded, size_t given,
                       const std::vector<CarriedCell>& cells) {
  Constants out;
  for (size_t i = 0; i < recorded.sources.size(); ++i) {
    const int64_t position = static_cast<int64_t>(given + i);
    if (is_carried(cells, position)) continue;
    out.positions.push_back(position);
    out.values.push_back(recorded.sources[i].value);
  }
  return out;
}

/// Writes the carried variables; `results` are their last values.
void write_cells(const std::vector<CarriedCell>& cells, Inputs results) {
  Reader reader(results);
  for (const CarriedCell& cell : cells) {
    const Inputs values = reader.take(cell.written->count);
    state::Value value;
    value.tuple = cell.written->tuple;
    value.tensors.assign(values.begin(), values.end());
    state::write(cell.written->cell, std::move(value));
  }
}

size_t tensors_of(const std::vector<CarriedCell>& cells) {
  size_t count = 0;
  for (const CarriedCell& cell : cells) count += cell.values.size();
  return count;
}

int64_t scan_length(const char* name, const TensorList& xs, const ScanOptions& options) {
  std::optional<int64_t> length = options.length;
  for (const Tensor& x : xs) {
    if (x.rank() == 0) {
      fail<ShapeError>("{}: a sequence needs a dimension to go along, got {}", name,
                       to_string(x.type()));
    }
    if (!length) length = x.shape(0);
    if (x.shape(0) == *length) continue;
    std::string all;
    for (const Tensor& each : xs) all += (all.empty() ? "" : ", ") + to_string(each.type());
    fail<ShapeError>(
        "{}: sequences must have one length{}, got {}", name,
        options.length ? fmt::format(", that of the options, {}", *options.length) : std::string(),
        all);
  }
  if (!length) {
    fail<ValueError>(
        "{}: without sequences the number of steps must be given\n"
        "  hint: ScanOptions{{.length = n}}",
        name);
  }
  if (*length < 0) fail<ValueError>("{}: a length of {} is negative", name, *length);
  return *length;
}

/// The recorded body of a loop: constants, carry and carried variables, in this order, are its
/// first operands, carry and carried variables its first results.
class LoopBody {
 public:
  /// @param xs sequences, whose elements follow the carry when the body is recorded.
  LoopBody(const char* name, const TensorList& init, const TensorList& xs, const ScanStep& step,
           const LeafName& name_of_leaf)
      : carry_(init) {
    require_defined(init, name, "a leaf of the carry");
    record(name, xs, step, name_of_leaf);
    cells_ = carried_cells(name, recorded_, init.size() + xs.size());
    Constants constants = constants_of(recorded_, init.size() + xs.size(), cells_);
    constants_ = std::move(constants.values);
    inputs_ = std::move(constants.positions);
    append_range(inputs_, 0, init.size());
    append_range(outputs_, 0, init.size());
    leaves_ = carry_;
    for (const CarriedCell& cell : cells_) {
      inputs_.insert(inputs_.end(), cell.sources.begin(), cell.sources.end());
      append_range(outputs_, cell.written->first, cell.written->first + cell.written->count);
      carry_.insert(carry_.end(), cell.values.begin(), cell.values.end());
    }
  }

  /// Operands and results of the recording that come after those.
  void inputs_are_followed_by(size_t first, size_t last) { append_range(inputs_, first, last); }
  void outputs_are_followed_by(size_t first, size_t last) { append_range(outputs_, first, last); }

  const Recorded& recorded() const { return recorded_; }
  ProgramPtr program() const {
    return shared_program(rearranged(recorded_.graph, inputs_, outputs_));
  }
  Inputs constants() const { return constants_; }
  /// The carry without variables, as the body wants it.
  const TensorList& leaves() const { return leaves_; }
  /// With them.
  Inputs carry() const { return carry_; }
  const std::vector<CarriedCell>& cells() const { return cells_; }

 private:
  void record(const char* name, const TensorList& xs, const ScanStep& step,
              const LeafName& name_of_leaf) {
    do {
      Stage stage(name);
      TensorList carry_in, x_in;
      std::vector<Device> devices;
      for (const Tensor& value : carry_) {
        carry_in.push_back(stage.input(value.type()));
        devices.push_back(value.device());
      }
      for (const Tensor& x : xs) {
        TensorType type = x.type();
        type.shape.erase(0);
        x_in.push_back(stage.input(type));
      }
      recorded_ = stage.record([&] { return on_devices(step(carry_in, x_in), devices); });
    } while (promote_carry(name, carry_, result_types(recorded_.graph), name_of_leaf));
  }

  Recorded recorded_;
  TensorList carry_, leaves_, constants_;
  std::vector<CarriedCell> cells_;
  std::vector<int64_t> inputs_, outputs_;
};

}  // namespace

TensorList scan_call(const char* name, const TensorList& init, const TensorList& xs,
                     const ScanOptions& options, const ScanStep& step,
                     const LeafName& name_of_leaf) {
  require_defined(xs, name, "a leaf of the sequences");
  const int64_t length = scan_length(name, xs, options);
  if (options.unroll < 1)
    fail<ValueError>("{}: expected to unroll one step or more, got {}", name, options.unroll);
  LoopBody body(name, init, xs, step, name_of_leaf);
  body.inputs_are_followed_by(init.size(), init.size() + xs.size());
  body.outputs_are_followed_by(init.size(), body.recorded().results);
  const ScanParams params{.body = body.program(),
                          .length = length,
                          .constants = static_cast<int64_t>(body.constants().size()),
                          .carries = static_cast<int64_t>(body.carry().size()),
                          .reverse = options.reverse,
                          .unroll = options.unroll};
  const TensorList results =
      emit(scan_primitive(), joined<Tensor>({body.constants(), body.carry(), Inputs(xs)}), params);
  Reader reader(results);
  const Inputs last = reader.take(init.size());
  write_cells(body.cells(), reader.take(body.carry().size() - init.size()));
  return joined<Tensor>({last, reader.rest()});
}

namespace {

/// The condition of a loop, whose variables are those of the body as they are in each turn.
struct StagedCondition {
  ProgramPtr program;
  TensorList constants;
};

StagedCondition stage_condition(const char* name, const TensorList& carry,
                                const std::vector<CarriedCell>& cells,
                                const std::function<Tensor(const TensorList&)>& condition) {
  Stage stage(name);
  TensorList carry_in;
  for (const Tensor& value : carry) carry_in.push_back(stage.input(value.type()));
  for (const CarriedCell& cell : cells) {
    state::Value value;
    value.tuple = cell.written->tuple;
    for (const Tensor& tensor : cell.values) value.tensors.push_back(stage.input(tensor.type()));
    stage.preset(cell.written->cell, std::move(value));
  }
  const size_t given = carry.size() + tensors_of(cells);
  const Recorded recorded = stage.record([&] {
    const Tensor result = condition(carry_in);
    require_defined(std::span(&result, 1), name, "the condition");
    return TensorList{branch_of(name, result) != 0};
  });
  if (!recorded.written.empty()) {
    fail<TraceError>("{}: the condition writes {}; only the body may", name,
                     name_of(*recorded.written[0].cell));
  }
  const Constants constants = constants_of(recorded, given, {});
  std::vector<int64_t> inputs = constants.positions;
  append_range(inputs, 0, given);
  return {shared_program(rearranged(recorded.graph, inputs, {0})), constants.values};
}

}  // namespace

TensorList while_call(const char* name, const TensorList& init,
                      const std::function<Tensor(const TensorList&)>& condition,
                      const FlatFunction& body, const LeafName& name_of_leaf) {
  const LoopBody loop(
      name, init, {}, [&](const TensorList& carry, const TensorList&) { return body(carry); },
      name_of_leaf);
  const StagedCondition test = stage_condition(name, loop.leaves(), loop.cells(), condition);
  const WhileParams params{.condition = test.program,
                           .body = loop.program(),
                           .condition_constants = static_cast<int64_t>(test.constants.size()),
                           .body_constants = static_cast<int64_t>(loop.constants().size())};
  const TensorList results =
      emit(while_primitive(),
           joined<Tensor>({Inputs(test.constants), loop.constants(), loop.carry()}), params);
  write_cells(loop.cells(), Inputs(results).subspan(init.size()));
  return TensorList(results.begin(), results.begin() + static_cast<int64_t>(init.size()));
}

namespace {

/// What several branches read outside, and which variables they write, made one list.
class Branches {
 public:
  Branches(const char* name, const TensorList& operands, const std::vector<FlatFunction>& functions)
      : name_(name), given_(operands.size()), operands_(operands) {
    for (const FlatFunction& function : functions) record(function);
    if (devices_differ()) {
      recorded_.clear();
      for (const FlatFunction& function : functions) record(function);
    }
    for (const Recorded& branch : recorded_) require_same_results(branch);
    for (const Recorded& branch : recorded_) collect(branch);
    for (const Recorded::Written* written : written_) require_value(*written);
  }

  const TensorList& operands() const { return operands_; }
  size_t results() const { return recorded_[0].results; }

  std::vector<ProgramPtr> programs() const {
    std::vector<ProgramPtr> out;
    for (const Recorded& branch : recorded_) out.push_back(program(branch));
    return out;
  }
  void write(Inputs results) const {
    Reader reader(results);
    for (const Recorded::Written* written : written_) {
      const Inputs values = reader.take(written->count);
      state::Value value;
      value.tuple = written->tuple;
      value.tensors.assign(values.begin(), values.end());
      state::write(written->cell, std::move(value));
    }
  }

 private:
  void record(const FlatFunction& function) {
    Stage stage(name_);
    TensorList inputs;
    for (size_t i = 0; i < given_; ++i) inputs.push_back(stage.input(operands_[i].type()));
    recorded_.push_back(stage.record([&] { return on_devices(function(inputs), devices_); }));
  }

  /// Whether a branch gives a number of the host where another gives one of a device, on which all
  /// are then wanted.
  bool devices_differ() {
    bool differ = false;
    for (const Recorded& branch : recorded_) {
      const TypeList types = result_types(branch.graph);
      devices_.resize(std::max(devices_.size(), branch.results));
      for (size_t k = 0; k < branch.results; ++k) {
        if (!types[k].device.host()) devices_[k] = types[k].device;
      }
    }
    for (const Recorded& branch : recorded_) {
      const TypeList types = result_types(branch.graph);
      for (size_t k = 0; k < branch.results; ++k)
        differ |= goes_anywhere(types[k]) && types[k].device != devices_[k];
    }
    return differ;
  }

  void require_same_results(const Recorded& branch) const {
    const Recorded& first = recorded_[0];
    const TypeList a = result_types(first.graph), b = result_types(branch.graph);
    bool same = first.results == branch.results, moved = false;
    for (size_t k = 0; same && k < first.results; ++k) {
      same = same_type(a[k], b[k]);
      moved |= a[k].device != b[k].device;
    }
    if (same) return;
    const auto text = [&](const TypeList& types, size_t count) {
      std::string out;
      for (size_t k = 0; k < count; ++k) out += (k ? ", " : "") + text_of(types[k], moved);
      return out;
    };
    fail<ShapeError>(
        "{}: all branches must give the same types: the first gives ({}), branch {} "
        "gives ({})",
        name_, text(a, first.results), &branch - recorded_.data(), text(b, branch.results));
  }

  size_t add_operand(const Recorded::Source& source) {
    for (size_t i = 0; i < sources_.size(); ++i) {
      const Recorded::Source& known = sources_[i];
      const bool same = source.cell ? known.cell == source.cell && known.index == source.index
                                    : !known.cell && known.value.impl() == source.value.impl();
      if (same) return given_ + i;
    }
    sources_.push_back(source);
    operands_.push_back(source.value);
    return operands_.size() - 1;
  }

  void collect(const Recorded& branch) {
    for (const Recorded::Source& source : branch.sources) add_operand(source);
    for (const Recorded::Written& written : branch.written) {
      const auto known = std::find_if(written_.begin(), written_.end(), [&](const auto* other) {
        return other->cell == written.cell;
      });
      if (known == written_.end()) written_.push_back(&written);
    }
  }

  /// The branches that do not write a variable hand on the value that it has.
  void require_value(const Recorded::Written& written) {
    for (const Recorded& branch : recorded_) {
      for (const Recorded::Written& other : branch.written) {
        if (other.cell != written.cell) continue;
        if (other.made) {
          fail<TraceError>(
              "{}: a branch makes {} for a module outside, which another branch would lack\n"
              "  hint: make it before",
              name_, name_of(*other.cell));
        }
        for (size_t k = 0; k < other.count; ++k) {
          const int64_t at = operand_of(other.cell, k);
          const Graph& graph = branch.graph;
          if (other.count == written.count && at >= 0 &&
              same_type(operands_[static_cast<size_t>(at)].type(),
                        graph.types[graph.outputs[other.first + k]]))
            continue;
          fail<TraceError>(
              "{}: {}, which a branch writes, must keep its type\n  hint: give it a value of that "
              "type before, or return it",
              name_, name_of(*other.cell));
        }
      }
    }
  }

  int64_t operand_of(const state::CellPtr& cell, size_t index) const {
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].cell == cell && sources_[i].index == index)
        return static_cast<int64_t>(given_ + i);
    }
    return -1;
  }

  ProgramPtr program(const Recorded& branch) const {
    Graph graph = branch.graph;
    std::vector<ValueId> inputs(operands_.size(), -1);
    for (size_t i = 0; i < given_; ++i) inputs[i] = graph.inputs[i];
    for (size_t i = 0; i < branch.sources.size(); ++i)
      inputs[const_cast<Branches*>(this)->add_operand(branch.sources[i])] =
          graph.inputs[given_ + i];
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] < 0) inputs[i] = graph.add_value(operands_[i].type());
    }
    std::vector<ValueId> outputs(graph.outputs.begin(),
                                 graph.outputs.begin() + static_cast<int64_t>(branch.results));
    for (const Recorded::Written* written : written_) {
      const auto own = std::find_if(branch.written.begin(), branch.written.end(),
                                    [&](const auto& other) { return other.cell == written->cell; });
      for (size_t k = 0; k < written->count; ++k)
        outputs.push_back(own != branch.written.end()
                              ? graph.outputs[own->first + k]
                              : inputs[static_cast<size_t>(operand_of(written->cell, k))]);
    }
    graph.inputs = std::move(inputs);
    graph.outputs = std::move(outputs);
    return shared_program(std::move(graph));
  }

  const char* name_;
  size_t given_;
  std::vector<Device> devices_;  ///< of the results, once branches have been found to differ
  TensorList operands_;
  std::vector<Recorded> recorded_;
  std::vector<Recorded::Source> sources_;
  std::vector<const Recorded::Written*> written_;
};

}  // namespace

TensorList cond_call(const char* name, const Tensor& index, const TensorList& operands,
                     const std::vector<FlatFunction>& branches) {
  require_defined(std::span(&index, 1), name, "the number of the branch");
  require_defined(operands, name, "a leaf of the operands");
  if (branches.empty()) fail<ValueError>("{}: there is no branch", name);
  if (!index.shape().empty() || !is_integer(index.dtype())) {
    fail<ShapeError>("{}: expected a zero-dimensional integer as the number of the branch, got {}",
                     name, to_string(index.type()));
  }
  const Branches all(name, operands, branches);
  const auto last = static_cast<int32_t>(branches.size()) - 1;
  const Tensor clamped = astype(clip(index, 0, last), DType::kI32);
  const CondParams params{all.programs()};
  const TensorList results =
      emit(cond_primitive(), joined<Tensor>({{&clamped, 1}, all.operands()}), params);
  Reader reader(results);
  const Inputs own = reader.take(all.results());
  all.write(reader.rest());
  return TensorList(own.begin(), own.end());
}

Tensor branch_of(const char* name, const Tensor& predicate) {
  require_defined(std::span(&predicate, 1), name, "the predicate");
  if (!predicate.shape().empty()) {
    fail<ShapeError>(
        "{}: expected a zero-dimensional predicate, got {}\n  hint: all(...) or any(...); for a "
        "choice per element use where",
        name, to_string(predicate.type()));
  }
  return astype(predicate.dtype() == DType::kBool ? predicate : predicate != 0, DType::kI32);
}

ForBounds for_bounds(const Tensor& first, const Tensor& last) {
  ForBounds out{first, last, {}};
  require_defined(std::array{first, last}, "fori_loop", "a bound");
  for (Tensor* bound : {&out.first, &out.last}) {
    if (!bound->shape().empty() || !is_integer(bound->dtype())) {
      fail<DTypeError>("fori_loop: expected zero-dimensional integers as bounds, got {} and {}",
                       to_string(first.type()), to_string(last.type()));
    }
  }
  const DType dtype =
      first.weak() && last.weak() ? DType::kI32 : promote_types(first.dtype(), last.dtype());
  out.first = astype(out.first, dtype);
  out.last = astype(out.last, dtype);
  if (first.impl()->concrete() && last.impl()->concrete() && first.device().host() &&
      last.device().host())
    out.count = std::max<int64_t>(0, last.item<int64_t>() - first.item<int64_t>());
  return out;
}

void require_same_structure(const char* name, const tree::Flattened& expected,
                            const tree::Flattened& got) {
  if (expected.structure != got.structure) tree::fail_different_structure(expected, got, name);
}

}  // namespace linnet::detail
