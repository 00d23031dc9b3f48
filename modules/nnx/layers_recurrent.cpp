#include "linnet/nnx/layers_recurrent.h"

#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "modules/layers/recurrent.h"
#include "modules/nnx/layer_parameters.h"

namespace linnet::nnx {
namespace {

/// The linear layer of a cell's inputs or hidden states.
template <class Options>
LinearOptions input_product(const Options& options, bool use_bias) {
  LinearOptions out{.use_bias = use_bias,
                    .dtype = options.dtype,
                    .param_dtype = options.param_dtype,
                    .kernel_init = options.kernel_init,
                    .kernel_metadata = options.kernel_metadata};
  if constexpr (requires { options.bias_init; }) out.bias_init = options.bias_init;
  out.bias_metadata = options.bias_metadata;
  return out;
}

template <class Options>
LinearOptions hidden_product(
    const Options& options, bool use_bias,
    const Initializer& otherwise = layers::recurrent_kernel_initializer()) {
  LinearOptions out = input_product(options, use_bias);
  out.kernel_init = options.recurrent_kernel_init;
  if (!out.kernel_init.function) {
    out.kernel_init = ParamInit(otherwise, options.recurrent_kernel_init.metadata);
  }
  out.kernel_metadata = options.recurrent_kernel_metadata;
  return out;
}

LinearOptions hidden_product_of_gate(const LSTMCellOptions& options) {
  return hidden_product(options, true, layers::recurrent_kernel_initializer_of_any_dtype());
}

/// What all cells do after their layers are made.
template <class Cell>
void finish(Cell& cell, Rngs& rngs) {
  using Options = typename Cell::Options;
  drop_initialisers<Options>(cell);
  if (cell.keep_rngs) cell.rngs.emplace(rngs.stream("carry").fork());
}

const layers::CarryInit& chosen(const layers::CarryInit& of_call,
                                const layers::CarryInit& of_cell) {
  return of_call ? of_call : of_cell;
}

template <class Cell>
LSTMCarry lstm_carry(const char* name, const Cell& cell, const Shape& input_shape,
                     RngStream& stream, const layers::CarryInit& init) {
  const Shape shape = layers::carry_shape(name, input_shape, cell.hidden_features);
  LSTMCarry out;
  out.c = layers::make_carry(init, stream.next(), shape, cell.param_dtype);
  out.h = layers::make_carry(init, stream.next(), shape, cell.param_dtype);
  return out;
}

template <class Cell>
Tensor hidden_carry(const char* name, const Cell& cell, const Shape& input_shape, RngStream& stream,
                    const layers::CarryInit& init) {
  return layers::make_carry(init, stream.next(),
                            layers::carry_shape(name, input_shape, cell.hidden_features),
                            cell.param_dtype);
}

RngStream& own_stream(const char* cell, std::optional<RngStream>& stream) {
  if (!stream) detail::fail_no_carry_stream(cell);
  return *stream;
}

}  // namespace

LSTMCell::LSTMCell(int64_t in_features, int64_t hidden_features, const Options& options,
                   RngsRef rngs)
    : Options(options),
      ii(in_features, hidden_features, input_product(options, false), rngs),
      if_(in_features, hidden_features, input_product(options, false), rngs),
      ig(in_features, hidden_features, input_product(options, false), rngs),
      io(in_features, hidden_features, input_product(options, false), rngs),
      hi(hidden_features, hidden_features, hidden_product_of_gate(options), rngs),
      hf(hidden_features, hidden_features, hidden_product_of_gate(options), rngs),
      hg(hidden_features, hidden_features, hidden_product_of_gate(options), rngs),
      ho(hidden_features, hidden_features, hidden_product_of_gate(options), rngs),
      in_features(in_features),
      hidden_features(hidden_features) {
  finish(*this, rngs);
}

std::pair<LSTMCarry, Tensor> LSTMCell::operator()(const LSTMCarry& carry, const Tensor& x) const {
  const LayerPath path(ii.kernel, 2);
  const layers::LSTMGates gates{.i = ii(x) + hi(carry.h),
                                .f = if_(x) + hf(carry.h),
                                .g = ig(x) + hg(carry.h),
                                .o = io(x) + ho(carry.h)};
  LSTMCarry next = layers::lstm_step(gates, carry.c, layers::functions_of(*this));
  const Tensor y = next.h;
  return {std::move(next), y};
}

LSTMCarry LSTMCell::initialize_carry(const Shape& input_shape, RngStream& stream,
                                     const layers::CarryInit& init) const {
  return lstm_carry(kClassName, *this, input_shape, stream, chosen(init, carry_init));
}

LSTMCarry LSTMCell::initialize_carry(const Shape& input_shape) {
  return initialize_carry(input_shape, own_stream(kClassName, rngs));
}

OptimizedLSTMCell::OptimizedLSTMCell(int64_t in_features, int64_t hidden_features,
                                     const Options& options, RngsRef rngs)
    : Options(options),
      dense_i(in_features, 4 * hidden_features, input_product(options, false), rngs),
      dense_h(hidden_features, 4 * hidden_features, hidden_product(options, true), rngs),
      in_features(in_features),
      hidden_features(hidden_features) {
  finish(*this, rngs);
}

std::pair<LSTMCarry, Tensor> OptimizedLSTMCell::operator()(const LSTMCarry& carry,
                                                           const Tensor& x) const {
  const LayerPath path(dense_i.kernel, 2);
  const layers::LSTMGates gates = layers::split_gates(dense_i(x) + dense_h(carry.h));
  LSTMCarry next = layers::lstm_step(gates, carry.c, layers::functions_of(*this));
  const Tensor y = next.h;
  return {std::move(next), y};
}

LSTMCarry OptimizedLSTMCell::initialize_carry(const Shape& input_shape, RngStream& stream,
                                              const layers::CarryInit& init) const {
  return lstm_carry(kClassName, *this, input_shape, stream, chosen(init, carry_init));
}

LSTMCarry OptimizedLSTMCell::initialize_carry(const Shape& input_shape) {
  return initialize_carry(input_shape, own_stream(kClassName, rngs));
}

SimpleCell::SimpleCell(int64_t in_features, int64_t hidden_features, const Options& options,
                       RngsRef rngs)
    : Options(options),
      dense_h(hidden_features, hidden_features, hidden_product(options, false), rngs),
      dense_i(in_features, hidden_features, input_product(options, true), rngs),
      in_features(in_features),
      hidden_features(hidden_features) {
  finish(*this, rngs);
}

std::pair<Tensor, Tensor> SimpleCell::operator()(const Tensor& h, const Tensor& x) const {
  const LayerPath path(dense_i.kernel, 2);
  const Tensor next = layers::simple_step(dense_i(x) + dense_h(h), h, residual, activation_fn);
  return {next, next};
}

Tensor SimpleCell::initialize_carry(const Shape& input_shape, RngStream& stream,
                                    const layers::CarryInit& init) const {
  return hidden_carry("SimpleCell", *this, input_shape, stream, chosen(init, carry_init));
}

Tensor SimpleCell::initialize_carry(const Shape& input_shape) {
  return initialize_carry(input_shape, own_stream("SimpleCell", rngs));
}

GRUCell::GRUCell(int64_t in_features, int64_t hidden_features, const Options& options, RngsRef rngs)
    : Options(options),
      dense_i(in_features, 3 * hidden_features, input_product(options, true), rngs),
      dense_h(hidden_features, 3 * hidden_features, hidden_product(options, false), rngs),
      in_features(in_features),
      hidden_features(hidden_features) {
  finish(*this, rngs);
}

std::pair<Tensor, Tensor> GRUCell::operator()(const Tensor& h, const Tensor& x) const {
  const LayerPath path(dense_i.kernel, 2);
  const std::vector<Tensor> of_x = split(dense_i(x), 3, -1);
  const std::vector<Tensor> of_h = split(dense_h(h), 3, -1);
  const Tensor next = layers::gru_step(
      {.r = of_x[0] + of_h[0], .z = of_x[1] + of_h[1], .n_of_x = of_x[2], .n_of_h = of_h[2]}, h,
      layers::functions_of(*this));
  return {next, next};
}

Tensor GRUCell::initialize_carry(const Shape& input_shape, RngStream& stream,
                                 const layers::CarryInit& init) const {
  return hidden_carry("GRUCell", *this, input_shape, stream, chosen(init, carry_init));
}

Tensor GRUCell::initialize_carry(const Shape& input_shape) {
  return initialize_carry(input_shape, own_stream("GRUCell", rngs));
}

namespace {

LinearOptions with_bias_init(LinearOptions options, const ParamInit& init,
                             const Initializer& otherwise) {
  options.bias_init = init.function ? init : ParamInit(otherwise, init.metadata);
  return options;
}

/// The products of an MGU whose bias is that of the activation.
LinearOptions activation_product(const LinearOptions& options, const MGUCellOptions& cell) {
  return with_bias_init(options, cell.activation_bias_init, init::zeros());
}

ConvOptions gate_convolution(const ConvLSTMCellOptions& options) {
  return {.strides = options.strides,
          .padding = options.padding,
          .use_bias = options.use_bias,
          .dtype = options.dtype,
          .param_dtype = options.param_dtype,
          .kernel_metadata = options.kernel_metadata,
          .bias_metadata = options.bias_metadata};
}

}  // namespace

MGUCell::MGUCell(int64_t in_features, int64_t hidden_features, const Options& options, RngsRef rngs)
    : Options(options),
      if_(in_features, hidden_features,
          with_bias_init(input_product(options, true), options.forget_bias_init, init::ones()),
          rngs),
      in(in_features, hidden_features, activation_product(input_product(options, true), options),
         rngs),
      hf(hidden_features, hidden_features, hidden_product(options, false), rngs),
      hn(hidden_features, hidden_features,
         activation_product(hidden_product(options, options.reset_gate), options), rngs),
      in_features(in_features),
      hidden_features(hidden_features) {
  finish(*this, rngs);
}

std::pair<Tensor, Tensor> MGUCell::operator()(const Tensor& h, const Tensor& x) const {
  const LayerPath path(if_.kernel, 2);
  const layers::MGUGates gates{.f = if_(x) + hf(h), .n_of_x = in(x), .n_of_h = hn(h)};
  const Tensor next = layers::mgu_step(gates, h, reset_gate, layers::functions_of(*this));
  return {next, next};
}

Tensor MGUCell::initialize_carry(const Shape& input_shape, RngStream& stream,
                                 const layers::CarryInit& init) const {
  return hidden_carry("MGUCell", *this, input_shape, stream, chosen(init, carry_init));
}

Tensor MGUCell::initialize_carry(const Shape& input_shape) {
  return initialize_carry(input_shape, own_stream("MGUCell", rngs));
}

ConvLSTMCell::ConvLSTMCell(int64_t in_features, int64_t hidden_features,
                           const PerDimension& kernel_size, const Options& options, RngsRef rngs)
    : Options(options),
      ih(in_features, 4 * hidden_features, kernel_size, gate_convolution(options), rngs),
      hh(hidden_features, 4 * hidden_features, kernel_size, gate_convolution(options), rngs),
      in_features(in_features),
      hidden_features(hidden_features) {
  finish(*this, rngs);
}

std::pair<LSTMCarry, Tensor> ConvLSTMCell::operator()(const LSTMCarry& carry,
                                                      const Tensor& x) const {
  const LayerPath path(ih.kernel, 2);
  LSTMCarry next = layers::conv_lstm_step(ih(x) + hh(carry.h), carry.c);
  const Tensor y = next.h;
  return {std::move(next), y};
}

LSTMCarry ConvLSTMCell::initialize_carry(const Shape& input_shape, RngStream& stream,
                                         const layers::CarryInit& init) const {
  return lstm_carry("ConvLSTMCell", *this, input_shape, stream, chosen(init, carry_init));
}

LSTMCarry ConvLSTMCell::initialize_carry(const Shape& input_shape) {
  return initialize_carry(input_shape, own_stream("ConvLSTMCell", rngs));
}

int64_t ConvLSTMCell::num_feature_axes() const {
  return static_cast<int64_t>(ih.kernel_size.values().size()) + 1;
}

namespace detail {

std::optional<RngStream> carry_stream(bool keep, Rngs* rngs) {
  if (!keep) return std::nullopt;
  return rngs ? rngs->stream("carry").fork() : RngStream(Key(0), "carry");
}

void fail_no_carry_stream(const char* layer) {
  fail<ValueError>(
      "{}: RNGs must be provided to initialize the cell carry\n"
      "  hint: pass an initial carry or Rngs, or make the layer with keep_rngs",
      layer);
}

void warn_shared_directions() {
  log_warning(
      "Bidirectional: forward_rnn and backward_rnn are the same object, so they share parameters");
}

}  // namespace detail
}  // namespace linnet::nnx

namespace linnet::tree {
namespace {

/// Fields under their names, but for `if_`.
template <class Cell>
void visit_gates(Cell& cell, Visitor& visitor) {
  auto fields = cell.linnet_fields();
  visitor.enter(typeid(Cell), fields.kCount);
  size_t index = 0;
  const auto visit_one = [&](auto& field) {
    const std::string_view name = field_name(Cell::linnet_field_names(), index++);
    visitor.child(name == "if" ? "if_" : name);
    tree::visit(field, visitor);
  };
  fields.apply([&](auto&... field) { (visit_one(field), ...); });
  visitor.leave();
}

}  // namespace

void Traits<nnx::LSTMCell>::visit(nnx::LSTMCell& cell, Visitor& visitor) {
  visit_gates(cell, visitor);
}
void Traits<nnx::MGUCell>::visit(nnx::MGUCell& cell, Visitor& visitor) {
  visit_gates(cell, visitor);
}

}  // namespace linnet::tree
