// What the compiler does, for tests that compare a program with and without it.
//
//   ScopedCompileOptions off({.fusion = false});      // this thread, until the end of the scope
//   LINNET_COMPILE=-fusion,-epilogues ./train         // the whole process
#pragma once

#include <string_view>

namespace linnet {

struct CompileOptions {
  bool simplify = true;     ///< dead code, common subexpressions, rewrite rules
  bool loop_motion = true;  ///< work moves out of loops
  bool epilogues = true;    ///< bias, activation and residual within products and convolutions
  bool fusion = true;       ///< clusters of elementwise operations
  bool memory_plan = true;  ///< intermediate values share memory and kernels work in place
  bool verify = false;      ///< check the graph after every pass
};

/// `text` lists names of options, each after `-` to switch it off or `+` to switch it on.
/// @throws ValueError for a name that does not exist.
CompileOptions parse_compile_options(std::string_view text);

/// The options of this thread: those of the innermost scope, else those of LINNET_COMPILE.
const CompileOptions& compile_options();

class ScopedCompileOptions {
 public:
  explicit ScopedCompileOptions(const CompileOptions& options);
  ~ScopedCompileOptions();
  ScopedCompileOptions(const ScopedCompileOptions&) = delete;
  ScopedCompileOptions& operator=(const ScopedCompileOptions&) = delete;

 private:
  CompileOptions options_;
  const CompileOptions* previous_;
};

}  // namespace linnet
