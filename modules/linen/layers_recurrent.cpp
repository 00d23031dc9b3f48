#include "linnet/linen/layers_recurrent.h"

#include "linnet/linen/layers_conv.h"
#include "linnet/linen/layers_linear.h"
#include "modules/layers/linear.h"
#include "modules/layers/recurrent.h"

namespace linnet::layers {
namespace {

/// The two kinds of products of a cell: of its input and of its hidden state.
struct CellProducts {
  linen::Dense of_input, of_hidden;
};

template <class Cell>
CellProducts products(const Cell& cell, int64_t features) {
  linen::Dense dense{.features = features, .dtype = cell.dtype, .param_dtype = cell.param_dtype};
  CellProducts out{dense, dense};
  out.of_input.kernel_init = cell.kernel_init;
  out.of_hidden.kernel_init = cell.recurrent_kernel_init.value_or(recurrent_kernel_initializer());
  if constexpr (requires { cell.bias_init; }) {
    out.of_input.bias_init = out.of_hidden.bias_init = cell.bias_init;
  }
  return out;
}

linen::Dense with_bias(linen::Dense layer, bool use_bias) {
  layer.use_bias = use_bias;
  return layer;
}

/// The products of all gates as one: kernels and biases of submodules `names`, side by side.
Tensor joint_product(linen::Scope& s, const std::array<const char*, 4>& names,
                     const linen::Dense& layer, const Tensor& x) {
  std::vector<Tensor> kernels, biases;
  for (const char* name : names) {
    linen::Scope gate = s.child(name);
    const ModulePathScope path(name);
    kernels.push_back(param(gate, "kernel", layer.kernel_init.value_or(init::lecun_normal()),
                            {x.shape(-1), layer.features}, layer.param_dtype));
    if (layer.use_bias) {
      biases.push_back(param(gate, "bias", layer.bias_init.value_or(init::zeros()),
                             {layer.features}, layer.param_dtype));
    }
  }
  return dense(x, concatenate(kernels, -1), layer.use_bias ? concatenate(biases, -1) : Tensor(),
               layer.dtype);
}

LSTMCarry lstm_carry(const CarryInit& init, const Key& key, const Shape& shape, DType dtype) {
  const Key keys = random::split(key);
  return {make_carry(init, keys[0], shape, dtype), make_carry(init, keys[1], shape, dtype)};
}

}  // namespace

template <class Api, LSTMKind kKind>
std::pair<LSTMCarry, Tensor> LSTM<Api, kKind>::operator()(typename Api::Scope& s,
                                                          const LSTMCarry& carry,
                                                          const Tensor& x) const
  requires(Api::kFunctional)
{
  // The products of input and hidden state are added, so that one of them has the bias.
  const auto [of_input, of_hidden] = products(*this, carry.h.shape(-1));
  const linen::Dense input = with_bias(of_input, false);
  LSTMGates gates;
  if constexpr (kKind == LSTMKind::kOptimized) {
    const Tensor of_x = joint_product(s, {"ii", "if", "ig", "io"}, input, x);
    gates = split_gates(joint_product(s, {"hi", "hf", "hg", "ho"}, of_hidden, carry.h) + of_x);
  } else {
    const auto sum = [&](const char* of_x, const char* of_h) {
      const Tensor a = s(of_x, input, x);
      return a + s(of_h, of_hidden, carry.h);
    };
    gates.i = sum("ii", "hi");
    gates.f = sum("if", "hf");
    gates.g = sum("ig", "hg");
    gates.o = sum("io", "ho");
  }
  LSTMCarry next = lstm_step(gates, carry.c, functions_of(*this));
  const Tensor y = next.h;
  return {std::move(next), y};
}

template <class Api, LSTMKind kKind>
LSTMCarry LSTM<Api, kKind>::initialize_carry(const Key& key, const Shape& input_shape) const
  requires(Api::kFunctional)
{
  return lstm_carry(carry_init, key, carry_shape(kClassName, input_shape, features), param_dtype);
}

template <class Api>
std::pair<Tensor, Tensor> SimpleCell<Api>::operator()(typename Api::Scope& s, const Tensor& h,
                                                      const Tensor& x) const
  requires(Api::kFunctional)
{
  const auto [of_input, of_hidden] = products(*this, h.shape(-1));
  const Tensor of_x = s("i", of_input, x);
  const Tensor sum = of_x + s("h", with_bias(of_hidden, false), h);
  const Tensor next = simple_step(sum, h, residual, activation_fn);
  return {next, next};
}

template <class Api>
Tensor SimpleCell<Api>::initialize_carry(const Key& key, const Shape& input_shape) const
  requires(Api::kFunctional)
{
  return make_carry(carry_init, key, carry_shape("SimpleCell", input_shape, features), param_dtype);
}

template <class Api>
std::pair<Tensor, Tensor> GRUCell<Api>::operator()(typename Api::Scope& s, const Tensor& h,
                                                   const Tensor& x) const
  requires(Api::kFunctional)
{
  const auto [of_input, of_hidden] = products(*this, h.shape(-1));
  const linen::Dense hidden = with_bias(of_hidden, false);
  GRUGates gates;
  gates.r = s("ir", of_input, x);
  gates.r = gates.r + s("hr", hidden, h);
  gates.z = s("iz", of_input, x);
  gates.z = gates.z + s("hz", hidden, h);
  // Its two products are not added, so that both have a bias.
  gates.n_of_x = s("in", of_input, x);
  gates.n_of_h = s("hn", of_hidden, h);
  const Tensor next = gru_step(gates, h, functions_of(*this));
  return {next, next};
}

template <class Api>
Tensor GRUCell<Api>::initialize_carry(const Key& key, const Shape& input_shape) const
  requires(Api::kFunctional)
{
  return make_carry(carry_init, key, carry_shape("GRUCell", input_shape, features), param_dtype);
}

template <class Api>
std::pair<Tensor, Tensor> MGUCell<Api>::operator()(typename Api::Scope& s, const Tensor& h,
                                                   const Tensor& x) const
  requires(Api::kFunctional)
{
  const auto [of_input, of_hidden] = products(*this, h.shape(-1));
  linen::Dense forget = of_input, activation = of_input, hidden = of_hidden;
  forget.bias_init = forget_bias_init.value_or(init::ones());
  activation.bias_init = hidden.bias_init = activation_bias_init;
  MGUGates gates;
  gates.f = s("if", forget, x);
  gates.f = gates.f + s("hf", with_bias(hidden, false), h);
  gates.n_of_h = s("hn", with_bias(hidden, reset_gate), h);
  gates.n_of_x = s("in", activation, x);
  const Tensor next = mgu_step(gates, h, reset_gate, functions_of(*this));
  return {next, next};
}

template <class Api>
Tensor MGUCell<Api>::initialize_carry(const Key& key, const Shape& input_shape) const
  requires(Api::kFunctional)
{
  return make_carry(carry_init, key, carry_shape("MGUCell", input_shape, features), param_dtype);
}

template <class Api>
std::pair<LSTMCarry, Tensor> ConvLSTMCell<Api>::operator()(typename Api::Scope& s,
                                                           const LSTMCarry& carry,
                                                           const Tensor& x) const
  requires(Api::kFunctional)
{
  const linen::Conv product{.features = 4 * features,
                            .kernel = kernel,
                            .strides = strides,
                            .padding = padding,
                            .use_bias = use_bias,
                            .dtype = dtype,
                            .param_dtype = param_dtype};
  const Tensor of_x = s("ih", product, x);
  LSTMCarry next = conv_lstm_step(of_x + s("hh", product, carry.h), carry.c);
  const Tensor y = next.h;
  return {std::move(next), y};
}

template <class Api>
LSTMCarry ConvLSTMCell<Api>::initialize_carry(const Key& key, const Shape& input_shape) const
  requires(Api::kFunctional)
{
  return lstm_carry(carry_init, key, carry_shape("ConvLSTMCell", input_shape, features),
                    param_dtype);
}

template <class Api>
int64_t ConvLSTMCell<Api>::num_feature_axes() const
  requires(Api::kFunctional)
{
  return static_cast<int64_t>(kernel.values().size()) + 1;
}

template struct LSTM<linen::Api, LSTMKind::kPerGate>;
template struct LSTM<linen::Api, LSTMKind::kOptimized>;
template struct SimpleCell<linen::Api>;
template struct GRUCell<linen::Api>;
template struct MGUCell<linen::Api>;
template struct ConvLSTMCell<linen::Api>;

}  // namespace linnet::layers
