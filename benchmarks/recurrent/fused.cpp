#include "benchmarks/recurrent/fused.h"

#include <cstring>
#include <unordered_map>

#include "kernels/cpu/onednn/compat.h"

namespace linnet::bench {
namespace {

using namespace linnet::cpu::onednn;
using Tag = dnnl::memory::format_tag;
using Memory = dnnl::memory;
using Arguments = std::unordered_map<int, Memory>;

Desc plain(const Dims& dims, Tag tag) { return Desc(dims, Memory::data_type::f32, tag); }

Memory view(const Desc& desc, const void* data) {
  return Memory(desc, cpu_engine(), const_cast<void*>(data));
}

/// The descriptors that LSTM and GRU share, and the memory of the cell where there is one.
struct Descs {
  Desc x, h, c, kernel, recurrent, bias, y;
};

struct Forward {
  dnnl::primitive primitive;
  Desc kernel, recurrent, workspace, scratchpad;
};
struct Backward {
  dnnl::primitive primitive;
  Desc kernel, recurrent, kernel_gradient, recurrent_gradient, scratchpad;
};

constexpr auto kDirection = dnnl::rnn_direction::unidirectional_left2right;

#if DNNL_VERSION_MAJOR >= 3
template <class P, class... A>
typename P::primitive_desc described(A&&... a) {
  return typename P::primitive_desc(cpu_engine(), std::forward<A>(a)..., caller_scratchpad());
}
template <class P, class Hint, class... A>
typename P::primitive_desc described_after(const Hint& hint, A&&... a) {
  return typename P::primitive_desc(cpu_engine(), std::forward<A>(a)..., hint, caller_scratchpad());
}
#else
template <class P, class... A>
typename P::primitive_desc described(A&&... a) {
  return typename P::primitive_desc(typename P::desc(std::forward<A>(a)...), caller_scratchpad(),
                                    cpu_engine());
}
template <class P, class Hint, class... A>
typename P::primitive_desc described_after(const Hint& hint, A&&... a) {
  return typename P::primitive_desc(typename P::desc(std::forward<A>(a)...), caller_scratchpad(),
                                    cpu_engine(), hint);
}
#endif

template <class Pd>
Forward forward_of(const Pd& pd, dnnl::primitive primitive) {
  return {std::move(primitive), pd.weights_layer_desc(), pd.weights_iter_desc(),
          pd.workspace_desc(), pd.scratchpad_desc()};
}
template <class Pd>
Backward backward_of(const Pd& pd, dnnl::primitive primitive) {
  return {std::move(primitive),         pd.weights_layer_desc(),     pd.weights_iter_desc(),
          pd.diff_weights_layer_desc(), pd.diff_weights_iter_desc(), pd.scratchpad_desc()};
}

}  // namespace

struct FusedLayer::Parts {
  Fused kind;
  Descs d;
  Forward forward;
  Backward backward;
  Arguments arguments, backward_arguments;
  Memory kernel_gradient, recurrent_gradient;
  RecurrentOperands operands{};
  dnnl::stream stream{cpu_engine()};

