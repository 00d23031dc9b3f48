// An attribute of a bridge::Module beside its declared fields: a value of any type that is a tree.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "linnet/nnx/variable.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::bridge::detail {

class ModuleAttribute {
 public:
  virtual ~ModuleAttribute() = default;
  virtual void visit(tree::Visitor& visitor) = 0;
  virtual std::unique_ptr<ModuleAttribute> copy() const = 0;
  /// Assigns the other's value; false if it is of another type.
  virtual bool assign(const ModuleAttribute& other) = 0;
  /// Null if it is something else.
  virtual nnx::Variable* variable() { return nullptr; }
  virtual Tensor* tensor() { return nullptr; }
};

template <class T>
class ModuleAttributeOf final : public ModuleAttribute {
 public:
  explicit ModuleAttributeOf(T v) : value(std::move(v)) {}
  void visit(tree::Visitor& visitor) override { tree::visit(value, visitor); }
  std::unique_ptr<ModuleAttribute> copy() const override {
    return std::make_unique<ModuleAttributeOf>(value);
  }
  bool assign(const ModuleAttribute& other) override {
    const auto* same = dynamic_cast<const ModuleAttributeOf*>(&other);
    if (same) value = same->value;
    return same != nullptr;
  }
  nnx::Variable* variable() override {
    if constexpr (std::is_base_of_v<nnx::Variable, T>)
      return &value;
    else
      return nullptr;
  }
  Tensor* tensor() override {
    if constexpr (std::is_same_v<T, Tensor>)
      return &value;
    else
      return nullptr;
  }
  T value;
};

}  // namespace linnet::bridge::detail

#pragma GCC visibility pop
