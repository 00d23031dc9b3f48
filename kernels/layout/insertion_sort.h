// A stable sort of the few dimensions of a tensor. std::stable_sort asks for memory each time.
#pragma once

#include <utility>

namespace linnet {

template <class Iterator, class Less>
void insertion_sort(Iterator begin, Iterator end, const Less& less) {
  for (Iterator next = begin; next != end; ++next) {
    for (Iterator at = next; at != begin && less(*at, *(at - 1)); --at) std::swap(*at, *(at - 1));
  }
}

}  // namespace linnet
