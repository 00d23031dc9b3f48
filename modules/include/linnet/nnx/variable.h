// nnx::Variable: the one mutable thing. A reference cell with a tensor, a type (Param, BatchStat,
// …) and metadata.
//
//   nnx::Param w(random::normal(key, {32, 64}));
//   Tensor y = matmul(x, w);                 // converts to its value; w.shape(), w[0], w->sum()
//   w = w.value() * 0.9f;                    // writes; programs that captured w see it
//
// Construction moves identity, assignment moves values: a copy is a new variable with the same
// value, a moved-from variable hands its identity over, and assigning to an existing variable
// writes into it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "linnet/metadata.h"
#include "linnet/module_path.h"
#include "linnet/state.h"
#include "linnet/tree.h"
#include "linnet/variable_type.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using linnet::short_type_name;
using linnet::VariableType;

/// The cell behind a variable.
class VariableCell final : public state::Cell {
 public:
  VariableCell(const VariableType& type, state::Value value, Metadata metadata)
      : Cell(std::move(value)), type(&type), metadata(std::move(metadata)) {}
  /// Kind and metadata are part of the structure of a tree.
  void describe(std::string& structure) const override;
  const VariableType* type;
  Metadata metadata;
};
using VariableCellPtr = std::shared_ptr<VariableCell>;

/// A cell of the present state scope.
inline VariableCellPtr make_variable_cell(const VariableType& type, state::Value value,
                                          Metadata metadata) {
  return state::make_cell<VariableCell>(type, std::move(value), std::move(metadata));
}
/// A new cell with the same value; within a tree::copy, the same one for the same cell.
VariableCellPtr copy_cell(const VariableCellPtr& cell);

/// True for kinds whose values keep the shape they were made with: Param and BatchStat.
bool keeps_shape(const VariableType& type);

class Variable {
 public:
  using HasOwnText = void;  ///< it does not print as the tensor that it holds
  static const VariableType& static_type();

  explicit Variable(state::Value value, Metadata metadata = {});
  /// A variable of a kind known only at run time.
  Variable(const VariableType& type, state::Value value, Metadata metadata = {});
  /// Another handle to an existing cell.
  explicit Variable(VariableCellPtr cell) : cell_(std::move(cell)) {}

  Variable(const Variable& other);
  Variable(Variable&& other) noexcept = default;
  Variable& operator=(const Variable& other);
  /// Outside all transformations, and if nobody else has a handle to `other`, it needs no memory.
  Variable& operator=(Variable&& other);
  Variable& operator=(Tensor value) {
    set_value(std::move(value));
    return *this;
  }

  /// The value after get hooks. @throws ModuleError if the value is a tuple.
  Tensor value() const;
  operator Tensor() const { return value(); }  // NOLINT(runtime/explicit)
  Tensor operator*() const { return value(); }
  /// Writes through set hooks. @throws ShapeError if the shape of a Param or BatchStat would
  /// change, TraceError if a transformation does not allow the write.
  void set_value(Tensor value);
  /// What writing `value` would store: it after set hooks. @throws ShapeError as `set_value`.
  Tensor stored(Tensor value) const;
  /// Past the hooks; also for tuples (what `sow` stores).
  state::Value raw_value() const;
  void set_raw_value(state::Value value);

  Shape shape() const { return value().shape(); }
  int64_t shape(int64_t axis) const { return value().shape(axis); }
  DType dtype() const { return value().dtype(); }
  size_t rank() const { return value().rank(); }
  int64_t size() const { return value().size(); }
  /// Of the value, as `Tensor::operator[]`.
  Tensor operator[](int64_t index) const { return value()[index]; }
  Tensor operator[](std::initializer_list<int64_t> indices) const { return value()[indices]; }
  Tensor operator[](const Slice& range) const { return value()[range]; }
  template <size_t N>
  Tensor operator[](const Index (&places)[N]) const {
    return value()[places];
  }
  ElementIterator<Tensor> begin() const { return value().begin(); }
  ElementIterator<Tensor> end() const { return value().end(); }
  /// Every other member of the value: `w->T()`, `w->sum()`, `w->to_vector<float>()`.
  auto operator->() const {
    struct {
      Tensor tensor;
      const Tensor* operator->() const { return &tensor; }
    } held{value()};
    return held;
  }
  const VariableType& type() const { return *cell_->type; }
  const Metadata& metadata() const { return cell_->metadata; }
  void set_metadata(std::string_view name, MetadataValue value);
  const VariableCellPtr& cell() const { return cell_; }
  VariableCellPtr& cell() { return cell_; }

 private:
  VariableCellPtr cell_;
};

/// `Param(Tensor([1, 2], f32[2]), 8 bytes, {tag='a'})`: kind, value, and metadata if there are.
std::string to_string(const Variable& variable);
std::ostream& operator<<(std::ostream& stream, const Variable& variable);
/// The same, or `nullopt`.
std::ostream& print(std::ostream& stream, const Variable* variable);
template <std::derived_from<Variable> V>
std::ostream& operator<<(std::ostream& stream, const std::optional<V>& variable) {
  return print(stream, variable ? &*variable : nullptr);
}

