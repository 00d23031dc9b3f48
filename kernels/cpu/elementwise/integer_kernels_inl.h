// Kernels of the functions of integers and bool. Included inside namespace
// linnet::cpu::HWY_NAMESPACE, after loops_inl.h.

template <class Call, class T, ScalarKind kind, int arity, int params>
ElementwiseLoop integer_kernel() {
  constexpr bool is_bool = std::is_same_v<T, bool>;
  if constexpr (kind == ScalarKind::kNumberOrBool || kind == ScalarKind::kBits ||
                (!is_bool && (kind == ScalarKind::kNumber || kind == ScalarKind::kInteger))) {
    if constexpr (arity == 1) return &plain_loop<Call, params, T, T>;
    if constexpr (arity == 2) return &plain_loop<Call, params, T, T, T>;
    if constexpr (arity == 3) return &plain_loop<Call, params, T, T, T, T>;
  }
  return nullptr;
}

template <class T>
void add_integer_kernels(ElementwiseTable& table) {
#define LINNET_ADD(id, name, function, arity, params, kind, cost)                                \
  if (ElementwiseLoop kernel = integer_kernel<Call##id, T, ScalarKind::kind, arity, params>()) { \
    table.set(ScalarOp::id, dtype_of<T>(), kernel);                                              \
  }
  LINNET_SCALAR_FUNCTIONS(LINNET_ADD)
#undef LINNET_ADD
}
