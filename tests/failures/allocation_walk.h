// Walks through the allocations of a scenario: each fails in turn, once and with all later ones.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <string>

#include "linnet/core.h"
#include "tests/failures/allocation_hook.h"

namespace linnet::testing {

/// One thing that is done to a state.
struct Scenario {
  std::function<Tensor()> run;
  /// All state that must not change when `run` throws.
  std::function<TensorList()> state = [] { return TensorList{}; };
  Whose whose = Whose::kOursAndStandardLibrary;
};

inline std::string bits(const TensorList& tensors) {
  std::string out;
  for (const Tensor& t : tensors) {
    if (!t.defined()) {
      out += "undefined;";
      continue;
    }
    out += to_string(t.type()) + ":";
    for (double value : t.to_vector<double>()) {
      char bytes[sizeof value];
      std::memcpy(bytes, &value, sizeof value);
      out.append(bytes, sizeof value);
    }
  }
  return out;
}

/// Which allocations of a long scenario fail: each of the first ones, then every so many. What
/// traces and compiles allocates thousands of times, and each of them is a run.
struct Pace {
  long dense = 20000, step = 1;

  /// Which allocation fails after the n-th. Sanitizers make a run thirty times slower, so with them
  /// the walk is a coarser one.
  long after(long n) const {
    static const bool every = std::getenv("LINNET_TEST_EVERY_ALLOCATION") != nullptr;
    if (every) return n + 1;
#if defined(__SANITIZE_ADDRESS__)
    return step == 1 ? (n < 400 ? n + 1 : n + 23) : n + 7 * step;
#else
    return n < dense ? n + 1 : n + step;
#endif
  }
};

/// A fresh scenario for each run, so that all start alike; `warm` runs before the failing one. A
/// warm call of a compiled function may find all it needs in blocks of earlier ones; others must
/// ask, or the walk would prove nothing: `least` allocations at least. What a run gives that met no
/// lack, or that is repeated after one, is what an undisturbed one gives.
inline void walk(const std::function<Scenario()>& make, int warm, long least = 1,
                 const Pace& pace = {}) {
  constexpr long kEnd = 20000;
  Scenario undisturbed = make();
  for (int i = 0; i < warm; ++i) (void)undisturbed.run();
  const std::string expected = bits({undisturbed.run()});
  for (const bool from_then_on : {false, true}) {
    long n = 0;
    for (; n < kEnd; n = pace.after(n)) {
      Scenario scenario = make();
      for (int i = 0; i < warm; ++i) (void)scenario.run();
      const std::string before = bits(scenario.state());
      bool triggered = false, threw = false;
      Tensor result;
      {
        const FailingAllocations failing(n, from_then_on, scenario.whose);
        try {
          result = scenario.run();
        } catch (const std::bad_alloc&) {
          threw = true;
        } catch (const Error&) {
          threw = true;  // an error of ours about the missing memory
        }
        triggered = FailingAllocations::happened();
      }
      if (!triggered) break;
      if (!threw) {  // the allocation was for something that can do without
        ASSERT_TRUE(bits({result}) == expected) << "another result without allocation " << n;
        continue;
      }
      std::string changed;
      try {
        changed = bits(scenario.state());
      } catch (const std::exception& e) {
        changed = e.what();
      }
      ASSERT_TRUE(before == changed)
          << "state has changed after allocation " << n << (from_then_on ? " and all later" : "");
      ASSERT_NO_THROW(result = scenario.run()) << "repeated after allocation " << n;
      ASSERT_TRUE(bits({result}) == expected) << "another result after allocation " << n;
    }
    EXPECT_GE(n, least) << "nothing was allocated";
    EXPECT_LT(n, kEnd) << "the scenario did not end";
  }
}

}  // namespace linnet::testing
