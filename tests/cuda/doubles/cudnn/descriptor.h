// Descriptors of the backend interface as values. A descriptor that is set on another one is kept
// as it was then: callers change and free them afterwards.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace linnet::fake_cudnn {

struct Snapshot;

struct Attribute {
  cudnnBackendAttributeType_t type;
  int64_t count = 0;
  std::vector<std::byte> bytes;                           ///< of everything but descriptors
  std::vector<std::shared_ptr<const Snapshot>> children;  ///< descriptors
};

struct Snapshot {
  cudnnBackendDescriptorType_t type;
  std::map<int, Attribute> attributes;

  const Attribute* find(int name) const {
    const auto found = attributes.find(name);
    return found == attributes.end() ? nullptr : &found->second;
  }
  const Attribute& at(int name) const {
    if (const Attribute* const found = find(name)) return *found;
    throw std::runtime_error("a descriptor lacks attribute " + std::to_string(name));
  }
  template <class T>
  std::vector<T> values(int name) const {
    const Attribute& attribute = at(name);
    std::vector<T> out(attribute.bytes.size() / sizeof(T));
    std::memcpy(out.data(), attribute.bytes.data(), out.size() * sizeof(T));
    return out;
  }
  template <class T>
  T value(int name) const {
    T out;
    const Attribute& attribute = at(name);
    if (attribute.bytes.size() < sizeof out) throw std::runtime_error("an attribute has no value");
    std::memcpy(&out, attribute.bytes.data(), sizeof out);
    return out;
  }
  template <class T>
  T value_or(int name, T otherwise) const {
    return find(name) ? value<T>(name) : otherwise;
  }
  const Snapshot& child(int name) const { return *at(name).children.at(0); }
  const Snapshot* find_child(int name) const {
    const Attribute* const found = find(name);
    return found && !found->children.empty() ? found->children[0].get() : nullptr;
  }
};

/// Bytes of an element of an attribute.
size_t element_bytes(cudnnBackendAttributeType_t type);

struct Descriptor {
  Snapshot state;
  cudnnBackendDescriptor_t real = nullptr;  ///< null without the real library
  /// Of heuristics, configurations and plans: the operation graph that they are for.
  std::shared_ptr<const Snapshot> graph;
  /// Whether engines of it round f32 operands.
  bool rounds = false;
};

}  // namespace linnet::fake_cudnn
