// The only file that includes the headers of cudnn-frontend. They call libraries only through what
// `dlopen` and `dlsym` give them; here those give functions of the tables of this back end, so that
// neither libcudnn nor libcudart is linked or loaded behind its back.
#include "kernels/cuda/cudnn/frontend.h"

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "kernels/cuda/cudnn/library.h"
#include "kernels/cuda/driver/driver.h"
#include "linnet/detail/format.h"

namespace linnet::cuda::cudnn {
void* frontend_library(const char* name);
void* frontend_function(void* library, const char* name);
}  // namespace linnet::cuda::cudnn

#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB  // plans as texts: not needed, but slow to compile
#define dlopen(name, flags) linnet::cuda::cudnn::frontend_library(name)
#define dlsym(library, name) linnet::cuda::cudnn::frontend_function(library, name)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#include <cudnn_frontend.h>
#pragma GCC diagnostic pop
#undef dlopen
#undef dlsym

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;
}

namespace linnet::cuda::cudnn {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using Attributes = std::shared_ptr<Tensor_attributes>;

/// The library that calls of this thread are for.
thread_local const Library* current = nullptr;

class Use {
 public:
  explicit Use(const Library& library) : before_(current) { current = &library; }
  ~Use() { current = before_; }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  const Library* before_;
};

template <auto kMember>
struct Forward;
template <class Result, class... Args, Result (*Library::*kMember)(Args...)>
struct Forward<kMember> {
  static Result call(Args... args) { return (current->*kMember)(args...); }
};

/// The frontend fills accumulators in its part of the workspace.
cudaError_t memset_async(void* to, int value, size_t bytes, cudaStream_t stream) {
  const Driver* const driver = find_driver();
  if (!driver || bytes % 4 != 0) return cudaErrorNotSupported;
  const unsigned word = static_cast<unsigned char>(value) * 0x01010101u;
  return static_cast<cudaError_t>(
      driver->cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(to), word, bytes / 4, stream));
}

const char* error_text(cudaError_t) { return "the driver's error"; }

struct Entry {
  const char* name;
  void* function;
};

}  // namespace

/// One library for all names; but of the two runtimes that the frontend looks for there is only the
/// one that its headers are of.
void* frontend_library(const char* name) {
  static char library;
  constexpr int kOther = CUDART_VERSION >= 13000 ? 12 : 13;
  return name == "libcudart.so." + std::to_string(kOther) ? nullptr : &library;
}

void* frontend_function(void*, const char* name) {
  static const Entry entries[] = {
#define LINNET_CUDNN_ENTRY(name) {#name, reinterpret_cast<void*>(&Forward<&Library::name>::call)},
      LINNET_CUDNN_FUNCTIONS(LINNET_CUDNN_ENTRY)
#undef LINNET_CUDNN_ENTRY
          {"cudaMemsetAsync", reinterpret_cast<void*>(&memset_async)},
      {"cudaGetErrorString", reinterpret_cast<void*>(&error_text)},
  };
  for (const Entry& entry : entries) {
    if (std::strcmp(entry.name, name) == 0) return entry.function;
  }
  return nullptr;
}

