// How a product finds its algorithm: by timing, from a file, from another process; what happens to
// those that do not run; graphs.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cuda/fake_driver/fake_driver.h"
#include "kernels/cuda/cublas/tuning.h"
#include "kernels/cuda/cublas/tuning_cache.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/deterministic.h"
#include "linnet/error.h"
#include "linnet/io/json.h"
#include "linnet/log.h"

namespace linnet::cuda::tuning_test {
namespace {

namespace files = std::filesystem;

constexpr int64_t kSize = 128;

ProductSpec square(int64_t size = kSize) {
  ProductSpec spec;
  spec.product = {
      .batch = {}, .m = size, .n = size, .k = size, .a_strides = {size, 1}, .b_strides = {size, 1}};
  return spec;
}

std::unique_ptr<TunedProduct> prepared(const ProductSpec& spec) {
  std::string reason;
  std::optional<Product> product = Product::describe(spec, reason);
  EXPECT_TRUE(product) << reason;
  auto out = TunedProduct::prepare(std::move(*product), reason);
  EXPECT_TRUE(out) << reason;
  return out;
}

std::string file_of(const ProductSpec& spec) {
  std::string reason;
  return tuning_file(Gpu::at(0).properties(), Product::describe(spec, reason)->text());
}

/// Operands of a square product on the device: the identity times 0, 1, 2, …
class Operands {
 public:
  explicit Operands(const TunedProduct& product, int64_t size = kSize)
      : count_(static_cast<size_t>(size * size)),
        values_(count_),
        workspace_bytes_(product.workspace_bytes()) {
    std::vector<float> identity(count_);
    for (size_t i = 0; i < count_; ++i) {
      values_[i] = static_cast<float>(i % 1000);
      identity[i] = i % static_cast<size_t>(size + 1) == 0 ? 1.f : 0.f;
    }
    for (void*& block : blocks_) block = gpu_.allocator().allocate(count_ * sizeof(float));
    workspace_ = gpu_.allocator().allocate(workspace_bytes_);
    gpu_.upload(blocks_[0], identity.data(), count_ * sizeof(float));
    gpu_.upload(blocks_[1], values_.data(), count_ * sizeof(float));
  }
  ~Operands() {
    for (void* block : blocks_) gpu_.allocator().deallocate(block, count_ * sizeof(float));
    gpu_.allocator().deallocate(workspace_, workspace_bytes_);
  }

  Product::Operands addresses() const {
    const auto at = [&](size_t i) { return static_cast<std::byte*>(blocks_[i]); };
    return {at(0), at(1), nullptr, nullptr, at(2), workspace_};
  }
  void clear() {
    const std::vector<float> nothing(count_, NAN);
    gpu_.upload(blocks_[2], nothing.data(), count_ * sizeof(float));
  }
  bool are_multiplied() {
    std::vector<float> got(count_);
    gpu_.download(got.data(), blocks_[2], count_ * sizeof(float));
    return got == values_;
  }

 private:
  Gpu& gpu_ = Gpu::at(0);
  size_t count_;
  std::vector<float> values_;
  void* blocks_[3];
  size_t workspace_bytes_;
  void* workspace_;
};

std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class Tuning : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = files::temp_directory_path() / ("linnet_tuning_" + std::to_string(getpid()));
    files::remove_all(folder_);
    setenv("LINNET_CUDA_CACHE", folder_.c_str(), 1);
    setenv("LINNET_CUDA_TUNING", "1", 1);
    forget_tuned();
    Gpu::at(0).make_current();
    set_log_topics("cuda,warning");
    set_log_sink(
        [this](std::string_view, std::string_view text) { log_ += std::string(text) + "\n"; });
  }
  void TearDown() override {
    set_log_sink({});
    set_log_topics("");
    setenv("LINNET_CUDA_CACHE", "", 1);
    setenv("LINNET_CUDA_TUNING", "heuristic", 1);
    forget_tuned();
    files::remove_all(folder_);
  }

  /// Runs the product once; false if its result is wrong.
  static bool runs(const ProductSpec& spec, int64_t size = kSize) {
    const auto product = prepared(spec);
    Operands operands(*product, size);
    product->enqueue(Gpu::at(0).stream(), operands.addresses());
    return operands.are_multiplied();
  }
  bool has_logged(const std::string& text) const { return log_.find(text) != std::string::npos; }

  files::path folder_;
  std::string log_;
};

TEST_F(Tuning, first_run_times_all_that_run_and_writes_the_fastest) {
  EXPECT_TRUE(runs(square()));
  EXPECT_TRUE(has_logged("is the fastest of 4")) << log_;
  EXPECT_TRUE(has_logged("3 of 4 run")) << log_;
  const std::string path = file_of(square());
  ASSERT_TRUE(files::exists(path));
  EXPECT_NE(read_json(path).at("product").as_string().find("128x128"), std::string::npos);
  // Nothing is left beside it.
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       files::directory_iterator(files::path(path).parent_path()))
    ++count;
  EXPECT_EQ(count, 1u);
}

