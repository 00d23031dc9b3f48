// Each instruction set in a process of its own, since it can be chosen once.
#include "linnet/instruction_set.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "linnet/error.h"
#include "linnet/ops.h"
#include "linnet/random.h"

extern char** environ;

namespace linnet::instruction_set_test {
namespace {

constexpr const char* kResults = "LINNET_TEST_INSTRUCTION_SET_RESULTS";
constexpr const char* kEarly = "LINNET_TEST_INSTRUCTION_SET_EARLY";

/// The bits of sums whose order depends on the width of vectors.
std::string bits_of_results() {
  const Tensor x = random::normal(Key(3), {37, 211});
  std::string bytes;
  for (const Tensor& y : {sum(x), sum(x, 1), softmax(x), matmul(x, x.T()), exp(x)}) {
    for (float value : y.to_vector<float>())
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return std::to_string(std::hash<std::string>{}(bytes));
}

TEST(InstructionSet, child) {
  const char* path = std::getenv(kResults);
  if (!path) GTEST_SKIP() << "runs in the processes that the other tests start";
  std::ofstream out(path);
  try {
    if (std::getenv(kEarly)) set_instruction_set(InstructionSet::kBaseline);
    out << name_of(instruction_set()) << '\n' << bits_of_results();
    const InstructionSet other = instruction_set() == InstructionSet::kBaseline
                                     ? InstructionSet::kAvx2
                                     : InstructionSet::kBaseline;
    EXPECT_THROW(set_instruction_set(other), ValueError);
  } catch (const ValueError& error) {
    out << error.what();
  }
}

/// The first line that the child wrote, and the rest.
struct Answer {
  std::string first, rest;
};

Answer ask(const std::string& set, bool early = false) {
  const std::string path =
      ::testing::TempDir() + "linnet-instruction-set-" + std::to_string(::getpid());
  std::vector<std::string> added = {std::string(kResults) + "=" + path,
                                    "LINNET_INSTRUCTION_SET=" + set};
  if (early) added.push_back(std::string(kEarly) + "=1");
  std::vector<char*> environment;
  for (std::string& entry : added) environment.push_back(entry.data());
  for (char** entry = environ; *entry; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  const char* arguments[] = {"child", "--gtest_filter=InstructionSet.child", "--gtest_brief=1",
                             nullptr};
  pid_t process = 0;
  EXPECT_EQ(::posix_spawn(&process, "/proc/self/exe", nullptr, nullptr,
                          const_cast<char* const*>(arguments), environment.data()),
            0);
  int status = 0;
  ::waitpid(process, &status, 0);
  EXPECT_EQ(status, 0);
  std::ifstream in(path);
  Answer answer;
  std::getline(in, answer.first);
  std::ostringstream rest;
  rest << in.rdbuf();
  answer.rest = rest.str();
  ::unlink(path.c_str());
  return answer;
}

TEST(InstructionSet, R_033_environment_fixes_the_set_and_the_bits) {
  const InstructionSet widest = instruction_set();
  for (InstructionSet set :
       {InstructionSet::kBaseline, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    const Answer answer = ask(std::string(name_of(set)));
    if (set > widest) {
      EXPECT_NE(answer.first.find("the widest set of this processor is"), std::string::npos)
          << answer.first;
      continue;
    }
    EXPECT_EQ(answer.first, name_of(set));
    EXPECT_EQ(answer.rest, ask(std::string(name_of(set))).rest);
    if (set == widest) {
      EXPECT_EQ(answer.rest, bits_of_results());
    }
  }
  // Vectors of four and of more lanes do not add in the same order.
  if (widest != InstructionSet::kBaseline) {
    EXPECT_NE(ask("baseline").rest, bits_of_results());
  }
}

TEST(InstructionSet, R_033_can_be_set_by_the_program) {
  const Answer answer = ask("", true);
  EXPECT_EQ(answer.first, "baseline");
  EXPECT_EQ(answer.rest, ask("baseline").rest);
}

TEST(InstructionSet, R_033_wrong_names_and_late_calls_are_errors) {
  EXPECT_EQ(ask("sse9").first,
            "LINNET_INSTRUCTION_SET: expected baseline, avx2 or avx512, got 'sse9'");
  bits_of_results();  // kernels have run
  const InstructionSet other = instruction_set() == InstructionSet::kBaseline
                                   ? InstructionSet::kAvx512
                                   : InstructionSet::kBaseline;
  EXPECT_THROW(set_instruction_set(other), ValueError);
}

}  // namespace
}  // namespace linnet::instruction_set_test
