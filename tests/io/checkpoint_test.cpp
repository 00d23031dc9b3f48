// Checkpoints: what is saved loads, what does not belong together is refused by name, and whatever
// fails leaves the checkpoint before.
#include "linnet/io/checkpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "linnet/core.h"
#include "linnet/io/safetensors.h"
#include "tests/io/comma_locale.h"
#include "tests/io/faulty_file_system.h"
#include "tests/io/io_test_utils.h"
#include "tests/io/model_file_system.h"

namespace linnet::checkpoint_test {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::FaultyFileSystem;
using testing::read_text;
using testing::TemporaryDirectory;
using testing::write_text;

struct State {
  Tensor a, b;
  LINNET_FIELDS(a, b)
};

State state_of(float value) { return {full({2}, value), full({3}, value)}; }

/// The one value of all leaves, or NaN for a mixture.
float value_of(const State& state) {
  const float value = state.a.to_vector<float>()[0];
  for (const Tensor& leaf : {state.a, state.b}) {
    for (float element : leaf.to_vector<float>()) {
      if (element != value) return std::numeric_limits<float>::quiet_NaN();
    }
  }
  return value;
}

float loaded_value(const std::string& directory) {
  State state = state_of(-1);
  load_checkpoint(directory, state);
  return value_of(state);
}

std::string values_path(const std::string& directory) {
  return directory + "/" +
         read_json(directory + "/checkpoint.json").at("linnet").at("values").as_string();
}

class Checkpoint : public ::testing::Test {
 protected:
  TemporaryDirectory root_;
  std::string here_ = root_ / "checkpoint";
};

struct AllTypes {
  std::vector<Tensor> leaves;
  LINNET_FIELDS(leaves)
};

TEST_F(Checkpoint, every_type_and_layout_comes_back) {
  AllTypes saved;
  for (DType dtype : {DType::kBool, DType::kI8, DType::kU8, DType::kI16, DType::kU16, DType::kI32,
                      DType::kU32, DType::kF16, DType::kBF16, DType::kF32})
    saved.leaves.push_back(arange(6).astype(dtype).reshape({2, 3}));
  saved.leaves.push_back(transpose(arange(6.0).reshape({2, 3})));
  saved.leaves.push_back(broadcast_to(ones({}), {3, 3}));
  saved.leaves.push_back(flip(arange(6.0), {0}));
  saved.leaves.push_back(zeros({0, 3}, DType::kF16));
  saved.leaves.push_back(ones(Shape(64, 1)));
  AllTypes loaded;
  for (const Tensor& leaf : saved.leaves)
    loaded.leaves.push_back(zeros(leaf.shape(), leaf.dtype()));
  save_checkpoint(here_, saved, Json::Object{{"step", 7}});
  const Json manifest = load_checkpoint(here_, loaded);
  EXPECT_EQ(manifest.at("step").as_integer(), 7);
  EXPECT_EQ(checkpoint_manifest(here_), manifest);
  for (size_t i = 0; i < saved.leaves.size(); ++i) {
    EXPECT_EQ(loaded.leaves[i].type(), saved.leaves[i].type());
    const HostArray before = to_host_array(saved.leaves[i]),
                    after = to_host_array(loaded.leaves[i]);
    EXPECT_TRUE(std::equal(before.bytes().begin(), before.bytes().end(), after.bytes().begin(),
                           after.bytes().end()))
        << i;
  }
}

TEST_F(Checkpoint, only_the_newest_values_stay) {
  for (float value : {1.f, 2.f, 3.f}) {
    save_checkpoint(here_, state_of(value));
    EXPECT_EQ(loaded_value(here_), value);
    EXPECT_EQ(std::distance(fs::directory_iterator(here_), {}), 2);
  }
}

// ---- damage

TEST(CheckpointDamage, R_040_every_flipped_bit_and_every_cut_is_refused_or_changes_nothing) {
  testing::ModelFileSystem disk;
  save_checkpoint("/run", state_of(1), Json::Object{{"epoch", 3}}, disk);
  int refused = 0;
  const auto expect_harmless = [&] {
    State state = state_of(-1);
    try {
      const Json loaded = load_checkpoint("/run", state, disk);
      EXPECT_EQ(value_of(state), 1);
      EXPECT_EQ(loaded.at("epoch").as_integer(), 3);
    } catch (const IoError& error) {
      ++refused;
      EXPECT_NE(std::string_view(error.what()).find("/run"), std::string_view::npos)
          << error.what();
      EXPECT_EQ(value_of(state), -1) << "a failed load changes nothing";
    }
  };
  for (const char* path : {"/run/values-0.safetensors", "/run/checkpoint.json"}) {
    std::string& content = disk.content(path);
    const std::string good = content;
    for (size_t length = 0; length < good.size(); ++length) {
      content = good.substr(0, length);
      expect_harmless();
    }
    for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
      content = good;
      content[bit / 8] = static_cast<char>(content[bit / 8] ^ 1 << bit % 8);
      expect_harmless();
    }
    content = good;
  }
  EXPECT_GT(refused, 1000);
  State state = state_of(0);
  load_checkpoint("/run", state, disk);
  EXPECT_EQ(value_of(state), 1);
}