TEST_F(Tuning, what_is_known_is_not_timed_again) {
  EXPECT_TRUE(runs(square()));
  log_.clear();
  EXPECT_TRUE(runs(square()));
  EXPECT_FALSE(has_logged("fastest")) << log_;
  forget_tuned();  // as a new process
  EXPECT_TRUE(runs(square()));
  EXPECT_FALSE(has_logged("fastest")) << log_;
}

TEST_F(Tuning, file_decides) {
  EXPECT_TRUE(runs(square()));
  const std::string path = file_of(square());
  // The algorithm that fails when it runs: as if it had run on another machine.
  Json file = read_json(path);
  std::string digits = file.at("algorithm").as_string();
  char id[17];
  std::snprintf(id, sizeof id, "%016llx",
                66ull << 32 | std::stoull(digits.substr(8, 8), nullptr, 16));
  file["algorithm"] = id + digits.substr(16);
  write_json(path, file);
  forget_tuned();
  log_.clear();
  EXPECT_TRUE(runs(square()));
  EXPECT_TRUE(has_logged("algorithm 66 does not run (CUBLAS_STATUS_NOT_SUPPORTED)")) << log_;
}

TEST_F(Tuning, files_that_cannot_be_read_are_ignored_with_a_line_and_replaced) {
  EXPECT_TRUE(runs(square()));
  const std::string path = file_of(square());
  const std::string good = text_of_file(path);
  const std::string digits = read_json(path).at("algorithm").as_string();
  const auto with = [&](const std::string& algorithm) {
    std::string text = good;
    return text.replace(text.find(digits), digits.size(), algorithm);
  };
  for (const std::string& bad :
       {std::string("{"), std::string(), good.substr(0, good.size() / 2), with("12"),
        with(std::string(digits.size(), 'g')), std::string("[1]")}) {
    SCOPED_TRACE(bad);
    std::ofstream(path) << bad;
    forget_tuned();
    log_.clear();
    EXPECT_TRUE(runs(square()));
    EXPECT_TRUE(has_logged("a tuned algorithm is ignored")) << log_;
    EXPECT_TRUE(has_logged("is the fastest")) << log_;
    EXPECT_NO_THROW(read_json(path).at("algorithm"));
  }
  // An algorithm of another library is well-formed, and refused by this one.
  std::ofstream(path) << with(std::string(digits.size(), '0'));
  forget_tuned();
  log_.clear();
  EXPECT_TRUE(runs(square()));
  EXPECT_TRUE(has_logged("is the fastest")) << log_;
}

TEST_F(Tuning, folder_that_cannot_be_written_is_a_warning) {
  setenv("LINNET_CUDA_CACHE", "/dev/null/linnet", 1);
  EXPECT_TRUE(runs(square()));
  EXPECT_TRUE(has_logged("a tuned algorithm is not kept")) << log_;
  EXPECT_TRUE(runs(square()));
}

TEST_F(Tuning, nothing_is_written_without_a_folder) {
  setenv("LINNET_CUDA_CACHE", "", 1);
  EXPECT_TRUE(runs(square()));
  EXPECT_TRUE(has_logged("is the fastest")) << log_;
  EXPECT_FALSE(files::exists(folder_));
}

TEST_F(Tuning, heuristic_takes_the_first_that_runs) {
  for (const char* choice : {"0", "heuristic"}) {
    setenv("LINNET_CUDA_TUNING", choice, 1);
    log_.clear();
    EXPECT_TRUE(runs(square()));
    EXPECT_FALSE(has_logged("fastest")) << log_;
    EXPECT_TRUE(has_logged("algorithm 66 does not run")) << log_;
  }
  EXPECT_FALSE(files::exists(folder_));
}

TEST_F(Tuning, deterministic_mode_takes_the_first_that_runs) {
  set_deterministic(true);
  EXPECT_TRUE(runs(square()));
  set_deterministic(false);
  EXPECT_FALSE(has_logged("fastest")) << log_;
}

TEST_F(Tuning, no_algorithm_adds_in_any_order) {
  std::string reason;
  const Product product = *Product::describe(square(), reason);
  const auto candidates = product.candidates(handle_of(Gpu::at(0)), kMostWorkspace, reason);
  EXPECT_EQ(candidates.size(), 4u);  // one more if they were let
}

/// Equal products give equal bits, whichever of them was tuned.
TEST_F(Tuning, products_prepared_before_one_of_them_ran_agree) {
  const auto first = prepared(square()), second = prepared(square());
  Operands operands(*first);
  first->enqueue(Gpu::at(0).stream(), operands.addresses());
  EXPECT_TRUE(has_logged("fastest")) << log_;
  log_.clear();
  second->enqueue(Gpu::at(0).stream(), operands.addresses());
  EXPECT_FALSE(has_logged("fastest")) << log_;
}

