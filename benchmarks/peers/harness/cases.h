// Cases of one side of the comparison: the same work as on the other sides, set up once and
// measured when the driver asks.
//
//   void peers::add_cases(Cases& cases) {
//     cases.add("rows", "softmax_1024x768", "eager", [] { return repeat(…, check); });
//   }
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace peers {

/// A work that is ready to be measured.
struct Work {
  std::function<void(int64_t)> run;  ///< that many calls
  double check = NAN;                ///< what the sides compare: a loss, or a sum over results
  double first_seconds = NAN;        ///< of tracing, compiling and the first call
  bool fresh = true;                 ///< not measured yet
};

struct Case {
  std::string group, work, variant;
  std::function<Work()> set_up;
};

class Cases {
 public:
  void add(std::string group, std::string work, std::string variant, std::function<Work()> set_up) {
    all_.push_back({std::move(group), std::move(work), std::move(variant), std::move(set_up)});
  }
  const std::vector<Case>& all() const { return all_; }

 private:
  std::vector<Case> all_;
};

/// Defined by each side.
void add_cases(Cases& cases);
/// The number of threads of the side's library; defined by each side.
void use_threads(int count);

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// `step()` gives a loss; the last of `gate` is the check, so later steps train on.
/// `value(loss)` is a double, `keep(loss)` uses the result.
template <class Step, class Value, class Keep>
Work training(Step step, int gate, Value value, Keep keep) {
  Work work;
  const double begin = seconds_now();
  auto loss = step();
  work.first_seconds = seconds_now() - begin;
  for (int i = 1; i < gate; ++i) loss = step();
  work.check = value(loss);
  work.run = [step, keep](int64_t count) {
    for (int64_t i = 0; i < count; ++i) keep(step());
  };
  return work;
}

}  // namespace peers
