// All scalar functions, in the order in which they use each other. Included inside a namespace that
// provides the basis: plain_inl.h, preceded or followed by that of a vector type. Empty lines keep
// clang-format from sorting them.
#include "kernels/scalar/arithmetic_inl.h"

#include "kernels/scalar/integer_inl.h"

#include "kernels/scalar/predicate_inl.h"

#include "kernels/scalar/exponential_inl.h"

#include "kernels/scalar/trigonometric_inl.h"

#include "kernels/scalar/error_function_inl.h"

#include "kernels/scalar/activation_inl.h"
#undef LINNET_FLOAT_FUNCTION
#undef LINNET_INTEGER_FUNCTION
#undef LINNET_FUNCTOR
