// Traces of time, memory by module, and the first NaN.
#include "linnet/profile.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "linnet/core.h"
#include "linnet/debug.h"
#include "linnet/io/json.h"
#include "linnet/module_path.h"
#include "tests/core/core_support.h"

namespace linnet::profile_test {
namespace {

std::string trace_path() { return ::testing::TempDir() + "linnet_profile_test.json"; }

struct Row {
  std::string category, name, module, types;
};

/// The events of the file, which must be whole.
std::vector<Row> events() {
  std::ifstream file(trace_path());
  std::stringstream text;
  text << file.rdbuf();
  const Json json = Json::parse(text.str());
  std::vector<Row> out;
  for (const Json& each : json.as_array()) {
    if (each.at("ph").as_string() != "X") continue;
    EXPECT_GE(each.at("dur").as_double(), 0);
    const auto fact = [&](const char* key) {
      const Json* found = each.at("args").find(key);
      return found ? found->as_string() : std::string();
    };
    out.push_back(
        {each.at("cat").as_string(), each.at("name").as_string(), fact("module"), fact("types")});
  }
  return out;
}

size_t count(const std::vector<Row>& rows, const std::string& category, const std::string& name) {
  return static_cast<size_t>(std::count_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.category == category && row.name == name;
  }));
}
const Row& only(const std::vector<Row>& rows, const std::string& category,
                const std::string& name) {
  EXPECT_EQ(count(rows, category, name), 1u) << category << " " << name;
  static const Row none;
  for (const Row& row : rows) {
    if (row.category == category && row.name == name) return row;
  }
  return none;
}

Tensor model(const Tensor& x, const Tensor& w) {
  const ModulePathScope outer("model");
  Tensor h = [&] {
    const ModulePathScope inner("head");
    return matmul(x, w);
  }();
  return sort(exp(sort(h) * 2.f + 1.f));
}

TEST(Profile, J_096_traces_eager_operations_and_steps_of_programs) {
  const Tensor x = ones({2, 3}), w = ones({3, 4});
  const auto step =
      jit([](const Tensor& x, const Tensor& w) { return model(x, w); }, {.name = "my \"step\""});
  profile::start_trace(trace_path());
  {
    const profile::Span span("a span");
    model(x, w);
  }
  profile::write_trace();
  {
    const std::vector<Row> rows = events();
    const Row& product = only(rows, "eager", "dot_general");
    EXPECT_EQ(product.module, "model/head");
    EXPECT_EQ(product.types, "f32[2,3], f32[3,4]");
    EXPECT_EQ(only(rows, "eager", "exp").module, "model");
    only(rows, "user", "a span");
  }
  for (int i = 0; i < 3; ++i) step(x, w);
  profile::stop_trace();
  step(x, w);  // no longer seen
  const std::vector<Row> rows = events();
  EXPECT_EQ(count(rows, "call", "my \"step\""), 3u);
  for (const char* phase : {"trace my \"step\"", "optimize", "prepare"})
    EXPECT_EQ(count(rows, "compile", phase), 1u) << phase;
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(),
                          [](const Row& row) {
                            return row.category == "step" && row.name.starts_with("dot");
                          }),
            3);
  EXPECT_EQ(count(rows, "step", "sort"), 6u);
  const auto fused = std::find_if(rows.begin(), rows.end(), [](const Row& row) {
    return row.category == "step" && row.name.find("exp") != std::string::npos;
  });
  ASSERT_NE(fused, rows.end());
  EXPECT_EQ(fused->module, "model");
  EXPECT_NE(fused->types.find("-> f32[2,4]"), std::string::npos) << fused->types;
  std::remove(trace_path().c_str());
  EXPECT_THROW(profile::start_trace("/no/such/folder/trace.json"), IoError);
}

TEST(Profile, traced_programs_give_the_same_values) {
  const auto loop = jit([](const Tensor& w) {
    const auto turn = [&](const Tensor& c, const Tensor& x) {
      const Tensor next = cond(
          x < 1.f, [](const Tensor& c) { return sin(c); }, [](const Tensor& c) { return c * 2.f; },
          c);
      return std::pair(next * w, next);
    };
    return scan(turn, ones({3}), arange(0., 3.)).second;
  });
  const std::string expected = to_string(loop(Tensor(0.5f)));
  profile::start_trace(trace_path());
  EXPECT_EQ(to_string(loop(Tensor(0.5f))), expected);
  profile::stop_trace();
  EXPECT_EQ(count(events(), "step", "scan"), 1u);
  EXPECT_EQ(count(events(), "step", "cond"), 3u);
  std::remove(trace_path().c_str());
  const debug::NanChecks checks;
  EXPECT_EQ(to_string(loop(Tensor(0.5f))), expected);
}

std::string nan_message(const std::function<void()>& f) {
  try {
    f();
  } catch (const NanError& error) {
    return error.what();
  }
  return "none";
}

