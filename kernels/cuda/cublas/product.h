// What a product is to cuBLASLt: layouts, types, what follows it.
//
// The library counts by columns. A dense result [m, n] of ours is its matrix D of n rows and m
// columns, so D = op(A) op(B) with our right operand as A and our left one as B. A bias along n is
// then one along the rows of D, as the library wants it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/cublas/api.h"
#include "kernels/layout/dot_layout.h"
#include "linnet/dtype.h"
#include "linnet/float8.h"

namespace linnet::cuda {

enum class ProductActivation : uint8_t { kNone, kRelu, kGeluTanh };

/// One more operand or result, which training needs. Of 16-bit products without a batch.
enum class ProductExtra : uint8_t {
  kNone,
  kInput,      ///< result: what the activation (tanh-GELU) is applied to
  kGradient,   ///< operand x: the product is multiplied by the slope of tanh-GELU at x
  kSumsOfLhs,  ///< result: the sums of the rows of lhs
  kSumsOfRhs,  ///< result: the sums of the columns of rhs
};

/// out[b] = activation(lhs[b] rhs[b] + bias) + residual[b], where not both the activation and the
/// residual are there.
struct ProductSpec {
  MatrixProduct product;
  DType operands = DType::kF32, result = DType::kF32;
  /// What u8 operands are the bits of; both have a factor then, one f32 on the device.
  std::optional<Float8> lhs_format = {}, rhs_format = {};
  bool has_bias = false, has_residual = false;
  ProductActivation activation = ProductActivation::kNone;
  ProductExtra extra = ProductExtra::kNone;
  bool tf32 = false;  ///< operands of f32 may be rounded
  /// Of the library for one product whose batch has several strides.
  int64_t most_calls = 64;
  /// Bytes that addresses are multiples of.
  size_t lhs_alignment = 16, rhs_alignment = 16, bias_alignment = 16, residual_alignment = 16,
         out_alignment = 16, extra_alignment = 16;
};

/// A matrix in memory: `rows` numbers side by side, `ld` numbers from column to column.
struct StoredMatrix {
  int64_t rows = 0, columns = 0, ld = 0;
  bool transposed = false;  ///< the operation wants the transpose of it
  int64_t batch_stride = 0;
};

/// Where one call of the library begins, in elements.
struct CallOffsets {
  int64_t lhs = 0, rhs = 0, out = 0;
};

/// A product with everything the library has to know but addresses.
class Product {
 public:
  /// None, and why, if strides or types are not the library's.
  static std::optional<Product> describe(const ProductSpec& spec, std::string& reason);

  /// Everything that the choice of an algorithm depends on, in words.
  const std::string& text() const { return text_; }
  /// Multiplications.
  double work() const;
  const std::vector<CallOffsets>& calls() const { return calls_; }

  struct Candidate {
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
  };
  /// The library's proposals, best first, for workspaces of at most so many bytes. None, and why,
  /// if it does not compute such products.
  std::vector<Candidate> candidates(cublasLtHandle_t handle, size_t workspace_bytes,
                                    std::string& reason) const;
  /// The algorithm with the workspace it needs, if the library takes it for this product.
  std::optional<Candidate> checked(cublasLtHandle_t handle,
                                   const cublasLtMatmulAlgo_t& algorithm) const;

  struct Operands {
    const std::byte *lhs, *rhs, *bias, *residual;
    std::byte* out;
    void* workspace;
    std::byte* extra = nullptr;
    const std::byte *lhs_scale = nullptr, *rhs_scale = nullptr;
  };
  /// Enqueues the product. Nothing has been enqueued if the first status is not success.
  cublasStatus_t run(cublasLtHandle_t handle, CUstream stream, const Candidate& candidate,
                     const Operands& operands) const;

 private:
  /// Layouts as the library keeps them.
  struct Layouts {
    cublasLtMatrixLayoutOpaque_t a, b, d;
  };
  /// What else than matrices has an address.
  struct Attached {
    const void *bias, *extra, *lhs_scale, *rhs_scale;
  };
  cublasLtMatmulDescOpaque_t operation(const Attached& attached) const;
  /// For questions: addresses of the right alignment.
  Attached example_of_attached() const;
  Layouts layouts() const;
  uint32_t epilogue() const;
  /// Why the library has no such extra operand; empty if it has.
  std::string decline_extra() const;
  /// Why the library, or the device, has no such product of eight-bit numbers; empty if it has.
  std::string decline_float8() const;
  /// Chooses the dimension of the batch that the library runs along.
  bool split_batch(std::string& reason);
  void lower_alignments();
  std::string described() const;

  ProductSpec spec_;
  StoredMatrix a_, b_;
  int64_t batch_ = 1, out_batch_stride_ = 0;
  std::vector<CallOffsets> calls_;
  std::string text_;
};

}  // namespace linnet::cuda
