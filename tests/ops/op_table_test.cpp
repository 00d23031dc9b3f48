// Every row of the op table through every check, and what the table must cover.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "linnet/cuda.h"
#include "linnet/kernel.h"
#include "linnet/trace.h"
#include "linnet/transforms.h"
#include "op_checks.h"

namespace linnet::testing::op_table_test {
namespace {

struct RowCheck {
  const OpCase* row;
  const Check* check;
};
void PrintTo(const RowCheck& item, std::ostream* out) {
  *out << item.check->name << " of " << item.row->name;
}

class OpCheck : public ::testing::TestWithParam<RowCheck> {};

TEST_P(OpCheck, holds) {
  Findings findings;
  GetParam().check->run(*GetParam().row, findings);
  EXPECT_TRUE(findings.empty()) << findings.text();
}

std::vector<RowCheck> all_row_checks() {
  std::vector<RowCheck> out;
  for (const Check& check : all_checks()) {
    for (const OpCase& row : op_table().rows()) {
      if (check.applies(row)) out.push_back({&row, &check});
    }
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(OpTable, OpCheck, ::testing::ValuesIn(all_row_checks()),
                         [](const ::testing::TestParamInfo<RowCheck>& info) {
                           return std::string(info.param.check->name) + "_" + info.param.row->name;
                         });

/// Notes the names of the primitives that pass.
class RecordingTrace final : public Trace {
 public:
  explicit RecordingTrace(std::set<std::string>& names) : names_(names) {}
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override {
    names_.insert(primitive.name);
    TraceScope scope(parent());
    return emit(primitive, inputs, params);
  }
  const char* transformation() const override { return "recording"; }

 private:
  std::set<std::string>& names_;
};

std::set<std::string> emitted_by(const OpCase& row) {
  std::set<std::string> names;
  for (const Sample& sample : row.samples) {
    const TensorList x = make_operands(sample, row.base_dtype(), 1);
    RecordingTrace trace(names);
    TraceScope scope(&trace);
    row.function(x);
  }
  return names;
}

/// Primitives without a row, and why.
const std::map<std::string, std::string>& without_row() {
  static const std::map<std::string, std::string> kReasons{
      {"call", "holds a program: tests of jit"},
      {"remat", "holds a program: tests of recomputation"},
      {"scan", "holds a program: tests of control flow"},
      {"while", "holds programs: tests of control flow"},
      {"cond", "holds programs: tests of control flow"},
      {"custom_vjp_call", "holds the caller's rule: tests of custom rules"},
      {"custom_jvp_call", "holds the caller's rule: tests of custom rules"},
      {"pure_callback", "calls the caller's code: tests of callbacks"},
      {"io_callback", "calls the caller's code: tests of callbacks"},
      {"debug_callback", "calls the caller's code: tests of callbacks"},
      {"psum", "over a named axis: tests of collectives"},
      {"pmax", "over a named axis: tests of collectives"},
      {"pmin", "over a named axis: tests of collectives"},
      {"all_gather", "over a named axis: tests of collectives"},
      {"psum_scatter", "over a named axis: tests of collectives"},
      {"all_to_all", "over a named axis: tests of collectives"},
      {"ppermute", "over a named axis: tests of collectives"},
      {"axis_index", "over a named axis: tests of collectives"},
      {"fused_elementwise", "made by the compiler only: tests of jit against eager"},
      {"fused_reduction", "made by the compiler only: tests of jit against eager"},
      {"linear_activation_and_input", "made by the compiler only: tests of training fusions"},
      {"dot_activation_grad", "made by the compiler only: tests of training fusions"},
      {"batch_norm_relu_backward", "made by the compiler only: tests of training fusions"},
      {"batch_norm_train_relu", "made by the compiler only: tests of training fusions"},
      {"batch_norm_inference_relu", "made by the compiler only: tests of training fusions"},
      {"conv_and_moments", "made by the compiler only: tests of training fusions"},
      {"conv_backward_data_add", "made by the compiler only: tests of training fusions"},
      {"dot_and_sums", "made by the compiler only: tests of training fusions"},
      {"softmax_cross_entropy_with_integer_labels_and_gradient",
       "made by the compiler only: tests of training fusions"},
  };
  return kReasons;
}

bool defined_by_a_test(const Primitive& primitive) {
  return primitive.name.find(' ') != std::string::npos || primitive.name.starts_with("test");
}

TEST(OpTableCoverage, every_row_emits_the_primitive_it_stands_for) {
  for (const OpCase& row : op_table().rows()) {
    EXPECT_EQ(emitted_by(row).count(row.primitive), 1u)
        << row.name << " stands for " << row.primitive;
  }
}

TEST(OpTableCoverage, every_primitive_has_a_row) {
  define_all_primitives();
  std::set<std::string> covered;
  for (const OpCase& row : op_table().rows()) covered.insert(row.primitive);
  for (const Primitive* primitive : all_primitives()) {
    if (defined_by_a_test(*primitive) || without_row().count(primitive->name)) continue;
    EXPECT_EQ(covered.count(primitive->name), 1u)
        << primitive->name << " has no row in the op table (tests/ops/op_table_*.cpp)";
  }
  for (const auto& [name, reason] : without_row()) {
    EXPECT_EQ(covered.count(name), 0u) << name << " has a row and an excuse: " << reason;
  }
}

TEST(OpTableCoverage, rows_have_names_of_their_own) {
  std::set<std::string> names;
  for (const OpCase& row : op_table().rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.samples.empty()) << row.name;
  }
}

std::string derivative_text(const Primitive& p) {
  if (const auto* rule = p.rule_as<rules::Partials>())
    return rule->vjp ? "partials, fused vjp" : "partials";
  if (const auto* rule = p.rule_as<rules::Vjp>()) return rule->jvp ? "vjp, jvp" : "vjp";
  if (const auto* rule = p.rule_as<rules::Composite>())
    return rule->vjp ? "vjp, of its parts" : "of its parts";
  if (p.control()) return "of its body";
  if (p.rule_as<rules::Opaque>()) return "error";
  return std::string(name_of(p.rule));
}

/// How batching follows.
std::string index_text(const Primitive& p) {
  if (p.control()) return "of its body";
  if (std::holds_alternative<maps::Parts>(p.map)) return "of its parts";
  const auto* custom = std::get_if<maps::Custom>(&p.map);
  if (!custom) return std::string(name_of(p.map));
  if (!custom->batch) return "error";
  return custom->dims ? "dimensions, own batching rule" : "own batching rule";
}

/// Names of the implementations of a device, best first; several of one name are one.
std::string kernels_text(const Primitive& primitive, Device device) {
  std::vector<std::string> names;
  for (const KernelImplementation& k : kernel_table(device).implementations(primitive)) {
    std::string name = k.name;
    if (name == "host on dense operands") name = "host";
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  if (names.empty()) return primitive.decompose ? "its parts" : primitive.view ? "view" : "";
  return fmt::format("{}", fmt::join(names, ", "));
}

constexpr Device kGpu{DeviceType::kCuda, 0};

bool has_cuda() { return !cuda::report().starts_with("CUDA back end: not built"); }

std::string primitives_page() {
  std::map<std::string, const Primitive*> sorted;
  for (const Primitive* primitive : all_primitives()) {
    if (!defined_by_a_test(*primitive)) sorted[primitive->name] = primitive;
  }
  std::string out =
      "# Primitives\n\n"
      "What transformations know of every built-in operation, and who computes it. `host` copies "
      "operands "
      "to the CPU's\nkernel and back. Written by the test "
      "`OpTableCoverage.page_of_primitives_is_current`; "
      "run it with\n`LINNET_UPDATE_DOCS=1` after a change, in a build with the CUDA back end.\n\n"
      "| Primitive | Derivative | Indices | CPU kernels, best first | CUDA kernels, best first |\n"
      "|---|---|---|---|---|\n";
  for (const auto& [name, primitive] : sorted) {
    out += fmt::format("| `{}` | {} | {} | {} |", name, derivative_text(*primitive),
                       index_text(*primitive), kernels_text(*primitive, kCpu));
    out += has_cuda() ? fmt::format(" {} |\n", kernels_text(*primitive, kGpu)) : "\n";
  }
  return out;
}

/// The rows of a page without their last column.
std::string without_cuda(const std::string& page) {
  std::stringstream lines(page);
  std::string out, line;
  while (std::getline(lines, line)) {
    if (line.starts_with("| `")) line.resize(line.rfind('|', line.size() - 2) + 1);
    out += line + "\n";
  }
  return out;
}

TEST(OpTableCoverage, page_of_primitives_is_current) {
  kernel_table(kCpu);  // the compiler's own primitives are defined with their kernels
  const std::string path = LINNET_TEST_DATA "/../docs/primitives.md";
  const std::string page = primitives_page();
  if (std::getenv("LINNET_UPDATE_DOCS") && has_cuda()) std::ofstream(path) << page;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(has_cuda() ? text.str() : without_cuda(text.str()), page)
      << "run this test with LINNET_UPDATE_DOCS=1";
}

/// Nothing but these is computed by the CPU when it is asked of a CUDA device.
TEST(OpTableCoverage, few_primitives_of_a_cuda_device_are_left_to_the_host) {
  if (!has_cuda()) GTEST_SKIP() << "the CUDA back end is not built";
  std::set<std::string> hosted;
  for (const Primitive* primitive : all_primitives()) {
    if (!defined_by_a_test(*primitive) && kernels_text(*primitive, kGpu) == "host")
      hosted.insert(primitive->name);
  }
  std::set<std::string> named = {"fft"};              // cuFFT would be one library more,
  named.insert({"cholesky", "qr_orthogonal"});        // and cuSOLVER, for small matrices
  named.insert({"random_gamma", "random_poisson"});   // draws until accepted
  named.insert({"panel_linear", "fused_reduction"});  // only in programs of the host
  named.insert({"complex", "complex_abs", "conj", "imag", "real"});  // kernels are of real numbers
  EXPECT_EQ(hosted, named);
}

}  // namespace
}  // namespace linnet::testing::op_table_test