TEST_F(Checkpoint, values_of_another_checkpoint_are_refused_by_name) {
  save_checkpoint(here_, state_of(1));
  save_checkpoint(root_ / "other", state_of(2));
  fs::copy_file(values_path(root_ / "other"), values_path(here_),
                fs::copy_options::overwrite_existing);
  expect_error([&] { loaded_value(here_); }, {values_path(here_), "'a'", "another checkpoint"});
  // The other way round: a manifest beside values that it does not know.
  save_checkpoint(here_, state_of(1));
  save_checkpoint(here_, state_of(3));
  fs::copy_file(root_ / "other/checkpoint.json", here_ + "/checkpoint.json",
                fs::copy_options::overwrite_existing);
  expect_error([&] { loaded_value(here_); }, {"values-0.safetensors"});
}

TEST_F(Checkpoint, two_leaves_that_changed_places_are_refused_by_name) {
  const auto save = [](const std::string& directory, float a, float b) {
    save_checkpoint(directory, State{full({3}, a), full({3}, b)});
  };
  save(here_, 1, 2);
  save(root_ / "other", 2, 1);
  fs::copy_file(values_path(root_ / "other"), values_path(here_),
                fs::copy_options::overwrite_existing);
  State state{zeros({3}), zeros({3})};
  expect_error([&] { load_checkpoint(here_, state); }, {"'a' is damaged"});
}

TEST_F(Checkpoint, a_values_file_of_other_structure_is_refused_by_name) {
  save_checkpoint(here_, state_of(1));
  const std::string path = values_path(here_);
  const HostArray two = to_host_array(ones({2})), three = to_host_array(ones({3}));
  write_safetensors(path, {{"a", two}});
  expect_error([&] { loaded_value(here_); }, {path, "no 'b'"});
  write_safetensors(path, {{"a", two}, {"b", three}, {"c", three}});
  expect_error([&] { loaded_value(here_); }, {path, "3 leaves", "says 2"});
  write_safetensors(path, {{"a", three}, {"b", three}});
  expect_error([&] { loaded_value(here_); }, {path, "'a' is f32[3]", "f32[2]"});
}

TEST_F(Checkpoint, another_version_or_format_is_named) {
  save_checkpoint(here_, state_of(1));
  const std::string path = here_ + "/checkpoint.json";
  const Json good = read_json(path);
  const auto expect_refused = [&](const Json& manifest, std::string_view reason) {
    write_json(path, manifest);
    expect_error([&] { loaded_value(here_); }, {path, reason});
    expect_error([&] { checkpoint_manifest(here_); }, {path, reason});
  };
  Json changed = good;
  changed["linnet"]["version"] = 3;
  expect_refused(changed, "checkpoint version 3, this build reads version 2");
  changed["linnet"]["format"] = "linnet-checkpoint-1";
  expect_refused(changed, "format 'linnet-checkpoint-1'");
  changed = good;
  changed["linnet"]["values"] = "../values-0.safetensors";
  expect_refused(changed, "changed after it was written");
  expect_refused(Json::Object{{"epoch", 3}}, "no key \"linnet\"");
  expect_refused(Json::Array{1, 2}, "expected an object");
}

