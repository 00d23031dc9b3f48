// The sources of generated kernels, as the toolkit's own compiler takes them, and what it makes of
// them: no spills, and no more instructions than memory leaves time for.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/graph_support.h"
#include "kernels/cuda/jit/generator.h"
#include "kernels/cuda/jit/nvrtc.h"

namespace linnet::cuda::generated_kernels_test {
namespace {

/// The library that the build found, not the double in its place. Null where there is none.
const Nvrtc* real_nvrtc() {
  static const std::optional<Nvrtc> found = []() -> std::optional<Nvrtc> {
    for (const char* version : {"13", "12"}) {
      const std::string path = std::string(LINNET_CUDA_LIBRARY_FOLDER) + "/libnvrtc.so." + version;
      if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))
        return load_nvrtc(path, handle);
    }
    return std::nullopt;
  }();
  return found ? &*found : nullptr;
}

#define LINNET_SKIP_WITHOUT_NVRTC() \
  if (!real_nvrtc()) GTEST_SKIP() << "no libnvrtc in '" << LINNET_CUDA_LIBRARY_FOLDER << "'"

ClusterLayout flat_layout(const Graph& body) {
  return {cluster_elements(body), true, std::vector<bool>(body.inputs.size(), false)};
}

Graph gated(DType dtype) {
  return record({type({64}, dtype), type({64}, dtype)},
                [](const TensorList& x) { return TensorList{silu(gelu(x[0]) * x[1]) + x[0]}; });
}

/// What the disassembler of the toolkit prints; empty where it is missing.
std::string disassembled(const std::string& image) {
  const std::string tool = LINNET_SOURCE_DIRECTORY "/build/cuda/bin/nvdisasm";
  if (::access(tool.c_str(), X_OK) != 0) return {};
  const std::string file =
      (std::filesystem::temp_directory_path() / ("linnet-" + std::to_string(::getpid()) + ".cubin"))
          .string();
  std::ofstream(file, std::ios::binary) << image;
  FILE* pipe = ::popen((tool + " -c " + file).c_str(), "r");
  std::string text;
  std::array<char, 4096> part;
  while (const size_t read = std::fread(part.data(), 1, part.size(), pipe))
    text.append(part.data(), read);
  ::pclose(pipe);
  std::filesystem::remove(file);
  return text;
}

/// Lines like `/*0010*/  IMAD.MOV.U32 R1, …`.
int count_instructions(const std::string& text, const std::string& name = "") {
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t begin = line.find("/*");
    if (begin == std::string::npos || line.find("*/", begin) != begin + 6) continue;
    if (line.find(" NOP") != std::string::npos) continue;
    count += name.empty() || line.find(name) != std::string::npos;
  }
  return count;
}

TEST(GeneratedKernels, of_all_functions_and_types_compile_for_each_architecture) {
  LINNET_SKIP_WITHOUT_NVRTC();
  const auto body_of = [](DType dtype) {
    return record({type({8}, dtype), type({8}, dtype)}, [&](const TensorList& x) {
      TensorList out{x[0] + x[1], x[0] * x[1], maximum(x[0], x[1]), x[0] - x[1]};
      if (is_floating(dtype)) {
        for (const Tensor& y : {tanh(x[0]), erf(x[1]), log1p(exp(x[0])), pow(x[0], x[1]), sin(x[1]),
                                gelu(x[0], false), sqrt(x[0]) / x[1], nextafter(x[0], x[1]),
                                integer_pow(x[0], -3), lgamma(x[0])})
          out.push_back(y);
      } else {
        out.push_back(x[0] / (x[1] | Tensor(1)));
        out.push_back(shift_left(x[0], x[1]));
      }
      out.push_back(where(x[0] > x[1], x[0], x[1]));
      out.push_back(astype(x[0], DType::kBF16));
      out.push_back(astype(x[0], DType::kI8));
      out.push_back(astype(x[0], DType::kBool));
      return out;
    });
  };
  for (const DType dtype : {DType::kI8, DType::kU16, DType::kI64, DType::kF16, DType::kBF16,
                            DType::kF32, DType::kF64}) {
    SCOPED_TRACE(name_of(dtype));
    const Graph body = body_of(dtype);
    for (const bool flat : {true, false}) {
      ClusterLayout layout = flat_layout(body);
      layout.flat = flat;
      layout.repeated[1] = !flat;
      const ClusterSource source = generate_cluster(body, layout);
      for (const char* architecture : {"sm_80", "sm_90a"}) {
        const std::string image = compile(*real_nvrtc(), source.name, source.text, architecture);
        EXPECT_NE(image.find(source.name), std::string::npos);
      }
    }
  }
}

