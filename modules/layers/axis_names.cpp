#include "modules/layers/axis_names.h"

#include <algorithm>

#include "linnet/partitioning.h"

namespace linnet::layers {
namespace {

using Table = std::vector<NaturalAxisNames>;

Table attention() {
  Table out;
  for (const char* projection : {"query", "key", "value"}) {
    out.push_back({projection + std::string("/kernel"), P("embed", "heads", "kv")});
    out.push_back({projection + std::string("/bias"), P("heads", "kv")});
  }
  out.push_back({"out/kernel", P("heads", "kv", "embed")});
  out.push_back({"out/bias", P("embed")});
  return out;
}

std::map<std::string, Table, std::less<>> all_tables() {
  std::map<std::string, Table, std::less<>> out;
  const Table dense{{"kernel", P("embed", "mlp")}, {"bias", P("mlp")}};
  out["Dense"] = out["Linear"] = dense;
  out["LoRALinear"] = dense;
  out["LoRA"] = {{"lora_a", P("embed", "lora")}, {"lora_b", P("lora", "mlp")}};
  out["Embed"] = {{"embedding", P("vocab", "embed")}};
  for (const char* layer : {"Conv", "ConvTranspose", "ConvLocal"})
    out[layer] = {{"kernel", P("conv_in", "conv_out")}, {"bias", P("conv_out")}};
  for (const char* layer : {"MultiHeadDotProductAttention", "MultiHeadAttention", "SelfAttention"})
    out[layer] = attention();
  const Table norm{{"scale", P("norm")}, {"bias", P("norm")}};
  for (const char* layer : {"LayerNorm", "GroupNorm", "InstanceNorm"}) out[layer] = norm;
  out["RMSNorm"] = {norm[0]};
  out["BatchNorm"] = {norm[0], norm[1], {"mean", P("norm")}, {"var", P("norm")}};
  for (const char* cell :
       {"LSTMCell", "OptimizedLSTMCell", "SimpleCell", "GRUCell", "MGUCell", "ConvLSTMCell"})
    out[cell] = {{"*/kernel", P("embed", "mlp")}, {"*/bias", P("mlp")}};
  // The loop over time knows its cell by that name, whatever its class.
  out["RNN"] = {{"cell/*/kernel", P("embed", "mlp")}, {"cell/*/bias", P("mlp")}};
  return out;
}

bool matches(const std::string& pattern, const std::vector<std::string>& path, size_t from) {
  size_t begin = 0;
  for (size_t i = from; i < path.size(); ++i) {
    if (begin > pattern.size()) return false;
    const size_t end = std::min(pattern.find('/', begin), pattern.size());
    const std::string_view name(pattern.data() + begin, end - begin);
    if (name != "*" && name != path[i]) return false;
    begin = end + 1;
  }
  return begin == pattern.size() + 1;
}

std::optional<PartitionSpec> natural_names(const ModuleClasses& classes,
                                           const std::vector<std::string>& path) {
  for (size_t depth = 0; depth <= path.size(); ++depth) {
    const std::vector<std::string> prefix(path.begin(),
                                          path.begin() + static_cast<std::ptrdiff_t>(depth));
    const auto [first, last] = classes.equal_range(prefix);
    for (auto layer = first; layer != last; ++layer) {
      for (const NaturalAxisNames& entry : natural_axis_names(layer->second))
        if (matches(entry.variable, path, depth)) return entry.names;
    }
  }
  return std::nullopt;
}

}  // namespace

const std::vector<NaturalAxisNames>& natural_axis_names(std::string_view layer) {
  static const std::map<std::string, Table, std::less<>> tables = all_tables();
  static const Table none;
  const auto found = tables.find(layer);
  return found == tables.end() ? none : found->second;
}

PartitionSpec natural_spec(const ModuleClasses& classes, const std::vector<std::string>& path,
                           size_t rank, const AxisRules& rules) {
  const std::optional<PartitionSpec> names = natural_names(classes, path);
  if (!names || names->size() > rank) return {};
  PartitionSpec::Entries entries(rank - names->size());
  entries.insert(entries.end(), names->begin(), names->end());
  return logical_to_mesh_axes(PartitionSpec(std::move(entries)), rules);
}

}  // namespace linnet::layers
