// State dicts, their MessagePack form, and numbered checkpoints.
#include "linnet/io/msgpack.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "linnet/core.h"
#include "linnet/io/checkpoints.h"

namespace linnet::msgpack_test {
namespace {

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}

template <class E, class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing of this type was thrown";
  return {};
}

struct Layer {
  Tensor kernel, bias;
  int64_t features = 3;  // static: not saved
  LINNET_FIELDS(kernel, bias, features)
};
struct Model {
  std::vector<Layer> layers;
  std::map<std::string, Tensor> stats;
  std::pair<Tensor, std::optional<Tensor>> pair;
  LINNET_FIELDS(layers, stats, pair)
};

Model model(float value) {
  return {{{full({2, 3}, value), full({3}, value)}, {full({3, 1}, value), full({1}, value)}},
          {{"mean", full({}, value, DType::kBF16)}},
          {arange(3), std::nullopt}};
}

TEST(StateDict, L_168_trees_are_maps_with_texts_for_keys) {
  const StateDict saved = to_state_dict(model(2));
  EXPECT_TRUE(saved["layers"]["1"]["kernel"].is_array()) << "positions are keys";
  EXPECT_FALSE(saved["layers"]["0"].contains("features")) << "static";
  EXPECT_EQ(saved["stats"]["mean"].array().dtype, DType::kBF16);
  EXPECT_EQ(saved["pair"]["0"].array().values<int32_t>()[2], 2);
  EXPECT_TRUE(saved["pair"]["1"].entries().empty()) << "nothing is an empty map";
  EXPECT_THROW(saved["none"], ValueError);

  Model other = model(0);
  other.layers[0].features = 9;
  const Model restored = from_state_dict(other, saved);
  EXPECT_EQ(restored.layers[1].kernel.to_vector<float>(), (std::vector<float>{2, 2, 2}));
  EXPECT_EQ(restored.layers[0].features, 9) << "of the target";
  EXPECT_EQ(other.layers[0].bias.to_vector<float>(), (std::vector<float>{0, 0, 0}));
}

TEST(StateDict, L_168_what_does_not_fit_is_named_with_its_path) {
  const StateDict saved = to_state_dict(model(2));
  const auto refused = [&](auto change) {
    StateDict other = saved;
    change(other.entries());
    return message<ValueError>([&] { from_state_dict(model(0), other); });
  };
  EXPECT_EQ(refused([](StateDict::Map& map) {
              map.at("layers").entries().at("1").entries().erase("bias");
            }),
            "from_state_dict: at 'layers/1' there is no 'bias'; there is kernel");
  EXPECT_EQ(refused([](StateDict::Map& map) {
              map.at("layers").entries().emplace("2", map.at("layers")["1"]);
            }),
            "from_state_dict: 'layers/2/bias' has no place in the target");
  EXPECT_EQ(refused([](StateDict::Map& map) { map.at("layers").entries().erase("1"); }),
            "from_state_dict: at 'layers' there is no '1'; there is 0");
  EXPECT_EQ(refused([](StateDict::Map& map) { map.emplace("more", map.at("stats")["mean"]); }),
            "from_state_dict: 'more' has no place in the target");
  EXPECT_EQ(message<ShapeError>([&] {
              Model wide = model(0);
              wide.layers[0].bias = zeros({4});
              from_state_dict(wide, saved);
            }),
            "from_state_dict: at 'layers/0/bias': expected f32[4], got f32[3]");
}

// flax.serialization.to_bytes({'a': np.arange(3, dtype=np.float32), 'b': {'0': int32 [1, 2],
// '1': ones((1, 2), bfloat16)}, 'n': {}, 's': 5, 'f': 0.5, 't': 'hi', 'z': True, 'none': None,
// 'sc': np.float32(2)}) of Flax 0.12.8.
const char* const kOfFlax =
    "89a161c71901939103a7666c6f61743332c40c000000000000803f00000040a16282a130c71301939102a569"
    "6e743332c4080100000002000000a131c7130193920102a862666c6f61743136c404803f803fa16e80a17305"
    "a166cb3fe0000000000000a174a26869a17ac3a46e6f6e65c0a27363d8039390a7666c6f61743332c4040000"
    "0040";

