// A scale or a bias of a normalisation: float or double as the statistics, or of x's type.
#pragma once

#include "kernels/cuda/device/global.h"

namespace linnet::cuda {

enum class ParameterKind : int { kAbsent, kWide, kLikeX };

}  // namespace linnet::cuda
