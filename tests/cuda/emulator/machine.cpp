#include "cuda/emulator/machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/emulator/async_copies.h"
#include "cuda/emulator/block_memory.h"
#include "cuda/emulator/fibre.h"
#include "cuda/emulator/operations.h"
#include "cuda/emulator/order.h"
#include "cuda/emulator/sanitizers.h"
#include "cuda/emulator/threads.h"
#include "kernels/cuda/device/global.h"

namespace linnet::cuda {
namespace emulator {

Position position;

namespace {

constexpr int kMostThreads = 1024;
// How much further each block begins among the threads of the thread sanitizer.
constexpr int kStep = 61;
constexpr uint32_t kMostParameterBytes = 32764, kMostBlocksX = 0x7fffffff, kMostBlocksYZ = 65535;

class Machine {
 public:
  void launch(const KernelEntry& kernel, Grid grid, uint32_t threads, const void* parameters,
              uint32_t shared_bytes);

  void sync_block(const Where& where);
  uint64_t meet_lanes(Operation operation, unsigned mask, uint64_t value, int from,
                      const Where& where);
  void* shared_array(const void* key, size_t bytes, const char* name) {
    return memory_.array(key, bytes, name);
  }
  void* dynamic_shared() { return memory_.array(this, shared_bytes_, "dynamic shared memory"); }
  AsyncCopies& copies() {
    if (copies_.empty()) copies_.resize(static_cast<size_t>(count_));
    return copies_[static_cast<size_t>(position.thread)];
  }
  void fence() { release(&fence_), acquire(&fence_); }
  [[noreturn]] void fail_alignment(const void* at, size_t bytes, const Where& where);
  /// The thread uses an address that it may not.
  [[noreturn]] void fail_address(const std::string& what) {
    describe(nullptr, "thread " + std::to_string(position.thread) + ": " + what);
    give_up();
  }

  std::mutex mutex;
  std::optional<Schedule> chosen;
  RandomNumbers random{0};

 private:
  void run_block(uint64_t index, Grid grid);
  void check_block();
  void prepare_launch(const KernelEntry& kernel, Grid grid, uint32_t threads,
                      const void* parameters, uint32_t shared_bytes);
  void abandon_block();

  static void fibre_main();
  [[noreturn]] void work();
  void wait();
  void leave();
  Fibre& free_fibre(int thread);
  int stacks() const { return watches_races() ? count_ + kStep : count_; }
  void finish_barrier(const Thread& last);
  bool all_agree(const Thread& last);
  void finish_meeting(const Thread& last);
  void check_lanes(const Thread& self) const;

  int index_of(const Thread& thread) const { return static_cast<int>(&thread - threads_); }
  [[noreturn]] void give_up();
  [[noreturn]] void fail(const Thread& thread, const char* what, const Thread* other = nullptr);
  void describe(const Thread* thread, const std::string& what);
  std::string text(const Thread& thread) const;

  const KernelEntry* kernel_ = nullptr;
  alignas(64) unsigned char parameters_[kMostParameterBytes];
  uint32_t shared_bytes_ = 0;
  std::string error_;

  int count_ = 0;  // threads of a block
  Thread threads_[kMostThreads];
  Warp warps_[kMostThreads / kWarp];
  int arrived_ = 0, ended_ = 0;  // threads at the barrier; threads at their end
  ReadyThreads ready_;
  BlockMemory memory_;
  std::vector<AsyncCopies> copies_;

  Fibre host_;
  Fibre fibres_[kMostThreads + kStep];
  std::vector<Fibre*> free_fibres_;
  Fibre* running_ = nullptr;

