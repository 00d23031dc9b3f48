// operator new that fails on purpose, in this program only.
//
//   FailingNew failing({.first = 3});     // the fourth allocation of this thread throws bad_alloc
//   run();
//   failing.triggered();
#pragma once

#include <cstddef>

namespace linnet::test {

class FailingNew {
 public:
  struct Plan {
    long first;  ///< number of allocations that succeed
    bool from_then_on = false;
    /// Fail also what the C++ library allocates in its own compiled code. Libraries that end the
    /// process when memory is short call that too, so only scenarios without them ask for it.
    bool in_standard_library = false;
  };
  explicit FailingNew(Plan plan);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;
  bool triggered() const;
};

}  // namespace linnet::test
