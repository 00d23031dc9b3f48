// The functions of cuDNN that are used.
#include <algorithm>
#include <cstring>
#include <string>

#include "cuda/doubles/cudnn/evaluate.h"
#include "cuda/doubles/cudnn/real.h"

using namespace linnet::fake_cudnn;

struct cudnnContext {
  cudaStream_t stream = nullptr;
};

namespace {

thread_local std::string last_error;

cudnnStatus_t refuse(cudnnStatus_t status, std::string why) {
  last_error = "the double of cuDNN: " + std::move(why);
  return status;
}

cudnnStatus_t told(cudnnStatus_t status) {
  if (status != CUDNN_STATUS_SUCCESS) {
    char text[4096] = {};
    real_library()->cudnnGetLastErrorString(text, sizeof text);
    last_error = text;
  }
  return status;
}

Descriptor& own(cudnnBackendDescriptor_t descriptor) {
  return *static_cast<Descriptor*>(descriptor);
}

/// Plans are not run by the real library, so it sees no memory and no handle.
bool is_forwarded(cudnnBackendDescriptorType_t type) {
  return real_library() && type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;
}

std::vector<cudnnBackendDescriptor_t> real_of(const cudnnBackendDescriptor_t* descriptors,
                                              int64_t count) {
  std::vector<cudnnBackendDescriptor_t> out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(descriptors[i] ? own(descriptors[i]).real : nullptr);
  return out;
}

/// Whether the engine of a configuration works on tensor cores, where f32 operands are rounded.
bool engine_rounds(const Descriptor& configuration) {
  const auto& real = *real_library();
  cudnnBackendDescriptor_t engine = nullptr;
  if (real.cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)) return false;
  int64_t count = 0;
  real.cudnnBackendGetAttribute(configuration.real, CUDNN_ATTR_ENGINECFG_ENGINE,
                                CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine);
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT] = {};
  real.cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes);
  real.cudnnBackendDestroyDescriptor(engine);
  return std::find(notes, notes + count, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) != notes + count;
}

/// What a descriptor is for, from the one that is set on it.
void inherit(Descriptor& to, int name, const Descriptor& from) {
  if (name == CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH || name == CUDNN_ATTR_ENGINE_OPERATION_GRAPH) {
    to.graph = std::make_shared<Snapshot>(from.state);
  } else if (name == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG ||
             name == CUDNN_ATTR_ENGINECFG_ENGINE) {
    to.graph = from.graph;
    if (name == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG && from.real)
      to.rounds = engine_rounds(from);
  }
}

/// Answers of a library with one engine, which takes everything.
cudnnStatus_t answer(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                     int64_t requested, int64_t* count, void* array) {
  const bool is_single = type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_INT32;
  const bool is_list = name == CUDNN_ATTR_ENGINECFG_KNOB_CHOICES;
  const int64_t found = is_list ? 0 : type == CUDNN_TYPE_BACKEND_DESCRIPTOR || is_single ? 1 : 0;
  if (count) *count = found;
  if (is_single && requested > 0 && array)
    std::memset(array, 0, static_cast<size_t>(requested) * element_bytes(type));
  return CUDNN_STATUS_SUCCESS;
}

int64_t workspace_of(const Descriptor& plan) {
  int64_t bytes = 0, count = 0;
  if (plan.real) {
    real_library()->cudnnBackendGetAttribute(plan.real, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                             CUDNN_TYPE_INT64, 1, &count, &bytes);
  }
  return bytes;
}

}  // namespace

