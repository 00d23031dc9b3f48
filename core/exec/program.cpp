// How a program is run: what the traces leave to the executor.
#include "core/exec/executable.h"
#include "core/trace/call.h"
#include "linnet/trace.h"

namespace linnet {

const Executable& Program::executable() const {
  std::lock_guard lock(mutex_);
  if (!executable_) {
    const TraceScope isolated(nullptr);  // whatever is being traced around must not leak in
    executable_ = compile(graph_, memory_limit_);
  }
  return *executable_;
}

TensorList Program::run(Inputs inputs) const {
  return executable().run(TensorList(inputs.begin(), inputs.end()));
}

}  // namespace linnet
