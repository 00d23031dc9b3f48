// Private: what a function is traced for, leaf by leaf, and why it is traced again.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "linnet/tree.h"

namespace linnet {

/// One leaf of an argument: `argument 1: rate` is `0.1 (double)`.
struct LeafDescription {
  std::string name;
  std::string text;     ///< type of a tensor, value of a static leaf
  bool number = false;  ///< a static leaf: each value is a program of its own
};

/// Describes an argument and finds the names of its variables.
class LeafDescriber final : public tree::Visitor {
 public:
  explicit LeafDescriber(size_t argument) : argument_(argument) {}
  void tensor(Tensor& leaf) override;
  void cell(state::CellPtr& cell) override;
  void fixed(const std::type_info& type, std::string_view bytes) override;
  void flag(bool& value) override;
  void enter(const std::type_info& type, size_t children) override;
  void leave() override;
  void child(std::string_view name) override;
  void child(int64_t index) override;
  bool first_visit(const void* address) override;

  const std::vector<LeafDescription>& leaves() const { return leaves_; }
  /// Paths of the variables, in order.
  const std::vector<std::string>& variables() const { return variables_; }

 private:
  void add(std::string text, bool number);
  size_t argument_;
  tree::Path path_;
  std::vector<size_t> depth_;
  std::vector<const void*> shared_;
  std::vector<LeafDescription> leaves_;
  std::vector<std::string> variables_;
};

/// Remembers what a function was last traced for.
class RetraceLog {
 public:
  /// After this many changes of one leaf there is a warning.
  static constexpr int kMostChanges = 8;

  /// The leaves that differ from those of the trace before, `argument 1: 0.1 (double) -> 0.2
  /// (double)`, the first few; empty for the first trace.
  std::string note(std::vector<LeafDescription> leaves);
  /// What to say of the leaf that has just changed once too often; empty if none has.
  std::string warning(const std::string& function);

 private:
  std::vector<LeafDescription> last_;
  std::map<std::string, int> changes_;
  const LeafDescription* excessive_ = nullptr;
};

}  // namespace linnet