  // Of the thread sanitizer: a thread for each of a block, another one in the next block, so that
  // the same thread of two blocks is not ordered; and what stands for the order that the start, the
  // end and fences make.
  int race_index(int thread) const { return (thread + first_race_thread_) % (count_ + kStep); }
  void* host_thread_ = nullptr;
  void* race_threads_[kMostThreads + kStep] = {};
  int first_race_thread_ = 0;
  char start_ = 0, end_ = 0, fence_ = 0;
  // The same for the barriers of the block and of each warp, fresh for each block: an order between
  // blocks must not come of them. They change between two words, so that who is late in leaving one
  // barrier is not ordered after who comes to the next; those of some lanes of a warp share one.
  struct Turns {
    uint64_t words[3];
  };
  std::unique_ptr<Turns[]> turns_;
  unsigned barriers_ = 0;
};

Machine& machine() {
  static Machine machine;
  return machine;
}

// ---- Mistakes -------------------------------------------------------------------------------

std::string Machine::text(const Thread& thread) const {
  return emulator::text(thread, index_of(thread));
}

void Machine::describe(const Thread* thread, const std::string& what) {
  const int* block = position.block;
  error_ = std::string(kernel_->name) + ": block (" + std::to_string(block[0]) + ", " +
           std::to_string(block[1]) + ", " + std::to_string(block[2]) + "), ";
  if (thread != nullptr) {
    error_ += "thread " + std::to_string(index_of(*thread)) + ", " + emulator::text(thread->where);
  } else {
    error_ += std::string(kernel_->file) + ":" + std::to_string(kernel_->line);
  }
  error_ += ": " + what;
}

// Leaves the thread that made a mistake for good. Nothing on its stack is destroyed: what it holds
// there must be trivial.
void Machine::give_up() {
  release(&end_);
  become(host_thread_);
  change(*running_, host_);
  std::abort();  // nobody returns here
}

void Machine::fail(const Thread& thread, const char* what, const Thread* other) {
  describe(&thread, other == nullptr ? what : what + text(*other));
  give_up();
}

void Machine::fail_alignment(const void* at, size_t bytes, const Where& where) {
  Thread& self = threads_[position.thread];
  self.where = where;
  describe(&self, "misaligned access: the address " + hexadecimal(reinterpret_cast<uintptr_t>(at)) +
                      " is no multiple of " + std::to_string(bytes) + " bytes");
  give_up();
}

// ---- Changing between threads ---------------------------------------------------------------

Fibre& Machine::free_fibre(int thread) {
  Fibre* fibre = nullptr;
  // Under the thread sanitizer each thread has its own stack: two of them in the same place would
  // look like a race.
  if (watches_races()) {
    fibre = &fibres_[race_index(thread)];
  } else {
    fibre = free_fibres_.back();
    free_fibres_.pop_back();
  }
  if (!fibre->prepared) prepare(*fibre, fibre_main);
  return *fibre;
}

// Goes on with a thread that can run, or with the host if there is none. Returns when somebody goes
// on with the fibre that runs now, which may be at once.
void Machine::leave() {
  Fibre* from = running_;
  const int next = ready_.take(random);
  if (next < 0) {
    become(host_thread_);
    running_ = &host_;
  } else {
    position.thread = next;
    Thread& thread = threads_[next];
    running_ = thread.state == Thread::kNew ? &free_fibre(next) : thread.fibre;
    become(race_threads_[race_index(next)]);
  }
  if (running_ != from) change(*from, *running_);
}

// Until somebody has made the thread ready.
void Machine::wait() {
  threads_[position.thread].fibre = running_;
  leave();
}

void Machine::fibre_main() {
  arrived();
  machine().work();
}

// A fibre runs threads from begin to end, one after the other: those that never wait need no other.
void Machine::work() {
  for (;;) {
    const int index = position.thread;
    threads_[index].state = Thread::kReady;
    acquire(&start_);
    kernel_->run(parameters_);
    release(&end_);
    threads_[index].state = Thread::kEnded;
    warps_[index / kWarp].ended |= 1u << index % kWarp;
    ++ended_;
    if (!watches_races()) free_fibres_.push_back(running_);
    leave();
  }
}

// ---- Barriers and operations of lanes -------------------------------------------------------

void Machine::sync_block(const Where& where) {
  Thread& self = threads_[position.thread];
  self.state = Thread::kAtBarrier;
  self.where = where;
  void* turn = turns_ == nullptr ? nullptr : &turns_[0].words[barriers_ % 2];
  release(turn);
  if (++arrived_ == count_) finish_barrier(self);
  wait();
  acquire(turn);
}

void Machine::finish_barrier(const Thread& last) {
  for (int i = 0; i < count_; ++i) {
    if (!same(threads_[i].where, last.where)) {
      fail(last, "threads of the block are at different barriers: ", &threads_[i]);
    }
  }
  for (int i = 0; i < count_; ++i) threads_[i].state = Thread::kReady;
  arrived_ = 0;
  ++barriers_;
  ready_.add(0, count_, [](int) { return true; });
}

void Machine::check_lanes(const Thread& self) const {
  auto& machine = const_cast<Machine&>(*this);
  const int warp = index_of(self) / kWarp, lane = index_of(self) % kWarp;
  if ((self.mask >> lane & 1) == 0) machine.fail(self, "the lane is not in its mask");
  if (self.operation == Operation::kShuffle && (self.mask >> self.from & 1) == 0) {
    machine.fail(self, "the lane that the shuffle reads is not in the mask: ",
                 &threads_[warp * kWarp + self.from]);
  }
  const unsigned ended = self.mask & warps_[warp].ended;
  if (ended != 0) {
    machine.fail(
        self, "a lane of the mask is not there: ", &threads_[warp * kWarp + __builtin_ctz(ended)]);
  }
}

uint64_t Machine::meet_lanes(Operation operation, unsigned mask, uint64_t value, int from,
                             const Where& where) {
  const int index = position.thread;
  Thread& self = threads_[index];
  Warp& warp = warps_[index / kWarp];
  self.state = Thread::kAtLanes;
  self.operation = operation;
  self.mask = mask;
  self.value = value;
  self.from = from;
  self.where = where;
  check_lanes(self);
  // Shuffles and ballots exchange their values alone and order no memory.
  const bool orders =
      turns_ != nullptr && (operation == Operation::kSyncWarp || operation == Operation::kGather);
  const unsigned turn = mask == ~0u ? warp.meetings % 2 : 2;
  void* order = orders ? &turns_[1 + index / kWarp].words[turn] : nullptr;
  if (orders) release(order);
  warp.waiting |= 1u << index % kWarp;
  if ((warp.waiting & mask) == mask && all_agree(self)) finish_meeting(self);
  wait();
  if (orders) acquire(order);
  return self.value;
}

// Whether all lanes of the mask wait for each other. A lane that waits for others first is no
// mistake.
bool Machine::all_agree(const Thread& last) {
  const int first = index_of(last) / kWarp * kWarp, lane = index_of(last) % kWarp;
  for (int i = 0; i < kWarp; ++i) {
    const Thread& other = threads_[first + i];
    if ((last.mask >> i & 1) == 0) continue;
    if (other.operation == last.operation && other.mask == last.mask &&
        same(other.where, last.where)) {
      continue;
    }
    if (other.mask >> lane & 1) fail(last, "lanes are at different operations: ", &other);
    return false;
  }
  return true;
}

void Machine::finish_meeting(const Thread& last) {
  const int first = index_of(last) / kWarp * kWarp;
  const unsigned mask = last.mask;
  Thread* lanes = threads_ + first;
  uint64_t values[kWarp];
  uint64_t votes = 0;
  for (int i = 0; i < kWarp; ++i) {
    values[i] = lanes[i].value;
    if ((mask >> i & 1) != 0 && values[i] != 0) votes |= uint64_t{1} << i;
  }
  Warp& warp = warps_[first / kWarp];
  uint64_t* gathered = warp.gathered;
  if (last.operation == Operation::kGather) std::copy(values, values + kWarp, gathered);
  for (int i = 0; i < kWarp; ++i) {
    if ((mask >> i & 1) == 0) continue;
    switch (last.operation) {
      case Operation::kBallot:
        lanes[i].value = votes;
        break;
      case Operation::kGather:
        lanes[i].value = reinterpret_cast<uintptr_t>(gathered);
        break;
      default:
        lanes[i].value = values[lanes[i].from];
    }
    lanes[i].state = Thread::kReady;
  }
  warp.waiting &= ~mask;
  if (mask == ~0u) ++warp.meetings;
  ready_.add(first, first + kWarp, [=](int i) { return (mask >> (i - first) & 1) != 0; });
}

// ---- Launches -------------------------------------------------------------------------------

// After the last thread that could run: all must have ended.
void Machine::check_block() {
  if (!error_.empty()) return;
  if (const char* name = memory_.damaged(); name != nullptr) {
    describe(nullptr, std::string("written beyond the ends of shared array '") + name + "'");
    return;
  }
  if (ended_ == count_) return;
  const Thread* at_barrier = nullptr;
  for (int i = 0; i < count_; ++i) {
    const Thread& self = threads_[i];
    if (self.state == Thread::kAtBarrier && at_barrier == nullptr) at_barrier = &self;
    if (self.state != Thread::kAtLanes) continue;
    for (int lane = 0; lane < kWarp; ++lane) {
      const Thread& other = threads_[i / kWarp * kWarp + lane];
      if ((self.mask >> lane & 1) == 0 || &other == &self) continue;
      if (other.state != Thread::kAtLanes || !same(other.where, self.where)) {
        describe(&self, std::string(name_of(self.operation)) +
                            " waits for ever for a lane of its mask: " + text(other));
        return;
      }
    }
  }
  for (int i = 0; i < count_ && at_barrier != nullptr; ++i) {
    if (threads_[i].state != Thread::kEnded) continue;
    describe(at_barrier, "sync_block waits for ever: " + text(threads_[i]));
    return;
  }
  describe(at_barrier, "deadlock");
}

// Threads that wait are forgotten where they are.
void Machine::abandon_block() {
  for (int i = 0; i < stacks(); ++i) {
    fibres_[i].prepared = false;
    if (!watches_races()) continue;
    become(race_threads_[i]);
    release(&end_);
    become(host_thread_);
    __tsan_destroy_fiber(race_threads_[i]);
    race_threads_[i] = nullptr;
  }
  acquire(&end_);
}

void Machine::run_block(uint64_t index, Grid grid) {
  position.block[0] = static_cast<int>(index % grid.x);
  position.block[1] = static_cast<int>(index / grid.x % grid.y);
  position.block[2] = static_cast<int>(index / grid.x / grid.y);
  for (int i = 0; i < count_; ++i) threads_[i].state = Thread::kNew;
  for (int i = 0; i < count_; i += kWarp) {
    Warp& warp = warps_[i / kWarp] = {};
    if (count_ - i < kWarp) {
      warp.ended = ~0u << (count_ - i);
      for (int j = count_; j < i + kWarp; ++j) threads_[j].state = Thread::kEnded;
    }
  }
  arrived_ = ended_ = 0;
  barriers_ = 0;
  copies_.clear();
  if (watches_races())
    turns_.reset(new Turns[static_cast<size_t>(1 + (count_ + kWarp - 1) / kWarp)]);
  first_race_thread_ = (first_race_thread_ + kStep) % (count_ + kStep);
  ready_.start(*chosen, count_);
  running_ = &host_;
  leave();
  acquire(&end_);
  check_block();
  memory_.clear();
  if (!error_.empty()) {
    abandon_block();
    throw LaunchError(std::exchange(error_, {}));
  }
}

void Machine::prepare_launch(const KernelEntry& kernel, Grid grid, uint32_t threads,
                             const void* parameters, uint32_t shared_bytes) {
  const std::string name = kernel.name;
  if (threads == 0 || threads > kernel.threads || kernel.threads > kMostThreads) {
    throw LaunchError(name + ": " + std::to_string(threads) +
                      " threads a block, expected at most " + std::to_string(kernel.threads));
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > kMostBlocksX ||
      grid.y > kMostBlocksYZ || grid.z > kMostBlocksYZ) {
    throw LaunchError(name + ": a grid of " + std::to_string(grid.x) + " x " +
                      std::to_string(grid.y) + " x " + std::to_string(grid.z) + " blocks");
  }
  if (kernel.parameter_bytes > kMostParameterBytes) {
    throw LaunchError(name + ": " + std::to_string(kernel.parameter_bytes) +
                      " bytes of parameters, at most " + std::to_string(kMostParameterBytes));
  }
  schedule();  // asks the environment at the first launch
  kernel_ = &kernel;
  std::memcpy(parameters_, parameters, kernel.parameter_bytes);
  shared_bytes_ = shared_bytes;
  count_ = static_cast<int>(threads);
  position.threads = count_;
  position.blocks[0] = static_cast<int>(grid.x);
  position.blocks[1] = static_cast<int>(grid.y);
  position.blocks[2] = static_cast<int>(grid.z);
  if (watches_races()) host_thread_ = __tsan_get_current_fiber();
  free_fibres_.clear();
  free_fibres_.reserve(kMostThreads + kStep);
  for (int i = stacks(); i-- > 0;) {
    if (fibres_[i].bottom == nullptr) allocate_stack(fibres_[i], static_cast<size_t>(i));
    if (watches_races() && race_threads_[i] == nullptr) race_threads_[i] = __tsan_create_fiber(0);
    free_fibres_.push_back(&fibres_[i]);
  }
}

void Machine::launch(const KernelEntry& kernel, Grid grid, uint32_t threads, const void* parameters,
                     uint32_t shared_bytes) {
  prepare_launch(kernel, grid, threads, parameters, shared_bytes);
  release(&start_);
  const uint64_t count = uint64_t{grid.x} * grid.y * grid.z;
  const BlockOrder order(*chosen, count, random);
  for (uint64_t i = 0; i < count; ++i) run_block(order[i], grid);
}

Translate translation = nullptr;

}  // namespace

void sync_block(const Where& where) { machine().sync_block(where); }
uint64_t meet_lanes(Operation operation, unsigned mask, uint64_t value, int from,
                    const Where& where) {
  return machine().meet_lanes(operation, mask, value, from, where);
}
void* shared_array(const void* key, size_t bytes, const char* name) {
  return machine().shared_array(key, bytes, name);
}
void* dynamic_shared() { return machine().dynamic_shared(); }
void start_copy(const AsyncCopy& copy) {
  AsyncCopies& of = machine().copies();
  of.copies.push_back({copy, of.group});
}
void close_group() { ++machine().copies().group; }
bool take_copy(int groups, AsyncCopy& copy) { return machine().copies().take(groups, copy); }
void fence() { machine().fence(); }
void fail_alignment(const void* at, size_t bytes, const Where& where) {
  machine().fail_alignment(at, bytes, where);
}

void launch(const KernelEntry& kernel, Grid grid, uint32_t threads, const void* parameters,
            uint32_t shared_bytes) {
  const std::lock_guard lock(machine().mutex);
  machine().launch(kernel, grid, threads, parameters, shared_bytes);
}

void set_schedule(Schedule schedule, uint64_t seed) {
  machine().chosen = schedule;
  machine().random = RandomNumbers(seed);
}

Schedule schedule() {
  if (!machine().chosen) {
    const char* seed = std::getenv("LINNET_EMULATOR_SEED");
    set_schedule(schedule_of_environment(), seed == nullptr ? 0 : std::strtoull(seed, nullptr, 10));
  }
  return *machine().chosen;
}

Schedule schedule_of_environment() {
  const char* name = std::getenv("LINNET_EMULATOR_SCHEDULE");
  if (name == nullptr) return Schedule::kInOrder;
  for (Schedule schedule : kSchedules) {
    if (std::strcmp(name, name_of(schedule)) == 0) return schedule;
  }
  throw LaunchError(std::string("LINNET_EMULATOR_SCHEDULE=") + name +
                    ", expected in_order, reversed, warp or random");
}

const char* name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::kInOrder:
      return "in_order";
    case Schedule::kReversed:
      return "reversed";
    case Schedule::kWarp:
      return "warp";
    case Schedule::kRandom:
      return "random";
  }
  return "";
}

void set_translation(Translate translate) { translation = translate; }

}  // namespace emulator

void* emulated_memory(unsigned long long address) {
  if (emulator::translation == nullptr) return reinterpret_cast<void*>(address);
  std::string what;
  try {
    return emulator::translation(address);
  } catch (const emulator::LaunchError& error) {
    what = error.what();  // may not leave the thread's stack
  }
  emulator::machine().fail_address(what);
}

}  // namespace linnet::cuda
