// Private: the present value of a variable without a copy where there is no transformation.
#pragma once

#include <optional>

#include "linnet/state.h"

namespace linnet::detail {

/// As `state::read`; outside all transformations the variable itself, which must not change
/// meanwhile.
class PresentValue {
 public:
  explicit PresentValue(const state::CellPtr& cell) {
    if (state::current_scope())
      value_ = &copy_.emplace(state::read(cell));
    else
      value_ = &cell->raw();
  }
  PresentValue(const PresentValue&) = delete;
  PresentValue& operator=(const PresentValue&) = delete;
  const state::Value* operator->() const { return value_; }

 private:
  std::optional<state::Value> copy_;
  const state::Value* value_;
};

}  // namespace linnet::detail
