// Meshes of device handles, which need no hardware, and random specs on them.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "linnet/sharding.h"
#include "tests/core/core_support.h"

namespace linnet::test {

/// `f` throws exactly E, and the message holds all of `facts`.
template <class E, class F>
void expect_facts(F&& f, const std::vector<std::string>& facts) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(typeid(error).name()), typeid(E).name());
    const std::string text = error.what();
    for (const std::string& fact : facts)
      EXPECT_NE(text.find(fact), std::string::npos) << "no \"" << fact << "\" in: " << text;
  }
}

inline Device handle(int index) {
  return Device{DeviceType::kExtension, static_cast<uint8_t>(index)};
}
inline std::vector<Device> handles(int64_t count) {
  std::vector<Device> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(handle(static_cast<int>(i)));
  return out;
}
/// A mesh of `prod(sizes)` handles.
inline Mesh mesh_of(std::vector<int64_t> sizes, const MeshAxisNames& names,
                    const MeshAxisTypes& types = {}) {
  int64_t count = 1;
  for (int64_t size : sizes) count *= size;
  return Mesh(DeviceGrid(handles(count), std::move(sizes)), names, types);
}

/// Random meshes of up to three axes, and specs that are legal on them.
class RandomShardings {
 public:
  explicit RandomShardings(unsigned seed) : random_(seed) {}

  int64_t below(int64_t end) { return std::uniform_int_distribution<int64_t>(0, end - 1)(random_); }

  Mesh mesh() {
    std::vector<int64_t> sizes;
    std::vector<std::string> names;
    for (int64_t i = below(3) + 1; i > 0; --i) {
      sizes.push_back(below(4) + 1);
      names.push_back(std::string(1, static_cast<char>('x' + static_cast<char>(names.size()))));
    }
    return mesh_of(sizes, names);
  }

  /// Every axis goes to some dimension or to none.
  PartitionSpec spec(const Mesh& mesh, size_t rank) {
    std::vector<std::string> names = mesh.axis_names();
    std::shuffle(names.begin(), names.end(), random_);
    std::vector<std::vector<std::string>> entries(rank);
    for (const std::string& name : names) {
      const auto d = static_cast<size_t>(below(static_cast<int64_t>(rank) + 1));
      if (d < rank) entries[d].push_back(name);
    }
    PartitionSpec::Entries out(entries.begin(), entries.end());
    while (!out.empty() && out.back().none() && below(2)) out.pop_back();
    return PartitionSpec(std::move(out));
  }

  std::mt19937& engine() { return random_; }

 private:
  std::mt19937 random_;
};

}  // namespace linnet::test
