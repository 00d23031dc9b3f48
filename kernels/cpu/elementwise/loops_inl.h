// Loops over dense arrays. Included inside namespace linnet::cpu::HWY_NAMESPACE, after
// functions_inl.h.

#include "kernels/cpu/vector/independent.h"

#define LINNET_CALL_TYPE(id, name, function, arity, params, kind, cost) \
  struct Call##id {                                                     \
    template <class... V>                                               \
    static LINNET_SCALAR auto call(V... v) {                            \
      return function(v...);                                            \
    }                                                                   \
  };
LINNET_SCALAR_FUNCTIONS(LINNET_CALL_TYPE)
#undef LINNET_CALL_TYPE

/// Calls a function of one to three operands and no or one parameter.
template <class Call, int arity, int params, class V>
LINNET_SCALAR auto call_with(const V* x, const double* p) {
  if constexpr (arity == 1 && params == 0) return Call::call(x[0]);
  if constexpr (arity == 1 && params == 1) return Call::call(x[0], p[0]);
  if constexpr (arity == 2) return Call::call(x[0], x[1]);
  if constexpr (arity == 3) return Call::call(x[0], x[1], x[2]);
}

/// Float functions. A repeated operand is spread over one vector that is loaded again and again:
/// its step is zero, so one loop serves all combinations.
template <class Call, class T, int arity, int params, int unroll>
void float_loop(const LoopCall& args) {
  const size_t lanes = lane_count<T>();
  const size_t count = static_cast<size_t>(args.count);
  alignas(64) T spread[arity][64 / sizeof(T)];
  const T* from[arity];
  size_t step[arity];
  for (int k = 0; k < arity; ++k) {
    from[k] = static_cast<const T*>(args.in[k]);
    step[k] = args.repeat[k] ? 0 : lanes;
    if (!args.repeat[k]) continue;
    store<T>(Number<T>(*from[k]), spread[k]);
    from[k] = spread[k];
  }
  T* to = static_cast<T*>(args.out);
  const double p[1] = {params > 0 ? args.params[0] : 0.0};
  Number<T> x[arity];
  size_t i = 0;
  if constexpr (unroll > 1) {
    for (; i + unroll * lanes <= count; i += unroll * lanes) {
      for (int u = 0; u < unroll; ++u) {
        for (int k = 0; k < arity; ++k) x[k] = load(from[k] + u * step[k]);
        store<T>(call_with<Call, arity, params>(x, p), to + i + u * lanes);
      }
      for (int k = 0; k < arity; ++k) from[k] += unroll * step[k];
    }
  }
  for (; i + lanes <= count; i += lanes) {
    for (int k = 0; k < arity; ++k) {
      x[k] = load(from[k]);
      from[k] += step[k];
    }
    store<T>(call_with<Call, arity, params>(x, p), to + i);
  }
  if (i == count) return;
  for (int k = 0; k < arity; ++k) {
    x[k] = step[k] == 0 ? load(from[k]) : load_first(from[k], count - i);
  }
  store_first<T>(call_with<Call, arity, params>(x, p), to + i, count - i);
}

/// A loop the compiler vectorises by itself. Operands and result are either the same array or
/// apart.
template <class Call, int params, class Out, class... In>
void dense_loop(Out* to, size_t count, const double* p, const In*... from) {
  LINNET_INDEPENDENT
  for (size_t i = 0; i < count; ++i) {
    if constexpr (params == 0) {
      to[i] = Call::call(from[i]...);
    } else {
      to[i] = Call::call(from[i]..., p[0]);
    }
  }
}

/// Integers, comparisons and the like. Repeated operands are spread over a small array.
template <class Call, int params, class Out, class... In>
void plain_loop(const LoopCall& args) {
  constexpr int kArity = sizeof...(In);
  constexpr int64_t kBlock = 512;
  const auto run = [&]<size_t... k>(std::index_sequence<k...>) HWY_ATTR {
    if (!(args.repeat[k] || ...)) {
      dense_loop<Call, params>(static_cast<Out*>(args.out), static_cast<size_t>(args.count),
                               args.params, static_cast<const In*>(args.in[k])...);
      return;
    }
    alignas(64) std::byte spread[kArity][kBlock * 8];
    const int64_t block = args.count < kBlock ? args.count : kBlock;
    const auto fill = [&]<class T>(T* to, const void* from, bool repeat) HWY_ATTR {
      if (!repeat) return;
      for (int64_t i = 0; i < block; ++i) to[i] = *static_cast<const T*>(from);
    };
    (fill(reinterpret_cast<In*>(spread[k]), args.in[k], args.repeat[k]), ...);
    for (int64_t i = 0; i < args.count; i += kBlock) {
      const int64_t left = args.count - i;
      dense_loop<Call, params>(static_cast<Out*>(args.out) + i,
                               static_cast<size_t>(left < kBlock ? left : kBlock), args.params,
                               (args.repeat[k] ? reinterpret_cast<const In*>(spread[k])
                                               : static_cast<const In*>(args.in[k]) + i)...);
    }
  };
  run(std::make_index_sequence<kArity>{});
}
