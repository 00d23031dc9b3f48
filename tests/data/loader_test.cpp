#include "linnet/data/loader.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <limits>
#include <new>
#include <stdexcept>

#include "linnet/data/array_files.h"
#include "linnet/data/prefetch.h"
#include "linnet/error.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/npy.h"
#include "linnet/io/npz.h"
#include "tests/io/io_test_utils.h"

namespace linnet::data::loader_test {
namespace {

struct Example {
  Tensor x, label;
};

// Example i is (i, 2 i) and its label is i.
InMemory<Example> numbers(int64_t count) {
  const Tensor n = arange(count);
  return InMemory(Example{stack({n, 2 * n}, 1).astype(DType::kF32), n});
}

using Rows = std::vector<int64_t>;
using Batches = std::vector<Rows>;

template <class L>
Batches rest_of_epoch(L& loader) {
  Batches out;
  for (const auto& batch : loader) {
    const Rows labels = batch.label.template to_vector<int64_t>();
    const std::vector<float> x = batch.x.template to_vector<float>();
    for (size_t i = 0; i < labels.size(); ++i) {
      EXPECT_EQ(x[2 * i], static_cast<float>(labels[i]));
      EXPECT_EQ(x[2 * i + 1], static_cast<float>(2 * labels[i]));
    }
    out.push_back(labels);
  }
  return out;
}

template <class F>
void expect_message(F f, std::initializer_list<std::string_view> parts) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    for (std::string_view part : parts)
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
  }
}

TEST(DataSet, memory_gathers_rows_of_every_leaf) {
  const auto set = numbers(5);
  EXPECT_EQ(set.size(), 5);
  const Example batch = set.gather(std::array<int64_t, 3>{4, 0, 4});
  EXPECT_EQ(batch.x.to_vector<float>(), (std::vector<float>{4, 8, 0, 0, 4, 8}));
  EXPECT_EQ(batch.x.shape(), (Shape{3, 2}));
  EXPECT_EQ(batch.label.to_vector<int>(), (std::vector<int>{4, 0, 4}));
  expect_message([&] { set.gather(std::array<int64_t, 1>{5}); }, {"no example 5", "0 to 4"});
  expect_message(
      [] {
        InMemory(Example{zeros({3, 2}), zeros({4})});
      },
      {"f32[3,2]", "f32[4]", "3 examples", "has 4"});
  expect_message([] { InMemory(Example{zeros({3, 2}), zeros(Shape{})}); }, {"f32[]", "leading"});

  // A strided view becomes dense.
  const InMemory turned(arange(6).reshape({2, 3}).T());
  EXPECT_EQ(turned.gather(std::array<int64_t, 1>{1}).to_vector<int>(), (std::vector<int>{1, 4}));

  const Subset some(numbers(5), {3, 1});
  EXPECT_EQ(some.gather(std::array<int64_t, 2>{1, 0}).label.to_vector<int64_t>(), (Rows{1, 3}));
  expect_message([&] { Subset(numbers(5), {5}); }, {"data::Subset", "no example 5"});
}

