#include "linnet/bridge/module.h"

#include <deque>

#include "linnet/bridge/convert.h"
#include "linnet/bridge/to_nnx.h"
#include "linnet/detail/format.h"
#include "linnet/linen/errors.h"
#include "linnet/transforms.h"
#include "module_access.h"

namespace linnet::bridge {
namespace {

// A deque, so that a context keeps its address while calls are made inside.
thread_local std::deque<ModuleContext> contexts;

}  // namespace

ModuleContext* current_context() { return contexts.empty() ? nullptr : &contexts.back(); }
Module* current_module() { return contexts.empty() ? nullptr : contexts.back().module; }

namespace detail {

ModuleCall::ModuleCall(Module& module, bool in_compact) {
  contexts.push_back({.module = &module, .in_compact = in_compact});
}
ModuleCall::~ModuleCall() { contexts.pop_back(); }

}  // namespace detail

Module::Module(const Module& other)
    : type_(other.type_),
      pending_(other.pending_),
      priorities_(other.priorities_),
      scope_(other.scope_),
      path_(other.path_),
      initializing_(other.initializing_),
      is_setup_(other.is_setup_) {
  for (const auto& [name, attribute] : other.attributes_)
    attributes_.emplace(name, attribute->copy());
}

Module& Module::operator=(const Module& other) {
  if (this == &other) return *this;
  Module copy(other);
  // Whoever holds a variable or submodule of this module keeps it, with the other's values.
  for (auto& [name, attribute] : copy.attributes_) {
    const auto own = attributes_.find(name);
    if (own != attributes_.end() && own->second->assign(*other.attributes_.find(name)->second))
      attribute = std::move(own->second);
  }
  return *this = std::move(copy);
}

std::string Module::text(std::string_view name) const {
  const std::string place =
      name.empty() ? path_ : path_ + (path_.empty() ? "" : "/") + std::string(name);
  return fmt::format("{}{}", type_ ? short_type_name(*type_->type) : "bridge::Module",
                     place.empty() ? std::string() : " at '" + place + "'");
}

void Module::require_bound(const char* what, std::string_view name) const {
  if (scope_) return;
  fail<ValueError>(
      "{}: '{}' of a module that is not bound\n"
      "  hint: call the module through bridge::init or bridge::apply",
      what, name);
}

Key Module::make_rng(std::string_view name) {
  require_bound("make_rng", name);
  return scope_->rngs().next(name);
}

namespace {

struct AbstractValue {
  std::optional<Shape> shape;  ///< none of a tuple
  Metadata metadata;
};

/// Shape and metadata of what an initialiser would make, without computing it.
AbstractValue abstract_value(const std::function<nnx::Variable()>& make) {
  AbstractValue out;
  eval_shape(
      [&](const Tensor& unused) {
        const nnx::Variable made = make();
        const state::Value value = made.raw_value();
        if (value.single()) out.shape = value.tensors[0].shape();
        out.metadata = made.metadata();
        return unused;
      },
      zeros({}));
  return out;
}

}  // namespace

std::optional<nnx::Variable> Module::held_variable(std::string_view name,
                                                   const nnx::VariableType& type,
                                                   const std::function<nnx::Variable()>& make) {
  const auto check = [&](const state::Value& value) -> AbstractValue {
    AbstractValue wanted = abstract_value(make);
    if (value.single() && wanted.shape && value.tensors[0].shape() != *wanted.shape) {
      fail<linen::ScopeParamShapeError>(
          "ScopeParamShapeError: '{}' of {}: expected shape {}, got {}", name, text(),
          to_string(*wanted.shape), to_string(value.tensors[0].type()));
    }
    return wanted;
  };
  if (const auto own = attributes_.find(name); own != attributes_.end()) {
    if (nnx::Variable* variable = own->second->variable()) return nnx::Variable(variable->cell());
    Tensor* raw = own->second->tensor();
    if (!raw) fail_taken(name);
    if (!make) fail<ValueError>("variable: '{}' of {} needs an initialiser", name, text());
    AbstractValue wanted = check(state::Value(*raw));
    return nnx::Variable(
        nnx::make_variable_cell(type, state::Value(*raw), std::move(wanted.metadata)));
  }
  const auto given = pending_.find(name);
  if (given == pending_.end()) return std::nullopt;
  if (!given->second.is_variable()) fail_taken(name);
  nnx::Variable variable(given->second.variable().cell());
  // Initialisers of parameters are functions of a key; others may draw from streams.
  if (make && type.is(nnx::Param::static_type())) check(variable.raw_value());
  pending_.erase(given);
  return variable;
}

nnx::Variable Module::param_from(std::string_view name,
                                 const std::function<nnx::Variable(const Key&)>& make) {
  require_bound("param", name);
  const nnx::VariableType& type = nnx::Param::static_type();
  std::optional<nnx::Variable> held = held_variable(name, type, [&] { return make(Key(0)); });
  if (held && !held->type().is(type)) {
    fail<ValueError>("param: expected '{}' of {} to be a Param, got a {}", name, text(),
                     held->type().name());
  }
  const nnx::Variable variable = held ? std::move(*held) : make(make_rng("params"));
  set_attribute(name, nnx::Variable(variable.cell()));
  return nnx::Variable(variable.cell());
}

nnx::Variable Module::variable_from(const nnx::VariableType& type, std::string_view name,
                                    const std::function<nnx::Variable()>& make) {
  require_bound("variable", name);
  std::optional<nnx::Variable> held = held_variable(name, type, make);
  if (!held && !make) {
    fail<ValueError>(
        "variable: there is no '{}' in {}, and no initialiser\n"
        "  hint: pass a function that makes the value",
        name, text());
  }
  const nnx::Variable variable = held ? std::move(*held) : make();
  set_attribute(name, nnx::Variable(variable.cell()));
  return nnx::Variable(variable.cell());
}

std::string Module::automatic_name(const std::string& type) {
  ModuleContext* context = current_context();
  if (!context || context->module != this || !context->in_compact) {
    fail<ValueError>(
        "submodule: {} is named after its type in a compact method of its parent only\n"
        "  hint: begin the method with 'const bridge::Compact compact(*this);', or give a name",
        type);
  }
  return type + '_' + std::to_string(context->type_counter[type]++);
}

bool Module::begin_submodule(std::string_view name) {
  require_bound("submodule", name);
  if (name.empty()) fail<ValueError>("submodule: expected a name, got an empty text");
  ModuleContext* context = current_context();
  if (context && context->in_compact && context->module != this) {
    fail<ValueError>(
        "submodule: '{}' of {} inside a compact method of {}, whose submodules belong to itself",
        name, text(), context->module->text());
  }
  const bool there = has_attribute(name);
  const bool inside = context && context->module == this;
  if (inside && !context->names.emplace(name, true).second) fail_taken(name);
  if (there && !(inside && context->in_compact)) fail_taken(name);
  return there;
}

void Module::put_attribute(std::string_view name,
                           std::unique_ptr<detail::ModuleAttribute> attribute) {
  if (type_) {
    for (const detail::ModuleField& field : type_->fields(*this)) {
      if (field.name == name) {
        fail<ValueError>("set_attribute: '{}' is a declared field of {}\n  hint: use attach", name,
                         text());
      }
    }
  }
  detail::ModuleAttribute& held = *attribute;
  attributes_.insert_or_assign(std::string(name), std::move(attribute));
  bind_value(std::string(name), [&held](tree::Visitor& visitor) { held.visit(visitor); });
}

void Module::bind_field(const void* address) {
  if (!type_) return;
  for (const detail::ModuleField& field : type_->fields(*this)) {
    if (field.address == address) return bind_value(field.name, field.visit);
  }
  fail<ValueError>(
      "attach: the member is no declared field of {}\n  hint: list it in LINNET_FIELDS", text());
}

void Module::bind_value(const std::string& name, const std::function<void(tree::Visitor&)>& visit) {
  if (!scope_) return;
  if (auto given = pending_.extract(name); !given.empty()) {
    for (const auto& [path, variable] :
         detail::fill(visit, detail::incoming_from(given.mapped()))) {
      std::vector<std::string> whole{name};
      whole.insert(whole.end(), path.begin(), path.end());
      detail::ModuleAccess::keep(*this, whole, variable);
    }
  }
  // Functional modules wrapped inside make their variables in this call too.
  if (initializing_) nnx::detail::set_flags(visit, {{detail::kInitializing, true}}, false);
  detail::ModuleAccess::bind(detail::modules_below(visit), *scope_, initializing_,
                             path_ + (path_.empty() ? "" : "/") + name);
}

void Module::fail_taken(std::string_view name) const {
  fail<linen::NameInUseError>("NameInUseError: {} has something else under the name '{}'", text(),
                              name);
}

void Module::fail_no_attribute(std::string_view name) const {
  std::string known;
  for (const auto& [own, attribute] : attributes_) known += (known.empty() ? "" : ", ") + own;
  fail<ModuleError>("{} has no attribute '{}' of this type; it has {}{}", text(), name,
                    known.empty() ? "none" : known,
                    pending_.count(name)
                        ? "\n  variables were given under the name, but nothing has been made yet"
                        : "");
}

}  // namespace linnet::bridge