TEST_F(Tuning, small_products_are_not_timed) {
  EXPECT_TRUE(runs(square(16), 16));
  EXPECT_FALSE(has_logged("fastest")) << log_;
}

TEST_F(Tuning, other_products_have_other_files) {
  const ProductSpec plain = square();
  ProductSpec fast = plain, unaligned = plain, biased = plain, narrow = plain, transposed = plain;
  fast.tf32 = true;
  unaligned.lhs_alignment = 4;
  biased.has_bias = true;
  narrow.operands = DType::kBF16;
  transposed.product.a_strides = {1, kSize};
  std::vector<std::string> names;
  for (const ProductSpec& spec : {plain, fast, unaligned, biased, narrow, transposed})
    names.push_back(file_of(spec));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
}

/// Several processes that begin together find the same files good, whoever wrote them.
TEST_F(Tuning, two_processes) {
  const std::string program = files::read_symlink("/proc/self/exe").string();
  std::vector<pid_t> children;
  for (int i = 0; i < 2; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const char* arguments[] = {program.c_str(), "--gtest_filter=TuningChild.runs_a_product",
                                 "--gtest_brief=1", nullptr};
      execv(program.c_str(), const_cast<char**>(arguments));
      _exit(127);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_TRUE(files::exists(file_of(square())));
  EXPECT_TRUE(runs(square()));
  EXPECT_FALSE(has_logged("fastest")) << log_;
  EXPECT_FALSE(has_logged("ignored")) << log_;
}

/// The other process; nothing to see when it runs by itself.
TEST(TuningChild, runs_a_product) {
  Gpu::at(0).make_current();
  const auto product = prepared(square());
  Operands operands(*product);
  product->enqueue(Gpu::at(0).stream(), operands.addresses());
  EXPECT_TRUE(operands.are_multiplied());
}

/// Nothing waits while a stream is captured, and the graph computes again and again.
TEST_F(Tuning, captured_products_are_not_timed_and_run_in_every_launch) {
  Gpu& gpu = Gpu::at(0);
  const Driver& cu = driver();
  const auto product = prepared(square());
  Operands operands(*product);
  operands.clear();
  check(cu.cuStreamBeginCapture(gpu.capture_stream(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "a test");
  product->enqueue(gpu.capture_stream(), operands.addresses());
  CUgraph graph = nullptr;
  check(cu.cuStreamEndCapture(gpu.capture_stream(), &graph), "a test");
  EXPECT_FALSE(has_logged("fastest")) << log_;
  EXPECT_FALSE(operands.are_multiplied()) << "computed while it was captured";
  CUgraphExec launched = nullptr;
  check(cu.cuGraphInstantiateWithFlags(&launched, graph, 0), "a test");
  for (int i = 0; i < 3; ++i) {
    operands.clear();
    check(cu.cuGraphLaunch(launched, gpu.stream()), "a test");
    EXPECT_TRUE(operands.are_multiplied());
  }
  cu.cuGraphExecDestroy(launched);
  cu.cuGraphDestroy(graph);
}

TEST_F(Tuning, failure_while_timing_is_an_error_and_changes_nothing) {
  for (const char* fault : {"cuEventCreate:2", "cuEventRecord:1", "cuEventSynchronize:1"}) {
    SCOPED_TRACE(fault);
    forget_tuned();
    files::remove_all(folder_);
    const auto product = prepared(square());
    Operands operands(*product);
    ASSERT_TRUE(fake_cuda::functions().set_fault(fault));
    EXPECT_THROW(product->enqueue(Gpu::at(0).stream(), operands.addresses()), DeviceError);
    fake_cuda::functions().set_fault("");
    log_.clear();
    operands.clear();
    product->enqueue(Gpu::at(0).stream(), operands.addresses());
    EXPECT_TRUE(operands.are_multiplied());
    EXPECT_TRUE(has_logged("fastest")) << log_;
  }
}

/// The product is done when its stream comes to it, not when it is asked for.
TEST_F(Tuning, products_are_late) {
  setenv("LINNET_CUDA_TUNING", "0", 1);
  const auto product = prepared(square());
  Operands operands(*product);
  operands.clear();
  const size_t before = fake_cuda::functions().pending();
  product->enqueue(Gpu::at(0).stream(), operands.addresses());
  EXPECT_GT(fake_cuda::functions().pending(), before);
  EXPECT_TRUE(operands.are_multiplied());
}

TEST_F(Tuning, a_failed_device_is_an_error_with_the_product) {
  setenv("LINNET_CUDA_TUNING", "0", 1);
  const auto product = prepared(square());
  Operands operands(*product);
  Product::Operands nowhere = operands.addresses();
  nowhere.lhs = nullptr;
  try {
    product->enqueue(Gpu::at(0).stream(), nowhere);
    FAIL() << "no error";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("f32 exact [128x128"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace linnet::cuda::tuning_test
