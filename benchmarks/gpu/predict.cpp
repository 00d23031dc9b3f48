#include "benchmarks/gpu/predict.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <vector>

#include "benchmarks/gpu/models.h"

namespace workload {
namespace {

/// Of NVIDIA's data sheets, dense; and the part of each that is assumed to be reached: copies and
/// products as in "68 % of the peak for K = 768", attention as cuDNN at a length of 1024, and the
/// time between two kernels of a graph.
struct Card {
  const char* name;
  double bandwidth;   ///< bytes a second
  double half, tf32;  ///< operations a second of 16-bit types, and of f32 that may be rounded
};
constexpr Card kCards[] = {{"A100 80 GB", 2.04e12, 312e12, 156e12},
                           {"H100 SXM", 3.35e12, 989e12, 494e12},
                           {"H200", 4.8e12, 989e12, 494e12}};
constexpr double kCopyShare = 0.90, kProductShare = 0.68, kConvolutionShare = 0.35,
                 kAttentionShare = 0.29, kBoundary = 1.3e-6;

bool is_attention(const WorkCost& work) {
  return work.operation.starts_with("dot_product_attention");
}
bool is_convolution(const WorkCost& work) { return work.operation.starts_with("conv_"); }
bool computes(const WorkCost& work) { return work.flops > 0; }

double share_of_peak(const WorkCost& work) {
  if (is_attention(work)) return kAttentionShare;
  return is_convolution(work) ? kConvolutionShare : kProductShare;
}

struct Seconds {
  double floor = 0, predicted = 0;
};

Seconds seconds_of(const ProgramCost& cost, const Card& card) {
  Seconds sum;
  for (const WorkCost& work : cost.work) {
    const double peak = size_of(work.dtype) == 2 ? card.half : card.tf32;
    const double bytes = work.bytes / card.bandwidth, flops = work.flops / peak;
    sum.floor += std::max(bytes, flops);
    sum.predicted += std::max(bytes / kCopyShare, flops / share_of_peak(work)) + kBoundary;
  }
  return sum;
}

struct Model {
  const char* name;
  std::function<ProgramCost()> cost;
  const char* goal;  ///< on an H100
};

const std::vector<Model>& models() {
  static const std::vector<Model> all{
      {"MLP 784-256-128-10, batch 64, f32", cost_of_mlp, "-"},
      {"CNN of the demo, batch 64, f32", cost_of_small_cnn, "-"},
      {"ResNet-50, batch 256, bf16",
       [] {
         return cost_of_resnet({3, 4, 6, 3}, 64, 256, 224);
       },
       "61 ms (4200 images/s)"},
      {"GPT-2 124M, 64 x 1024, bf16", [] { return cost_of_gpt({}, 64); }, "118 ms"},
      {"GPT-2 124M, a token after 1024, bf16", [] { return cost_of_decoding({}); }, "230 us"}};
  return all;
}

/// Equal pieces of work together, the most bytes first.
void print_launches(const ProgramCost& cost) {
  struct Sum {
    int count = 0;
    double bytes = 0, flops = 0;
  };
  std::map<std::string, Sum> sums;
  for (const WorkCost& work : cost.work) {
    const char* const kinds[] = {"launch", "library", "copy", "fill", "step"};
    char text[160];
    std::snprintf(text, sizeof text, "%s (%s) | %s | %s | %.4g", work.operation.c_str(),
                  work.kernel.c_str(), std::string(name_of(work.dtype)).c_str(),
                  kinds[static_cast<int>(work.kind)], work.bytes * 1e-6);
    Sum& sum = sums[text];
    ++sum.count;
    sum.bytes += work.bytes;
    sum.flops += work.flops;
  }
  std::vector<std::pair<std::string, Sum>> sorted(sums.begin(), sums.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  std::puts(
      "\n| operation (kernel) | operands | kind | MB each | count | MB | GFLOP |\n"
      "|---|---|---|--:|--:|--:|--:|");
  for (const auto& [text, sum] : sorted)
    std::printf("| %s | %d | %.4g | %.4g |\n", text.c_str(), sum.count, sum.bytes * 1e-6,
                sum.flops * 1e-9);
  std::puts("");
}

void print_form(const Model& model, const ProgramCost& cost) {
  int launches = 0, calls = 0, others = 0;
  double moved = 0;
  for (const WorkCost& work : cost.work) {
    if (work.kind == WorkCost::Kind::kLaunch)
      ++launches;
    else if (work.kind == WorkCost::Kind::kLibrary)
      ++calls;
    else
      ++others;
    if (!computes(work)) moved += work.bytes;
  }
  std::printf("| %s | %zu | %d | %d | %d | %.2f | %.2f | %.3f | %.2f | %.2f |\n", model.name,
              cost.work.size(), launches, calls, others, cost.bytes() * 1e-6, moved * 1e-6,
              cost.flops() * 1e-12, static_cast<double>(cost.arena_bytes) * 1e-6,
              static_cast<double>(cost.memory_bytes()) * 1e-6);
}

void print_times(const Model& model, const ProgramCost& cost) {
  std::printf("| %s |", model.name);
  for (const Card& card : kCards) {
    const Seconds s = seconds_of(cost, card);
    std::printf(" %.3f | %.3f |", s.floor * 1e3, s.predicted * 1e3);
  }
  std::printf(" %s |\n", model.goal);
}

}  // namespace

void predict(const std::string& filter, bool launches) {
  std::vector<std::pair<const Model*, ProgramCost>> costs;
  for (const Model& model : models()) {
    if (std::string(model.name).find(filter) == std::string::npos) continue;
    costs.emplace_back(&model, model.cost());
    if (!launches) continue;
    std::printf("\n%s\n", model.name);
    print_launches(costs.back().second);
  }
  std::puts(
      "| step | graph nodes | launches | library calls | copies, fills, others | MB | MB that "
      "only move | TFLOP | MB of arena | MB in all |\n"
      "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
  for (const auto& [model, cost] : costs) print_form(*model, cost);
  std::fputs("\nPredicted, in ms:\n\n| step |", stdout);
  for (const Card& card : kCards) std::printf(" %s: floors | %s |", card.name, card.name);
  std::puts(" goal on H100 |\n|---|--:|--:|--:|--:|--:|--:|---|");
  for (const auto& [model, cost] : costs) print_times(*model, cost);
}

}  // namespace workload
