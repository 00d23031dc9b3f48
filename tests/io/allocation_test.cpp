// Files when memory runs out: every allocation of reading and writing fails in turn, and no file
// can make its reader ask for much more than it holds.
#include <gtest/gtest.h>

#include <functional>

#include "linnet/core.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/npy.h"
#include "linnet/io/safetensors.h"
#include "tests/failures/allocation_hook.h"
#include "tests/fuzz/entry_points.h"
#include "tests/io/faulty_file_system.h"
#include "tests/io/io_test_utils.h"

namespace linnet::allocation_test {
namespace {

using testing::CountedAllocations;
using testing::FailingAllocations;
using testing::FaultyFileSystem;
using testing::TemporaryDirectory;

/// Runs `action` with its first, second, ... allocation failing until it succeeds; `check` looks at
/// what is left after each failure. Gives the number of failures.
int64_t fail_every_allocation(const std::function<void()>& action,
                              const std::function<void()>& check) {
  int64_t failures = 0;
  for (bool persistent : {false, true}) {
    for (int64_t allowed = 0;; ++allowed) {
      bool has_failed = false;
      try {
        const FailingAllocations failing(allowed, persistent);
        action();
        has_failed = FailingAllocations::happened();
      } catch (const std::bad_alloc&) {
        has_failed = true;
      } catch (const Error&) {
        has_failed = FailingAllocations::happened();
        EXPECT_TRUE(has_failed) << "an error without a failed allocation";
      }
      if (!has_failed) break;
      ++failures;
      check();
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << "after " << allowed << " allocations"
                      << (persistent ? ", all later ones failing" : "");
        return failures;
      }
    }
  }
  return failures;
}

struct State {
  Tensor a, b;
  LINNET_FIELDS(a, b)
};

State state_of(float value) { return {full({2}, value), full({3}, value)}; }

float value_of(const State& state) {
  const auto a = state.a.to_vector<float>(), b = state.b.to_vector<float>();
  return a[0] == b[2] ? a[0] : -1;
}

TEST(FileAllocations, R_041_R_044_a_failing_save_keeps_a_checkpoint_that_loads) {
  const TemporaryDirectory root;
  const std::string here = root / "checkpoint";
  FaultyFileSystem disk;  // without real flushes
  const State before = state_of(1), after = state_of(2);
  const Json manifest = Json::Object{{"epoch", 3}, {"loss", 0.5}};
  save_checkpoint(here, before, manifest, disk);
  const int64_t failures = fail_every_allocation(
      [&] { save_checkpoint(here, after, manifest, disk); },
      [&] {
        State loaded = state_of(0);
        load_checkpoint(here, loaded);
        EXPECT_TRUE(value_of(loaded) == 1 || value_of(loaded) == 2) << value_of(loaded);
        EXPECT_FALSE(std::filesystem::exists(here + "/checkpoint.lock"));
      });
  EXPECT_GT(failures, 200);
  State loaded = state_of(0);
  load_checkpoint(here, loaded);
  EXPECT_EQ(value_of(loaded), 2);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(here), {}), 2);
}

TEST(FileAllocations, R_041_a_failing_load_changes_nothing) {
  const TemporaryDirectory root;
  save_checkpoint(root / "c", state_of(1));
  State state = state_of(7);
  float expected = 7;
  const int64_t failures = fail_every_allocation(
      [&] {
        load_checkpoint(root / "c", state);
        expected = 1;
      },
      [&] { EXPECT_EQ(value_of(state), expected); });
  EXPECT_GT(failures, 100);
  EXPECT_EQ(value_of(state), 1);
}

TEST(FileAllocations, R_041_failing_readers_and_writers_leave_files_as_they_were) {
  const TemporaryDirectory root;
  const HostArray array = host_array<float>({2, 2}, std::vector<float>{1, 2, 3, 4});
  const Json json = Json::Object{{"a", Json::Array{1, 2.5, "x"}}};
  const auto files = [&] {
    return std::vector{testing::read_text(root / "a.npy"), testing::read_text(root / "a.st"),
                       testing::read_text(root / "a.json")};
  };
  write_npy(root / "a.npy", array);
  write_safetensors(root / "a.st", {{"x", array}});
  write_json(root / "a.json", json);
  const auto before = files();
  const std::function<void()> actions[] = {
      [&] { write_npy(root / "a.npy", array); },
      [&] {
        write_safetensors(root / "a.st", {{"x", array}});
      },
      [&] { write_json(root / "a.json", json); },
      [&] { read_npy(root / "a.npy"); },
      [&] { read_safetensors(root / "a.st").array("x"); },
      [&] { read_json(root / "a.json"); },
      [&] { Json::parse("{\"a\": [1, {\"b\": \"ccccccccccccccccccccccccccccccccccc\"}]}"); }};
  for (const auto& action : actions) {
    EXPECT_GT(fail_every_allocation(action,
                                    [&] {
                                      EXPECT_EQ(files(), before);
                                      EXPECT_EQ(root.count(), 3u) << "a temporary file is left";
                                    }),
              5);
  }
}

TEST(FileAllocations, R_038_no_file_makes_its_reader_ask_for_much_more_than_it_holds) {
  int files = 0;
  for (const fuzz::Target& target : fuzz::kTargets) {
    const std::string folder = LINNET_TEST_DATA "/fuzz/corpus/" + std::string(target.name);
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      const std::string content = testing::read_text(file.path().string());
      const CountedAllocations counted;
      target.run(std::as_bytes(std::span(content)));
      // What an accepted file holds is read, copied, and written again for comparison.
      EXPECT_LE(CountedAllocations::peak_bytes(),
                8 * static_cast<int64_t>(content.size()) + (2 << 20))
          << file.path();
      ++files;
    }
  }
  EXPECT_GT(files, 40);
}

}  // namespace
}  // namespace linnet::allocation_test
