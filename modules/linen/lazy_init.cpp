#include "linnet/linen/lazy_init.h"

#include "linnet/detail/format.h"
#include "linnet/detail/known_results.h"
#include "linnet/linen/errors.h"

namespace linnet::linen::detail {

TensorList lazy_results(const TensorList& inputs,
                        const std::function<TensorList(const TensorList&)>& f,
                        const std::function<std::vector<std::string>()>& paths) {
  TypeList unknown;
  for (const Tensor& input : inputs) {
    if (linnet::detail::is_abstract(input)) unknown.push_back(input.type());
  }
  TensorList results =
      linnet::detail::known_results("lazy_init", unknown, [&](const TensorList& operands) {
        TensorList all = inputs;
        size_t next = 0;
        for (Tensor& input : all) {
          if (linnet::detail::is_abstract(input)) input = operands[next++];
        }
        return f(all);
      });
  std::string dependent;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].defined()) dependent += (dependent.empty() ? "" : ", ") + paths()[i];
  }
  if (!dependent.empty()) {
    fail<LazyInitError>(
        "LazyInitError: the value of {} depends on an argument of which only the type is known\n"
        "  hint: pass that argument as a tensor with values",
        dependent);
  }
  return results;
}

}  // namespace linnet::linen::detail
