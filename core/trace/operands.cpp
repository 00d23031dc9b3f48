#include "core/trace/operands.h"

#include "core/ops/creation.h"

namespace linnet {

TypeList types_of(Inputs tensors) {
  TypeList types;
  for (const Tensor& tensor : tensors) types.push_back(tensor.type());
  return types;
}

Tensor defined_or_zeros(const Tensor& tensor, const TensorType& type) {
  return tensor.defined() ? tensor : zeros_of(type);
}

TensorList floating_cotangents(Inputs cotangents, const TypeList& types) {
  TensorList out;
  for (size_t k = 0; k < types.size(); ++k) {
    if (is_inexact(types[k].dtype)) out.push_back(defined_or_zeros(cotangents[k], types[k]));
  }
  return out;
}

BatchedOperands::BatchedOperands(const BatchTrace& trace, Inputs inputs) {
  for (const Tensor& input : inputs) {
    batched.push_back(trace.batched(input));
    values.push_back(trace.value(input));
  }
}

TensorList lift_results(BatchTrace& trace, TensorList results,
                        const std::vector<uint8_t>& batched) {
  for (size_t k = 0; k < results.size(); ++k) {
    if (batched[k]) results[k] = trace.lift(results[k]);
  }
  return results;
}

ForwardOperands::ForwardOperands(const JvpTrace& trace, Inputs inputs) {
  for (const Tensor& input : inputs) {
    primals.push_back(trace.primal(input));
    const Tensor tangent = trace.tangent(input);
    active.push_back(tangent.defined());
    if (tangent.defined()) tangents.push_back(tangent);
  }
}

TensorList ForwardOperands::joined() const {
  TensorList out = primals;
  out.insert(out.end(), tangents.begin(), tangents.end());
  return out;
}

TensorList lift_results(JvpTrace& trace, TensorList results, Inputs tangents,
                        const std::vector<uint8_t>& marked) {
  size_t next = 0;
  for (size_t k = 0; k < results.size(); ++k) {
    if (marked[k]) results[k] = trace.lift(results[k], tangents[next++]);
  }
  return results;
}

TensorList lift_results(JvpTrace& trace, TensorList results, size_t count) {
  size_t next = count;
  for (size_t k = 0; k < count; ++k) {
    if (is_inexact(results[k].dtype())) results[k] = trace.lift(results[k], results[next++]);
  }
  results.resize(count);
  return results;
}

std::vector<uint8_t> active_operands(const VjpTrace& trace, Inputs inputs) {
  std::vector<uint8_t> active;
  for (const Tensor& input : inputs) active.push_back(trace.owns(input));
  return active;
}

TensorList spread(const TensorList& values, const std::vector<uint8_t>& places) {
  TensorList out(places.size());
  size_t next = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i]) out[i] = values[next++];
  }
  return out;
}

std::string types_text(std::span<const Tensor> tensors) {
  std::string out;
  for (const Tensor& x : tensors) out += (out.empty() ? "" : ", ") + to_string(x.type());
  return out;
}

}  // namespace linnet
