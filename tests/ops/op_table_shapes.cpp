// Rows of creation, conversion and movement of elements.
#include <cmath>

#include "core/ops/convert.h"
#include "core/ops/creation.h"
#include "core/ops/shape_ops.h"
#include "op_table.h"

namespace linnet::testing {
namespace {

const Values kLine = uniform(-3, 3);

HostArray reshaped(const HostArray& x, const Shape& shape) { return {shape, x.values}; }

HostArray permuted(const HostArray& x, const Axes& permutation) {
  Shape shape;
  for (int64_t axis : permutation) shape.push_back(x.shape[axis]);
  HostArray y(shape);
  for_each_index(shape, [&](const Axes& to) {
    Axes from(to.size(), 0);
    for (size_t i = 0; i < to.size(); ++i) from[permutation[i]] = to[i];
    y.at(to) = x.at(from);
  });
  return y;
}

HostArray repeated(const HostArray& x, const Shape& shape, const Axes& dimensions) {
  HostArray y(shape);
  for_each_index(shape, [&](const Axes& to) {
    Axes from;
    for (size_t i = 0; i < dimensions.size(); ++i) {
      from.push_back(x.shape[i] == 1 ? 0 : to[dimensions[i]]);
    }
    y.at(to) = x.at(from);
  });
  return y;
}

HostArray padded(const HostArray& x, const std::vector<PadDim>& padding, double value) {
  Shape shape;
  for (size_t i = 0; i < padding.size(); ++i) {
    const PadDim& d = padding[i];
    const int64_t size = x.shape[i];
    shape.push_back(d.low + d.high + size + (size > 1 ? (size - 1) * d.interior : 0));
  }
  HostArray y(shape, value);
  for_each_index(x.shape, [&](const Axes& from) {
    Axes to;
    for (size_t i = 0; i < padding.size(); ++i) {
      to.push_back(padding[i].low + from[i] * (padding[i].interior + 1));
      if (to[i] < 0 || to[i] >= shape[i]) return;
    }
    y.at(to) = x.at(from);
  });
  return y;
}

void add_reshapes(OpTable& table) {
  const auto row = [&](const char* name, Tensor (*f)(const Tensor&)) {
    return table.add(name, f).takes(Takes::kAny).linear().exact().exact_integers();
  };
  row("reshape",
      [](const Tensor& x) {
        return reshape(x, {x.size() / 2, 2});
      })
      .sample({{{3, 4}, kLine}})
      .sample({{{2}, kLine}})
      .sample({{{0, 5}, kLine}})
      .reference([](const HostArray& x) {
        return reshaped(x, {static_cast<int64_t>(x.values.size()) / 2, 2});
      });
  row("reshape_to_scalar", [](const Tensor& x) { return reshape(x, {}); })
      .of("reshape")
      .sample({{{1, 1}, kLine}})
      .reference([](const HostArray& x) { return reshaped(x, {}); });
  row("transpose",
      [](const Tensor& x) {
        return transpose(x, {2, 0, 1});
      })
      .sample({{{2, 3, 4}, kLine}})
      .sample({{{7, 1, 3}, kLine}})
      .sample({{{2, 0, 3}, kLine}})
      .reference([](const HostArray& x) {
        return permuted(x, {2, 0, 1});
      });
  row("transpose_matrix", [](const Tensor& x) { return transpose(x); })
      .of("transpose")
      .sample({{{17, 3}, kLine}})
      .sample({{{1, 4}, kLine}})
      .reference([](const HostArray& x) {
        return permuted(x, {1, 0});
      });
  row("broadcast_in_dim",
      [](const Tensor& x) {
        return broadcast_in_dim(x, {2, 3, 4}, {0, 2});
      })
      .sample({{{2, 4}, kLine}})
      .sample({{{1, 4}, kLine}})
      .sample({{{2, 1}, kLine}})
      .reference([](const HostArray& x) {
        return repeated(x, {2, 3, 4}, {0, 2});
      });
  row("broadcast_scalar",
      [](const Tensor& x) {
        return broadcast_in_dim(x, {3, 2}, {});
      })
      .of("broadcast_in_dim")
      .sample({{{}, kLine}})
      .reference([](const HostArray& x) {
        return repeated(x, {3, 2}, {});
      });
  row("broadcast_to_nothing",
      [](const Tensor& x) {
        return broadcast_in_dim(x, {0, 3}, {1});
      })
      .of("broadcast_in_dim")
      .sample({{{3}, kLine}})
      .reference([](const HostArray&) {
        return HostArray({0, 3});
      });
  row("rev",
      [](const Tensor& x) {
        return flip(x, {0, 2});
      })
      .sample({{{2, 3, 4}, kLine}})
      .sample({{{0, 3, 2}, kLine}})
      .reference([](const HostArray& x) {
        HostArray y(x.shape);
        for_each_index(x.shape, [&](const Axes& at) {
          y.at({x.shape[0] - 1 - at[0], at[1], x.shape[2] - 1 - at[2]}) = x.at(at);
        });
        return y;
      });
}

HostArray joined(const HostArrays& x, int64_t axis) {
  Shape shape = x[0].shape;
  shape[axis] = 0;
  for (const HostArray& part : x) shape[axis] += part.shape[axis];
  HostArray y(shape);
  int64_t begin = 0;
  for (const HostArray& part : x) {
    for_each_index(part.shape, [&](const Axes& from) {
      Axes to = from;
      to[axis] += begin;
      y.at(to) = part.at(from);
    });
    begin += part.shape[axis];
  }
  return y;
}

void add_joins(OpTable& table) {
  table.add("concatenate", [](const TensorList& x) { return concatenate(x, 1); })
      .sample({{{2, 3}, kLine}, {{2, 1}, kLine}, {{2, 4}, kLine}})
      .sample({{{3, 0}, kLine}, {{3, 2}, kLine}})
      .sample({{{0, 2}, kLine}, {{0, 5}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) { return joined(x, 1); });
  table.add("concatenate_first", [](const TensorList& x) { return concatenate(x, 0); })
      .of("concatenate")
      .sample({{{4}, kLine}, {{3}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .reference([](const HostArrays& x) { return joined(x, 0); });
  // Two columns from the front to the back.
  table
      .add("split",
           [](const TensorList& x) {
             const std::vector<Tensor> parts = split(x[0], std::vector<int64_t>{2}, 1);
             return concatenate({parts[1], parts[0]}, 1);
           })
      .sample({{{2, 5}, kLine}})
      .sample({{{3, 2}, kLine}})
      .sample({{{0, 3}, kLine}})
      .takes(Takes::kAny)
      .linear()
      .exact()
      .exact_integers()
      .reference([](const HostArrays& x) {
        HostArray y(x[0].shape);
        const int64_t columns = x[0].shape[1];
        for_each_index(x[0].shape, [&](const Axes& at) {
          y.at({at[0], (at[1] + columns - 2) % columns}) = x[0].at(at);
        });
        return y;
      });
}

void add_pads(OpTable& table) {
  const auto row = [&](const char* name, Tensor (*f)(const TensorList&)) {
    return table.add(name, f).of("pad").takes(Takes::kAny).linear().exact().exact_integers();
  };
  row("pad",
      [](const TensorList& x) {
        return pad(x[0], {{1, 2, 0}, {0, 3, 0}});
      })
      .sample({{{2, 3}, kLine}})
      .sample({{{0, 2}, kLine}})
      .reference([](const HostArrays& x) {
        return padded(x[0], {{1, 2, 0}, {0, 3, 0}}, 0);
      });
  row("pad_value",
      [](const TensorList& x) {
        return pad(x[0], {{1, 2, 1}}, x[1]);
      })
      .sample({{{4}, kLine}, {{}, kLine}})
      .sample({{{1}, kLine}, {{}, kLine}})
      .sample({{{0}, kLine}, {{}, kLine}})
      .reference([](const HostArrays& x) {
        return padded(x[0], {{1, 2, 1}}, x[1].values[0]);
      });
  row("pad_crop",
      [](const TensorList& x) {
        return pad(x[0], {{-1, 2, 0}, {3, -2, 1}}, x[1]);
      })
      .sample({{{3, 4}, kLine}, {{}, kLine}})
      .reference([](const HostArrays& x) {
        return padded(x[0], {{-1, 2, 0}, {3, -2, 1}}, x[1].values[0]);
      });
}

Tensor bits_and_back(const Tensor& x) {
  constexpr DType kUnsigned[] = {DType::kU8, DType::kU8, DType::kU16, DType::kU16, DType::kU32};
  const size_t bytes = size_of(x.dtype());
  return bitcast(bitcast(x, bytes == 8 ? DType::kU64 : kUnsigned[bytes]), x.dtype());
}

void add_conversions(OpTable& table) {
  const auto identity = [](const HostArray& x) { return x; };
  table
      .add("convert_element_type",
           [](const Tensor& x) {
             return emit_one(convert_primitive(), {x}, ConvertParams{DType::kF64, false});
           })
      .sample({{{7}, kLine}})
      .sample({{{}, kLine}})
      .sample({{{0, 2}, kLine}})
      .sample({{{3, 5}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kUnchecked)
      .linear()
      .exact()
      .reference(identity);
  table.add("convert_to_f32", [](const Tensor& x) { return astype(x, DType::kF32); })
      .of("convert_element_type")
      .sample({{{5}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kUnchecked)
      .orders(0)
      .scale(2)
      .reference(identity);
  table.add("convert_to_i32", [](const Tensor& x) { return astype(x, DType::kI32); })
      .of("convert_element_type")
      .sample({{{5}, kLine}})
      .takes(Takes::kAny)
      .gives(Gives::kI32)
      .orders(0)
      .exact()
      .reference([](const HostArray& x) {
        HostArray y(x.shape);
        for (size_t i = 0; i < y.values.size(); ++i)
          y.values[i] = std::isnan(x.values[i]) ? 0 : std::trunc(x.values[i]);
        return y;
      });
  table.add("bitcast_convert_type", bits_and_back)
      .sample({{{5}, kLine}})
      .sample({{{}, kLine}})
      .takes(Takes::kAny)
      .zero_slope()
      .exact()
      .exact_integers()
      .reference(identity);
  table.add("iota",
            [](const TensorList&) {
              return iota(DType::kF64, {2, 3, 4}, 1);
            })
      .sample({})
      .orders(0)
      .exact()
      .reference([](const HostArrays&) {
        HostArray y({2, 3, 4});
        for_each_index(y.shape, [&](const Axes& at) { y.at(at) = static_cast<double>(at[1]); });
        return y;
      });
}

}  // namespace

void add_shape_cases(OpTable& table) {
  add_reshapes(table);
  add_joins(table);
  add_pads(table);
  add_conversions(table);
}

}  // namespace linnet::testing
