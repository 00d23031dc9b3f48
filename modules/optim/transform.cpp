#include "modules/optim/transform.h"

#include <algorithm>

#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::optim {

Tensor filled_beside(const Tensor& p, double value) {
  const ScopedDevice there(p.device());
  return full(p.shape(), value, p.dtype());
}

TensorList zeros_of(const TensorList& params) {
  TensorList out;
  for (const Tensor& p : params) out.push_back(filled_beside(p, 0));
  return out;
}

Tensor number_beside(const TensorList& params, const Tensor& value) {
  return value.to(params.empty() ? default_device() : params[0].device());
}
Tensor zero_count(const TensorList& params, DType dtype) {
  return number_beside(params, scalar_integer(0, dtype));
}

TensorList& list_of(TransformState& state, const char* name) {
  const auto found = state.lists.find(name);
  if (found == state.lists.end()) {
    fail<TreeError>(
        "optim: the state has no '{}'\n  hint: it was made by another transformation's init", name);
  }
  return found->second;
}
TransformState& part_of(TransformState& state, size_t i, size_t parts) {
  if (state.parts.size() != parts) {
    fail<TreeError>(
        "optim: a transformation of {} parts was given a state of {}\n  hint: it was made by "
        "another transformation's init",
        parts, state.parts.size());
  }
  return state.parts[i];
}
Tensor& count_of(TransformState& state) { return list_of(state, "count").at(0); }
Tensor next_count(const Tensor& count) {
  const Tensor most = scalar_integer(iinfo(count.dtype()).max, count.dtype());
  return where(count < most, count + scalar_integer(1, count.dtype()), most);
}
void advance(TransformState& state) { count_of(state) = next_count(count_of(state)); }

Tensor wide(const Tensor& x) {
  return is_floating(x.dtype()) && size_of(x.dtype()) < 4 ? astype(x, DType::kF32) : x;
}
void store(Tensor& state, const Tensor& value) { state = astype(value, state.dtype()); }

void require_params(const char* name, const TensorList& grads, const TensorList& params) {
  if (grads.size() != params.size()) {
    fail<TreeError>("{}: {} gradients were given for {} parameters", name, grads.size(),
                    params.size());
  }
}

void require_value(const char* name, const ExtraArguments& extra) {
  if (extra.value.defined() && extra.value_fn) return;
  fail<ValueError>(
      "{}: value and function are needed\n  hint: step(tx, params, grads, state, {{.value = loss, "
      ".value_fn = f}})",
      name);
}

Tensor dot_of(const TensorList& a, const TensorList& b) {
  Tensor total = scalar(0, DType::kF32);
  for (size_t i = 0; i < a.size(); ++i) total = total + sum(conj(wide(a[i])) * wide(b[i]));
  return total;
}

Tensor bias_correction(double decay, const Tensor& step) {
  return 1 - pow(scalar(decay, DType::kF32), astype(step, DType::kF32));
}

std::string described(std::string text) {
  return text.empty() ? fmt::format("unknown#{}", linnet::detail::unique_number()) : text;
}

std::vector<bool> mask_of(const char* name, const Mask& mask, const std::vector<tree::Path>* paths,
                          const TensorList& params) {
  if (mask.needs_paths() && !paths) {
    fail<TreeError>(
        "{}: the mask depends on where parameters are, which lists do not say\n  hint: call init, "
        "update and step with trees",
        name);
  }
  std::vector<bool> chosen = mask(paths, params);
  if (chosen.size() != params.size()) {
    fail<TreeError>("{}: the mask has {} entries for {} parameters", name, chosen.size(),
                    params.size());
  }
  return chosen;
}

void set_update(GradientTransformation& out, ExtraUpdate update) {
  out.update_list = [update](const TensorList& grads, TransformState& state,
                             const TensorList& params) { return update(grads, state, params, {}); };
  out.update_extra = std::move(update);
}

void set_update(GradientTransformation& out, const std::vector<GradientTransformation>& inner,
                ExtraUpdate update) {
  set_update(out, std::move(update));
  const bool extra = std::any_of(inner.begin(), inner.end(), [](const GradientTransformation& tx) {
    return bool{tx.update_extra};
  });
  if (!extra) out.update_extra = nullptr;
}

TensorList scaled(const TensorList& list, const Tensor& factor) {
  return map(list, [&](size_t, const Tensor& x) {
    const Tensor w = wide(x);
    return w * astype(factor, w.dtype());
  });
}

void set_bind(GradientTransformation& out, const std::vector<GradientTransformation>& inner,
              std::function<GradientTransformation(std::vector<GradientTransformation>)> rebuild) {
  const bool any = std::any_of(inner.begin(), inner.end(),
                               [](const GradientTransformation& tx) { return bool{tx.bind}; });
  if (!any) return;
  out.bind = [inner, rebuild = std::move(rebuild)](const std::vector<tree::Path>& paths) {
    std::vector<GradientTransformation> bound;
    for (const GradientTransformation& tx : inner) bound.push_back(tx.bind ? tx.bind(paths) : tx);
    return rebuild(std::move(bound));
  };
}

GradientTransformation leafwise(std::string description, std::vector<Slot> slots,
                                std::function<Tensor(Leaf&, const Tensor& step)> rule) {
  GradientTransformation out;
  out.description = std::move(description);
  out.init_list = [slots](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    for (const Slot& slot : slots) {
      state.lists[slot.name] =
          map(params, [&](size_t, const Tensor& p) { return filled_beside(p, slot.initial); });
    }
    return state;
  };
  out.update_list = [slots, rule = std::move(rule), name = out.description](
                        const TensorList& grads, TransformState& state, const TensorList& params) {
    require_params(name.c_str(), grads, params);
    advance(state);
    const Tensor step = count_of(state);
    return map(grads, [&](size_t i, const Tensor& gradient) {
      Leaf leaf{wide(gradient), wide(params[i]), {}};
      for (const Slot& slot : slots) leaf.state.push_back(wide(list_of(state, slot.name).at(i)));
      Tensor update = rule(leaf, step);
      for (size_t k = 0; k < slots.size(); ++k)
        store(list_of(state, slots[k].name)[i], leaf.state[k]);
      return update;
    });
  };
  return out;
}

}  // namespace linnet::optim
