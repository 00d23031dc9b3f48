// The double against the real cuBLASLt, which describes products without a device: every attribute
// has the same size and the same default, and wrong sizes are refused by both.
#include <cublasLt.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include "kernels/cuda/cublas/api.h"

#ifndef LINNET_REAL_CUBLASLT
#define LINNET_REAL_CUBLASLT ""
#endif

namespace linnet::testing::cublaslt_abi_test {
namespace {

constexpr int kMostAttributes = 64;
using Value = std::array<std::byte, 64>;

/// One library.
struct Library {
  explicit Library(const char* path) : handle(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {}
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(handle, name));
  }
  void* handle;
};
#define LINNET_FIND(library, name) (library).find<decltype(name)>(#name)

/// How one kind of descriptor is made and asked.
struct Kind {
  const char* name;
  void (*initialise)(const Library&, Value (&descriptor)[4]);
  const char *get, *set;
};

const Kind kKinds[] = {
    {"layout",
     [](const Library& library, Value (&descriptor)[4]) {
       auto* const at = reinterpret_cast<cublasLtMatrixLayout_t>(descriptor);
       EXPECT_EQ(LINNET_FIND(library, cublasLtMatrixLayoutInit_internal)(at, sizeof *at,
                                                                         CUDA_R_16BF, 3, 5, 7),
                 CUBLAS_STATUS_SUCCESS);
     },
     "cublasLtMatrixLayoutGetAttribute", "cublasLtMatrixLayoutSetAttribute"},
    {"operation",
     [](const Library& library, Value (&descriptor)[4]) {
       auto* const at = reinterpret_cast<cublasLtMatmulDesc_t>(descriptor);
       EXPECT_EQ(LINNET_FIND(library, cublasLtMatmulDescInit_internal)(
                     at, sizeof *at, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                 CUBLAS_STATUS_SUCCESS);
     },
     "cublasLtMatmulDescGetAttribute", "cublasLtMatmulDescSetAttribute"},
    {"preference",
     [](const Library& library, Value (&descriptor)[4]) {
       auto* const at = reinterpret_cast<cublasLtMatmulPreference_t>(descriptor);
       EXPECT_EQ(LINNET_FIND(library, cublasLtMatmulPreferenceInit_internal)(at, sizeof *at),
                 CUBLAS_STATUS_SUCCESS);
     },
     "cublasLtMatmulPreferenceGetAttribute", "cublasLtMatmulPreferenceSetAttribute"},
};

using Get = cublasStatus_t (*)(const void*, int, void*, size_t, size_t*);
using Set = cublasStatus_t (*)(void*, int, const void*, size_t);

/// Bytes of an attribute, 0 if there is none; `value` is what a new descriptor has.
size_t ask(const Library& library, const Kind& kind, const void* descriptor, int attribute,
           Value& value) {
  auto* const get = reinterpret_cast<Get>(dlsym(library.handle, kind.get));
  size_t size = 0;
  if (get(descriptor, attribute, nullptr, 0, &size) != CUBLAS_STATUS_SUCCESS) return 0;
  value = {};
  size_t written = 0;
  EXPECT_EQ(get(descriptor, attribute, value.data(), size, &written), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(written, size);
  return size;
}

void be_silent(int, const char*, const char*) {}

class CublasLtAbi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!*LINNET_REAL_CUBLASLT) GTEST_SKIP() << "not run: there is no libcublasLt.so.13";
    ASSERT_NE(real.handle, nullptr) << dlerror();
    ASSERT_NE(double_.handle, nullptr) << dlerror();
    ASSERT_NE(real.handle, double_.handle);
    LINNET_FIND(double_, cublasLtLoggerSetCallback)(be_silent);
  }
  Library real{LINNET_REAL_CUBLASLT}, double_{cuda::cublaslt().path.c_str()};
};

TEST_F(CublasLtAbi, attributes_have_the_sizes_and_defaults_of_the_library) {
  for (const Kind& kind : kKinds) {
    Value of_real[4] = {}, of_double[4] = {};
    kind.initialise(real, of_real);
    kind.initialise(double_, of_double);
    int known = 0;
    for (int attribute = 0; attribute < kMostAttributes; ++attribute) {
      SCOPED_TRACE(kind.name + std::string(" ") + std::to_string(attribute));
      Value expected, got;
      const size_t size = ask(double_, kind, of_double, attribute, got);
      if (size == 0) continue;  // the library has some that its headers do not tell
      ++known;
      ASSERT_EQ(size, ask(real, kind, of_real, attribute, expected));
      EXPECT_EQ(got, expected);
    }
    EXPECT_GE(known, 9) << kind.name;
  }
}

TEST_F(CublasLtAbi, wrong_sizes_are_refused_and_right_ones_kept) {
  for (const Library* library : {&real, &double_}) {
    for (const Kind& kind : kKinds) {
      Value descriptor[4] = {}, before, after;
      kind.initialise(*library, descriptor);
      auto* const set = reinterpret_cast<Set>(dlsym(library->handle, kind.set));
      for (int attribute = 0; attribute < kMostAttributes; ++attribute) {
        SCOPED_TRACE(kind.name + std::string(" ") + std::to_string(attribute));
        const size_t size = ask(*library, kind, descriptor, attribute, before);
        if (size == 0) continue;
        EXPECT_NE(set(descriptor, attribute, before.data(), size + 1), CUBLAS_STATUS_SUCCESS);
        EXPECT_NE(set(descriptor, attribute, nullptr, size), CUBLAS_STATUS_SUCCESS);
        EXPECT_EQ(set(descriptor, attribute, before.data(), size), CUBLAS_STATUS_SUCCESS);
        ask(*library, kind, descriptor, attribute, after);
        EXPECT_EQ(before, after);
      }
    }
  }
}

TEST_F(CublasLtAbi, versions_and_names) {
  EXPECT_EQ(LINNET_FIND(real, cublasLtGetVersion)() / 10000,
            LINNET_FIND(double_, cublasLtGetVersion)() / 10000);
  for (const cublasStatus_t status :
       {CUBLAS_STATUS_SUCCESS, CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_ALLOC_FAILED,
        CUBLAS_STATUS_INVALID_VALUE, CUBLAS_STATUS_ARCH_MISMATCH, CUBLAS_STATUS_EXECUTION_FAILED,
        CUBLAS_STATUS_INTERNAL_ERROR, CUBLAS_STATUS_NOT_SUPPORTED}) {
    EXPECT_STREQ(LINNET_FIND(real, cublasLtGetStatusName)(status),
                 LINNET_FIND(double_, cublasLtGetStatusName)(status));
  }
}

/// What the library has and the product asks for by name.
TEST_F(CublasLtAbi, the_library_has_every_function) {
#define LINNET_EXPECT_FUNCTION(name) EXPECT_NE(dlsym(real.handle, #name), nullptr) << #name;
  LINNET_CUBLASLT_FUNCTIONS(LINNET_EXPECT_FUNCTION)
#undef LINNET_EXPECT_FUNCTION
}

}  // namespace
}  // namespace linnet::testing::cublaslt_abi_test
