#include "kernels/cpu/elementwise/strided.h"

#include <algorithm>
#include <cstring>

namespace linnet::cpu {
namespace {

template <class T>
void read_strided(const T* from, int64_t stride, T* to, int64_t count) {
  if (stride == 0) {
    std::fill_n(to, count, *from);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
  }
}

template <class T>
void write_strided(const T* from, T* to, int64_t stride, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i * stride] = from[i];
}

/// Short runs are common in small tensors; a call of the library costs more than they do.
template <class T>
void copy_dense(const T* from, T* to, int64_t count) {
  if (count <= 8) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  } else {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  }
}

template <class F>
void with_word(size_t element_size, F function) {
  switch (element_size) {
    case 1:
      return function(uint8_t{});
    case 2:
      return function(uint16_t{});
    case 4:
      return function(uint32_t{});
    default:
      return function(uint64_t{});
  }
}

}  // namespace

void copy_from_strided(size_t element_size, const void* from, int64_t stride, void* to,
                       int64_t count) {
  with_word(element_size, [&](auto word) {
    using T = decltype(word);
    if (stride == 1) {
      copy_dense(static_cast<const T*>(from), static_cast<T*>(to), count);
    } else {
      read_strided(static_cast<const T*>(from), stride, static_cast<T*>(to), count);
    }
  });
}

void copy_to_strided(size_t element_size, const void* from, void* to, int64_t stride,
                     int64_t count) {
  with_word(element_size, [&](auto word) {
    using T = decltype(word);
    if (stride == 1) {
      copy_dense(static_cast<const T*>(from), static_cast<T*>(to), count);
    } else {
      write_strided(static_cast<const T*>(from), static_cast<T*>(to), stride, count);
    }
  });
}

StridedSpace::StridedSpace(std::span<const int64_t> shape, std::span<const int64_t* const> strides)
    : arrays_(strides.size()), count_(1) {
  for (size_t d = 0; d < shape.size(); ++d) {
    count_ *= shape[d];
    if (shape[d] == 1) continue;
    bool joins = !sizes_.empty();
    for (size_t k = 0; joins && k < arrays_; ++k) {
      joins = stride(k, sizes_.size() - 1) == strides[k][d] * shape[d];
    }
    if (joins) {
      sizes_.back() *= shape[d];
      for (size_t k = 0; k < arrays_; ++k)
        strides_[(sizes_.size() - 1) * arrays_ + k] = strides[k][d];
    } else {
      sizes_.push_back(shape[d]);
      for (size_t k = 0; k < arrays_; ++k) strides_.push_back(strides[k][d]);
    }
  }
}

bool StridedSpace::is_dense(size_t array) const {
  int64_t expected = 1;
  for (size_t d = sizes_.size(); d-- > 0;) {
    if (stride(array, d) != expected) return false;
    expected *= sizes_[d];
  }
  return true;
}

bool StridedSpace::is_scalar(size_t array) const {
  for (size_t d = 0; d < sizes_.size(); ++d) {
    if (stride(array, d) != 0) return false;
  }
  return true;
}

void StridedSpace::gather(size_t array, const void* from, size_t element_size, int64_t begin,
                          int64_t count, void* to) const {
  const char* source = static_cast<const char*>(from);
  char* target = static_cast<char*>(to);
  const int64_t size = static_cast<int64_t>(element_size);
  const int64_t inner = inner_stride(array);
  for (StridedCursor cursor(*this, begin); count > 0;) {
    const int64_t run = std::min(count, cursor.left_in_row());
    copy_from_strided(element_size, source + cursor.offset(array) * size, inner, target, run);
    target += run * size;
    count -= run;
    cursor.advance(run);
  }
}

void StridedSpace::scatter(size_t array, void* to, size_t element_size, int64_t begin,
                           int64_t count, const void* from) const {
  const char* source = static_cast<const char*>(from);
  char* target = static_cast<char*>(to);
  const int64_t size = static_cast<int64_t>(element_size);
  const int64_t inner = inner_stride(array);
  for (StridedCursor cursor(*this, begin); count > 0;) {
    const int64_t run = std::min(count, cursor.left_in_row());
    copy_to_strided(element_size, source, target + cursor.offset(array) * size, inner, run);
    source += run * size;
    count -= run;
    cursor.advance(run);
  }
}

StridedCursor::StridedCursor(const StridedSpace& space, int64_t position)
    : space_(space), index_(space.sizes_.size()) {
  for (size_t d = index_.size(); d-- > 0;) {
    index_[d] = position % space.sizes_[d];
    position /= space.sizes_[d];
  }
}

int64_t StridedCursor::offset(size_t array) const {
  int64_t offset = 0;
  for (size_t d = 0; d < index_.size(); ++d) offset += index_[d] * space_.stride(array, d);
  return offset;
}

int64_t StridedCursor::left_in_row() const {
  return index_.empty() ? 1 : space_.sizes_.back() - index_.back();
}

void StridedCursor::advance(int64_t count) {
  if (index_.empty()) return;
  index_.back() += count;
  for (size_t d = index_.size() - 1; d > 0 && index_[d] == space_.sizes_[d]; --d) {
    index_[d] = 0;
    ++index_[d - 1];
  }
}

}  // namespace linnet::cpu
