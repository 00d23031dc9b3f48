// The pieces of docs/data.md.
#include <filesystem>
#include <iostream>

// [data-headers]
#include <linnet/core.h>
#include <linnet/data/augment.h>
#include <linnet/data/csv.h>
#include <linnet/data/image.h>
#include <linnet/data/loader.h>
#include <linnet/data/prefetch.h>
#include <linnet/data/text.h>
#include <linnet/data/tokenizer.h>
#include <linnet/io/checkpoint.h>
#include <linnet/io/npz.h>
#include <linnet/random.h>

using namespace linnet;
// [data-headers]

#include "tests/docs/documents.h"

// [data-batch]
struct Batch {
  Tensor x, label;
};
// [data-batch]

// [data-own]
struct Squares {                                               // x and its square, made when asked for
  using Batch = ::Batch;
  int64_t size() const { return 1000; }
  Batch gather(std::span<const int64_t> rows) const {
    const Tensor x = from_span(rows, {static_cast<int64_t>(rows.size())}, kCpu);
    return {x, x * x};
  }
};
// [data-own]

// [data-images]
void train_on(const std::string& folder, const std::function<void(Tensor, Tensor)>& step) {
  data::ImageFolder flowers(folder, {.height = 64, .width = 64});
  data::Loader loader(flowers, {.batch_size = 32, .shuffle = Key(0), .workers = 4});
  for (const data::ImageBatch& batch : loader) {
    const Key keys = random::split(loader.batch_key(), 3);
    Tensor x = data::random_crop(keys[0], batch.image, 64, 64, {.padding = 4});
    x = data::random_flip(keys[1], x).astype(DType::kF32) / 255;
    x = data::color_jitter(keys[2], x, {.brightness = 0.2, .contrast = 0.2});
    step(x, batch.label);
  }
}
// [data-images]

// [data-device]
void train_there(data::Loader<data::InMemory<Batch>>& loader, Device device,
                 const std::function<void(const Batch&, const data::LoaderState&)>& step) {
  data::Prefetch batches([&] { return loader.next(); }, device);
  while (std::optional<Batch> batch = batches.next())
    step(*batch, loader.state(static_cast<int64_t>(batches.waiting())));
}
// [data-device]

namespace {

class Data : public docs::Snippet {};

TEST_F(Data, data_loader) {
  // [data-loader]
  Batch all{arange(10).astype(DType::kF32), arange(10)};
  data::Loader loader(data::in_memory(all), {.batch_size = 4, .shuffle = Key(0), .workers = 2});
  while (loader.epoch() < 2) {
    std::cout << "epoch " << loader.epoch() << "\n";
    for (const Batch& batch : loader) std::cout << "  " << batch.label << "\n";
  }
  // [data-loader]
}

TEST_F(Data, data_views) {
  // [data-views]
  auto all = data::in_memory(Batch{arange(10).astype(DType::kF32), arange(10)});
  data::Subset test(all, {7, 8, 9});                           // rows of another set
  auto scaled = data::mapped(test, [](Batch b) {               // runs on the workers, if there are any
    b.x = b.x / 10;
    return b;
  });
  data::Loader loader(data::padded(scaled), {.batch_size = 2});
  for (const auto& [batch, mask] : loader) std::cout << batch.x << " " << mask << "\n";

  data::Loader squares(Squares{}, {.batch_size = 3});
  std::cout << squares.next()->label << " of " << squares.batches() << " batches\n";
  // [data-views]
}

TEST_F(Data, data_resume) {
  const std::string directory =
      (std::filesystem::temp_directory_path() / "linnet-docs-data").string();
  // [data-resume]
  auto set = data::in_memory(Batch{arange(10).astype(DType::kF32), arange(10)});
  const data::LoaderOptions options{.batch_size = 4, .shuffle = Key(0)};
  data::Loader first(set, options);
  first.next();
  save_checkpoint(directory, first.state());                   // beside parameters: any tree

  data::Loader second(set, options);                           // in another process
  data::LoaderState state;
  load_checkpoint(directory, state);
  second.set_state(state);
  std::cout << first.next()->label << "\n" << second.next()->label << "\n";
  // [data-resume]
  std::filesystem::remove_all(directory);
}

TEST_F(Data, data_text) {
  // [data-text]
  const std::string text = "to be or not to be";
  auto letters = data::CharTokenizer::of(text);
  std::cout << letters.size() << " characters\n";
  data::TokenWindows windows(letters.encode(text), 5);
  data::TokenBatch batch = windows.gather(std::array<int64_t, 2>{0, 1});
  std::cout << batch.inputs << "\n" << batch.targets << "\n";
  // [data-text]
}

TEST_F(Data, data_pairs) {
  const std::string folder = LINNET_TEST_DATA "/data/files/";
  // [data-pairs]
  auto tokenizer = data::BytePairTokenizer::read(folder + "vocab.json", folder + "merges.txt");
  const std::vector<int32_t> tokens = tokenizer.encode("the Licensor, they'll pay 12");
  for (int32_t token : tokens) std::cout << "[" << tokenizer.decode({&token, 1}) << "]";
  std::cout << "\n" << tokenizer.decode(tokens) << "\n";
  // [data-pairs]
}

TEST_F(Data, data_tables) {
  const std::string path = (std::filesystem::temp_directory_path() / "linnet-docs.npz").string();
  // [data-tables]
  auto table = data::CsvTable::parse("width,height,kind\n1.5,2,cat\n3,4.5,dog\n2,2,cat\n");
  Tensor x = table.matrix({"width", "height"});
  auto [codes, kinds] = table.categories("kind");
  std::cout << x << "\n" << codes << " " << kinds[0] << " " << kinds[1] << "\n";

  write_npz(path, {{"x", to_host_array(x)}, {"label", to_host_array(codes)}});
  NamedArrays arrays = read_npz(path);
  auto set = data::in_memory(Batch{to_tensor(arrays.at("x")), to_tensor(arrays.at("label"))});
  std::cout << set.size() << " examples\n";
  // [data-tables]
  std::filesystem::remove(path);
}

TEST_F(Data, data_errors) {
  message<IoError>([] {
    // [data-errors]
    auto table = data::CsvTable::parse("width,height\n1,2\n3,x\n", {}, "sizes.csv");
    table.column("height");
    // [data-errors]
  });
}

}  // namespace
