// What `checkpoint` (transforms.h) keeps between the passes, beside the inputs of the function.
//
//   auto block = checkpoint(f, checkpoint_policies::dots_saveable());
//   auto named = checkpoint(
//       [](const Tensor& x) { return sin(checkpoint_name(exp(x), "e")); },
//       checkpoint_policies::save_only_these_names({"e"}));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "linnet/fields.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Which of the values that the backward pass reads are kept; the others are computed again. As
/// made by default, nothing is kept.
struct CheckpointPolicy {
  enum class Kind : uint8_t {
    kEverything,        ///< any value
    kDots,              ///< results of products and convolutions
    kDotsWithoutBatch,  ///< of products without batch dimensions
    kNames,             ///< values with one of the names
    kOtherNames,        ///< values with a name that is none of these
    kAllButNames        ///< any value, but for those with one of the names
  };
  struct Rule {
    Kind kind = Kind::kEverything;
    std::vector<std::string> names = {};
    LINNET_FIELDS(kind, names)
  };
  /// A value is kept if one of them says so.
  std::vector<Rule> rules = {};
  LINNET_FIELDS(rules)
};

/// "everything", "dots", …
const char* name_of(CheckpointPolicy::Kind kind);

namespace checkpoint_policies {

CheckpointPolicy everything_saveable();
/// The default.
CheckpointPolicy nothing_saveable();
/// Products and convolutions, which cost most to compute again.
CheckpointPolicy dots_saveable();
/// Products without batch dimensions, as those with weights are; products of attention are computed
/// again.
CheckpointPolicy dots_with_no_batch_dims_saveable();
CheckpointPolicy save_only_these_names(std::vector<std::string> names);
CheckpointPolicy save_any_names_but_these(std::vector<std::string> names);
CheckpointPolicy save_anything_except_these_names(std::vector<std::string> names);
/// What one of the two keeps.
CheckpointPolicy save_from_both_policies(CheckpointPolicy a, const CheckpointPolicy& b);

}  // namespace checkpoint_policies

/// `x` itself under a name that policies know.
Tensor checkpoint_name(const Tensor& x, const std::string& name);

}  // namespace linnet

#pragma GCC visibility pop