extern "C" {

size_t CUDNNWINAPI cudnnGetVersion() {
  return real_library() ? real_library()->cudnnGetVersion() : CUDNN_VERSION;
}

const char* CUDNNWINAPI cudnnGetErrorString(cudnnStatus_t status) {
  if (real_library()) return real_library()->cudnnGetErrorString(status);
  return status == CUDNN_STATUS_SUCCESS ? "CUDNN_STATUS_SUCCESS" : "an error";
}

void CUDNNWINAPI cudnnGetLastErrorString(char* message, size_t size) {
  if (size == 0) return;
  std::strncpy(message, last_error.c_str(), size - 1);
  message[size - 1] = '\0';
}

cudnnStatus_t CUDNNWINAPI cudnnCreate(cudnnHandle_t* handle) {
  *handle = new cudnnContext;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t CUDNNWINAPI cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t CUDNNWINAPI cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t CUDNNWINAPI cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  *stream = handle->stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t CUDNNWINAPI cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                                       cudnnBackendDescriptor_t* descriptor) {
  auto fresh = std::make_unique<Descriptor>();
  fresh->state.type = type;
  if (is_forwarded(type)) {
    if (const auto status = told(real_library()->cudnnBackendCreateDescriptor(type, &fresh->real)))
      return status;
  }
  *descriptor = fresh.release();
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t CUDNNWINAPI cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  if (!descriptor) return CUDNN_STATUS_SUCCESS;
  if (own(descriptor).real) real_library()->cudnnBackendDestroyDescriptor(own(descriptor).real);
  delete &own(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t CUDNNWINAPI cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                                   cudnnBackendAttributeName_t name,
                                                   cudnnBackendAttributeType_t type, int64_t count,
                                                   const void* array) {
  Descriptor& to = own(descriptor);
  Attribute attribute{.type = type, .count = count, .bytes = {}, .children = {}};
  std::vector<cudnnBackendDescriptor_t> reals;
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    const auto* const children = static_cast<const cudnnBackendDescriptor_t*>(array);
    for (int64_t i = 0; i < count; ++i) {
      if (!children[i]) return refuse(CUDNN_STATUS_BAD_PARAM, "a null descriptor is set");
      attribute.children.push_back(std::make_shared<Snapshot>(own(children[i]).state));
      inherit(to, name, own(children[i]));
    }
    reals = real_of(children, count);
    array = reals.data();
  } else {
    const auto* const bytes = static_cast<const std::byte*>(array);
    attribute.bytes.assign(bytes, bytes + static_cast<size_t>(count) * element_bytes(type));
  }
  to.state.attributes[name] = std::move(attribute);
  if (!to.real || type == CUDNN_TYPE_HANDLE) return CUDNN_STATUS_SUCCESS;
  return told(real_library()->cudnnBackendSetAttribute(to.real, name, type, count, array));
}

cudnnStatus_t CUDNNWINAPI cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor,
                                                   cudnnBackendAttributeName_t name,
                                                   cudnnBackendAttributeType_t type,
                                                   int64_t requested, int64_t* count, void* array) {
  Descriptor& from = own(const_cast<cudnnBackendDescriptor_t>(descriptor));
  std::vector<cudnnBackendDescriptor_t> reals;
  auto* const children = static_cast<cudnnBackendDescriptor_t*>(array);
  const bool has_children = type == CUDNN_TYPE_BACKEND_DESCRIPTOR && array;
  if (has_children) reals = real_of(children, requested);
  cudnnStatus_t status;
  if (from.real) {
    void* const to = has_children ? reals.data() : array;
    status =
        told(real_library()->cudnnBackendGetAttribute(from.real, name, type, requested, count, to));
  } else {
    status = answer(name, type, requested, count, array);
  }
  for (int64_t i = 0; has_children && i < requested; ++i) {
    if (children[i]) own(children[i]).graph = from.graph;
  }
  return status;
}

cudnnStatus_t CUDNNWINAPI cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  Descriptor& own_one = own(descriptor);
  if (!own_one.real) return CUDNN_STATUS_SUCCESS;
  const auto& real = *real_library();
  if (own_one.state.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR &&
      !own_one.state.find(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP)) {
    cudnnBackendDescriptor_t device = real_device();
    if (!device) return refuse(CUDNN_STATUS_INTERNAL_ERROR, "no properties of a device");
    real.cudnnBackendSetAttribute(own_one.real, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
  }
  return told(real.cudnnBackendFinalize(own_one.real));
}

cudnnStatus_t CUDNNWINAPI cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                              cudnnBackendDescriptor_t pack) {
  const Descriptor& from = own(plan);
  if (!from.graph) return refuse(CUDNN_STATUS_BAD_PARAM, "a plan without an operation graph");
  try {
    enqueue(handle->stream, from.graph, from.rounds, own(pack).state, workspace_of(from));
    return CUDNN_STATUS_SUCCESS;
  } catch (const std::exception& error) {
    return refuse(CUDNN_STATUS_BAD_PARAM, error.what());
  }
}

}  // extern "C"
