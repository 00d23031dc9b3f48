#include "linnet/io/async_checkpoint.h"

#include <exception>
#include <thread>

#include "linnet/detail/log.h"

namespace linnet {

struct AsyncCheckpointer::State {
  explicit State(FileSystem& system) : file_system(system) {}
  FileSystem& file_system;
  std::thread thread;
  std::exception_ptr error;  ///< of the thread; read after it has ended

  void join() {
    if (thread.joinable()) thread.join();
  }
};

AsyncCheckpointer::AsyncCheckpointer(FileSystem& file_system)
    : state_(std::make_unique<State>(file_system)) {}

AsyncCheckpointer::~AsyncCheckpointer() {
  state_->join();
  if (!state_->error) return;
  try {
    std::rethrow_exception(state_->error);
  } catch (const std::exception& e) {
    log_warning(std::string("a checkpoint was not written: ") + e.what());
  } catch (...) {
  }
}

void AsyncCheckpointer::wait() {
  state_->join();
  if (state_->error) std::rethrow_exception(std::exchange(state_->error, nullptr));
}

void AsyncCheckpointer::begin(const std::string& directory,
                              std::vector<std::pair<std::string, Tensor>> leaves, Json manifest) {
  wait();
  for (auto& [path, tensor] : leaves) {
    // Shares the memory where it is dense and of the host; who holds it is not alone with it, so
    // that nobody computes in place.
    const HostArray array = to_host_array(tensor);
    tensor = from_external(array.data, array.dtype, array.shape, array.owner);
  }
  state_->thread = std::thread([state = state_.get(), directory, leaves = std::move(leaves),
                                manifest = std::move(manifest)]() mutable {
    try {
      detail::save_leaves(directory, leaves, std::move(manifest), state->file_system);
    } catch (...) {
      state->error = std::current_exception();
    }
    leaves.clear();
  });
}

}  // namespace linnet
