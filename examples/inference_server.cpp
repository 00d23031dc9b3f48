// An inference server inside a process: clients put single requests into a queue, and workers take
// them out in batches. All workers share one const model and one compiled program.
//
//   inference_server [requests per client]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "linnet/linnet.h"

using namespace linnet;
using namespace std::chrono_literals;

constexpr int64_t kFeatures = 64, kClasses = 10, kLargestBatch = 8;

struct Model {
  nnx::Linear up, middle, down;
  explicit Model(nnx::Rngs& rngs)
      : up(kFeatures, 512, rngs), middle(512, 512, rngs), down(512, kClasses, rngs) {}
  LINNET_FIELDS(up, middle, down)
  // Const: it writes nothing, so any number of threads may call it.
  Tensor operator()(const Tensor& x) const { return softmax(down(relu(middle(relu(up(x)))))); }
};

class Server {
 public:
  Server(const Model& model, int workers) : model_(model) {
    // Traced before the first request: a client should not wait for the compiler.
    forward_(model_, zeros(kLargestBatch, kFeatures));
    for (int i = 0; i < workers; ++i) {
      workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    }
  }
  /// Answers what is in the queue, then ends.
  ~Server() {
    for (std::jthread& worker : workers_) worker.request_stop();
  }

  /// x: f32 [features] -> f32 [classes].
  /// @throws ShapeError here, so that one bad request spoils no batch of good ones.
  std::future<Tensor> submit(Tensor x) {
    if (x.shape() != Shape{kFeatures}) {
      throw ShapeError("submit: expected f32[64], got " + to_string(x.type()));
    }
    Request request{std::move(x), {}};
    std::future<Tensor> answer = request.answer.get_future();
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(request));
    }
    arrived_.notify_one();
    return answer;
  }

  int64_t batches() const { return batches_; }

 private:
  struct Request {
    Tensor x;
    std::promise<Tensor> answer;
  };

  /// Up to a full batch. Empty if another worker was faster, or if the server ends.
  std::vector<Request> take(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, stop, [&] { return !queue_.empty(); });
    // A short wait for company: a batch costs hardly more than one request.
    arrived_.wait_for(lock, stop, 200us, [&] { return queue_.size() >= kLargestBatch; });
    const auto count = static_cast<int64_t>(std::min<size_t>(queue_.size(), kLargestBatch));
    std::vector<Request> batch(std::make_move_iterator(queue_.begin()),
                               std::make_move_iterator(queue_.begin() + count));
    queue_.erase(queue_.begin(), queue_.begin() + count);
    return batch;
  }

  void work(const std::stop_token& stop) {
    for (std::vector<Request> batch = take(stop); !batch.empty() || !stop.stop_requested();
         batch = take(stop)) {
      if (!batch.empty()) answer(batch);
    }
  }

  void answer(std::vector<Request>& batch) {
    try {
      std::vector<Tensor> rows;
      for (const Request& request : batch) rows.push_back(request.x);
      // Filled up to one size, so that there is one program.
      const Tensor x = stack(rows);
      const Tensor y = forward_(model_, pad(x, {{0, kLargestBatch - x.shape(0)}, {0, 0}}));
      rows.clear();
      for (int64_t i = 0; i < x.shape(0); ++i) rows.push_back(y[i]);
      ++batches_;
      // Nothing fails from here on, so that every request gets one answer.
      for (size_t i = 0; i < batch.size(); ++i) batch[i].answer.set_value(rows[i]);
    } catch (...) {
      for (Request& request : batch) request.answer.set_exception(std::current_exception());
    }
  }

  const Model& model_;
  const std::function<Tensor(const Model&, const Tensor&)> forward_ =
      jit([](const Model& model, const Tensor& x) { return model(x); });
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Request> queue_;
  std::atomic<int64_t> batches_ = 0;
  std::vector<std::jthread> workers_;  // last: they end before what they use
};

int main(int argc, char** argv) {
  const int requests = argc > 1 ? std::atoi(argv[1]) : 2000;
  constexpr int64_t kClients = 16;
  nnx::Rngs rngs(0);
  const Model model(rngs);

  Server server(model, 2);
  std::atomic<int64_t> wrong = 0;
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> clients;
    for (int64_t client = 0; client < kClients; ++client) {
      clients.emplace_back([&, client] {
        const Tensor inputs = random::normal(Key(client), {requests, kFeatures});
        const Tensor expected = model(inputs);
        for (int64_t i = 0; i < requests; ++i) {
          const Tensor answer = server.submit(inputs[i]).get();
          if (max(abs(answer - expected[i])).item<float>() > 1e-5f) ++wrong;
        }
      });
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const double answered = static_cast<double>(kClients * requests);
  std::printf(
      "%.0f requests of %lld clients in %.2f s: %.0f a second, %.1f in a batch, %lld wrong\n",
      answered, static_cast<long long>(kClients), seconds.count(), answered / seconds.count(),
      answered / static_cast<double>(server.batches()), static_cast<long long>(wrong.load()));

  bool refused = false;
  try {
    server.submit(zeros(kFeatures + 1));
  } catch (const ShapeError& error) {
    refused = true;
    std::printf("refused: %s\n", error.what());
  }
  return wrong == 0 && refused ? 0 : 1;
}
