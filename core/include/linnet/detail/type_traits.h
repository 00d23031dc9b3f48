// Which templates of the standard library a type is made by; what walks over user types asks it.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "linnet/small_vector.h"

namespace linnet::detail {

template <class T>
inline constexpr bool is_vector = false;
template <class T, class A>
inline constexpr bool is_vector<std::vector<T, A>> = true;
template <class T>
inline constexpr bool is_small_vector = false;
template <class T, size_t N>
inline constexpr bool is_small_vector<SmallVector<T, N>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_pair = false;
template <class A, class B>
inline constexpr bool is_pair<std::pair<A, B>> = true;
template <class T>
inline constexpr bool is_shared_pointer = false;
template <class T>
inline constexpr bool is_shared_pointer<std::shared_ptr<T>> = true;

}  // namespace linnet::detail
