#include "linnet/nnx/transforms_loops.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::nnx::detail {
namespace {

/// Which entry is the carry.
std::optional<size_t> carry_of(const char* option, const std::vector<AxesPrefix>& axes) {
  std::optional<size_t> found;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (!axes[i].carried()) continue;
    if (found) fail<ValueError>("scan: {} has kCarry at {} and at {}", option, *found, i);
    found = i;
  }
  return found;
}

void check_out_axes(const std::vector<AxesPrefix>& axes) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] == AxesPrefix(kNone)) {
      fail<ValueError>(
          "scan: out_axes is kNone for result {}: each step has a result of its own\n"
          "  hint: give it an axis, or let it be the carry",
          i);
    }
    if (!axes[i].filters()) continue;
    for (const auto& [filter, axis] : axes[i].filters()->entries()) {
      if (axis.mapped()) continue;
      fail<ValueError>("scan: out_axes of result {} has {} for a part; expected an axis", i,
                       axis.none() ? "kNone" : "kCarry");
    }
  }
}

/// The order of one scan: positions of the carry, and of what has an axis, among inputs or results.
struct Order {
  std::vector<size_t> carried, mapped;
};

TensorList picked(const TensorList& all, const std::vector<size_t>& which) {
  TensorList out;
  for (size_t k : which) out.push_back(all[k]);
  return out;
}

class ScanCall {
 public:
  ScanCall(std::vector<Visit> arguments, const Body& body, const ScanOptions& options)
      : options_(options),
        body_(body),
        carry_(carry_of("in_axes", options.in_axes)),
        carry_part_(carry_of("out_axes", options.out_axes)),
        objects_("scan", std::move(arguments), options.in_axes,
                 {.metadata = options.transform_metadata,
                  .broadcast_is_constant = true,
                  .carry = carry_}) {
    if (carry_.has_value() != carry_part_.has_value()) {
      fail<ValueError>("scan: {} has kCarry and {} has not; expected both or none",
                       carry_ ? "in_axes" : "out_axes", carry_ ? "out_axes" : "in_axes");
    }
    check_out_axes(options.out_axes);
    inputs_ = order(objects_.places(),
                    [&](const ObjectCall::Place& place) { return carry_ == place.argument; });
  }

  void run() {
    state::Scope writes;
    TensorList xs;
    for (size_t k : inputs_.mapped)
      xs.push_back(moveaxis(objects_.inputs()[k], objects_.places()[k].position, 0));
    const TensorList finals = linnet::detail::scan_call(
        "scan", picked(objects_.inputs(), inputs_.carried), xs,
        {.length = options_.length, .reverse = options_.reverse, .unroll = options_.unroll},
        [&](const TensorList& carry, const TensorList& x) { return step(carry, x); },
        [&](size_t leaf) { return objects_.places()[inputs_.carried[leaf]].text(); });
    const std::vector<ObjectCall::Place> places = objects_.results();
    TensorList values(finals.size());
    size_t next = 0;
    for (size_t k : results_.carried) values[k] = finals[next++];
    for (size_t k : results_.mapped) values[k] = moveaxis(finals[next++], 0, places[k].position);
    objects_.finish(values, writes);
  }

 private:
  /// The carry that f returns comes before what it changes in other arguments.
  template <class IsCarry>
  static Order order(const std::vector<ObjectCall::Place>& places, IsCarry is_carry) {
    Order out;
    for (const bool returned : {true, false}) {
      for (size_t k = 0; k < places.size(); ++k) {
        if (places[k].axis.carried() && is_carry(places[k]) == returned) out.carried.push_back(k);
      }
    }
    for (size_t k = 0; k < places.size(); ++k) {
      if (places[k].axis.mapped()) out.mapped.push_back(k);
    }
    return out;
  }

  TensorList step(const TensorList& carry, const TensorList& x) {
    TensorList traced(objects_.inputs().size());
    for (size_t k = 0; k < carry.size(); ++k) traced[inputs_.carried[k]] = carry[k];
    for (size_t k = 0; k < x.size(); ++k) traced[inputs_.mapped[k]] = x[k];
    const TensorList out = objects_.run(traced, body_, options_.out_axes);
    if (carry_) objects_.require_same_variables(*carry_, *carry_part_);
    results_ =
        order(objects_.results(), [](const ObjectCall::Place& place) { return place.result; });
    if (results_.carried.size() != inputs_.carried.size()) {
      fail<ValueError>(
          "scan: the carry has {} tensors, and the one that is returned {}\n"
          "  hint: write numbers in it as tensors",
          inputs_.carried.size(), results_.carried.size());
    }
    TensorList ordered = picked(out, results_.carried);
    for (size_t k : results_.mapped) ordered.push_back(out[k]);
    return ordered;
  }

