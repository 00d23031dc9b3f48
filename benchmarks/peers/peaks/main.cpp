// linnet_peers_peaks THREADS: the machine's rates as one JSON object. Compiled for the processor it
// runs on; without AVX-512 the vectors are shorter, without its bf16 products that rate is null.
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

#ifdef __AVX512F__
constexpr size_t kVectorBytes = 64;
constexpr int kSums = 12;  // of 32 registers
#else
constexpr size_t kVectorBytes = 32;
constexpr int kSums = 10;  // of 16 registers
#endif
typedef float Vector __attribute__((vector_size(kVectorBytes)));
constexpr size_t kLanes = kVectorBytes / sizeof(float);

volatile float sink;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Vector all(float value) { return Vector{} + value; }

// The sums of the next two are recurrences with beginnings of their own, which no compiler can
// shorten or share. Nothing else may name them inside of the loops: they would be stored in each
// turn, and the stores be what is measured.
volatile float beginning = 0.125f;

void multiply_add(int64_t turns) {
  const Vector a = all(1.0001f), b = all(0.5f);
  Vector sums[kSums];
  for (Vector& sum : sums) sum = all(beginning);
  for (int64_t turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) sums[i] = a * sums[i] + b;  // contracted to one instruction
  }
  for (const Vector& sum : sums) sink = sink + sum[0];
}

#ifdef __AVX512BF16__
void bf16_products(int64_t turns) {
  const auto a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x3f00);
  __m512 sums[kSums];
  for (__m512& sum : sums) sum = _mm512_set1_ps(beginning);
  for (int64_t turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
  }
  for (const __m512& sum : sums) sink = sink + sum[0];
}
#endif

void copy(float* to, const float* from, size_t count) {
  for (size_t i = 0; i < count; i += kLanes)
    *reinterpret_cast<Vector*>(to + i) = *reinterpret_cast<const Vector*>(from + i);
}

/// Written past the caches.
void copy_streaming(float* to, const float* from, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) {
#ifdef __AVX512F__
    _mm512_stream_ps(to + i, _mm512_load_ps(from + i));
#else
    _mm256_stream_ps(to + i, _mm256_load_ps(from + i));
#endif
  }
  _mm_sfence();
}

void read(const float* from, size_t count) {
  Vector sums[8] = {};
  for (size_t i = 0; i < count; i += 8 * kLanes)
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; ++j)
      sums[j] += *reinterpret_cast<const Vector*>(from + i + j * kLanes);
  for (const Vector& sum : sums) sink = sink + sum[0];
}

/// In huge pages, touched.
float* block(size_t count) {
  void* memory = nullptr;
  if (posix_memalign(&memory, size_t{2} << 20, count * sizeof(float)) != 0) std::exit(1);
  madvise(memory, count * sizeof(float), MADV_HUGEPAGE);
  auto* values = static_cast<float*>(memory);
  std::fill(values, values + count, 1.f);
  return values;
}

/// Threads that wait for work by spinning, so that starting them does not show.
class Team {
 public:
  explicit Team(int count) {
    for (int i = 1; i < count; ++i) helpers_.emplace_back([this, i] { help(i); });
  }
  ~Team() {
    stop_ = true;
    for (std::thread& helper : helpers_) helper.join();
  }
  int size() const { return static_cast<int>(helpers_.size()) + 1; }

  /// Calls `job(thread)` on all, and waits.
  void run(const std::function<void(int)>& job) {
    job_ = &job;
    done_ = 0;
    ++round_;
    job(0);
    while (done_ + 1 < size()) {
    }
  }

 private:
  void help(int thread) {
    int last = 0;
    while (!stop_) {
      if (round_ == last) continue;
      last = round_;
      (*job_)(thread);
      ++done_;
    }
  }

  const std::function<void(int)>* job_ = nullptr;
  std::atomic<int> round_{0}, done_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> helpers_;
};

/// Best rate in 1e9 a second, where each thread does `amount` of work.
double best(Team& team, double amount, const std::function<void(int)>& job) {
  constexpr int kLeast = 5;
  constexpr double kSeconds = 0.25;
  double least = 1e9;
  const double begin = seconds_now();
  for (int i = 0; i < kLeast || seconds_now() - begin < kSeconds; ++i) {
    const double start = seconds_now();
    team.run(job);
    least = std::min(least, seconds_now() - start);
  }
  return amount * team.size() / least / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  Team team(argc > 1 ? std::max(1, std::atoi(argv[1])) : 1);
  const auto threads = static_cast<size_t>(team.size());
  constexpr int64_t kTurns = 500'000;
  const double f32 = best(team, 2.0 * kTurns * kSums * kLanes, [](int) { multiply_add(kTurns); });
  std::string bf16 = "null";
#ifdef __AVX512BF16__
  bf16 =
      std::to_string(best(team, 4.0 * kTurns * kSums * kLanes, [](int) { bf16_products(kTurns); }));
#endif
  const size_t count = size_t{32} << 20, part = count / threads / 128 * 128;  // 128 MB each
  float *a = block(count), *b = block(count);
  const auto bytes = static_cast<double>(part * sizeof(float));
  const auto at = [&](float* base, int thread) {
    return base + static_cast<size_t>(thread) * part;
  };
  const double plain = best(team, 2 * bytes, [&](int t) { copy(at(b, t), at(a, t), part); });
  const double streaming =
      best(team, 2 * bytes, [&](int t) { copy_streaming(at(b, t), at(a, t), part); });
  const double reading = best(team, bytes, [&](int t) { read(at(a, t), part); });
  // As much in all as the works of 256k numbers: 1 MB from, 1 MB to.
  constexpr int kCopies = 20;
  const size_t small = 262'144 / threads / 128 * 128;
  const double in_cache =
      best(team, 2.0 * kCopies * static_cast<double>(small * sizeof(float)), [&](int t) {
        for (int i = 0; i < kCopies; ++i) {
          copy(b + static_cast<size_t>(t) * small, a + static_cast<size_t>(t) * small, small);
          asm volatile("" ::: "memory");
        }
      });
  std::printf(
      "{\"threads\":%d,\"f32_gfs\":%.1f,\"bf16_gfs\":%s,\"copy_gbs\":%.1f,\"streaming_gbs\":%.1f,"
      "\"read_gbs\":%.1f,\"cache_gbs\":%.1f}\n",
      team.size(), f32, bf16.c_str(), plain, streaming, reading, in_cache);
}