namespace {

fe::DataType_t data_type(Type type) {
  switch (type) {
    case Type::kBool:
      return fe::DataType_t::BOOLEAN;
    case Type::kI32:
      return fe::DataType_t::INT32;
    case Type::kF16:
      return fe::DataType_t::HALF;
    case Type::kBF16:
      return fe::DataType_t::BFLOAT16;
    case Type::kF32:
      return fe::DataType_t::FLOAT;
    case Type::kF64:
      return fe::DataType_t::DOUBLE;
    case Type::kE4M3:
      return fe::DataType_t::FP8_E4M3;
    case Type::kE5M2:
      return fe::DataType_t::FP8_E5M2;
  }
  return fe::DataType_t::NOT_SET;
}

fe::PointwiseMode_t pointwise_mode(PointwiseMode mode) {
  switch (mode) {
    case PointwiseMode::kAdd:
      return fe::PointwiseMode_t::ADD;
    case PointwiseMode::kMul:
      return fe::PointwiseMode_t::MUL;
    case PointwiseMode::kRelu:
      return fe::PointwiseMode_t::RELU_FWD;
    case PointwiseMode::kTanh:
      return fe::PointwiseMode_t::TANH_FWD;
    case PointwiseMode::kLogistic:
      return fe::PointwiseMode_t::SIGMOID_FWD;
    case PointwiseMode::kSilu:
      return fe::PointwiseMode_t::SWISH_FWD;
    case PointwiseMode::kGeluErf:
      return fe::PointwiseMode_t::GELU_FWD;
    case PointwiseMode::kGeluTanh:
      return fe::PointwiseMode_t::GELU_APPROX_TANH_FWD;
    case PointwiseMode::kReluGrad:
      return fe::PointwiseMode_t::RELU_BWD;
  }
  return fe::PointwiseMode_t::NOT_SET;
}

/// Zero means to the frontend that it may choose one.
int64_t unique_id(Id id) { return id + 1; }

/// Adds the nodes of a description to a graph of the frontend, in order.
class Translation {
 public:
  Translation(const Graph& from, fe::graph::Graph& to)
      : from_(from), to_(to), known_(from.tensors.size()) {}

  void operator()(const Convolution& c) {
    switch (c.wanted) {
      case Convolution::Wanted::kResult:
        return result(c.y, to_.conv_fprop(operand(c.x), operand(c.w),
                                          with_geometry(fe::graph::Conv_fprop_attributes(), c)));
      case Convolution::Wanted::kData:
        return result(c.x, to_.conv_dgrad(operand(c.y), operand(c.w),
                                          with_geometry(fe::graph::Conv_dgrad_attributes(), c)));
      case Convolution::Wanted::kWeights:
        return result(c.w, to_.conv_wgrad(operand(c.y), operand(c.x),
                                          with_geometry(fe::graph::Conv_wgrad_attributes(), c)));
    }
  }

  void operator()(const Pointwise& p) {
    auto attributes = fe::graph::Pointwise_attributes().set_mode(pointwise_mode(p.mode));
    if (p.mode == PointwiseMode::kSilu) attributes.set_swish_beta(1);
    result(p.y, p.other == kNone ? to_.pointwise(operand(p.x), attributes)
                                 : to_.pointwise(operand(p.x), operand(p.other), attributes));
  }

  void operator()(const Product& p) {
    result(p.c, to_.matmul(operand(p.a), operand(p.b), fe::graph::Matmul_attributes()));
  }

  void operator()(const Statistics& s) {
    const auto sums = to_.genstats(operand(s.x), fe::graph::Genstats_attributes());
    result(s.sum, sums[0]);
    result(s.squares, sums[1]);
  }

  void operator()(const ChannelSums& s) {
    const auto x = operand(s.x);
    const auto sum = fe::graph::Reduction_attributes().set_mode(fe::ReductionMode_t::ADD);
    const auto product = fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::MUL);
    result(s.sum, to_.reduction(x, sum));
    result(s.squares, to_.reduction(to_.pointwise(x, x, product), sum));
  }

  void operator()(const Attention& a) {
    auto attributes =
        with_masks(fe::graph::SDPA_attributes().set_generate_stats(a.log_sum_exp != kNone), a);
    if (a.factors != kNone) attributes.set_dropout(operand(a.factors), operand(a.factors_scale));
    attributes.set_implementation(fe::AttentionImplementation_t::COMPOSITE);
    const auto results = to_.sdpa(operand(a.q), operand(a.k), operand(a.v), attributes);
    result(a.y, results[0]);
    if (a.log_sum_exp != kNone) result(a.log_sum_exp, results[1]);
  }

  void operator()(const AttentionBackward& b) {
    const Attention& a = b.forward;
    auto attributes = with_masks(fe::graph::SDPA_backward_attributes(), a);
    if (a.factors != kNone) {
      attributes.set_dropout(operand(a.factors), operand(a.factors_scale),
                             operand(a.factors_scale_inverse));
    }
    attributes.set_deterministic_algorithm(b.deterministic);
    if (b.dbias != kNone) attributes.set_dbias(operand(b.dbias));
    const auto results = to_.sdpa_backward(operand(a.q), operand(a.k), operand(a.v), operand(a.y),
                                           operand(b.dy), operand(a.log_sum_exp), attributes);
    result(b.dq, results[0]);
    result(b.dk, results[1]);
    result(b.dv, results[2]);
  }

