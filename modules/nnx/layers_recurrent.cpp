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
  if (use_bias) {
    out.bias_init = options.bias_init;
    out.bias_metadata = options.bias_metadata;
  }
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

LSTMCell::LSTMCell(int64_t in_features, int64_t hidden_features, const Options& options, Rngs& rngs)
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
                                     const Options& options, Rngs& rngs)
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
                       Rngs& rngs)
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

GRUCell::GRUCell(int64_t in_features, int64_t hidden_features, const Options& options, Rngs& rngs)
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

void Traits<nnx::LSTMCell>::visit(nnx::LSTMCell& cell, Visitor& visitor) {
  auto fields = cell.linnet_fields();
  visitor.enter(typeid(nnx::LSTMCell), std::tuple_size_v<decltype(fields)>);
  size_t index = 0;
  std::apply(
      [&](auto&... field) {
        const auto one = [&](auto& member) {
          const std::string_view name = field_name(nnx::LSTMCell::linnet_field_names(), index++);
          visitor.child(name == "if" ? "if_" : name);
          tree::visit(member, visitor);
        };
        (one(field), ...);
      },
      fields);
  visitor.leave();
}

}  // namespace linnet::tree
