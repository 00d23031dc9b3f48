#include "linnet/nnx/variable.h"

#include <deque>
#include <mutex>

#include "core/base/format.h"

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
  cell_ = std::make_shared<VariableCell>(type, std::move(value), std::move(metadata));
}

namespace {
thread_local int raw_copies = 0;
}  // namespace

RawCopyScope::RawCopyScope() { ++raw_copies; }
RawCopyScope::~RawCopyScope() { --raw_copies; }

Variable::Variable(const Variable& other)
    : cell_(std::make_shared<VariableCell>(*other.cell_->type,
                                           raw_copies > 0 ? other.cell_->raw() : other.raw_value(),
                                           other.cell_->metadata)) {}

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

Variable& Variable::operator=(Variable&& other) noexcept {
  if (!cell_)
    cell_ = std::move(other.cell_);
  else
    *this = static_cast<const Variable&>(other);
  return *this;
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

void Variable::set_value(Tensor value) {
  set_raw_value(state::Value(run_hooks(cell_->metadata, "on_set_value", std::move(value))));
}

void Variable::set_metadata(std::string_view name, MetadataValue value) {
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
