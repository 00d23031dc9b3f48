// Private: what happens when, as a file for chrome://tracing and Perfetto.
//
//   const profile::Event event("compile", "optimize");         // lasts as long as its scope
//   const profile::Event event("eager", [&] { return profile::Facts{.name = primitive.name}; });
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

namespace linnet::profile {

inline constinit std::atomic<bool> tracing_now{false};
inline bool tracing() { return tracing_now.load(std::memory_order_relaxed); }

/// What the row of an event says; empty parts are left out.
struct Facts {
  std::string name;
  std::string path = {};    ///< of modules
  std::string types = {};   ///< `f32[2,3], f32[3,4] -> f32[2,4]`
  std::string kernel = {};  ///< the implementation that ran
};

/// Its scope, on the row of its thread; nothing if no trace is being written.
class Event {
 public:
  /// @param category a literal.
  template <class Describe>
    requires requires(Describe d) { Facts(d()); }
  Event(const char* category, const Describe& describe) : category_(category) {
    if (tracing()) begin(describe());
  }
  Event(const char* category, const char* name)
      : Event(category, [&] { return Facts{.name = name}; }) {}
  ~Event() {
    if (on_) end();
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

 private:
  void begin(Facts facts);
  void end();

  const char* category_;
  bool on_ = false;
  Facts facts_;  ///< as JSON
  std::chrono::steady_clock::time_point began_;
};

}  // namespace linnet::profile
