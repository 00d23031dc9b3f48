// Private: what gradient transformations are made of. Their arithmetic is in f32 at least, their
// states are kept in the dtypes of the parameters.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "linnet/optim.h"

namespace linnet::optim {

/// Like a parameter, where the parameter lies.
Tensor filled_beside(const Tensor& p, double value);
TensorList zeros_of(const TensorList& params);
/// Zero-dimensional, beside the parameters: a step must not fetch it from another device.
Tensor number_beside(const TensorList& params, const Tensor& value);
Tensor zero_count(const TensorList& params, DType dtype = DType::kI32);

/// @throws TreeError if the state was made by another transformation.
TensorList& list_of(TransformState& state, const char* name);
TransformState& part_of(TransformState& state, size_t i, size_t parts);
Tensor& count_of(TransformState& state);
/// One more, but never beyond the largest number.
Tensor next_count(const Tensor& count);
void advance(TransformState& state);

/// 16-bit numbers in f32, where squares and small steps neither overflow nor vanish.
Tensor wide(const Tensor& x);
/// Keeps a state in the dtype it has.
void store(Tensor& state, const Tensor& value);

/// @throws TreeError if there is not one gradient for each parameter.
void require_params(const char* name, const TensorList& grads, const TensorList& params);
/// @throws ValueError unless value and function are given.
void require_value(const char* name, const ExtraArguments& extra);
/// The inner product of two lists, f32 at least.
Tensor dot_of(const TensorList& a, const TensorList& b);
/// 1 - decay^t for the step about to be taken.
Tensor bias_correction(double decay, const Tensor& step);

/// Nobody else's: what is unknown is equal to nothing.
std::string described(std::string text);

/// One bool per parameter.
/// @throws TreeError if the mask needs paths and there are none, or has another number of entries.
std::vector<bool> mask_of(const char* name, const Mask& mask, const std::vector<tree::Path>* paths,
                          const TensorList& params);

template <class F>
TensorList map(const TensorList& list, F&& f) {
  TensorList out;
  out.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) out.push_back(f(i, list[i]));
  return out;
}

/// Each times one number, in f32 at least.
TensorList scaled(const TensorList& list, const Tensor& factor);

/// Lists to list, without state.
template <class F>
GradientTransformation stateless(std::string description, F per_list) {
  GradientTransformation out;
  out.description = std::move(description);
  out.init_list = [](const TensorList&) { return TransformState{}; };
  out.update_list = [per_list](const TensorList& grads, TransformState&, const TensorList& params) {
    return per_list(grads, params);
  };
  return out;
}

using ExtraUpdate = std::function<TensorList(const TensorList&, TransformState&, const TensorList&,
                                             const ExtraArguments&)>;
/// An update that can use extra arguments, and does without.
void set_update(GradientTransformation& out, ExtraUpdate update);
/// The update of a transformation around others: it takes extra arguments if one of them does.
void set_update(GradientTransformation& out, const std::vector<GradientTransformation>& inner,
                ExtraUpdate update);
/// Where one of `inner` depends on paths, so does what is around it: `rebuild` makes it of the
/// bound ones.
void set_bind(GradientTransformation& out, const std::vector<GradientTransformation>& inner,
              std::function<GradientTransformation(std::vector<GradientTransformation>)> rebuild);

/// What a rule sees of one parameter: gradient, parameter and states, in f32 at least. The rule
/// replaces the states.
struct Leaf {
  Tensor gradient, parameter;
  TensorList state;
};
/// A state of the shape of the parameters, and what it begins with.
struct Slot {
  const char* name;
  double initial = 0;
};
/// A transformation that treats every parameter alone: `rule` gives the update, for the `step`
/// about to be taken (i32, from 1).
GradientTransformation leafwise(std::string description, std::vector<Slot> slots,
                                std::function<Tensor(Leaf&, const Tensor& step)> rule);

}  // namespace linnet::optim