  Memory make(const Desc& desc) {
    Memory out(desc, cpu_engine());
    std::memset(out.get_data_handle(), 0, desc.get_size());
    return out;
  }
  void reorder(Memory from, Memory to) { dnnl::reorder(from, to).execute(stream, from, to); }
  void run(const dnnl::primitive& primitive, const Arguments& with) {
    primitive.execute(stream, with);
    stream.wait();
  }
  void describe(bool training);
};

void FusedLayer::Parts::describe(bool training) {
  const auto mode =
      training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const auto back = dnnl::prop_kind::backward;
  const Desc kernel = any_desc(d.kernel.dims(), DType::kF32);
  const Desc recurrent = any_desc(d.recurrent.dims(), DType::kF32);
  if (kind == Fused::kLstm) {
    const auto pd = described<dnnl::lstm_forward>(mode, kDirection, d.x, d.h, d.c, kernel,
                                                  recurrent, d.bias, d.y, d.h, d.c);
    forward = forward_of(pd, dnnl::lstm_forward(pd));
    if (!training) return;
    const auto after = described_after<dnnl::lstm_backward>(
        pd, back, kDirection, d.x, d.h, d.c, kernel, recurrent, d.bias, d.y, d.h, d.c, d.x, d.h,
        d.c, kernel, recurrent, d.bias, d.y, d.h, d.c);
    backward = backward_of(after, dnnl::lstm_backward(after));
  } else {
    const auto pd = described<dnnl::lbr_gru_forward>(mode, kDirection, d.x, d.h, kernel, recurrent,
                                                     d.bias, d.y, d.h);
    forward = forward_of(pd, dnnl::lbr_gru_forward(pd));
    if (!training) return;
    const auto after = described_after<dnnl::lbr_gru_backward>(
        pd, back, kDirection, d.x, d.h, kernel, recurrent, d.bias, d.y, d.h, d.x, d.h, kernel,
        recurrent, d.bias, d.y, d.h);
    backward = backward_of(after, dnnl::lbr_gru_backward(after));
  }
}

FusedLayer::FusedLayer(Fused kind, const RecurrentSizes& s, bool training)
    : parts_(std::make_unique<Parts>()) {
  Parts& p = *parts_;
  p.kind = kind;
  const int64_t gates = kind == Fused::kLstm ? 4 : 3;
  p.d = {.x = plain({s.time, s.batch, s.in}, Tag::tnc),
         .h = plain({1, 1, s.batch, s.hidden}, Tag::ldnc),
         .c = plain({1, 1, s.batch, s.hidden}, Tag::ldnc),
         .kernel = plain({1, 1, s.in, gates, s.hidden}, Tag::ldigo),
         .recurrent = plain({1, 1, s.hidden, gates, s.hidden}, Tag::ldigo),
         .bias = plain({1, 1, 4, s.hidden}, Tag::ldgo),
         .y = plain({s.time, s.batch, s.hidden}, Tag::tnc)};
  p.describe(training);
  p.arguments = {{DNNL_ARG_SRC_ITER, p.make(p.d.h)},
                 {DNNL_ARG_WEIGHTS_LAYER, p.make(p.forward.kernel)},
                 {DNNL_ARG_WEIGHTS_ITER, p.make(p.forward.recurrent)},
                 {DNNL_ARG_DST_LAYER, p.make(p.d.y)},
                 {DNNL_ARG_DST_ITER, p.make(p.d.h)},
                 {DNNL_ARG_SCRATCHPAD, p.make(p.forward.scratchpad)}};
  if (kind == Fused::kLstm) {
    p.arguments.insert({DNNL_ARG_SRC_ITER_C, p.make(p.d.c)});
    p.arguments.insert({DNNL_ARG_DST_ITER_C, p.make(p.d.c)});
  }
  if (!training) return;
  p.arguments.insert({DNNL_ARG_WORKSPACE, p.make(p.forward.workspace)});
  p.backward_arguments = {{DNNL_ARG_WEIGHTS_LAYER, p.make(p.backward.kernel)},
                          {DNNL_ARG_WEIGHTS_ITER, p.make(p.backward.recurrent)},
                          {DNNL_ARG_DIFF_SRC_LAYER, p.make(p.d.x)},
                          {DNNL_ARG_DIFF_SRC_ITER, p.make(p.d.h)},
                          {DNNL_ARG_DIFF_WEIGHTS_LAYER, p.make(p.backward.kernel_gradient)},
                          {DNNL_ARG_DIFF_WEIGHTS_ITER, p.make(p.backward.recurrent_gradient)},
                          {DNNL_ARG_DIFF_BIAS, p.make(p.d.bias)},
                          {DNNL_ARG_DIFF_DST_ITER, p.make(p.d.h)},
                          {DNNL_ARG_SCRATCHPAD, p.make(p.backward.scratchpad)}};
  if (kind == Fused::kLstm) {
    p.backward_arguments.insert({DNNL_ARG_DIFF_SRC_ITER_C, p.make(p.d.c)});
    p.backward_arguments.insert({DNNL_ARG_DIFF_DST_ITER_C, p.make(p.d.c)});
  }
  for (const auto& [name, memory] : p.arguments) p.backward_arguments.insert({name, memory});
  p.kernel_gradient = p.make(p.d.kernel);
  p.recurrent_gradient = p.make(p.d.recurrent);
}

FusedLayer::~FusedLayer() = default;

const float* FusedLayer::forward(const RecurrentOperands& operands) {
  Parts& p = *parts_;
  p.operands = operands;
  p.arguments[DNNL_ARG_SRC_LAYER] = view(p.d.x, operands.x);
  p.arguments[DNNL_ARG_BIAS] = view(p.d.bias, operands.bias);
  p.reorder(view(p.d.kernel, operands.kernel), p.arguments.at(DNNL_ARG_WEIGHTS_LAYER));
  p.reorder(view(p.d.recurrent, operands.recurrent), p.arguments.at(DNNL_ARG_WEIGHTS_ITER));
  p.run(p.forward.primitive, p.arguments);
  return static_cast<const float*>(p.arguments.at(DNNL_ARG_DST_LAYER).get_data_handle());
}

FusedLayer::Gradients FusedLayer::backward(const float* weights) {
  Parts& p = *parts_;
  Arguments& a = p.backward_arguments;
  a[DNNL_ARG_SRC_LAYER] = view(p.d.x, p.operands.x);
  a[DNNL_ARG_BIAS] = view(p.d.bias, p.operands.bias);
  a[DNNL_ARG_DIFF_DST_LAYER] = view(p.d.y, weights);
  p.reorder(view(p.d.kernel, p.operands.kernel), a.at(DNNL_ARG_WEIGHTS_LAYER));
  p.reorder(view(p.d.recurrent, p.operands.recurrent), a.at(DNNL_ARG_WEIGHTS_ITER));
  // Gradients of weights are added to what is there.
  for (int name : {DNNL_ARG_DIFF_WEIGHTS_LAYER, DNNL_ARG_DIFF_WEIGHTS_ITER, DNNL_ARG_DIFF_BIAS}) {
    Memory& memory = a.at(name);
    std::memset(memory.get_data_handle(), 0, memory.get_desc().get_size());
  }
  p.run(p.backward.primitive, a);
  p.reorder(a.at(DNNL_ARG_DIFF_WEIGHTS_LAYER), p.kernel_gradient);
  p.reorder(a.at(DNNL_ARG_DIFF_WEIGHTS_ITER), p.recurrent_gradient);
  p.stream.wait();
  const auto data = [](const Memory& m) { return static_cast<const float*>(m.get_data_handle()); };
  return {data(a.at(DNNL_ARG_DIFF_SRC_LAYER)), data(p.kernel_gradient), data(p.recurrent_gradient),
          data(a.at(DNNL_ARG_DIFF_BIAS))};
}

}  // namespace linnet::bench