TEST(Msgpack, L_168_files_of_flax_are_read) {
  const StateDict read = msgpack_restore(from_hex(kOfFlax));
  EXPECT_EQ(read["a"].array().values<float>()[2], 2.f);
  EXPECT_EQ(read["b"]["0"].array().values<int32_t>()[1], 2);
  EXPECT_EQ(read["b"]["1"].array().dtype, DType::kBF16);
  EXPECT_EQ(read["b"]["1"].array().shape, (Shape{1, 2}));
  EXPECT_TRUE(read["n"].is_map() && read["n"].entries().empty());
  EXPECT_EQ(std::get<int64_t>(read["s"].value()), 5);
  EXPECT_EQ(read["s"].array().dtype, DType::kI64) << "a number is an array without dimensions";
  EXPECT_EQ(std::get<double>(read["f"].value()), 0.5);
  EXPECT_EQ(std::get<std::string>(read["t"].value()), "hi");
  EXPECT_TRUE(std::get<bool>(read["z"].value()));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(read["none"].value()));
  EXPECT_EQ(read["sc"].array().shape, Shape{});
  EXPECT_EQ(read["sc"].array().values<float>()[0], 2.f);
}

TEST(Msgpack, L_168_what_is_written_is_what_flax_writes) {
  // to_bytes({'a': np.arange(3, dtype=np.float32)})
  EXPECT_EQ(to_bytes(std::map<std::string, Tensor>{{"a", arange(0.0, 3.0)}}),
            from_hex("81a161c71901939103a7666c6f61743332c40c000000000000803f00000040"));
  // MAX_CHUNK_SIZE = 8: to_bytes({'w': np.arange(6, dtype=np.float32).reshape(2, 3)}), whose keys
  // come in another order.
  const StateDict chunked = msgpack_restore(from_hex(
      "81a17783b95f5f6d73677061636b5f6368756e6b65645f61727261795f5fc3a5736861706582a13002a13103"
      "a66368756e6b7383a130c71501939102a7666c6f61743332c408000000000000803fa131c71501939102a766"
      "6c6f61743332c4080000004000004040a132c71501939102a7666c6f61743332c408000080400000a040"));
  const HostArray w = chunked["w"].array();
  EXPECT_EQ(w.shape, (Shape{2, 3}));
  EXPECT_EQ(w.values<float>()[5], 5.f);
  const std::vector<std::byte> again = msgpack_serialize(chunked, {.max_chunk_bytes = 8});
  EXPECT_NE(again, msgpack_serialize(chunked));
  EXPECT_EQ(msgpack_serialize(msgpack_restore(again)), msgpack_serialize(chunked));
}

TEST(Msgpack, L_168_every_dtype_and_every_length_comes_back) {
  const DType all[] = {DType::kBool, DType::kI8,  DType::kI16, DType::kI32, DType::kI64,
                       DType::kU8,   DType::kU16, DType::kU32, DType::kU64, DType::kF16,
                       DType::kBF16, DType::kF32, DType::kF64};
  for (const DType dtype : all) {
    for (const int64_t size : {0, 1, 2, 3, 4, 15, 16, 40, 300, 70000}) {
      const std::vector<Tensor> list{astype(arange(size) % 2, dtype)};
      const auto restored = from_bytes(list, to_bytes(list));
      EXPECT_EQ(restored[0].dtype(), dtype);
      EXPECT_EQ(restored[0].to_vector<double>(), list[0].to_vector<double>());
    }
  }
  StateDict simple;
  for (const int64_t value :
       {int64_t{0}, int64_t{127}, int64_t{128}, int64_t{255}, int64_t{65535}, int64_t{65536},
        int64_t{1} << 40, INT64_MAX, int64_t{-1}, int64_t{-32}, int64_t{-33}, int64_t{-128},
        int64_t{-32768}, int64_t{-32769}, INT64_MIN})
    simple.entries().emplace(std::to_string(value), StateDict::Value(value));
  const StateDict numbers = msgpack_restore(msgpack_serialize(simple));
  for (const auto& [name, entry] : numbers.entries())
    EXPECT_EQ(std::to_string(std::get<int64_t>(entry.value())), name);
  const Model m = model(3);
  EXPECT_EQ(to_bytes(from_bytes(model(0), to_bytes(m))), to_bytes(m));
}

TEST(Msgpack, L_168_bytes_that_are_no_state_are_refused) {
  const std::vector<std::byte> good = from_hex(kOfFlax);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THROW(msgpack_restore(std::span(good).first(size)), IoError) << size;
  }
  // Any flipped bit gives an error or a value, and nothing else.
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    try {
      msgpack_restore(bad);
    } catch (const IoError&) {
    }
  }
  const auto refused = [](const std::string& hex) {
    return message<IoError>([&] { msgpack_restore(from_hex(hex), "file"); });
  };
  EXPECT_EQ(refused("8000"), "file: bytes after the value at byte 1");
  EXPECT_EQ(refused("82a16100a16100"), "file: key 'a' twice at byte 7");
  EXPECT_EQ(refused("810100"), "file: a key that is no text at byte 2");
  EXPECT_EQ(refused("dfffffffff"), "file: a map ends early at byte 5");
  EXPECT_EQ(refused("c1"), "file: a byte that begins no value at byte 1");
  EXPECT_EQ(refused("c7000180"), "file: the value ends early at byte 3");
  EXPECT_NE(refused("c70a01939102a4696e7434c400").find("'int4' has no counterpart"),
            std::string::npos);
  EXPECT_NE(refused("c70d01939102a5696e743332c4020000").find("2 bytes for i32[2]"),
            std::string::npos);
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "91";
  EXPECT_NE(refused(deep + "00").find("nested too deep"), std::string::npos);
}

