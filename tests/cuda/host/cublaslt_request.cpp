#include "cuda/host/cublaslt_request.h"

#include <dlfcn.h>

#include <array>
#include <stdexcept>

#include "kernels/cuda/cublas/api.h"
#include "kernels/cuda/runtime/gpu.h"

namespace linnet::testing {
namespace {

using cuda::cublaslt;
using cuda::Gpu;

std::string& logged() {
  static std::string logged;
  return logged;
}

void keep_sentence(int, const char*, const char* message) { logged() = message; }

void* opened() { return dlopen(cublaslt().path.c_str(), RTLD_NOW); }

void listen() {
  static const bool once = [] {
    void* const library = opened();
    auto* set = reinterpret_cast<decltype(&cublasLtLoggerSetCallback)>(
        dlsym(library, "cublasLtLoggerSetCallback"));
    auto* level = reinterpret_cast<decltype(&cublasLtLoggerSetLevel)>(
        dlsym(library, "cublasLtLoggerSetLevel"));
    if (set) set(keep_sentence);
    if (level) level(1);
    return set != nullptr;
  }();
  if (!once) throw std::runtime_error("the library has no logger");
  logged().clear();
}

size_t element_size(cudaDataType type) {
  switch (type) {
    case CUDA_R_64F:
      return 8;
    case CUDA_R_32F:
      return 4;
    case CUDA_R_8F_E4M3:
    case CUDA_R_8F_E5M2:
      return 1;
    default:
      return 2;
  }
}

size_t bytes_of(const Matrix& x) {
  const auto lines = static_cast<int64_t>(x.order == CUBLASLT_ORDER_ROW ? x.rows : x.columns);
  const int64_t elements = std::abs(x.ld) * lines + (x.batch - 1) * std::abs(x.batch_stride);
  return static_cast<size_t>(elements) * element_size(x.type) + x.offset + 4096;
}

/// Memory of the device for the length of a request.
class Block {
 public:
  explicit Block(size_t bytes) : bytes_(bytes), data_(Gpu::at(0).allocator().allocate(bytes)) {}
  ~Block() { Gpu::at(0).allocator().deallocate(data_, bytes_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  std::byte* at(size_t offset) const { return static_cast<std::byte*>(data_) + offset; }

 private:
  size_t bytes_;
  void* data_;
};

/// A function that fails ends the request.
struct Refused {
  cublasStatus_t status;
};
void must(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) throw Refused{status};
}

/// Where the scale of B lies behind that of A.
constexpr size_t kScaleOfB = 256;

struct Descriptors {
  cublasLtMatrixLayoutOpaque_t a, b, c, d;
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatmulPreferenceOpaque_t preference;
};

template <class T>
void set_layout(cublasLtMatrixLayoutOpaque_t& layout, cublasLtMatrixLayoutAttribute_t id, T value) {
  must(cublaslt().cublasLtMatrixLayoutSetAttribute(&layout, id, &value, sizeof value));
}
template <class T>
void set_operation(Descriptors& to, cublasLtMatmulDescAttributes_t id, T value) {
  must(cublaslt().cublasLtMatmulDescSetAttribute(&to.operation, id, &value, sizeof value));
}
template <class T>
void set_preference(Descriptors& to, cublasLtMatmulPreferenceAttributes_t id, T value) {
  must(cublaslt().cublasLtMatmulPreferenceSetAttribute(&to.preference, id, &value, sizeof value));
}

void describe(const Matrix& x, cublasLtMatrixLayoutOpaque_t& layout) {
  must(cublaslt().cublasLtMatrixLayoutInit_internal(&layout, sizeof layout, x.type, x.rows,
                                                    x.columns, x.ld));
  if (x.order != CUBLASLT_ORDER_COL) set_layout(layout, CUBLASLT_MATRIX_LAYOUT_ORDER, x.order);
  if (x.batch == 1) return;
  set_layout(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, x.batch);
  set_layout(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, x.batch_stride);
}

void describe(const Request& r, void* bias, void* auxiliary, std::byte* scales, Descriptors& to) {
  describe(r.a, to.a);
  describe(r.b, to.b);
  describe(r.c, to.c);
  describe(r.d, to.d);
  must(cublaslt().cublasLtMatmulDescInit_internal(&to.operation, sizeof to.operation, r.compute,
                                                  r.scale));
  set_operation(to, CUBLASLT_MATMUL_DESC_TRANSA, r.transpose_a);
  set_operation(to, CUBLASLT_MATMUL_DESC_TRANSB, r.transpose_b);
  set_operation(to, CUBLASLT_MATMUL_DESC_EPILOGUE, r.epilogue);
  if (bias) set_operation(to, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  if (r.bias_type != -1) set_operation(to, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, r.bias_type);
  if (r.bias_batch_stride)
    set_operation(to, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, r.bias_batch_stride);
  if (auxiliary) set_operation(to, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, auxiliary);
  if (scales) {
    set_operation<const void*>(to, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scales);
    set_operation<const void*>(to, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scales + kScaleOfB);
  }
  if (r.auxiliary_ld) set_operation(to, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, r.auxiliary_ld);
  must(cublaslt().cublasLtMatmulPreferenceInit_internal(&to.preference, sizeof to.preference));
  set_preference(to, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, r.most_workspace);
  set_preference(to, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, r.a.preferred_alignment);
  set_preference(to, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, r.b.preferred_alignment);
  set_preference(to, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, r.c.preferred_alignment);
  set_preference(to, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, r.d.preferred_alignment);
  if (r.then_set) must(r.then_set(&to.operation, &to.a));
}

std::vector<cublasLtMatmulHeuristicResult_t> ask(cublasLtHandle_t handle, Descriptors& x) {
  std::array<cublasLtMatmulHeuristicResult_t, 16> results;
  int count = 0;
  must(cublaslt().cublasLtMatmulAlgoGetHeuristic(handle, &x.operation, &x.a, &x.b, &x.c, &x.d,
                                                 &x.preference, 16, results.data(), &count));
  if (count == 0) throw Refused{CUBLAS_STATUS_NOT_SUPPORTED};
  return {results.begin(), results.begin() + count};
}

int32_t id_of(const cublasLtMatmulAlgo_t& algorithm) {
  int32_t id = -1;
  size_t written = 0;
  cublaslt().cublasLtMatmulAlgoConfigGetAttribute(&algorithm, CUBLASLT_ALGO_CONFIG_ID, &id,
                                                  sizeof id, &written);
  return id;
}

struct Scale {
  double wide;
  float narrow;
  const void* address(cudaDataType type) const {
    return type == CUDA_R_64F ? static_cast<const void*>(&wide) : &narrow;
  }
};

/// The blocks of a request, filled from `data`.
struct Memory {
  explicit Memory(const Request& r)
      : a(bytes_of(r.a)),
        b(bytes_of(r.b)),
        c(bytes_of(r.c)),
        d(bytes_of(r.d)),
        bias(64 << 10),
        auxiliary(256 << 10),
        scales(2 * kScaleOfB),
        workspace((1 << 20) + 4096) {}

  template <class Visit>
  void visit(const Request& r, Data& data, const Visit& visit) const {
    visit(a.at(r.a.offset), data.a);
    visit(b.at(r.b.offset), data.b);
    visit(c.at(r.c.offset), data.c);
    visit(d.at(r.d.offset), data.d);
    visit(bias.at(0), data.bias);
    visit(auxiliary.at(0), data.auxiliary);
    visit(scales.at(0), data.scales);
  }

  Block a, b, c, d, bias, auxiliary, scales, workspace;
};

cublasStatus_t run(const Request& r, const Memory& m, Descriptors& x, cublasLtHandle_t handle,
                   const cublasLtMatmulHeuristicResult_t& chosen) {
  const Scale alpha{r.alpha, static_cast<float>(r.alpha)}, beta{r.beta, static_cast<float>(r.beta)};
  const auto address = [](const Block& block, const Matrix& matrix) {
    return matrix.has_address ? block.at(matrix.offset) : nullptr;
  };
  std::byte* const d = r.d_is_a ? address(m.a, r.a) : address(m.d, r.d);
  return cublaslt().cublasLtMatmul(
      handle, &x.operation, alpha.address(r.scale), address(m.a, r.a), &x.a, address(m.b, r.b),
      &x.b, beta.address(r.scale), address(m.c, r.c), &x.c, d, &x.d, &chosen.algo,
      m.workspace.at(r.workspace_offset), chosen.workspaceSize - r.workspace_missing.value_or(0),
      Gpu::at(0).stream());
}

void run_request(const Request& r, const Memory& m, Answer& answer) {
  Descriptors x;
  answer.stage = "setting";
  describe(r, r.has_bias ? m.bias.at(0) : nullptr, r.has_auxiliary ? m.auxiliary.at(0) : nullptr,
           r.has_scales ? m.scales.at(0) : nullptr, x);
  answer.stage = "heuristic";
  cublasLtHandle_t handle = r.has_handle ? cuda::handle_of(Gpu::at(0)) : nullptr;
  auto results = ask(handle, x);
  for (const auto& result : results) answer.algorithms.push_back(id_of(result.algo));
  if (r.algorithm_of) {
    Descriptors other;
    describe(*r.algorithm_of, nullptr, nullptr, nullptr, other);
    results = ask(handle, other);
  }
  answer.stage = "matmul";
  for (const auto& result : results) {
    if (r.workspace_missing && result.workspaceSize == 0) continue;
    answer.runs.push_back(run(r, m, x, handle, result));
    // Another algorithm may run what this one has not; a request that is wrong stays wrong.
    if (answer.runs.back() != CUBLAS_STATUS_NOT_SUPPORTED) break;
  }
  must(answer.runs.empty() ? CUBLAS_STATUS_NOT_SUPPORTED : answer.runs.back());
}

}  // namespace

bool is_double() { return dlsym(opened(), "linnet_fake_cublaslt") != nullptr; }

Answer submit(const Request& request, Data* data) {
  Gpu& gpu = Gpu::at(0);
  gpu.make_current();
  listen();
  const Memory memory(request);
  if (data) {
    memory.visit(request, *data, [&](std::byte* at, std::vector<std::byte>& bytes) {
      gpu.upload(at, bytes.data(), bytes.size());
    });
  }
  Answer answer;
  try {
    run_request(request, memory, answer);
  } catch (const Refused& refused) {
    answer.status = refused.status;
  }
  answer.sentence = logged();
  if (answer.status == CUBLAS_STATUS_SUCCESS) gpu.synchronize("a test");
  if (data) {
    memory.visit(request, *data, [&](std::byte* at, std::vector<std::byte>& bytes) {
      gpu.download(bytes.data(), at, bytes.size());
    });
  }
  return answer;
}

}  // namespace linnet::testing
