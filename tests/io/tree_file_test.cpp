// Trees in one safetensors file or several, and checkpoints from a thread of their own.
#include "linnet/io/tree_file.h"

#include <fcntl.h>

#include <condition_variable>
#include <mutex>

#include "linnet/core.h"
#include "linnet/io/async_checkpoint.h"
#include "linnet/io/json.h"
#include "linnet/io/safetensors.h"
#include "tests/io/faulty_file_system.h"
#include "tests/io/io_test_utils.h"
#include "tests/io/model_file_system.h"

namespace linnet::tree_file_test {
namespace {

using testing::expect_error;
using testing::FaultyFileSystem;
using testing::TemporaryDirectory;
using testing::write_text;

struct Layer {
  Tensor kernel, bias;
  LINNET_FIELDS(kernel, bias)
};
struct Net {
  std::map<std::string, Layer> layers;
  Tensor step;
  LINNET_FIELDS(layers, step)
};
Net net(float scale) {
  return {{{"a", {arange(6).reshape({2, 3}) * scale, ones({3}) * scale}},
           {"b", {transpose(arange(6).reshape({2, 3})) * scale, zeros({0})}}},
          scalar_integer(7, DType::kI32)};
}
std::vector<std::vector<double>> values(const Net& n) {
  std::vector<std::vector<double>> out;
  for (const auto& [path, tensor] : tree::leaves_with_path(n))
    out.push_back(tensor.to_vector<double>());
  return out;
}

TEST(TreeFile, trees_come_back_from_one_file_and_from_several) {
  const TemporaryDirectory directory;
  const std::string path = directory / "model.safetensors";
  const Net saved = net(1.5f);
  for (uint64_t limit : {0, 40, 1}) {
    save_tree(path, saved, {.shard_bytes = limit, .metadata = {{"format", "pt"}}});
    EXPECT_EQ(directory.count(), limit == 0 ? 1u : limit == 40 ? 3u : 6u) << limit;
    Net loaded = net(0);
    const TreeFileReport report = load_tree(path, loaded);
    EXPECT_TRUE(report.missing.empty() && report.unexpected.empty());
    EXPECT_EQ(values(loaded), values(saved)) << limit;
    if (limit == 0) {
      EXPECT_EQ(read_safetensors(path).names()[0], "layers/a/bias");
    } else {
      Net by_index = net(0);
      load_tree(path + ".index.json", by_index);
      EXPECT_EQ(values(by_index), values(saved));
      EXPECT_EQ(read_json(path + ".index.json").at("metadata").at("total_size").as_integer(), 64);
      const std::string first = limit == 40 ? "model-00001-of-00002" : "model-00001-of-00005";
      EXPECT_EQ(read_safetensors(directory / (first + ".safetensors")).metadata().at("format"),
                "pt");
      std::filesystem::remove_all(directory.path());
      std::filesystem::create_directory(directory.path());
    }
  }
  // The other form of the path goes when this one is complete.
  save_tree(path, saved);
  save_tree(path, net(2), {.shard_bytes = 40});
  Net loaded = net(0);
  load_tree(path, loaded);
  EXPECT_EQ(values(loaded), values(net(2)));
  save_tree(path, saved);
  load_tree(path, loaded);
  EXPECT_EQ(values(loaded), values(saved));
}

/// One value in all leaves, of which none alone fills a file.
Net uniform(double value) {
  const Tensor leaf = full({8}, value);
  return {{{"a", {leaf, leaf}}, {"b", {leaf, leaf}}}, leaf};
}

TEST(TreeFile, loss_of_power_at_any_moment_leaves_the_old_tree_or_the_new_one) {
  testing::ModelFileSystem disk;
  disk.make_directory("/out", 0777);
  const int root = disk.open("/", O_RDONLY | O_DIRECTORY, 0);
  ASSERT_EQ(disk.sync(root), 0);
  disk.close(root);
  const std::string path = "/out/model.safetensors";
  int64_t states = 0, torn = 0;
  double acknowledged = 0;
  const auto look = [&](testing::ModelFileSystem& left) {
    if (torn > 0) return;
    Net found = uniform(0);
    try {
      load_tree(path, found, {}, left);
    } catch (const Error&) {
      torn += acknowledged > 0;
    }
    const std::vector<double> first = found.step.to_vector<double>();
    for (const std::vector<double>& leaf : values(found)) torn += leaf != first;
    torn += first[0] < acknowledged;
  };
  disk.after_change = [&] { states += disk.for_each_crash_state(look); };
  // Several files over several, one over several, and several over one.
  double value = 0;
  for (const uint64_t limit : {100, 100, 100, 0, 100}) {
    save_tree(path, uniform(++value), {.shard_bytes = limit}, disk);
    acknowledged = value;
    look(disk);
    EXPECT_EQ(torn, 0) << "after " << value;
  }
  EXPECT_GT(states, 100);
  std::vector<std::string> left;
  disk.list("/out", left);
  EXPECT_EQ(left.size(), 3u) << "two files and the index: what came before is gone";
}

TEST(TreeFile, parts_other_names_and_other_types) {
  const TemporaryDirectory directory;
  const std::string path = directory / "m.safetensors";
  const auto dotted = [](const std::string& leaf) {
    std::string name = "model/" + leaf;
    std::replace(name.begin(), name.end(), '/', '.');
    return name;
  };
  save_tree(path, net(3), {.rename = dotted});
  EXPECT_TRUE(read_safetensors(path).contains("model.layers.a.kernel"));
  Net loaded = net(1);
  expect_error([&] { load_tree(path, loaded); },
               {path, "5 leaves have no array", "'layers/a/bias'", "5 arrays have no leaf",
                "'model.step'", ".strict = false"});
  EXPECT_EQ(values(loaded), values(net(1)));
  const TreeFileReport report = load_tree(path, loaded, {.strict = false});
  EXPECT_EQ(report.missing.size(), 5u);
  EXPECT_EQ(report.unexpected.size(), 5u);
  EXPECT_EQ(values(loaded), values(net(1)));
  const auto kernels = [](const std::string& leaf) { return leaf.ends_with("kernel"); };
  load_tree(path, loaded, {.rename = dotted, .only = kernels});
  EXPECT_EQ(loaded.layers.at("a").kernel.to_vector<double>()[5], 15);
  EXPECT_EQ(loaded.layers.at("a").bias.to_vector<double>()[0], 1);
  Net half = net(1);
  for (auto& [name, layer] : half.layers) layer.kernel = astype(layer.kernel, DType::kBF16);
  expect_error([&] { load_tree(path, half, {.rename = dotted}); },
               {"'model.layers.a.kernel' is f32[2,3], expected bf16[2,3]", ".convert = true"});
  load_tree(path, half, {.rename = dotted, .convert = true});
  EXPECT_EQ(half.layers.at("a").kernel.dtype(), DType::kBF16);
  EXPECT_EQ(half.layers.at("a").kernel.to_vector<double>()[5], 15);
  half.step = zeros({2}, DType::kI32);
  expect_error([&] { load_tree(path, half, {.rename = dotted, .convert = true}); },
               {"'model.step' is i32[], expected i32[2]"});
  const auto constant = [](const std::string&) { return std::string("x"); };
  EXPECT_THROW(save_tree(path, net(1), {.rename = constant}), ValueError);
  EXPECT_THROW(save_tree(directory / "m.bin", net(1)), ValueError);
}

TEST(TreeFile, an_index_that_does_not_fit_is_refused) {
  const TemporaryDirectory directory;
  const std::string index = directory / "m.safetensors.index.json";
  save_tree(directory / "one.safetensors", std::map<std::string, Tensor>{{"a", ones({2})}});
  std::map<std::string, Tensor> tree{{"a", zeros({2})}};
  const auto refused = [&](const std::string& text, std::initializer_list<std::string_view> parts) {
    write_text(index, text);
    expect_error([&] { load_tree(directory / "m.safetensors", tree); }, parts);
    EXPECT_EQ(tree.at("a").to_vector<double>()[0], 0);
  };
  refused(R"({"weight_map":{"a":"../one.safetensors"}})", {"'a' is not mapped to the name"});
  refused(R"({"weight_map":{"a":3}})", {"'a' is not mapped to the name"});
  refused(R"({"weight_map":{"b":"one.safetensors"}})", {"'b' should be in 'one.safetensors'"});
  refused(R"({"weight_map":{"a":"none.safetensors"}})", {"none.safetensors"});
  refused(R"([])", {"expected an object"});
  write_text(index, R"({"weight_map":{"a":"one.safetensors"}})");
  load_tree(index, tree);
  EXPECT_EQ(tree.at("a").to_vector<double>()[0], 1);
  std::filesystem::remove(index);
  expect_error([&] { load_tree(directory / "m.safetensors", tree); }, {"m.safetensors"});
}

/// Holds back every write until it is opened.
class Gate : public FileSystem {
 public:
  ssize_t write(int descriptor, const void* buffer, size_t bytes) override {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [&] { return open_; });
    return FileSystem::write(descriptor, buffer, bytes);
  }
  void open_up() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    condition_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool open_ = false;
};

TEST(AsyncCheckpointer, values_are_those_of_the_call) {
  const TemporaryDirectory directory;
  Gate gate;
  AsyncCheckpointer checkpointer(gate);
  Net state = net(1);
  checkpointer.save(directory / "c", state, Json::Object{{"epoch", 3}});
  // Nothing is on the disk yet. A step takes the state over and computes in its memory.
  const auto step = jit([](Net& n) {
    for (auto& [name, layer] : n.layers) layer.kernel = layer.kernel + 1;
    n.step = n.step + 1;
  });
  step(state);
  EXPECT_EQ(state.layers.at("a").kernel.to_vector<double>()[0], 1);
  gate.open_up();
  checkpointer.wait();
  Net loaded = net(0);
  EXPECT_EQ(load_checkpoint(directory / "c", loaded).at("epoch").as_integer(), 3);
  EXPECT_EQ(values(loaded), values(net(1)));
  checkpointer.save(directory / "c", state);
  checkpointer.save(directory / "d", state);  // waits for the one before
  checkpointer.wait();
  load_checkpoint(directory / "c", loaded);
  EXPECT_EQ(values(loaded), values(state));
}

TEST(AsyncCheckpointer, errors_come_with_the_next_call_once) {
  const TemporaryDirectory directory;
  FaultyFileSystem full;
  full.fail_at = 0;
  full.persistent = true;
  AsyncCheckpointer checkpointer(full);
  checkpointer.save(directory / "c", net(1));
  EXPECT_THROW(checkpointer.save(directory / "c", net(2)), IoError);
  EXPECT_NO_THROW(checkpointer.wait());
  full.fail_at = -1;
  checkpointer.save(directory / "c", net(1));
  checkpointer.wait();
  checkpointer.save(directory / "c", net(1), Json("text"));
  EXPECT_THROW(checkpointer.wait(), ValueError);
}

}  // namespace
}  // namespace linnet::tree_file_test
