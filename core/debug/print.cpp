// debug::print: text from a format and the values of a run.
#include <fmt/args.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "core/base/fork.h"
#include "core/ops/callback.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/debug.h"
#include "linnet/detail/format.h"
#include "linnet/visit_dtype.h"

namespace linnet {
namespace {

struct Printer {
  Printer() { lock_around_fork(mutex, 0); }
  std::mutex mutex;
  std::function<void(std::string_view)> sink;
};
Printer& printer() {
  static Printer* instance = new Printer;  // never destroyed: exit handlers may run programs
  return *instance;
}

void print_line(const std::string& line) {
  std::function<void(std::string_view)> sink;
  {
    std::lock_guard lock(printer().mutex);
    sink = printer().sink;
    if (!sink) {
      std::fprintf(stdout, "%s\n", line.c_str());
      std::fflush(stdout);
    }
  }
  if (sink) sink(line);  // unlocked: it may print itself
}

using Arguments = fmt::dynamic_format_arg_store<fmt::format_context>;

void push_number(Arguments& out, const Tensor& x) {
  const Tensor host = host_view(x);
  visit_dtype(host.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T value;
    std::memcpy(&value, host.impl()->data, sizeof value);
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, float> || std::is_same_v<T, double>)
      out.push_back(value);
    else if constexpr (std::is_same_v<T, uint64_t>)
      out.push_back(static_cast<unsigned long long>(value));
    else if constexpr (std::is_integral_v<T>)
      out.push_back(static_cast<long long>(value));
    else
      out.push_back(static_cast<float>(value));
  });
}

/// What is printed: the format, and the texts among its arguments; tensors come when it runs.
struct Line {
  std::string format;
  std::vector<std::pair<bool, std::string>> arguments;  ///< whether it is a tensor; else the text

  std::string text(const TensorList& tensors) const {
    Arguments all;
    size_t next = 0;
    for (const auto& [is_tensor, text] : arguments) {
      if (!is_tensor)
        all.push_back(text);
      else if (const Tensor& x = tensors[next++]; x.rank() == 0 && !is_complex(x.dtype()))
        push_number(all, x);
      else
        all.push_back(to_string(x));
    }
    return fmt::vformat(format, all);
  }
};

/// The callback that prints a line, the same for the same line: programs are then equal, and those
/// of loops are compiled once.
std::shared_ptr<const HostCallback> printing(Line line) {
  struct Table {
    Table() { lock_around_fork(mutex, 0); }
    std::mutex mutex;
    std::map<std::pair<std::string, decltype(Line::arguments)>, std::shared_ptr<const HostCallback>>
        callbacks;
  };
  static Table* table = new Table;  // never destroyed, like the programs
  constexpr size_t kMost = 4096;
  std::lock_guard lock(table->mutex);
  if (table->callbacks.size() > kMost) table->callbacks.clear();
  auto& callback = table->callbacks[{line.format, line.arguments}];
  if (!callback) {
    callback = std::make_shared<const HostCallback>(
        HostCallback{"debug::print",
                     detail::CallbackKind::kDebug,
                     [line = std::move(line)](const TensorList& tensors) {
                       print_line(line.text(tensors));
                       return TensorList{};
                     },
                     {},
                     VmapMethod::kNone});
  }
  return callback;
}

}  // namespace

void detail::print_when_run(std::string_view format, const std::vector<PrintArgument>& arguments) {
  Line line{std::string(format), {}};
  TensorList tensors, samples;
  for (const PrintArgument& argument : arguments) {
    const bool is_tensor = !argument.is_text;
    if (is_tensor) require_defined(std::span(&argument.tensor, 1), "debug::print", "an argument");
    line.arguments.emplace_back(is_tensor, argument.text);
    if (!is_tensor) continue;
    tensors.push_back(argument.tensor);
    // The size does not matter to the format.
    const TraceScope eager(nullptr);
    const Tensor zero = scalar(0, argument.tensor.dtype());
    samples.push_back(argument.tensor.rank() == 0 ? zero : zero.reshape({1}));
  }
  try {
    line.text(samples);
  } catch (const fmt::format_error& error) {
    fail<ValueError>(
        "debug::print: '{}' does not fit {} arguments: {}\n"
        "  hint: {{}} stands for each argument; {{:.3f}} and the like for numbers only",
        format, arguments.size(), error.what());
  }
  emit_callback(printing(std::move(line)), tensors);
}

void debug::set_print_sink(std::function<void(std::string_view)> sink) {
  std::lock_guard lock(printer().mutex);
  printer().sink = std::move(sink);
}

}  // namespace linnet
