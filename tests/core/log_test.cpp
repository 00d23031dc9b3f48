// Log lines: topics, sinks, and sinks that use the library.
#include "core/base/log.h"
#include "linnet/log.h"
#include "tests/core/core_support.h"

namespace linnet {
namespace {

/// Collects lines while it lives.
class Capture {
 public:
  explicit Capture(const std::string& topics) {
    set_log_sink([this](std::string_view topic, std::string_view text) {
      lines.push_back(std::string(topic) + ": " + std::string(text));
    });
    set_log_topics(topics);
  }
  ~Capture() {
    set_log_topics("");
    set_log_sink({});
  }
  size_t count(const std::string& part) const {
    size_t n = 0;
    for (const std::string& line : lines) n += line.find(part) != std::string::npos;
    return n;
  }
  std::vector<std::string> lines;
};

TEST(Log, nothing_is_logged_unless_asked_for) {
  Capture capture("");
  (void)test::values(jit([](const Tensor& x) { return x + 1; })(zeros({3})));
  EXPECT_TRUE(capture.lines.empty());
  EXPECT_FALSE(log_enabled("jit"));
}

TEST(Log, topics_are_whole_words_of_a_list) {
  Capture capture("graph,jit");
  EXPECT_TRUE(log_enabled("graph"));
  EXPECT_TRUE(log_enabled("jit"));
  EXPECT_FALSE(log_enabled("gra"));
  EXPECT_FALSE(log_enabled("ji"));
  EXPECT_FALSE(log_enabled("kernels"));
}

TEST(Log, jit_says_when_it_traces) {
  Capture capture("jit");
  const auto f = jit([](const Tensor& x) { return sin(x) + 1; });
  f(zeros({3}));
  f(zeros({3}));
  ASSERT_EQ(capture.lines.size(), 1u);
  EXPECT_EQ(capture.lines[0], "jit: traced 3 nodes, 1 inputs, 1 outputs");
}

TEST(Log, kernels_names_the_implementation) {
  Capture capture("kernels");
  (void)test::values(zeros({7, 5}) + ones({7, 5}));
  EXPECT_GE(capture.count("add(f32[7,5], f32[7,5])"), 1u);
}

TEST(Log, graph_prints_the_optimised_program) {
  Capture capture("graph");
  jit([](const Tensor& x) { return sort(x); })(zeros({3}));
  EXPECT_EQ(capture.count("sort"), 1u);
}

TEST(Log, state_names_lifted_variables) {
  Capture capture("state");
  test::Box box(zeros({2}));
  box.cell()->label = "model/mean";
  jit([&] { return box.value() + 1; })();
  EXPECT_EQ(capture.lines, (std::vector<std::string>{"state: lift model/mean f32[2]"}));
}

TEST(Log, a_sink_may_compute_and_replace_itself) {
  int calls = 0;
  set_log_sink([&](std::string_view, std::string_view) {
    ++calls;
    set_log_topics("");
    (void)test::values(jit([](const Tensor& x) { return x * 3; })(ones({4})));
    set_log_sink({});
  });
  set_log_topics("jit");
  jit([](const Tensor& x) { return x * 2; })(ones({4}));
  EXPECT_EQ(calls, 1);
  set_log_topics("");
  set_log_sink({});
}

}  // namespace
}  // namespace linnet
