// Kernels of the functions of float types, for LINNET_FLOAT. Included inside namespace
// linnet::cpu::HWY_NAMESPACE, after loops_inl.h.

template <class Call, class T, ScalarKind kind, int arity, int params, int cost>
ElementwiseLoop float_kernel() {
  if constexpr (kind == ScalarKind::kNumber || kind == ScalarKind::kNumberOrBool ||
                kind == ScalarKind::kFloat) {
    return &float_loop < Call, T, arity, params, cost <= 1 ? 4 : 1 > ;
  } else {
    return nullptr;
  }
}

template <class T>
void add_float_kernels(ElementwiseTable& table) {
#define LINNET_ADD(id, name, function, arity, params, kind, cost)               \
  if (ElementwiseLoop kernel =                                                  \
          float_kernel<Call##id, T, ScalarKind::kind, arity, params, cost>()) { \
    table.set(ScalarOp::id, dtype_of<T>(), kernel);                             \
  }
  LINNET_SCALAR_FUNCTIONS(LINNET_ADD)
#undef LINNET_ADD
}
