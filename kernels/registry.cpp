// The back ends that are linked in. Core calls this and knows none of them.
#include "kernels/cpu/back_end.h"

namespace linnet {

void register_linked_back_ends() { register_back_end(DeviceType::kCpu, cpu_back_end()); }

}  // namespace linnet
