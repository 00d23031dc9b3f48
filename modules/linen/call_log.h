// Private: calls of modules as they happen.
#pragma once

#include <string>
#include <vector>

#include "linnet/count_flops.h"
#include "linnet/linen/scope.h"

namespace linnet::linen::detail {

class CallLog {
 public:
  struct Record {
    ModuleCall call;
    std::vector<std::string> inputs;
    std::string output;
    linnet::detail::RecordingMark mark;
    linnet::detail::RecordedCost cost;
  };

  CallLog(bool flops, bool vjp_flops) : flops_(flops), vjp_flops_(vjp_flops) {}

  size_t begin(const ModuleCall& call, std::vector<std::string> inputs) {
    records_.push_back({call, std::move(inputs), {}, linnet::detail::recording_mark(), {}});
    return records_.size() - 1;
  }
  void end(size_t entry, std::string output) {
    Record& record = records_[entry];
    record.output = std::move(output);
    if (flops_ || vjp_flops_) record.cost = linnet::detail::recorded_cost(record.mark, vjp_flops_);
  }
  const std::vector<Record>& records() const { return records_; }

 private:
  bool flops_, vjp_flops_;
  std::vector<Record> records_;
};

}  // namespace linnet::linen::detail
