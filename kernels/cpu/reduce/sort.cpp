#include "kernels/cpu/reduce/sort.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <string>

#include "kernels/cpu/reduce/element.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

// Maps an element to an unsigned number of the same order: equal elements to equal numbers, NaN to
// the greatest one.
template <class T>
auto order_key(T element) {
  if constexpr (kIsFloating<T>) {
    using Bits = std::conditional_t<std::is_same_v<T, double>, uint64_t, uint32_t>;
    constexpr Bits kSign = Bits(1) << (sizeof(Bits) * 8 - 1);
    const Wide<T> value = widen(element);
    if (value != value) return ~Bits(0);
    const Bits bits = std::bit_cast<Bits>(value == 0 ? Wide<T>(0) : value);
    return (bits & kSign) ? Bits(~bits) : Bits(bits | kSign);
  } else if constexpr (sizeof(T) == 8) {
    return std::is_signed_v<T> ? static_cast<uint64_t>(element) ^ (uint64_t(1) << 63)
                               : static_cast<uint64_t>(element);
  } else {
    const uint32_t flip = std::is_signed_v<T> ? 0x80000000u : 0u;
    return static_cast<uint32_t>(element) ^ flip;
  }
}

template <class Key>
struct Item {
  Key key;
  uint32_t index;
};

constexpr int64_t kRadixLength = 512;

/// Items to be sorted, and room for as many.
template <class Key>
struct SortSpace {
  std::span<Item<Key>> items, scratch;
};

// Least-significant-digit radix sort with byte digits; digits in which all keys agree are skipped.
// Gives the sorted ones of the two.
template <class Key>
std::span<const Item<Key>> radix_sort(SortSpace<Key> space) {
  auto& [items, scratch] = space;
  for (size_t digit = 0; digit < sizeof(Key); ++digit) {
    std::array<size_t, 257> count{};
    for (const Item<Key>& item : items) ++count[((item.key >> (8 * digit)) & 255u) + 1];
    if (std::find(count.begin(), count.end(), items.size()) != count.end()) continue;
    for (size_t i = 1; i < count.size(); ++i) count[i] += count[i - 1];
    for (const Item<Key>& item : items) scratch[count[(item.key >> (8 * digit)) & 255u]++] = item;
    std::swap(items, scratch);
  }
  return items;
}

template <class Key>
std::span<const Item<Key>> sort_items(SortSpace<Key> space) {
  if (static_cast<int64_t>(space.items.size()) >= kRadixLength) return radix_sort(space);
  std::sort(space.items.begin(), space.items.end(), [](const Item<Key>& a, const Item<Key>& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  });
  return space.items;
}

int64_t row_grain(int64_t length) {
  return std::max<int64_t>(1, 4096 / std::max<int64_t>(1, length));
}

// Calls take(row, items) with the sorted items of every row.
template <class T, class Take>
void sort_rows(int64_t rows, int64_t length, const T* data, bool descending, void* workspace,
               Take&& take) {
  using Key = decltype(order_key(T{}));
  const size_t size = static_cast<size_t>(length);
  parallel_for_slots(rows, row_grain(length), [&](int64_t begin, int64_t end, int64_t slot) {
    Item<Key>* const own = static_cast<Item<Key>*>(workspace) + 2 * length * slot;
    const SortSpace<Key> space{{own, size}, {own + length, size}};
    for (int64_t row = begin; row < end; ++row) {
      const T* from = data + row * length;
      for (int64_t i = 0; i < length; ++i) {
        const Key key = order_key(from[i]);
        own[i] = {descending ? Key(~key) : key, static_cast<uint32_t>(i)};
      }
      take(row, sort_items(space));
    }
  });
}

void store_index(DType dtype, void* out, int64_t position, uint32_t index) {
  if (dtype == DType::kI64)
    static_cast<int64_t*>(out)[position] = index;
  else
    static_cast<uint32_t*>(out)[position] = index;
}

void check_index_type(const char* operation, DType dtype) {
  if (dtype != DType::kI32 && dtype != DType::kI64 && dtype != DType::kU32) {
    throw DTypeError(std::string(operation) + ": expected an index type i32, u32 or i64, got " +
                     std::string(name_of(dtype)));
  }
}

}  // namespace

size_t sort_workspace(DType dtype, int64_t rows, int64_t length) {
  const size_t item = visit_dtype(
      dtype, [](auto zero) { return sizeof(Item<decltype(order_key(decltype(zero){}))>); });
  return static_cast<size_t>(2 * length * parallel_slots(rows, row_grain(length))) * item;
}

void sort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending, void* out,
          void* workspace) {
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(data);
    T* to = static_cast<T*>(out);
    sort_rows(rows, length, from, descending, workspace, [&](int64_t row, const auto& items) {
      for (int64_t i = 0; i < length; ++i) {
        to[row * length + i] = from[row * length + items[static_cast<size_t>(i)].index];
      }
    });
  });
}

void argsort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending,
             DType index_dtype, void* out, void* workspace) {
  check_index_type("argsort", index_dtype);
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(data);
    sort_rows(rows, length, from, descending, workspace, [&](int64_t row, const auto& items) {
      for (int64_t i = 0; i < length; ++i) {
        store_index(index_dtype, out, row * length + i, items[static_cast<size_t>(i)].index);
      }
    });
  });
}

}  // namespace linnet::cpu