TEST(Profile, J_096_first_nan_is_named_in_both_modes) {
  const auto f = [](const Tensor& x) {
    const ModulePathScope outer("model");
    const Tensor y = x * 2.f;
    const ModulePathScope inner("head");
    const Tensor z = log(y);
    return where(z == z, z, zeros_like(z)) + 1.f;  // hides it from the result
  };
  const auto loop = [](const Tensor& x) {
    return scan(
               [](const Tensor& c, const Tensor& x) {
                 const ModulePathScope inside("turn");
                 return std::pair(c + sqrt(x), c);
               },
               0.f, x)
        .first;
  };
  const auto branch = [](const Tensor& x) {
    return while_loop([](const Tensor& c) { return c < 3.f; },
                      [](const Tensor& c) {
                        return cond(
                            c > 1.f, [](const Tensor& c) { return log(1.f - c); },
                            [](const Tensor& c) { return c + 1.f; }, c);
                      },
                      sum(x));
  };
  const Tensor bad = tensor({1.f, -1.f, 2.f});
  const auto run = [](auto f, const Tensor& x) {
    const std::string eager = nan_message([&] { f(x); });
    const auto compiled = jit([=](const Tensor& x) { return f(x); });
    EXPECT_EQ(nan_message([&] { compiled(x); }), eager);
    return eager;
  };
  EXPECT_EQ(run(f, bad), "none");
  {
    const debug::NanChecks checks;
    EXPECT_EQ(run(f, bad),
              "log: NaN at [1] of result 0: (f32[3]) -> f32[3]\n"
              "  no operand has a NaN: it arises here\n  in model/head");
    const std::string in_loop = run(loop, bad);
    EXPECT_TRUE(in_loop.starts_with("sqrt: NaN at [] of result 0: (f32[]) -> f32[]\n")) << in_loop;
    EXPECT_TRUE(in_loop.ends_with("\n  in turn")) << in_loop;
    EXPECT_TRUE(run(branch, bad).starts_with("log: NaN at [] of result 0"));
    EXPECT_EQ(run(f, tensor({1.f, 3.f})), "none");
    // The backward pass: sqrt'(0) is infinite, and 0 * inf is not a number.
    const std::string back =
        run(grad([](const Tensor& x) { return sum(sqrt(x * 0.f)); }), tensor({1.f}));
    EXPECT_TRUE(back.starts_with("mul: NaN at [0]")) << back;
    const debug::NanChecks off(false);
    EXPECT_EQ(run(f, bad), "none");
  }
  const debug::NanChecks checks;
  const std::string line = nan_message([] {
    const debug::Here here;
    log(Tensor(-1.f) * ones({2}));
  });
  EXPECT_NE(line.find("in profile_test.cpp:"), std::string::npos) << line;
  const std::string came =
      nan_message([] { add(tensor({1.f}), tensor({std::numeric_limits<float>::quiet_NaN()})); });
  EXPECT_NE(came.find("add: NaN at [0] of result 0: (f32[1], f32[1]) -> f32[1]\n  it came with "
                      "operand 1"),
            std::string::npos)
      << came;
}

/// For a process of its own, whose environment says what is looked for.
TEST(ProfileChild, DISABLED_makes_a_nan) {
  try {
    log(tensor({1.f, -1.f}));
    std::puts("nothing was said");
  } catch (const Error& error) {
    std::puts(error.what());
  }
}

/// What that process prints.
std::string output_with(const std::string& variable) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = variable + " '" + program +
                              "' --gtest_filter='ProfileChild.*' "
                              "--gtest_also_run_disabled_tests 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  char part[256];
  while (pipe && std::fgets(part, sizeof part, pipe)) text += part;
  EXPECT_TRUE(pipe && pclose(pipe) == 0) << command << "\n" << text;
  return text;
}

TEST(Profile, J_096_variables_of_the_environment_are_read) {
  const std::string quiet = output_with("LINNET_DEBUG_NANS=0");
  EXPECT_NE(quiet.find("nothing was said"), std::string::npos) << quiet;
  const std::string found = output_with("LINNET_DEBUG_NANS=1");
  EXPECT_NE(found.find("log: NaN at [1] of result 0: (f32[2]) -> f32[2]"), std::string::npos)
      << found;
  output_with("LINNET_TRACE='" + trace_path() + "'");
  EXPECT_EQ(only(events(), "eager", "log").types, "f32[2]");
  std::remove(trace_path().c_str());
  const std::string refused = output_with("LINNET_TRACE=/no/such/folder/trace.json");
  EXPECT_NE(refused.find("LINNET_TRACE: "), std::string::npos) << refused;
  EXPECT_NE(refused.find("nothing was said"), std::string::npos) << refused;
}

TEST(Profile, memory_by_module) {
  const profile::MemoryRecord record;
  const auto of = [&](const std::string& path) {
    for (const profile::ModuleMemory& each : record.modules())
      if (each.path == path) return each;
    return profile::ModuleMemory{};
  };
  Tensor kept;
  {
    const ModulePathScope path("encoder");
    kept = ones({1000});
    const Tensor passing = exp(zeros({3000}));
  }
  EXPECT_GE(of("encoder").live_bytes, 4000u);
  EXPECT_LT(of("encoder").live_bytes, 12000u);
  EXPECT_EQ(of("encoder").live_blocks, 1u);
  EXPECT_GE(of("encoder").peak_bytes, 16000u);
  EXPECT_NE(record.text().find("encoder"), std::string::npos);
  {
    const profile::MemoryRecord later;  // peaks begin anew
    EXPECT_EQ(of("encoder").peak_bytes, of("encoder").live_bytes);
  }
  kept = Tensor();
  EXPECT_EQ(of("encoder").live_bytes, 0u);
  EXPECT_EQ(of("decoder").peak_bytes, 0u);
}

}  // namespace
}  // namespace linnet::profile_test