TEST(GeneratedKernels, a_gated_unit_in_bf16_leaves_time_for_memory) {
  LINNET_SKIP_WITHOUT_NVRTC();
  const Graph body = gated(DType::kBF16);
  const ClusterLayout layout = flat_layout(body);
  ASSERT_EQ(layout.elements, 8);
  const ClusterSource source = generate_cluster(body, layout);
  for (const char* architecture : {"sm_80", "sm_90a"}) {
    const std::string text =
        disassembled(compile(*real_nvrtc(), source.name, source.text, architecture));
    if (text.empty()) GTEST_SKIP() << "no nvdisasm in build/cuda/bin (scripts/setup-cuda)";
    // Includes what the last pack of an odd length needs.
    EXPECT_LE(count_instructions(text), 40 * layout.elements) << source.text << text;
    EXPECT_GT(count_instructions(text, "MUFU"), 0);
    EXPECT_EQ(count_instructions(text, "LDG.E.128"), 2) << text;
    EXPECT_EQ(count_instructions(text, "STG.E.128"), 1) << text;
    EXPECT_EQ(count_instructions(text, " LDL") + count_instructions(text, " STL"), 0) << text;
    EXPECT_EQ(count_instructions(text, "CALL"), 0) << text;
  }
}

TEST(GeneratedKernels, equal_bodies_have_one_name_and_different_ones_do_not) {
  const Graph one = gated(DType::kBF16), same = gated(DType::kBF16), other = gated(DType::kF16);
  EXPECT_EQ(generate_cluster(one, flat_layout(one)).text,
            generate_cluster(same, flat_layout(same)).text);
  const std::string name = generate_cluster(one, flat_layout(one)).name;
  EXPECT_NE(name, generate_cluster(other, flat_layout(other)).name);
  ClusterLayout broadcast = flat_layout(one);
  broadcast.repeated[0] = true;
  EXPECT_NE(name, generate_cluster(one, broadcast).name);
}

TEST(GeneratedKernels, packs_are_as_wide_as_registers_allow) {
  const auto elements = [](size_t operands, DType dtype) {
    return cluster_elements(record(TypeList(operands, type({8}, dtype)), [](const TensorList& x) {
      Tensor sum = x[0];
      for (size_t i = 1; i < x.size(); ++i) sum = sum + x[i];
      return TensorList{sum};
    }));
  };
  EXPECT_EQ(elements(2, DType::kBF16), 8);
  EXPECT_EQ(elements(2, DType::kF32), 4);
  EXPECT_EQ(elements(2, DType::kF64), 2);
  EXPECT_EQ(elements(24, DType::kBF16), 4);
  EXPECT_EQ(elements(24, DType::kF32), 2);
}

TEST(GeneratedKernels, what_does_not_compile_is_an_error_with_the_words_of_the_compiler) {
  LINNET_SKIP_WITHOUT_NVRTC();
  try {
    compile(*real_nvrtc(), "broken",
            "#include \"kernels/cuda/jit/cluster.h\"\nint f() { return x; }", "sm_90");
    FAIL();
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("identifier \"x\" is undefined"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace linnet::cuda::generated_kernels_test