/// While one is alive, errors and recorded operations carry the place of the layer that owns the
/// variable, as of the last `split`, `state`, `value_and_grad`, mode change or optimiser that saw
/// it; within an outer layer, what is below that.
class LayerPath {
 public:
  /// @param above how many names of the variable's path lead from the layer to it.
  explicit LayerPath(const Variable& variable, int above = 1);
  /// By the first variable there is.
  template <class V>
  explicit LayerPath(const std::optional<V>& first, const std::optional<V>& second = {})
      : scope_(first    ? place(*first, 1)
               : second ? place(*second, 1)
                        : std::string_view()) {}

 private:
  static std::string_view place(const Variable& variable, int above);
  ModulePathScope scope_;
};

/// While one is alive, copies of variables take the stored values as they are, past all
/// transformations: for prototypes, whose values are mere types and no inputs of anything.
class RawCopyScope {
 public:
  RawCopyScope();
  ~RawCopyScope();
  RawCopyScope(const RawCopyScope&) = delete;
  RawCopyScope& operator=(const RawCopyScope&) = delete;
};

/// Base of user-defined kinds: `struct Count : nnx::VariableOf<Count> { using
/// VariableOf::VariableOf; };`
template <class Self, class Base = Variable>
class VariableOf : public Base {
 public:
  static const VariableType& static_type() {
    static const VariableType* type =
        new VariableType(short_type_name(typeid(Self)), &Base::static_type());
    return *type;
  }
  explicit VariableOf(state::Value value, Metadata metadata = {})
      : Base(Self::static_type(), std::move(value), std::move(metadata)) {}
  template <class T>
    requires std::is_convertible_v<T, Tensor>
  explicit VariableOf(T&& value, Metadata metadata = {})
      : VariableOf(state::Value(Tensor(std::forward<T>(value))), std::move(metadata)) {}
  VariableOf(const VariableType& type, state::Value value, Metadata metadata = {})
      : Base(type, std::move(value), std::move(metadata)) {}
  using Base::operator=;
};

class Param : public VariableOf<Param> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class BatchStat : public VariableOf<BatchStat> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class Cache : public VariableOf<Cache> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class Intermediate : public VariableOf<Intermediate> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class Perturbation : public VariableOf<Perturbation, Intermediate> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class RngState : public VariableOf<RngState> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class RngKey : public VariableOf<RngKey, RngState> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class RngCount : public VariableOf<RngCount, RngState> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class LoRAParam : public VariableOf<LoRAParam, Param> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class OptState : public VariableOf<OptState> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};
class MetricState : public VariableOf<MetricState> {
 public:
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};

/// The collection registry (B-001 … B-011): names of functional collections ↔ kinds of variables.
/// @throws ValueError as the inventory says.
const VariableType& variable_type_from_name(std::string_view name,
                                            const VariableType* base = nullptr,
                                            bool allow_register = false);
std::string variable_name_from_type(const VariableType& type, bool allow_register = false);
const VariableType& register_variable_name(std::string_view name, const VariableType& type,
                                           bool overwrite = false);

namespace detail {
/// A member that may hold a variable of a kind: takes its cell, if there is one, and puts in
/// another, or none.
struct Slot {
  const VariableType* type;
  std::function<VariableCellPtr()> get;
  std::function<void(VariableCellPtr)> set;
};
/// Tells visitors that look for such members (nnx/members.h).
void report_slot(tree::Visitor& visitor, Slot slot);
}  // namespace detail

}  // namespace linnet::nnx

namespace linnet::tree {

template <class V>
  requires std::is_base_of_v<nnx::Variable, V>
struct Traits<std::optional<V>> {
  static void visit(std::optional<V>& member, Visitor& visitor) {
    visitor.enter(typeid(member), member ? 1 : 0);
    const auto set = [&member](nnx::VariableCellPtr cell) {
      member.reset();
      if (cell) member.emplace(state::Value()).cell() = std::move(cell);
    };
    nnx::detail::report_slot(
        visitor, {&V::static_type(), [&member] { return member ? member->cell() : nullptr; }, set});
    if (member) tree::visit(*member, visitor);
    visitor.leave();
  }
};

template <class T>
  requires std::is_base_of_v<nnx::Variable, T>
struct Traits<T> {
  static void visit(T& variable, Visitor& visitor) {
    // The visitor may replace the cell (merge does); a variable's cell is always a VariableCell.
    state::CellPtr cell = variable.cell();
    visitor.cell(cell);
    if (cell.get() != variable.cell().get())
      variable.cell() = std::static_pointer_cast<nnx::VariableCell>(cell);
  }
};

}  // namespace linnet::tree

#pragma GCC visibility pop
