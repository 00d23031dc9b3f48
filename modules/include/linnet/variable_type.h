// What both module APIs and the bridge between them know of each other's leaves: kinds of
// variables, static entries, and the names of C++ types. Neither API includes the other.
//
//   const VariableType& kind = nnx::Param::static_type();
//   kind.is(nnx::Variable::static_type())               // true
//   short_type_name(typeid(nnx::Linear))                // "Linear"
#pragma once

#include <string>
#include <typeinfo>
#include <utility>

#pragma GCC visibility push(default)

namespace linnet {

/// A kind of variable at run time. Identity is the address; kinds form a tree.
class VariableType {
 public:
  VariableType(std::string name, const VariableType* parent)
      : name_(std::move(name)), parent_(parent) {}
  const std::string& name() const { return name_; }
  const VariableType* parent() const { return parent_; }
  /// True for `other` itself and what derives from it.
  bool is(const VariableType& other) const {
    for (const VariableType* t = this; t; t = t->parent_) {
      if (t == &other) return true;
    }
    return false;
  }

 private:
  std::string name_;
  const VariableType* parent_;
};

/// A static entry among variables: no array, comparable, carried along unchanged (a graph
/// definition).
class StaticEntry {
 public:
  virtual ~StaticEntry() = default;
  virtual bool equals(const StaticEntry& other) const = 0;
  virtual std::string text() const = 0;
};

/// Short name of a C++ type: no namespaces, no template arguments.
std::string short_type_name(const std::type_info& type);

}  // namespace linnet

#pragma GCC visibility pop
