// jit of functional modules inside others.
#include "linnet/linen/transforms_jit.h"

#include "linnet/detail/format.h"
#include "modules/linen/lift.h"

namespace linnet::linen::detail {
namespace {

using linnet::detail::JitArgument;

/// Every stream gives one key at the scope's path, which begins a stream without a path.
StreamGroups folded_streams(const Pack& pack, const ScopeFunction& f) {
  Scope scope = f.scopes.back();
  std::map<std::string, Key> keys;
  for (const std::string& name : scope.rng_streams()) keys.emplace(name, scope.make_rng(name));
  StreamGroups groups = pack.streams();
  for (std::vector<Streams>& group : groups) {
    for (size_t r = 0; r < group.size(); ++r) {
      for (auto& [name, stream] : group[r]) {
        stream.skip = pack.path(r).size();
        if (pack.is_root(r, scope)) stream.key = keys.at(name);
      }
    }
  }
  return groups;
}

/// Everything but tensors that decides what the program is.
std::string text_of(const Pack::Counters& counters) {
  std::string out;
  for (const RngCounts::Flat& keys : counters.keys) {
    for (const auto& [where, count] : keys)
      out += fmt::format("{}:{}={},", tree::to_string(where.first), where.second, count);
    out += ';';
  }
  for (const auto& names : counters.names) {
    for (const auto& [name, count] : names) out += fmt::format("{}={},", name, count);
    out += ';';
  }
  return out;
}

/// What is kept with a program.
struct Program {
  VariableGroups updated;
  size_t results = 0;
  std::shared_ptr<const void> prototype;
  Pack::Counters after;
};

}  // namespace

TensorList fold_rngs_call(const LiftOptions& options, const ScopeFunction& f) {
  const Pack pack("fold_rngs", f.scopes,
                  {{options.variables}, {options.variables}, {options.rngs}});
  const StreamGroups streams = folded_streams(pack, f);
  Pack::Run ran = pack.run(f.run, pack.variables(), streams, f.inputs);
  pack.publish(ran.updated);
  return ran.results;
}

LiftedJit jit_call(JitCore& core, const std::string& settings, const LiftOptions& options,
                   const ScopeFunction& f,
                   const std::function<std::shared_ptr<const void>()>& prototype) {
  if (evaluating_known()) {
    TensorList results = fold_rngs_call(options, f);
    return {std::move(results), prototype()};
  }
  const Pack pack("jit", f.scopes, {{options.variables}, {options.variables}, {options.rngs}});
  const StreamGroups streams = folded_streams(pack, f);
  const VariableGroups variables = pack.variables();
  PackedCall call(pack, variables, streams);
  TensorList inputs = call.inputs(f.inputs);

  JitArgument argument;
  for (Tensor& input : inputs) argument.leaves.push_back({&input, nullptr});
  argument.structure = settings + '|' + pack.mutability() + '|' + text_of(pack.counters()) + '|' +
                       tree::structure(variables) + '|' + tree::structure(streams);
  std::vector<JitArgument> arguments{std::move(argument)};
  std::string key;
  JitCore::EntryPtr entry = core.find(arguments, key);
  if (!entry) {
    const auto program = std::make_shared<Program>();
    JitCore::Hooks hooks;
    hooks.prototypes = program;
    hooks.save = [] {};
    hooks.run = [&](const std::vector<TensorList>& traced) {
      TensorList out = call.run(f.run, traced.at(0));
      *program = {call.updated(), call.results(), prototype(), pack.counters()};
      return out;
    };
    hooks.copied = [&](size_t) -> const std::vector<tree::LeafRef>& { return arguments[0].leaves; };
    hooks.visit = [&](size_t, tree::Visitor& visitor) { tree::visit(inputs, visitor); };
    entry = core.trace(arguments, key, hooks);
  }
  const Program& program = *static_cast<const Program*>(JitCore::prototypes(entry));
  TensorList results;
  VariableGroups updated;
  JitCore::run(entry, arguments, [&](const JitCore::Results& all) {
    LeafReader leaves(all.of_function());
    results = leaves.take_tensors(program.results);
    updated = leaves.take(program.updated);
  });
  pack.set_counters(program.after);
  pack.publish(updated);
  return {std::move(results), program.prototype};
}

}  // namespace linnet::linen::detail
