// Makes line kernels of vector functions. No include guard: included once per instruction set.
//
// A vector file applies its list to LINNET_LINE_FUNCTIONS inside HWY_NAMESPACE, after types with
//
//   template <class T> static void row(int64_t count, const T* const* in, T* out);
//   template <class T> static void columns(int64_t axis, int64_t stride, int64_t columns,
//                                          const T* const* in, T* out);
//
// and to LINNET_LINE_TABLES in its part that is compiled once.
#undef LINNET_LINE_FUNCTIONS
#undef LINNET_LINE_TABLES
#undef LINNET_LINE_FUNCTIONS_OF
#undef LINNET_LINE_TABLES_OF
#undef LINNET_LINE_DISPATCH

#define LINNET_LINE_FUNCTIONS_OF(name, Line, T)                                                 \
  void name##_row_##T(int64_t count, const T* const* in, T* out) { Line::row(count, in, out); } \
  void name##_columns_##T(int64_t axis, int64_t stride, int64_t columns, const T* const* in,    \
                          T* out) {                                                             \
    Line::columns(axis, stride, columns, in, out);                                              \
  }
#define LINNET_LINE_FUNCTIONS(name, Line, inputs, reduces, in_place) \
  LINNET_LINE_FUNCTIONS_OF(name, Line, float)                        \
  LINNET_LINE_FUNCTIONS_OF(name, Line, double)

#define LINNET_LINE_TABLES_OF(name, T) \
  HWY_EXPORT(name##_row_##T);          \
  HWY_EXPORT(name##_columns_##T);
#define LINNET_LINE_DISPATCH(name, T)                                                   \
  {                                                                                     \
    [](int64_t count, const T* const* in, T* out) {                                     \
      HWY_DYNAMIC_DISPATCH(name##_row_##T)(count, in, out);                             \
    },                                                                                  \
        [](int64_t axis, int64_t stride, int64_t columns, const T* const* in, T* out) { \
          HWY_DYNAMIC_DISPATCH(name##_columns_##T)(axis, stride, columns, in, out);     \
        }                                                                               \
  }
#define LINNET_LINE_TABLES(name, Line, inputs, reduces, in_place)            \
  LINNET_LINE_TABLES_OF(name, float)                                         \
  LINNET_LINE_TABLES_OF(name, double)                                        \
  constinit const LineKernel name##_lines{#name,                             \
                                          inputs,                            \
                                          reduces,                           \
                                          in_place,                          \
                                          LINNET_LINE_DISPATCH(name, float), \
                                          LINNET_LINE_DISPATCH(name, double)};