  const ScanOptions& options_;
  const Body& body_;
  std::optional<size_t> carry_, carry_part_;
  ObjectCall objects_;
  Order inputs_, results_;
};

/// A carry that may hold objects, in a loop without sequences.
class Carry {
 public:
  Carry(const char* name, Visit carry, const Body& body)
      : name_(name),
        body_(body),
        objects_(name, {std::move(carry)}, {kCarry}, {.fixed_structure = true, .carry = 0}) {}

  const TensorList& initial() const { return objects_.inputs(); }
  TensorList next(const TensorList& carry) {
    TensorList out = objects_.run(carry, body_, {kCarry});
    objects_.require_same_variables(0, 0);
    if (out.size() != carry.size()) {
      fail<ValueError>(
          "{}: the carry has {} tensors, and the one that is returned {}\n"
          "  hint: write numbers in it as tensors",
          name_, carry.size(), out.size());
    }
    return out;
  }
  void finish(const TensorList& last, state::Scope& writes) { objects_.finish(last, writes); }
  std::string name_of(size_t leaf) const { return objects_.places()[leaf].text(); }

 private:
  const char* name_;
  const Body& body_;
  ObjectCall objects_;
};

std::string structure_of(const std::vector<Visit>& parts) {
  tree::Flattener flattener;
  for (const Visit& visit : parts) visit(flattener);
  return flattener.take().structure;
}

TensorList without_first(const TensorList& list) { return {list.begin() + 1, list.end()}; }
TensorList with_first(const Tensor& first, const TensorList& rest) {
  TensorList out{first};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace

void scan_call(std::vector<Visit> arguments, const Body& body, const ScanOptions& options) {
  ScanCall(std::move(arguments), body, options).run();
}

void while_call(Visit carry, const Body& condition, const Body& body) {
  ObjectCall test("while_loop", {carry}, {kCarry}, {.fixed_structure = true, .carry = 0});
  Carry loop("while_loop", std::move(carry), body);
  state::Scope writes;
  const TensorList last = linnet::detail::while_call(
      "while_loop", loop.initial(),
      [&](const TensorList& at) { return test.run(at, condition, {kCarry}).at(0); },
      [&](const TensorList& at) { return loop.next(at); },
      [&](size_t leaf) { return loop.name_of(leaf); });
  loop.finish(last, writes);
}

void fori_call(const Tensor& first, const Tensor& last, int64_t unroll, Tensor& index, Visit carry,
               const Body& body) {
  Carry loop("fori_loop", std::move(carry), body);
  const linnet::detail::ForBounds bounds = linnet::detail::for_bounds(first, last);
  const auto next = [&](const TensorList& at) {
    index = at[0];
    return with_first(at[0] + 1, loop.next(without_first(at)));
  };
  const auto name_of = [&](size_t leaf) {
    return leaf == 0 ? std::string("the index") : loop.name_of(leaf - 1);
  };
  const TensorList init = with_first(bounds.first, loop.initial());
  state::Scope writes;
  const TensorList values =
      bounds.count ? linnet::detail::scan_call(
                         "fori_loop", init, {}, {.length = bounds.count, .unroll = unroll},
                         [&](const TensorList& at, const TensorList&) { return next(at); }, name_of)
                   : linnet::detail::while_call(
                         "fori_loop", init,
                         [&](const TensorList& at) { return at[0] < bounds.last; }, next, name_of);
  loop.finish(without_first(values), writes);
}

void cond_call(const char* name, const Tensor& index, size_t branches,
               const std::function<void(size_t)>& select, std::vector<Visit> operands,
               const Body& body) {
  const std::vector<AxesPrefix> axes(operands.size(), kCarry);
  ObjectCall objects(name, std::move(operands), axes, {.fixed_structure = true});
  std::optional<std::string> structure;
  const Body checked = [&](size_t count) {
    std::vector<Visit> parts = body(count);
    const std::string here = structure_of(parts);
    if (structure && *structure != here)
      fail<ValueError>("{}: the branches return different structures", name);
    structure = here;
    return parts;
  };
  std::vector<linnet::detail::FlatFunction> functions;
  for (size_t i = 0; i < branches; ++i) {
    functions.push_back([&, i](const TensorList& traced) {
      select(i);
      return objects.run(traced, checked, {kCarry});
    });
  }
  state::Scope writes;
  objects.finish(linnet::detail::cond_call(name, index, objects.inputs(), functions), writes);
}

}  // namespace linnet::nnx::detail