TEST(DataSet, files_of_arrays) {
  const testing::TemporaryDirectory directory;
  const HostArray x = host_array<float>({3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const HostArray y = host_array<int32_t>({3}, std::vector<int32_t>{7, 8, 9});
  write_npz(directory / "a.npz", {{"x", x}, {"y", y}});
  write_npy(directory / "x.npy", x);
  const auto named = read_npz_set(directory / "a.npz");
  EXPECT_EQ(named.size(), 3);
  const std::array<int64_t, 2> rows{2, 0};
  EXPECT_EQ(named.gather(rows).at("x").to_vector<float>(), (std::vector<float>{5, 6, 1, 2}));
  EXPECT_EQ(named.gather(rows).at("y").to_vector<int>(), (std::vector<int>{9, 7}));
  EXPECT_EQ(read_npy_set(directory / "x.npy").gather(rows).shape(), (Shape{2, 2}));

  // u8 [3], the type code 8 and rank 1 before it.
  testing::write_text(directory / "l", std::string("\0\0\x8\1\0\0\0\3\5\6\7", 11));
  const auto idx = read_idx_set({{"label", directory / "l"}});
  EXPECT_EQ(idx.gather(rows).at("label").to_vector<int>(), (std::vector<int>{7, 5}));
  write_npz(directory / "b.npz", {{"x", x}, {"z", host_array<float>({1}, std::vector<float>{0})}});
  expect_message([&] { read_npz_set(directory / "b.npz"); }, {"x has 3 examples", "z has 1"});
}

TEST(Loader, R_062_epochs_and_batches_beyond_32_bits) {
  constexpr int64_t kRound = 0xFFFFFFFF;  // orders begin again
  const auto make = [] { return Loader(numbers(6), {.batch_size = 2, .shuffle = Key(5)}); };
  const auto order_of = [&](int64_t epoch) {
    auto loader = make();
    loader.seek(epoch);
    return rest_of_epoch(loader);
  };
  EXPECT_EQ(order_of(kRound), order_of(0));
  EXPECT_EQ(order_of(kRound + 3), order_of(3));
  EXPECT_NE(order_of(kRound - 1), order_of(kRound));

  auto loader = make();
  loader.seek(kRound - 1, 2);
  (void)loader.next();
  EXPECT_FALSE(loader.next());
  EXPECT_EQ(loader.epoch(), kRound);
  (void)loader.next();
  EXPECT_EQ(loader.state().epoch.item<int64_t>(), kRound);
  EXPECT_EQ(loader.state(2).epoch.item<int64_t>(), kRound - 1);
  EXPECT_EQ(loader.state(2).position.item<int64_t>(), 2);
  EXPECT_EQ(loader.state(4).position.item<int64_t>(), 0);
  EXPECT_EQ(loader.state(5).epoch.item<int64_t>(), kRound - 2);
  EXPECT_EQ(loader.state(5).position.item<int64_t>(), 2);

  // The number of all batches does not fit 64 bits.
  loader.seek(std::numeric_limits<int64_t>::max() - 1, 1);
  EXPECT_EQ(loader.state(1).position.item<int64_t>(), 0);
  EXPECT_EQ(loader.state(2).epoch.item<int64_t>(), std::numeric_limits<int64_t>::max() - 2);
  EXPECT_EQ(loader.state(2).position.item<int64_t>(), 2);
}

TEST(Loader, R_041_a_batch_for_which_there_was_no_memory_is_made_again) {
  for (const int workers : {0, 1, 3}) {
    std::atomic<int> failures = 3;
    const auto set = mapped(numbers(8), [&](Example e) {
      if (failures.fetch_sub(1) > 0) throw std::bad_alloc();
      return e;
    });
    Loader loader(set, {.batch_size = 2, .workers = workers});
    Rows seen;
    int threw = 0;
    while (loader.epoch() == 0) {
      try {
        for (const auto& batch : loader) seen.push_back(batch.label.to_vector<int64_t>()[0]);
      } catch (const std::bad_alloc&) {
        ++threw;
      }
    }
    EXPECT_GE(threw, 1);
    EXPECT_EQ(seen, (Rows{0, 2, 4, 6})) << workers << " workers";
  }
}

TEST(Loader, batches_remainders_and_masks) {
  Loader keep(numbers(7), {.batch_size = 3});
  EXPECT_EQ(keep.batches(), 3);
  EXPECT_EQ(rest_of_epoch(keep), (Batches{{0, 1, 2}, {3, 4, 5}, {6}}));
  EXPECT_EQ(keep.epoch(), 1);
  EXPECT_EQ(rest_of_epoch(keep), (Batches{{0, 1, 2}, {3, 4, 5}, {6}}));

  Loader drop(numbers(7), {.batch_size = 3, .remainder = Remainder::kDrop});
  EXPECT_EQ(drop.batches(), 2);
  EXPECT_EQ(rest_of_epoch(drop), (Batches{{0, 1, 2}, {3, 4, 5}}));

  Loader pad(padded(numbers(7)), {.batch_size = 3});
  std::vector<std::vector<bool>> masks;
  Batches labels;
  for (const auto& [data, mask] : pad) {
    labels.push_back(data.label.to_vector<int64_t>());
    masks.push_back(mask.to_vector<bool>());
  }
  EXPECT_EQ(labels, (Batches{{0, 1, 2}, {3, 4, 5}, {6, 6, 6}}));
  EXPECT_EQ(masks, (std::vector<std::vector<bool>>{
                       {true, true, true}, {true, true, true}, {true, false, false}}));

  expect_message([] { Loader(numbers(7), {.batch_size = 0}); }, {"batch_size", "0"});
  expect_message([] { Loader(numbers(7), {.workers = -1}); }, {"workers", "-1"});
  expect_message([] { Loader(numbers(0)); }, {"no examples"});
  expect_message([] { Loader(numbers(2), {.batch_size = 3, .remainder = Remainder::kDrop}); },
                 {"2 examples", "3"});
}

TEST(Loader, R_057_order_follows_from_key_and_epoch_whatever_the_workers) {
  const Key key(7);
  std::vector<Batches> alone;
  for (int workers : {0, 1, 3}) {
    Loader loader(numbers(23), {.batch_size = 4, .shuffle = key, .workers = workers, .ahead = 2});
    std::vector<Batches> epochs;
    for (int epoch = 0; epoch < 3; ++epoch) epochs.push_back(rest_of_epoch(loader));
    if (workers == 0) alone = epochs;
    EXPECT_EQ(epochs, alone) << workers;
  }
  for (int epoch = 0; epoch < 3; ++epoch) {
    Rows all;
    for (const Rows& rows : alone[static_cast<size_t>(epoch)])
      all.insert(all.end(), rows.begin(), rows.end());
    EXPECT_EQ(all, random::permutation(random::fold_in(key, static_cast<uint32_t>(epoch)), 23)
                       .to_vector<int64_t>());
  }
  EXPECT_NE(alone[0], alone[1]);
}

TEST(Loader, goes_on_exactly_where_a_checkpoint_was_written) {
  const testing::TemporaryDirectory directory;
  const LoaderOptions options{.batch_size = 4, .shuffle = Key(3), .workers = 2};
  for (int64_t taken = 0; taken <= 14; ++taken) {
    Loader first(numbers(23), options);
    for (int64_t i = 0; i < taken; ++i) (void)first.next();  // 6 batches and the end: 7 an epoch
    save_checkpoint(directory.path(), first.state());

    Loader second(numbers(23), {.batch_size = 4, .shuffle = Key(99), .workers = taken % 2 ? 2 : 0});
    LoaderState state;
    load_checkpoint(directory.path(), state);
    second.set_state(state);
    EXPECT_EQ(second.epoch(), taken / 7);
    EXPECT_EQ(second.position(), taken % 7);
    EXPECT_EQ(rest_of_epoch(second), rest_of_epoch(first)) << taken;
    EXPECT_EQ(second.next()->label.to_vector<int>(), first.next()->label.to_vector<int>());
    EXPECT_EQ(second.batch_key().data().to_vector<uint32_t>(),
              first.batch_key().data().to_vector<uint32_t>());
  }
  Loader smaller(numbers(23), {.batch_size = 12});
  LoaderState state;
  state.position = scalar_integer(3, DType::kI64);
  expect_message([&] { smaller.set_state(state); }, {"no place 3", "2 batches"});
}

TEST(Loader, state_does_not_count_what_waits_in_a_prefetch) {
  Loader loader(numbers(6), {.batch_size = 2, .shuffle = Key(1)});
  (void)rest_of_epoch(loader);  // a first epoch, so that the end of the second is inside the count
  std::vector<Rows> rows;
  for (Prefetch batches([&] { return loader.next(); }, kCpu, {.ahead = 2});;) {
    const auto batch = batches.next();
    if (!batch) break;
    rows.push_back(batch->label.to_vector<int64_t>());
    Loader again(numbers(6), {.batch_size = 2, .shuffle = Key(1)});
    again.set_state(loader.state(static_cast<int64_t>(batches.waiting())));
    Loader straight(numbers(6), {.batch_size = 2, .shuffle = Key(1)});
    straight.seek(1, static_cast<int64_t>(rows.size()));
    if (straight.position() < straight.batches()) {
      EXPECT_EQ(rest_of_epoch(again), rest_of_epoch(straight));
    }
  }
  EXPECT_EQ(rows.size(), 3u);
  Loader fresh(numbers(6), {.batch_size = 2});
  expect_message([&] { fresh.state(1); }, {"1 batches cannot be ahead", "0"});
}

TEST(Loader, R_054_an_error_comes_in_its_turn_and_is_passed_over) {
  for (int workers : {0, 2}) {
    const auto set = mapped(numbers(8), [](Example e) {
      if (e.label.to_vector<int>()[0] == 4) throw ValueError("example 4 is damaged");
      return e;
    });
    Loader loader(set, {.batch_size = 2, .workers = workers});
    EXPECT_EQ(loader.next()->label.to_vector<int64_t>(), (Rows{0, 1}));
    EXPECT_EQ(loader.next()->label.to_vector<int64_t>(), (Rows{2, 3}));
    expect_message([&] { loader.next(); }, {"example 4 is damaged"});
    EXPECT_EQ(loader.next()->label.to_vector<int64_t>(), (Rows{6, 7}));
    EXPECT_FALSE(loader.next());
  }
}

TEST(Loader, workers_run_ahead_no_further_than_they_may_and_end_with_the_loader) {
  std::atomic<int> made = 0;
  const auto counting = mapped(numbers(100), [&made](Example e) {
    ++made;
    return e;
  });
  for (int round = 0; round < 20; ++round) {
    made = 0;
    Loader loader(counting, {.batch_size = 1, .workers = 3, .ahead = 4});
    for (int i = 0; i < round; ++i) ASSERT_TRUE(loader.next());
    loader.seek(2, 98);  // what is being made for the old place is not given out
    EXPECT_EQ(rest_of_epoch(loader), (Batches{{98}, {99}}));
    EXPECT_LE(made, round + 4 + 2 + 3);
    Loader moved = std::move(loader);
    EXPECT_EQ(moved.next()->label.item<int>(), 0);
  }
}

TEST(Loader, every_batch_has_a_key_of_its_own) {
  Loader loader(numbers(4), {.batch_size = 2, .shuffle = Key(5)});
  std::vector<std::vector<uint32_t>> keys;
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (const Example& batch : loader) {
      (void)batch;
      keys.push_back(loader.batch_key().data().to_vector<uint32_t>());
      keys.push_back(
          random::fold_in(Key(5), static_cast<uint32_t>(keys.size())).data().to_vector<uint32_t>());
    }
  }
  ASSERT_EQ(keys.size(), 8u);
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]) << i << " " << j;
  }
}

}  // namespace
}  // namespace linnet::data::loader_test
