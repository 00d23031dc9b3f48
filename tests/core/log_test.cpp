// Log lines: topics, sinks, and sinks that use the library.
#include "linnet/detail/log.h"
#include "linnet/log.h"
#include "tests/core/core_support.h"

namespace linnet::log_test {
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
  EXPECT_EQ(capture.lines[0], "jit: function#1: traced 3 nodes, 1 inputs, 1 outputs");
}

TEST(Log, jit_says_why_it_traces_again) {
  Capture capture("jit");
  struct Batch {
    Tensor image;
    std::map<std::string, std::vector<Tensor>> more;
  };
  const auto f = jit(
      [](const Batch& b, double rate, bool train, const std::string& mode) {
        return sum(b.image) * rate * (train ? 1 : 2) * (mode == "a" ? 1 : 2);
      },
      {.name = "step"});
  const auto last = [&] {
    const std::string line = capture.lines.back();
    return line.substr(line.find("outputs") + 7);
  };
  f({zeros({32, 4}), {}}, 0.5, true, "a");
  EXPECT_EQ(last(), "");
  EXPECT_EQ(capture.lines.back().find("jit: step#1: traced"), 0u) << capture.lines.back();
  f({zeros({17, 4}), {}}, 0.5, true, "a");
  EXPECT_EQ(last(), "; argument 0: 0: f32[32,4] -> f32[17,4]");
  f({zeros({17, 4}), {}}, 0.25, false, "b");
  EXPECT_EQ(last(),
            "; argument 1: 0.5 (double) -> 0.25 (double); argument 2: true -> false; argument 3: "
            "'a' -> 'b'");
  f({zeros({17, 4}), {{"x", {zeros({1})}}}}, 0.25, false, "b");
  EXPECT_EQ(last(), "; argument 0: 1/x/0: new, f32[1]");
  f({zeros({17, 4}), {}}, 0.5, false, "b");
  EXPECT_EQ(last(),
            "; argument 1: 0.25 (double) -> 0.5 (double); argument 0: 1/x/0: gone, was f32[1]");
  f({zeros({17, 4}), {}}, 0.5, false, "b");
  EXPECT_EQ(capture.lines.size(), 5u);
  EXPECT_EQ(capture.lines.back().find("jit: step#5: traced"), 0u) << capture.lines.back();
}

TEST(Log, R_059_a_leaf_that_causes_trace_after_trace_is_named_in_a_warning) {
  Capture capture("warning");
  const auto f = jit([](const Tensor& x, double rate) { return x * rate; }, {.name = "step"});
  for (int i = 0; i < 8; ++i) f(zeros({2}), 0.5 * i);
  EXPECT_TRUE(capture.lines.empty()) << "seven changes";
  for (int i = 8; i < 20; ++i) f(zeros({2}), 0.5 * i);
  ASSERT_EQ(capture.lines.size(), 1u) << "once";
  EXPECT_EQ(capture.lines[0],
            "warning: jit: step#9 was traced again 8 times because argument 1 changed, now 4 "
            "(double)\n"
            "  hint: every value of a C++ number is a program of its own: pass a Tensor");
  for (int n = 1; n < 10; ++n) f(zeros({n}), 0);
  ASSERT_EQ(capture.lines.size(), 2u);
  EXPECT_NE(capture.lines[1].find("because argument 0 changed, now f32[9]"), std::string::npos)
      << capture.lines[1];
  const auto of_tensors = jit([](const Tensor& x, const Tensor& rate) { return x * rate; });
  for (int i = 0; i < 20; ++i) of_tensors(zeros({2}), 0.5 * i);
  EXPECT_EQ(of_tensors.trace_count(), 1u);
  EXPECT_EQ(capture.lines.size(), 2u);
}

TEST(Log, warnings_can_be_silenced) {
  Capture capture("graph");
  const auto f = jit([](const Tensor& x, int n) { return x * n; });
  for (int i = 0; i < 12; ++i) f(zeros({2}), i);
  EXPECT_EQ(capture.count("traced again"), 0u);
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
}  // namespace linnet::log_test