// ---- structure

TEST_F(Checkpoint, structure_and_types_are_compared_before_values_are_read) {
  save_checkpoint(here_, state_of(1));
  fs::remove(values_path(here_));
  struct Wider {
    Tensor a, b, c;
    LINNET_FIELDS(a, b, c)
  } wider{zeros({2}), zeros({3}), zeros({})};
  struct Other {
    Tensor a, z;
    LINNET_FIELDS(a, z)
  } other{zeros({2}), zeros({3})};
  State wrong_shape{zeros({2}), zeros({4})};
  State wrong_type{zeros({2}), zeros({3}, DType::kF16)};
  expect_error([&] { load_checkpoint(here_, wider); }, {here_, "has no 'c'", "1 missing"});
  expect_error([&] { load_checkpoint(here_, other); },
               {"has no 'z'", "it has 'b'", "1 unexpected"});
  expect_error([&] { load_checkpoint(here_, wrong_shape); },
               {"'b' is f32[3] in the checkpoint, expected f32[4]"});
  expect_error([&] { load_checkpoint(here_, wrong_type); }, {"'b' is f32[3]", "expected f16[3]"});
  expect_error([&] { loaded_value(here_); }, {"values-0.safetensors", std::strerror(ENOENT)});
}

// ---- the writer has the limits of the reader

TEST_F(Checkpoint, what_could_not_be_loaded_is_not_saved_and_the_old_one_stays) {
  save_checkpoint(here_, state_of(1));
  const auto expect_refused = [&](const State& state, const Json& manifest,
                                  std::initializer_list<std::string_view> parts) {
    expect_error<ValueError>([&] { save_checkpoint(here_, state, manifest); }, parts);
    EXPECT_EQ(loaded_value(here_), 1);
  };
  Json deep = Json::array();
  for (int i = 0; i < 63; ++i) {
    Json outer = Json::array();
    outer.push_back(deep);
    deep = outer;
  }
  expect_refused(state_of(2), Json::Object{{"x", deep}}, {"64 levels"});
  expect_refused(state_of(2), Json::array(), {"must be an object"});
  expect_refused(state_of(2), Json(5), {"must be an object"});
  expect_refused(state_of(2), Json::Object{{"linnet", 5}}, {"'linnet'", "reserved"});
  expect_refused(state_of(2), Json::Object{{"x", "\xff\xfe"}}, {"not UTF-8"});
  expect_refused(state_of(2), Json::Object{{"\xff", 1}}, {"not UTF-8"});
  expect_refused({ones(Shape(65, 1)), ones({3})}, Json::object(), {"'a'", "65 dimensions"});
  expect_refused(state_of(2), Json::Object{{"x", std::string(kJsonByteLimit, 'x')}},
                 {"at most 268435456"});
  EXPECT_THROW(save_checkpoint(here_, State{Tensor(), ones({3})}), Error);
  EXPECT_EQ(loaded_value(here_), 1);
}

TEST_F(Checkpoint, a_loaded_manifest_can_be_saved_again) {
  save_checkpoint(here_, state_of(1), Json::Object{{"epoch", 1}});
  Json manifest = checkpoint_manifest(here_);
  manifest["epoch"] = 2;
  save_checkpoint(here_, state_of(2), manifest);
  EXPECT_EQ(checkpoint_manifest(here_).at("epoch").as_integer(), 2);
  EXPECT_EQ(loaded_value(here_), 2);
}

