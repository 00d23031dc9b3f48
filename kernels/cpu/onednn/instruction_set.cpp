#include "linnet/instruction_set.h"

#include "kernels/cpu/onednn/compat.h"
#include "kernels/cpu/onednn/onednn.h"

namespace linnet::cpu::onednn {

bool limit_instruction_set(InstructionSet set) {
#if defined(__x86_64__)
  // Without the extensions for bf16, which some processors with AVX-512 lack.
  const dnnl::cpu_isa isa = set == InstructionSet::kBaseline ? dnnl::cpu_isa::sse41
                            : set == InstructionSet::kAvx2   ? dnnl::cpu_isa::avx2
                                                             : dnnl::cpu_isa::avx512_core;
  return dnnl::set_max_cpu_isa(isa) == dnnl::status::success;
#else
  (void)set;
  return true;
#endif
}

}  // namespace linnet::cpu::onednn
