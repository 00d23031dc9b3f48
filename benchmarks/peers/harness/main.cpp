// PROGRAM GROUP [VARIANTS]: sets up the cases of a group ("a+b" takes two; a work's name takes
// that), then measures them on command. One JSON object a line on standard output:
//
//   {"event": "ready", "work": …, "variant": …, "check": …, "first_s": …}     or "failed" with
//   "error"
//   {"event": "done", "rss_kb": …}                                            all are set up
//   {"event": "result", "ns": […], "cpu_ns": […], …}      after a line "go WORK VARIANT
//   MIN_SECONDS"
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "benchmarks/peers/harness/cases.h"

namespace {

using peers::Case;
using peers::seconds_now;
using peers::Work;

/// A first call that takes longer than this is a sample: the case is warm enough by its set-up.
constexpr double kSlowFirst = 3, kSlow = 0.25;
/// Shorter calls are measured in batches of about kBatch seconds.
constexpr double kShort = 0.002, kProbe = 0.0005, kBatch = 0.005;

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::string number(double value) {
  if (std::isnan(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// `text` inside quotation marks of JSON.
std::string escaped(std::string text) {
  for (char& c : text)
    if (c == '"' || c == '\\' || c == '\n') c = ' ';
  return text;
}

/// Not ru_maxrss, which begins at what the parent had.
int64_t peak_kb() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t value = 0;
  while (status >> word)
    if (word == "VmHWM:") {
      status >> value;
      break;
    }
  return value;
}

struct Samples {
  std::vector<double> wall, cpu;

  /// Runs `count` calls and keeps their mean; gives the seconds of one.
  double take(const Work& work, int64_t count) {
    const double cpu_begin = cpu_seconds(), begin = seconds_now();
    work.run(count);
    const double one = (seconds_now() - begin) / static_cast<double>(count);
    wall.push_back(one);
    cpu.push_back((cpu_seconds() - cpu_begin) / static_cast<double>(count));
    return one;
  }
};

double seconds_of(const Work& work, int64_t count) {
  const double begin = seconds_now();
  work.run(count);
  return seconds_now() - begin;
}

Samples measure(Work& work, double min_seconds) {
  Samples samples;
  // The first call of all may touch fresh memory, which is dear on a virtual machine.
  if (std::exchange(work.fresh, false)) {
    if (samples.take(work, 1) > kSlowFirst) return samples;
    samples = {};
  }
  double once = samples.take(work, 1);
  if (once > kSlow) return samples;
  samples = {};
  int64_t count = 1;
  if (once < kShort) {
    const int64_t probe = std::max<int64_t>(1, std::llround(kProbe / std::max(once, 1e-9)));
    once = seconds_of(work, probe) / static_cast<double>(probe);
    count = std::max<int64_t>(1, std::llround(kBatch / std::max(once, 1e-9)));
  }
  const size_t least = once > 0.05 ? 1 : 3;
  const double begin = seconds_now();
  do samples.take(work, count);
  while (seconds_now() - begin < min_seconds || samples.wall.size() < least);
  return samples;
}

std::string nanoseconds(const std::vector<double>& seconds) {
  std::string out = "[";
  for (const double value : seconds) out += (out.size() > 1 ? "," : "") + number(value * 1e9);
  return out + "]";
}

/// Whether `name` is one of the words of `list`.
bool lists(const std::string& list, char separator, const std::string& name) {
  return (separator + list + separator).find(separator + name + separator) != std::string::npos;
}

using Works = std::map<std::pair<std::string, std::string>, Work>;

void set_up(const Case& c, Works& works) {
  std::string error;
  try {
    const Work& work = works[{c.work, c.variant}] = c.set_up();
    std::printf(R"({"event":"ready","work":"%s","variant":"%s","check":%s,"first_s":%s})"
                "\n",
                c.work.c_str(), c.variant.c_str(), number(work.check).c_str(),
                number(work.first_seconds).c_str());
  } catch (const std::exception& e) {
    works.erase({c.work, c.variant});
    std::printf(R"({"event":"failed","work":"%s","variant":"%s","error":"%s"})"
                "\n",
                c.work.c_str(), c.variant.c_str(), escaped(e.what()).c_str());
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string group = argc > 1 ? argv[1] : "all", variants = argc > 2 ? argv[2] : "";
  const char* threads = std::getenv("OMP_NUM_THREADS");
  peers::use_threads(threads ? std::max(1, std::atoi(threads)) : 1);
  peers::Cases cases;
  peers::add_cases(cases);
  Works works;
  for (const Case& c : cases.all()) {
    const bool chosen = group == "all" || lists(group, '+', c.group) || lists(group, '+', c.work);
    if (chosen && (variants.empty() || lists(variants, ',', c.variant))) set_up(c, works);
  }
  std::printf("{\"event\":\"done\",\"rss_kb\":%ld}\n", static_cast<long>(peak_kb()));
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string command, work, variant;
    double min_seconds = 0;
    in >> command >> work >> variant >> min_seconds;
    if (command != "go") break;
    const Samples samples = measure(works.at({work, variant}), min_seconds);
    std::printf("{\"event\":\"result\",\"rss_kb\":%ld,\"ns\":%s,\"cpu_ns\":%s}\n",
                static_cast<long>(peak_kb()), nanoseconds(samples.wall).c_str(),
                nanoseconds(samples.cpu).c_str());
    std::fflush(stdout);
  }
  // Destroying gigabytes of a library that keeps its blocks takes time and tells nothing.
  _exit(0);
}