class Checkpoints : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "linnet_checkpoints_" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::vector<int64_t> steps() const { return checkpoints::steps(directory_); }
  void save(int64_t step, checkpoints::SaveOptions options = {}) {
    checkpoints::save(directory_, model(static_cast<float>(step)), step, options);
  }
  float restored(checkpoints::RestoreOptions options = {}) const {
    return checkpoints::restore(directory_, model(-1), options).layers[0].bias[0].item<float>();
  }
  std::string directory_;
};

TEST_F(Checkpoints, L_172_numbered_files) {
  EXPECT_FALSE(checkpoints::latest(directory_).has_value());
  EXPECT_EQ(restored(), -1.f) << "the target where there is nothing";
  for (const int64_t step : {1, 2, 9, 10}) save(step, {.keep = 10});
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2, 9, 10}));
  EXPECT_EQ(checkpoints::latest(directory_), directory_ + "/checkpoint_10") << "10 is after 9";
  EXPECT_EQ(restored(), 10.f);
  EXPECT_EQ(restored({.step = 2}), 2.f);
  EXPECT_EQ(
      checkpoints::restore(directory_ + "/checkpoint_9", model(0)).layers[0].bias[0].item<float>(),
      9.f)
      << "a file by its path";
  EXPECT_EQ(message<ValueError>([&] { restored({.step = 3}); }),
            "checkpoints: there is no " + directory_ + "/checkpoint_3");
  // Files of other names are left alone.
  std::ofstream(directory_ + "/checkpoint_11.tmp") << "partial";
  std::ofstream(directory_ + "/other_99") << "other";
  EXPECT_EQ(steps().back(), 10);
  save(12);
  EXPECT_EQ(steps(), std::vector<int64_t>{12}) << "one is kept by default";
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/other_99"));
  save(5, {.prefix = "other_", .overwrite = true});
  EXPECT_EQ(checkpoints::steps(directory_, "other_"), std::vector<int64_t>{5});
}

TEST_F(Checkpoints, L_172_steps_that_are_not_beyond_the_latest_need_overwrite) {
  for (const int64_t step : {10, 20, 30}) save(step, {.keep = 3});
  const std::string text = message<ValueError>([&] { save(20); });
  EXPECT_EQ(text, "checkpoints: " + directory_ +
                      "/checkpoint_20 is not beyond step 30, of which there is a checkpoint\n"
                      "  hint: save with overwrite");
  EXPECT_THROW(save(15), ValueError);
  EXPECT_EQ(steps(), (std::vector<int64_t>{10, 20, 30}));
  checkpoints::save(directory_, model(21), 20, {.keep = 3, .overwrite = true});
  EXPECT_EQ(steps(), (std::vector<int64_t>{10, 20})) << "later ones are gone";
  EXPECT_EQ(restored(), 21.f);
  EXPECT_THROW(save(40, {.keep = 0}), ValueError);
}

TEST_F(Checkpoints, L_172_some_older_files_stay) {
  for (int64_t step = 0; step <= 100; step += 10) save(step, {.keep = 2, .keep_every_n_steps = 40});
  EXPECT_EQ(steps(), (std::vector<int64_t>{0, 40, 80, 90, 100}));
}

TEST_F(Checkpoints, L_172_a_file_is_there_whole_or_not_at_all) {
  save(1);
  struct FullDisk : FileSystem {
    ssize_t write(int, const void*, size_t) override {
      errno = ENOSPC;
      return -1;
    }
  } full;
  EXPECT_THROW(checkpoints::save(directory_, model(2), 2, {}, full), IoError);
  EXPECT_EQ(steps(), std::vector<int64_t>{1});
  EXPECT_EQ(restored(), 1.f);
  std::filesystem::resize_file(directory_ + "/checkpoint_1", 20);
  EXPECT_NE(message<IoError>([&] { restored(); }).find("checkpoint_1: "), std::string::npos);
}

}  // namespace
}  // namespace linnet::msgpack_test
