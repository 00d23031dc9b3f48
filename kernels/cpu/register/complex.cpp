// Kernels between complex and real tensors, and of discrete Fourier transforms.
#include "core/ops/complex.h"

#include <array>

#include "core/ops/fft.h"
#include "kernels/cpu/complex/elementwise.h"
#include "kernels/cpu/fft/transform.h"
#include "kernels/cpu/register/families.h"

namespace linnet {
namespace {

template <cpu::ComplexPart kPart>
void run_part(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const OperandView &z = request.inputs[0], &y = request.outputs[0];
  cpu::complex_part(kPart, z.dtype, y.shape, {in[0], z.strides.data()}, {out[0], y.strides.data()});
}

void run_complex(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const OperandView& y = request.outputs[0];
  const std::array<cpu::Operand, 2> parts{
      {{in[0], request.inputs[0].strides.data()}, {in[1], request.inputs[1].strides.data()}}};
  cpu::make_complex(y.dtype, y.shape, parts, {out[0], y.strides.data()});
}

class FftKernel final : public HostKernel {
 public:
  FftKernel(const KernelRequest& request, const FftParams& p)
      : planned_({real_dtype_of(request.inputs[0].dtype),
                  p.kind == FftKind::kForward || p.kind == FftKind::kRealForward
                      ? cpu::FftDirection::kForward
                      : cpu::FftDirection::kInverse,
                  p.kind == FftKind::kRealForward || p.kind == FftKind::kRealInverse,
                  Shape(request.inputs[0].shape), Strides(request.inputs[0].strides), p.lengths}) {}

  size_t workspace_bytes() const override { return planned_.workspace_bytes(); }
  void run(const void* const* in, void* const* out, void* workspace) const override {
    planned_.run(in[0], out[0], workspace);
  }

 private:
  cpu::PlannedFft planned_;
};

std::unique_ptr<Kernel> prepare_fft(const KernelRequest& request, std::string&) {
  return std::make_unique<FftKernel>(request, request.params.as<FftParams>());
}

}  // namespace

void register_complex(KernelTable& table) {
  const auto add = [&](const Primitive& primitive, auto run) {
    table.add(
        primitive,
        {.name = "complex", .strided = true, .run = run, .never_throws = true, .complex = true});
  };
  add(complex_primitive(), run_complex);
  add(real_primitive(), run_part<cpu::ComplexPart::kReal>);
  add(imag_primitive(), run_part<cpu::ComplexPart::kImag>);
  add(conj_primitive(), run_part<cpu::ComplexPart::kConj>);
  add(complex_abs_primitive(), run_part<cpu::ComplexPart::kAbs>);
  table.add(fft_primitive(), {.name = "passes",
                              .strided = true,
                              .prepare = prepare_fft,
                              .never_throws = true,
                              .complex = true});
}

}  // namespace linnet
