#include "linnet/nnx/variable.h"

#include <deque>
#include <mutex>
#include <ostream>

#include "linnet/detail/format.h"
#include "linnet/nnx/nodes.h"
#include "modules/nnx/eager_sharding.h"
#include "modules/nnx/registered_name.h"

namespace linnet::nnx {

const VariableType& Variable::static_type() {
  // Never destroyed, as all kinds: static objects may hold variables.
  static const VariableType* type = new VariableType("Variable", nullptr);
  return *type;
}

namespace {

template <class H>
const std::vector<H>* hooks_of(const Metadata& metadata, const char* name) {
  const auto* hooks = metadata.get<std::vector<H>>(name);
  return hooks && !hooks->empty() ? hooks : nullptr;
}

Tensor run_hooks(const Metadata& metadata, const char* name, Tensor value) {
  if (const auto* hooks = hooks_of<ValueHook>(metadata, name)) {
    for (const ValueHook& hook : *hooks) value = hook.function(value);
  }
  return value;
}

}  // namespace

Variable::Variable(state::Value value, Metadata metadata)
    : Variable(static_type(), std::move(value), std::move(metadata)) {}

Variable::Variable(const VariableType& type, state::Value value, Metadata metadata) {
  if (value.single())
    value.tensors[0] = run_hooks(metadata, "on_create_value", std::move(value.tensors[0]));
  value = placed(type, std::move(value), metadata);
  cell_ = make_variable_cell(type, std::move(value), std::move(metadata));
}

namespace {

/// What of `place` is below the current path, which may end with a part of it already.
std::string_view below(std::string_view place, std::string_view current) {
  for (size_t size = place.size(); size > 0 && size != std::string_view::npos;
       size = place.rfind('/', size - 1)) {
    const std::string_view outer = place.substr(0, size);
    if (!current.ends_with(outer)) continue;
    if (current.size() > size && current[current.size() - size - 1] != '/') continue;
    return size == place.size() ? std::string_view() : place.substr(size + 1);
  }
  return place;
}

}  // namespace

LayerPath::LayerPath(const Variable& variable, int above) : scope_(place(variable, above)) {}

std::string_view LayerPath::place(const Variable& variable, int above) {
  std::string_view place = variable.cell()->label.text();
  for (int i = 0; i < above; ++i) {
    const size_t end = place.rfind('/');
    place = end == std::string_view::npos ? std::string_view() : place.substr(0, end);
  }
  return below(place, module_path());
}

namespace {
thread_local int raw_copies = 0;
thread_local int shared_copies = 0;
}  // namespace

RawCopyScope::RawCopyScope() { ++raw_copies; }
RawCopyScope::~RawCopyScope() { --raw_copies; }
SharedCopyScope::SharedCopyScope() { ++shared_copies; }
SharedCopyScope::~SharedCopyScope() { --shared_copies; }

void VariableCell::describe(std::string& structure) const {
  structure.append(reinterpret_cast<const char*>(&type), sizeof(type));
  if (!metadata.empty()) structure += to_string(metadata);
}

std::string to_string(const Variable& variable) {
  const state::Value value = variable.raw_value();
  std::string text;
  size_t bytes = 0;
  for (const Tensor& tensor : value.tensors) {
    text += (text.empty() ? "" : ", ") + linnet::to_string(tensor);
    if (tensor.defined()) bytes += static_cast<size_t>(tensor.size()) * size_of(tensor.dtype());
  }
  const Metadata& metadata = variable.metadata();
  return fmt::format("{}({}{}{}, {} bytes{}{})", variable.type().name(), value.tuple ? "(" : "",
                     text, value.tuple ? ")" : "", bytes, metadata.empty() ? "" : ", ",
                     metadata.empty() ? "" : to_string(metadata));
}

std::ostream& operator<<(std::ostream& stream, const Variable& variable) {
  return stream << to_string(variable);
}
std::ostream& print(std::ostream& stream, const Variable* variable) {
  return stream << (variable ? to_string(*variable) : "nullopt");
}

VariableCellPtr copy_cell(const VariableCellPtr& cell) {
  if (shared_copies > 0) return cell;
  std::shared_ptr<void> alone;
  tree::CopyScope* scope = tree::CopyScope::current();
  std::shared_ptr<void>& copy = scope ? scope->copies[cell.get()] : alone;
  if (!copy) {
    VariableCellPtr fresh = make_variable_cell(
        *cell->type, raw_copies > 0 ? cell->raw() : state::read(cell), cell->metadata);
    fresh->label = cell->label;
    copy = std::move(fresh);
  }
  return std::static_pointer_cast<VariableCell>(copy);
}

Variable::Variable(const Variable& other) : cell_(copy_cell(other.cell_)) {}

Variable& Variable::operator=(const Variable& other) {
  if (this == &other || cell_ == other.cell_) return *this;
  if (!cell_) {
    *this = Variable(other);
    return *this;
  }
  set_raw_value(other.raw_value());
  cell_->metadata = other.cell_->metadata;
  return *this;
}

Variable& Variable::operator=(Variable&& other) {
  if (!cell_) {
    cell_ = std::move(other.cell_);
  } else if (state::current_scope() || other.cell_.use_count() != 1) {
    *this = static_cast<const Variable&>(other);
  } else if (cell_ != other.cell_) {
    cell_->set_raw(other.cell_->take());
    cell_->metadata = std::move(other.cell_->metadata);
  }
  return *this;
}

bool keeps_shape(const VariableType& type) {
  return type.is(Param::static_type()) || type.is(BatchStat::static_type());
}

state::Value Variable::raw_value() const { return state::read(cell_); }
void Variable::set_raw_value(state::Value value) { state::write(cell_, std::move(value)); }

Tensor Variable::value() const {
  state::Value value = raw_value();
  if (!value.single()) {
    fail<ModuleError>("{}: expected one tensor, the variable holds a tuple of {}", type().name(),
                      value.tensors.size());
  }
  return run_hooks(cell_->metadata, "on_get_value", std::move(value.tensors[0]));
}

Tensor Variable::stored(Tensor value) const {
  value = run_hooks(cell_->metadata, "on_set_value", std::move(value));
  const state::Value& held = state::peek(cell_);
  if (keeps_shape(type()) && held.single() && held.tensors[0].defined() && value.defined() &&
      held.tensors[0].shape() != value.shape()) {
    fail<ShapeError>("{}: {} cannot become {}: a parameter keeps its shape",
                     cell_->label.empty() ? type().name() : "variable " + cell_->label,
                     to_string(held.tensors[0].type()), to_string(value.type()));
  }
  return value;
}
void Variable::set_value(Tensor value) { set_raw_value(state::Value(stored(std::move(value)))); }

void Variable::set_metadata(std::string_view name, MetadataValue value) {
  check_fixed_metadata(type(), cell_->metadata, name, &value);
  cell_->metadata.set(name, std::move(value));
}

namespace {

/// The process-wide, one-to-one table of collection names and kinds.
class CollectionRegistry {
 public:
  CollectionRegistry() {
    add("params", Param::static_type());
    add("batch_stats", BatchStat::static_type());
    add("cache", Cache::static_type());
    add("intermediates", Intermediate::static_type());
    add("perturbations", Perturbation::static_type());
  }

