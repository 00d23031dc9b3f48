#include "kernels/cpu/onednn/epilogue.h"

#include <utility>

#include "kernels/cpu/elementwise/elementwise.h"

namespace linnet::cpu::onednn {
namespace {

class WithEpilogue final : public Prepared {
 public:
  WithEpilogue(std::unique_ptr<Prepared> product, ElementwiseEpilogue epilogue)
      : product_(std::move(product)), epilogue_(std::move(epilogue)) {
    implementation_ = product_->implementation() + "+";
    implementation_ += name_of(epilogue_.activation);
  }

  size_t workspace_bytes() const override { return product_->workspace_bytes(); }

  void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
               void* workspace) const override {
    const ElementwiseEpilogue& e = epilogue_;
    product_->execute(inputs.first(inputs.size() - e.has_residual), outputs, workspace);
    const Operand result{outputs[0], e.strides.data()};
    const Destination destination{outputs[0], e.strides.data()};
    elementwise(e.activation, e.dtype, {}, e.shape, {&result, 1}, destination);
    if (!e.has_residual) return;
    const Operand terms[] = {result, {inputs.back(), e.strides.data()}};
    elementwise(ScalarOp::kAdd, e.dtype, {}, e.shape, terms, destination);
  }

 private:
  std::unique_ptr<Prepared> product_;
  ElementwiseEpilogue epilogue_;
};

}  // namespace

std::unique_ptr<Prepared> with_epilogue(std::unique_ptr<Prepared> product,
                                        ElementwiseEpilogue epilogue) {
  return std::make_unique<WithEpilogue>(std::move(product), std::move(epilogue));
}

}  // namespace linnet::cpu::onednn
