// Private: the one place that knows the differences between oneDNN 2.6 and 3.x. Everything is in
// the style of v3: primitive descriptors are made from memory descriptors in one step.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <string>

#include "linnet/dtype.h"
#include "linnet/shape.h"

namespace linnet::cpu::onednn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

/// The CPU engine. It lives as long as the process: other threads may still hold memory objects
/// while static objects are destroyed.
inline const dnnl::engine& cpu_engine() {
  static const dnnl::engine* const engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

inline dnnl::memory::data_type data_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return dnnl::memory::data_type::f32;
    case DType::kBF16:
      return dnnl::memory::data_type::bf16;
    case DType::kF16:
      return dnnl::memory::data_type::f16;
    default:
      return dnnl::memory::data_type::undef;
  }
}

inline Desc strided_desc(const Dims& dims, DType dtype, const Dims& strides) {
  return Desc(dims, data_type(dtype), strides);
}

inline Desc any_desc(const Dims& dims, DType dtype) {
  return Desc(dims, data_type(dtype), dnnl::memory::format_tag::any);
}

/// The library's number for the type of the elements.
inline int type_number(const Desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return static_cast<int>(desc.get_data_type());
#else
  return static_cast<int>(desc.data_type());
#endif
}

inline bool is_absent(const Desc& desc) { return desc.is_zero(); }

inline dnnl::matmul::primitive_desc make_matmul(const Desc& a, const Desc& b, const Desc& bias,
                                                const Desc& out, const dnnl::primitive_attr& attr) {
  using Matmul = dnnl::matmul;
#if DNNL_VERSION_MAJOR >= 3
  if (is_absent(bias)) return Matmul::primitive_desc(cpu_engine(), a, b, out, attr);
  return Matmul::primitive_desc(cpu_engine(), a, b, bias, out, attr);
#else
  if (is_absent(bias)) return Matmul::primitive_desc(Matmul::desc(a, b, out), attr, cpu_engine());
  return Matmul::primitive_desc(Matmul::desc(a, b, bias, out), attr, cpu_engine());
#endif
}

/// Window of a convolution as oneDNN counts it: a dilation of 0 is an ordinary kernel.
struct ConvWindow {
  Dims strides, dilation, padding_low, padding_high;
};

inline dnnl::convolution_forward::primitive_desc make_conv_forward(
    dnnl::algorithm algorithm, const Desc& x, const Desc& w, const Desc& bias, const Desc& y,
    const ConvWindow& g, const dnnl::primitive_attr& attr, bool training = false) {
  using Forward = dnnl::convolution_forward;
  const auto kind =
      training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  if (is_absent(bias)) {
    return Forward::primitive_desc(cpu_engine(), kind, algorithm, x, w, y, g.strides, g.dilation,
                                   g.padding_low, g.padding_high, attr);
  }
  return Forward::primitive_desc(cpu_engine(), kind, algorithm, x, w, bias, y, g.strides,
                                 g.dilation, g.padding_low, g.padding_high, attr);
#else
  if (is_absent(bias)) {
    return Forward::primitive_desc(Forward::desc(kind, algorithm, x, w, y, g.strides, g.dilation,
                                                 g.padding_low, g.padding_high),
                                   attr, cpu_engine());
  }
  return Forward::primitive_desc(Forward::desc(kind, algorithm, x, w, bias, y, g.strides,
                                               g.dilation, g.padding_low, g.padding_high),
                                 attr, cpu_engine());
#endif
}

inline dnnl::convolution_backward_data::primitive_desc make_conv_backward_data(
    dnnl::algorithm algorithm, const Desc& dx, const Desc& w, const Desc& dy, const ConvWindow& g,
    const dnnl::convolution_forward::primitive_desc& forward, const dnnl::primitive_attr& attr) {
  using Backward = dnnl::convolution_backward_data;
#if DNNL_VERSION_MAJOR >= 3
  return Backward::primitive_desc(cpu_engine(), algorithm, dx, w, dy, g.strides, g.dilation,
                                  g.padding_low, g.padding_high, forward, attr);
#else
  return Backward::primitive_desc(
      Backward::desc(algorithm, dx, w, dy, g.strides, g.dilation, g.padding_low, g.padding_high),
      attr, cpu_engine(), forward);
#endif
}

inline dnnl::convolution_backward_weights::primitive_desc make_conv_backward_weights(
    dnnl::algorithm algorithm, const Desc& x, const Desc& dw, const Desc& dbias, const Desc& dy,
    const ConvWindow& g, const dnnl::convolution_forward::primitive_desc& forward,
    const dnnl::primitive_attr& attr) {
  using Backward = dnnl::convolution_backward_weights;
#if DNNL_VERSION_MAJOR >= 3
  if (is_absent(dbias)) {
    return Backward::primitive_desc(cpu_engine(), algorithm, x, dw, dy, g.strides, g.dilation,
                                    g.padding_low, g.padding_high, forward, attr);
  }
  return Backward::primitive_desc(cpu_engine(), algorithm, x, dw, dbias, dy, g.strides, g.dilation,
                                  g.padding_low, g.padding_high, forward, attr);
#else
  if (is_absent(dbias)) {
    return Backward::primitive_desc(
        Backward::desc(algorithm, x, dw, dy, g.strides, g.dilation, g.padding_low, g.padding_high),
        attr, cpu_engine(), forward);
  }
  return Backward::primitive_desc(Backward::desc(algorithm, x, dw, dbias, dy, g.strides, g.dilation,
                                                 g.padding_low, g.padding_high),
                                  attr, cpu_engine(), forward);
#endif
}

inline dnnl::reorder::primitive_desc make_reorder(const Desc& from, const Desc& to,
                                                  const dnnl::primitive_attr& attr) {
  return dnnl::reorder::primitive_desc(cpu_engine(), from, cpu_engine(), to, attr);
}

/// Winograd convolution left the library in v3.
constexpr bool kHasWinograd = DNNL_VERSION_MAJOR < 3;

/// Attributes of every primitive here: scratch memory comes from the caller.
inline dnnl::primitive_attr caller_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

inline std::string implementation_of(const dnnl::primitive_desc_base& desc) {
  return desc.impl_info_str();
}

}  // namespace linnet::cpu::onednn