TEST_F(Checkpoint, numbers_that_are_not_finite_do_not_cost_the_checkpoint) {
  const double inf = std::numeric_limits<double>::infinity();
  save_checkpoint(here_, state_of(1), Json::Object{{"a", std::nan("")}, {"b", inf}, {"c", -inf}});
  State state = state_of(0);
  const Json manifest = load_checkpoint(here_, state);
  EXPECT_EQ(value_of(state), 1);
  EXPECT_TRUE(std::isnan(manifest.at("a").as_double()));
  EXPECT_EQ(manifest.at("b").as_double(), inf);
  EXPECT_EQ(manifest.at("c").as_double(), -inf);
}

TEST_F(Checkpoint, every_number_and_text_of_a_manifest_comes_back) {
  const Json manifest(Json::Object{{"a", -0.0},
                                   {"b", 5e-324},
                                   {"c", 1.7976931348623157e308},
                                   {"d", INT64_MIN},
                                   {"e", 1e22},
                                   {"f", 123456789012345680.0},
                                   {"g", std::string("a\0b", 3)},
                                   {"h", "\x7f\x1f\"\\/€"}});
  save_checkpoint(here_, state_of(1), manifest);
  Json back = checkpoint_manifest(here_);
  EXPECT_TRUE(std::signbit(back.at("a").as_double()));
  Json expected = manifest;
  expected["linnet"] = back.at("linnet");
  EXPECT_EQ(back, expected);
}

TEST_F(Checkpoint, a_decimal_comma_changes_nothing) {
  const Json manifest(Json::Object{{"loss", 0.25}, {"big", 1234567}, {"small", -2.75e-8}});
  save_checkpoint(here_, state_of(1), manifest);
  const std::string text = read_text(here_ + "/checkpoint.json");
  const testing::CommaLocale comma;
  if (!comma.is_set()) GTEST_SKIP() << "no localedef here";
  EXPECT_EQ(loaded_value(here_), 1);
  EXPECT_EQ(checkpoint_manifest(here_).at("loss").as_double(), 0.25);
  save_checkpoint(root_ / "again", state_of(1), manifest);
  EXPECT_EQ(read_text(root_ / "again/checkpoint.json"), text);
}

// ---- other processes

TEST_F(Checkpoint, R_049_a_second_writer_is_refused_with_the_number_of_the_first) {
  save_checkpoint(here_, state_of(1));
  FaultyFileSystem slow;
  int refusals = 0;
  slow.before = [&](const std::string& call, const std::string&) {
    if (call != "rename") return;
    expect_error([&] { save_checkpoint(here_, state_of(3)); },
                 {here_, "process " + std::to_string(::getpid()), "is writing"});
    EXPECT_EQ(loaded_value(here_), 1) << "a reader beside a writer";
    ++refusals;
    slow.before = nullptr;
  };
  save_checkpoint(here_, state_of(2), Json::object(), slow);
  EXPECT_EQ(refusals, 1);
  EXPECT_EQ(loaded_value(here_), 2);
  EXPECT_FALSE(fs::exists(here_ + "/checkpoint.lock"));
}

TEST_F(Checkpoint, the_lock_of_a_dead_process_is_taken_over) {
  save_checkpoint(here_, state_of(1));
  const pid_t dead = ::fork();
  if (dead == 0) {
    const int file = ::open((here_ + "/checkpoint.lock").c_str(), O_RDWR | O_CREAT, 0666);
    const std::string text = std::to_string(::getpid()) + "                    \n";
    if (::flock(file, LOCK_EX) < 0 || ::write(file, text.data(), text.size()) < 0) ::_exit(1);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(dead, &status, 0), dead);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(fs::exists(here_ + "/checkpoint.lock"));
  save_checkpoint(here_, state_of(2));
  EXPECT_EQ(loaded_value(here_), 2);
  EXPECT_FALSE(fs::exists(here_ + "/checkpoint.lock"));
}