  void operator()(const LayerNorm& n) {
    auto epsilon = operand(n.epsilon);
    const auto results = to_.layernorm(operand(n.x), operand(n.scale), operand(n.bias),
                                       fe::graph::Layernorm_attributes()
                                           .set_forward_phase(fe::NormFwdPhase_t::TRAINING)
                                           .set_epsilon(epsilon));
    result(n.y, results[0]);
    result(n.mean, results[1]);
    result(n.inverse_deviation, results[2]);
  }

  void operator()(const BatchNorm& n) {
    auto epsilon = operand(n.epsilon);
    const auto results = to_.batchnorm(operand(n.x), operand(n.scale), operand(n.bias),
                                       fe::graph::Batchnorm_attributes().set_epsilon(epsilon));
    result(n.y, results[0]);
    result(n.mean, results[1]);
    result(n.inverse_deviation, results[2]);
  }

 private:
  Attributes operand(Id id) {
    Attributes& known = known_[static_cast<size_t>(id)];
    if (known) return known;
    const GraphTensor& t = from_.tensors[static_cast<size_t>(id)];
    if (t.value) return known = to_.tensor(*t.value);
    return known = to_.tensor(Tensor_attributes()
                                  .set_uid(unique_id(id))
                                  .set_dim(t.shape)
                                  .set_stride(t.strides)
                                  .set_data_type(data_type(t.type)));
  }

  void result(Id id, const Attributes& attributes) {
    const GraphTensor& t = from_.tensors[static_cast<size_t>(id)];
    attributes->set_uid(unique_id(id)).set_dim(t.shape).set_stride(t.strides);
    attributes->set_data_type(data_type(t.type)).set_output(!t.is_inner);
    known_[static_cast<size_t>(id)] = attributes;
  }

  template <class To>
  static To with_geometry(To to, const Convolution& c) {
    to.set_pre_padding(c.padding_low).set_post_padding(c.padding_high);
    to.set_stride(c.strides).set_dilation(c.dilation);
    return to;
  }

  template <class To>
  To with_masks(To to, const Attention& a) {
    to.set_attn_scale(a.scale);
    if (a.causal) {
      to.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT);
      to.set_diagonal_band_right_bound(0);
    }
    if (a.bias != kNone) to.set_bias(operand(a.bias));
    if (a.q_lengths != kNone) {
      to.set_padding_mask(true);
      to.set_seq_len_q(operand(a.q_lengths));
      to.set_seq_len_kv(operand(a.kv_lengths));
    }
    if (a.dropout > 0) to.set_dropout(a.dropout, operand(a.seed), operand(a.offset));
    return to;
  }

  const Graph& from_;
  fe::graph::Graph& to_;
  std::vector<Attributes> known_;
};

/// Tensors with memory: attention has the most.
constexpr size_t kMostAddresses = 32;

class BuiltPlan final : public Plan {
 public:
  explicit BuiltPlan(const Context& context)
      : library_(*context.library), graph_(std::make_unique<fe::graph::Graph>()) {}
  ~BuiltPlan() override {
    const Use use(library_);
    graph_.reset();
  }

  /// An empty text, or why not.
  std::string build(const Graph& graph, const Context& context);

  size_t workspace_bytes() const override { return workspace_bytes_; }
  int64_t offered() const override { return offered_; }
  std::string name() const override {
    std::string name;
    const Use use(library_);
    return graph_->get_plan_name(name).is_good() ? name : std::string();
  }

  void run(void* handle, std::span<void* const> addresses, void* workspace) const override {
    const Use use(library_);
    std::array<void*, kMostAddresses> ordered;
    for (size_t i = 0; i < order_.size(); ++i) ordered[i] = addresses[order_[i]];
    fe::error_t error = graph_->execute(static_cast<cudnnHandle_t>(handle), ordered.data(),
                                        static_cast<int>(order_.size()), workspace);
    if (error.is_bad()) fail<DeviceError>("cuda: cuDNN failed: {}", error.get_message());
  }

