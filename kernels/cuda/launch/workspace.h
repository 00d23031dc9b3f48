// Sizes in a workspace, as NVIDIA's libraries want them.
#pragma once

#include <cstddef>

namespace linnet::cuda {

/// Of every part of a workspace.
inline constexpr size_t kWorkspaceAlignment = 256;

/// What `bytes` take in a workspace.
inline constexpr size_t workspace_size(size_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

}  // namespace linnet::cuda