TEST_F(Checkpoint, threads_that_save_into_one_directory_lose_nothing) {
  save_checkpoint(here_, state_of(0));
  std::vector<std::thread> writers;
  std::atomic<int> saved{0};
  for (int writer = 1; writer <= 3; ++writer) {
    writers.emplace_back([&, writer] {
      const State state = state_of(static_cast<float>(writer));
      for (int i = 0; i < 20; ++i) {
        try {
          save_checkpoint(here_, state);
          ++saved;
        } catch (const IoError& error) {
          EXPECT_NE(std::string_view(error.what()).find("is writing into"), std::string_view::npos)
              << error.what();
        }
      }
    });
  }
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(std::isnan(loaded_value(here_)));
  for (std::thread& writer : writers) writer.join();
  EXPECT_GT(saved, 0);
  EXPECT_GT(loaded_value(here_), 0);
}

TEST_F(Checkpoint, a_reader_whose_values_are_replaced_reads_the_new_ones) {
  save_checkpoint(here_, state_of(1));
  FaultyFileSystem slow;
  float next = 2;
  slow.before = [&](const std::string& call, const std::string& path) {
    if (call != "open" || path.find("values-") == std::string::npos || next > 4) return;
    save_checkpoint(here_, state_of(next));
    next += 1;
  };
  State state = state_of(0);
  load_checkpoint(here_, state, slow);
  EXPECT_EQ(value_of(state), 4);
}

// ---- failing calls

TEST_F(Checkpoint, R_045_R_049_every_failing_call_leaves_a_checkpoint_that_loads) {
  FaultyFileSystem recorder;
  save_checkpoint(here_, state_of(1));
  save_checkpoint(here_, state_of(1), Json::object(), recorder);
  const int calls = static_cast<int>(recorder.calls.size());
  const std::vector<std::string> names = recorder.calls;
  ASSERT_GT(calls, 20);
  for (int error_number : {EIO, ENOSPC, EINTR, EACCES, EMFILE}) {
    for (bool persistent : {false, true}) {
      for (int n = 0; n < calls; ++n) {
        SCOPED_TRACE("call " + std::to_string(n) + " " + names[static_cast<size_t>(n)] +
                     (persistent ? " and all later ones" : ""));
        FaultyFileSystem faulty;
        faulty.fail_at = n;
        faulty.error_number = error_number;
        faulty.persistent = persistent;
        bool is_reported = false;
        save_checkpoint(here_, state_of(1), Json::object(), recorder);
        try {
          save_checkpoint(here_, state_of(2), Json::object(), faulty);
        } catch (const IoError& error) {
          is_reported = true;
          const std::string_view message = error.what();
          EXPECT_NE(message.find(here_), std::string_view::npos) << message;
          EXPECT_NE(message.find(std::strerror(error_number)), std::string_view::npos) << message;
        }
        // A failure to flush the last rename is reported, but the new one is there.
        const float value = loaded_value(here_);
        EXPECT_TRUE(is_reported ? value == 1 || value == 2 : value == 2) << value;
      }
    }
  }
  save_checkpoint(here_, state_of(3));
  EXPECT_EQ(std::distance(fs::directory_iterator(here_), {}), 2) << "nothing is left over";
}

TEST_F(Checkpoint, R_049_a_disk_that_stays_full_is_not_filled_with_values) {
  save_checkpoint(here_, state_of(1));
  for (int i = 0; i < 5; ++i) {
    FaultyFileSystem full;
    full.error_number = ENOSPC;
    full.before = [&](const std::string& call, const std::string& path) {
      // The values arrive, the manifest does not.
      if (call == "rename" && path.find("checkpoint.json") != std::string::npos)
        full.fail_at = static_cast<int>(full.calls.size());
    };
    expect_error([&] { save_checkpoint(here_, state_of(2), Json::object(), full); },
                 {here_, std::strerror(ENOSPC)});
    EXPECT_EQ(loaded_value(here_), 1);
    EXPECT_LE(std::distance(fs::directory_iterator(here_), {}), 3);
  }
}