  const VariableType* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }
  const std::string* find(const VariableType& type) const {
    const auto found = by_type_.find(&type);
    return found == by_type_.end() ? nullptr : &found->second;
  }
  void add(std::string name, const VariableType& type) {
    by_type_[&type] = name;
    by_name_[std::move(name)] = &type;
  }
  void erase(const std::string& name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return;
    by_type_.erase(found->second);
    by_name_.erase(found);
  }
  const VariableType& make(std::string_view name, const VariableType* base) {
    made_.emplace_back(std::string(name), base ? base : &Variable::static_type());
    add(std::string(name), made_.back());
    return made_.back();
  }

  std::mutex mutex;

 private:
  std::map<std::string, const VariableType*, std::less<>> by_name_;
  std::map<const VariableType*, std::string> by_type_;
  std::deque<VariableType> made_;
};

CollectionRegistry& collections() {
  static CollectionRegistry* registry = new CollectionRegistry;
  return *registry;
}

}  // namespace

const VariableType& variable_type_from_name(std::string_view name, const VariableType* base,
                                            bool allow_register) {
  CollectionRegistry& registry = collections();
  std::lock_guard lock(registry.mutex);
  if (const VariableType* found = registry.find(name)) return *found;
  if (!allow_register) {
    fail<ValueError>("variable_type_from_name: no variable type is registered under the name '{}'",
                     name);
  }
  return registry.make(name, base);
}

std::optional<std::string> detail::registered_name(const VariableType& type) {
  CollectionRegistry& registry = collections();
  std::lock_guard lock(registry.mutex);
  const std::string* found = registry.find(type);
  return found ? std::optional(*found) : std::nullopt;
}

std::string variable_name_from_type(const VariableType& type, bool allow_register) {
  CollectionRegistry& registry = collections();
  std::lock_guard lock(registry.mutex);
  if (const std::string* found = registry.find(type)) return *found;
  if (!allow_register) {
    fail<ValueError>("variable_name_from_type: variable type {} is not registered", type.name());
  }
  if (registry.find(type.name())) {
    fail<ValueError>(
        "variable_name_from_type: the name '{}' is already taken by another variable type",
        type.name());
  }
  registry.add(type.name(), type);
  return type.name();
}

const VariableType& register_variable_name(std::string_view name, const VariableType& type,
                                           bool overwrite) {
  CollectionRegistry& registry = collections();
  std::lock_guard lock(registry.mutex);
  if (registry.find(name)) {
    if (!overwrite)
      fail<ValueError>("register_variable_name: the name '{}' is already registered", name);
    registry.erase(std::string(name));
  }
  if (const std::string* other = registry.find(type)) {
    if (!overwrite) {
      fail<ValueError>("register_variable_name: variable type {} is already registered as '{}'",
                       type.name(), *other);
    }
    registry.erase(std::string(*other));
  }
  registry.add(std::string(name), type);
  return type;
}

}  // namespace linnet::nnx