 private:
  std::string build_here(const Graph& graph, const Context& context);
  void deselect(const Graph& graph);

  const Library& library_;
  std::unique_ptr<fe::graph::Graph> graph_;
  std::vector<size_t> order_;  ///< of the addresses, as the frontend takes them
  size_t workspace_bytes_ = 0;
  int64_t offered_ = 0;
};

std::string one_line(const std::string& text) {
  std::string out = text.substr(0, text.find_last_not_of(" \n") + 1);
  for (char& c : out) {
    if (c == '\n') c = ' ';
  }
  return out.empty() ? "cuDNN gives no reason" : out;
}

std::string BuiltPlan::build(const Graph& graph, const Context& context) {
  const Use use(library_);
  try {
    return build_here(graph, context);
  } catch (const std::exception& error) {  // Of the frontend: what it cannot report otherwise.
    return one_line(error.what());
  }
}

void BuiltPlan::deselect(const Graph& graph) {
  std::vector<fe::NumericalNote_t> notes{fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION};
  if (!graph.may_round_operands) {
    notes.push_back(fe::NumericalNote_t::DOWN_CONVERT_INPUTS);
    // Values between nodes are f32 whatever the operands are.
    const auto first = std::find_if(graph.tensors.begin(), graph.tensors.end(),
                                    [](const GraphTensor& t) { return !t.is_inner; });
    if (first->type == Type::kF32) notes.push_back(fe::NumericalNote_t::TENSOR_CORE);
  }
  if (!graph.may_be_unordered) notes.push_back(fe::NumericalNote_t::NONDETERMINISTIC);
  graph_->deselect_numeric_notes(notes);
  graph_->deselect_workspace_greater_than(graph.most_workspace);
}

std::string BuiltPlan::build_here(const Graph& graph, const Context& context) {
  graph_->set_compute_data_type(data_type(graph.compute));
  graph_->set_intermediate_data_type(data_type(graph.compute));
  // Plans live as long as the programs whose graphs were recorded from them.
  graph_->set_cuda_graph_retention(fe::CudaGraphRetention_t::NONE);
  graph_->set_sm_version(context.architecture);
  if (!context.handle) {
    const auto properties = std::make_shared<fe::DeviceProperties>();
    fe::error_t error =
        properties->deserialize({context.properties.begin(), context.properties.end()});
    if (error.is_bad()) return one_line("the properties of the device: " + error.get_message());
    graph_->set_device_properties(properties);
  }
  Translation translation(graph, *graph_);
  for (const Node& node : graph.nodes) std::visit(translation, node);

  fe::error_t error = graph_->validate();
  if (error.is_good())
    error = graph_->build_operation_graph(static_cast<cudnnHandle_t>(context.handle));
  if (error.is_good())
    error = graph_->create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
  if (error.is_bad()) return one_line(error.get_message());
  offered_ = graph_->get_execution_plan_count();
  deselect(graph);
  // Not `check_support`: it asks the CUDA runtime for a device.
  error = graph_->build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE);
  int64_t bytes = 0;
  if (error.is_good()) error = graph_->get_workspace_size(bytes);
  if (error.is_bad()) return one_line(error.get_message());
  workspace_bytes_ = static_cast<size_t>(bytes);
  for (const int64_t id : graph_->get_variant_pack_uids_sorted())
    order_.push_back(static_cast<size_t>(id - unique_id(0)));
  if (order_.size() > kMostAddresses) return "a graph of too many tensors";
  return {};
}

}  // namespace

BuildResult build(const Graph& graph, const Context& context) {
  auto plan = std::make_unique<BuiltPlan>(context);
  BuildResult result;
  result.declined = plan->build(graph, context);
  if (result.declined.empty()) result.plan = std::move(plan);
  return result;
}

std::string versions(const Library& library) {
  const size_t version = library.cudnnGetVersion();
  return fmt::format("{}.{}.{}, planned for through cudnn-frontend {}.{}.{}", version / 10000,
                     version % 10000 / 100, version % 100, CUDNN_FRONTEND_MAJOR_VERSION,
                     CUDNN_FRONTEND_MINOR_VERSION, CUDNN_FRONTEND_PATCH_VERSION);
}

}  // namespace linnet::cuda::cudnn