TEST_F(Checkpoint, R_045_every_failing_call_of_a_load_is_reported_and_changes_nothing) {
  save_checkpoint(here_, state_of(1));
  FaultyFileSystem recorder;
  State state = state_of(0);
  load_checkpoint(here_, state, recorder);
  for (size_t n = 0; n < recorder.calls.size(); ++n) {
    if (recorder.calls[n] == "close") continue;
    FaultyFileSystem faulty;
    faulty.fail_at = static_cast<int>(n);
    faulty.persistent = true;
    state = state_of(0);
    expect_error([&] { load_checkpoint(here_, state, faulty); }, {here_, std::strerror(EIO)});
    EXPECT_EQ(value_of(state), 0);
  }
}

TEST_F(Checkpoint, a_status_that_cannot_be_asked_is_an_error) {
  EXPECT_FALSE(has_checkpoint(here_));
  write_text(root_ / "file", "x");
  EXPECT_FALSE(has_checkpoint(root_ / "file"));
  save_checkpoint(here_, state_of(1));
  EXPECT_TRUE(has_checkpoint(here_));
  for (int error_number : {EACCES, EIO, ELOOP}) {
    FaultyFileSystem faulty;
    faulty.fail_at = 0;
    faulty.persistent = true;
    faulty.error_number = error_number;
    expect_error([&] { has_checkpoint(here_, faulty); }, {here_, std::strerror(error_number)});
    expect_error([&] { save_checkpoint(here_, state_of(2), Json::object(), faulty); },
                 {here_, std::strerror(error_number)});
  }
  EXPECT_EQ(loaded_value(here_), 1);
}

TEST_F(Checkpoint, R_049_a_directory_removed_while_it_is_written_is_reported) {
  save_checkpoint(here_, state_of(1));
  for (const char* moment : {"write", "rename"}) {
    FaultyFileSystem faulty;
    faulty.before = [&](const std::string& call, const std::string&) {
      if (call == moment) fs::remove_all(here_);
    };
    expect_error([&] { save_checkpoint(here_, state_of(2), Json::object(), faulty); },
                 {here_, std::strerror(ENOENT)});
  }
  save_checkpoint(here_, state_of(3));
  EXPECT_EQ(loaded_value(here_), 3);
}

TEST_F(Checkpoint, R_049_places_that_cannot_be_written_are_named) {
  write_text(root_ / "file", "x");
  expect_error([&] { save_checkpoint(root_ / "file", state_of(1)); }, {"/file", "in the way"});
  expect_error([&] { save_checkpoint(root_ / "file/below", state_of(1)); },
               {"/file/below", std::strerror(ENOTDIR)});
  fs::create_symlink(root_ / "nowhere", root_ / "link");
  expect_error([&] { save_checkpoint(root_ / "link", state_of(1)); },
               {"/link", std::strerror(EEXIST)});
  expect_error([&] { save_checkpoint("/proc/linnet", state_of(1)); }, {"/proc/linnet"});
}

TEST_F(Checkpoint, new_folders_are_flushed_into_their_parents) {
  FaultyFileSystem recorder;
  save_checkpoint(root_ / "x/y/z", state_of(1), Json::object(), recorder);
  const auto& calls = recorder.calls;
  int made = 0;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i] != "make directory") continue;
    ++made;
    ASSERT_LT(i + 3, calls.size());
    EXPECT_EQ((std::vector<std::string>{calls[i + 1], calls[i + 2], calls[i + 3]}),
              (std::vector<std::string>{"open directory", "sync directory", "close"}));
  }
  EXPECT_EQ(made, 3);
  EXPECT_EQ(loaded_value(root_ / "x/y/z"), 1);
}

TEST(Safetensors, a_file_that_shrinks_is_an_error) {
  const TemporaryDirectory root;
  write_safetensors(root / "a", {{"x", to_host_array(ones({10000}))}});
  const SafetensorsFile file = read_safetensors(root / "a");
  ASSERT_EQ(::truncate((root / "a").c_str(), 5000), 0);
  expect_error([&] { file.array("x"); }, {root / "a", "truncated while it was read"});
}

}  // namespace
}  // namespace linnet::checkpoint_test
