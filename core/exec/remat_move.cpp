#include "core/exec/remat_move.h"

#include <algorithm>

#include "core/exec/cost.h"

namespace linnet {
namespace {

/// Longer chains cost more than the search for them is worth.
constexpr size_t kMostRepeated = 256;
/// An operand so much smaller than what is freed is kept rather than computed again.
constexpr int64_t kMuchSmaller = 8;

/// Only ratios matter: a core that reads 8 GB and computes 40 G operations a second, and starts a
/// kernel in half a microsecond.
double seconds_of(const LoweredStep& step) {
  const StepCost cost = cost_of(step);
  return cost.bytes / 8e9 + cost.flops / 40e9 + 5e-7;
}

}  // namespace

bool repeatable(const LoweredStep& step) {
  return step.kernel.implementation && !step.control && !step.primitive->distinct;
}

Survey::Survey(const LoweredProgram& source, const Copies& numbers, size_t alignment)
    : program(source), copies(numbers), readers(source), storage(plan_blocks(source)) {
  const auto aligned = [alignment](size_t size) {
    return static_cast<int64_t>((size + alignment - 1) / alignment * alignment);
  };
  same_root.resize(program.roots.size());
  for (size_t r = 0; r < program.roots.size(); ++r) {
    const Root& root = program.roots[r];
    const std::span<const int32_t> all = readers[static_cast<int32_t>(r)];
    first.push_back(root.first);
    last.push_back(all.empty() ? root.first : std::max(all.back(), root.first));
    bytes.push_back(aligned(root.bytes));
    if (root.first >= 0)
      same_root[static_cast<size_t>(copies.of_root[r])].push_back(static_cast<int32_t>(r));
  }
  for (const Place& place : program.outputs) last[static_cast<size_t>(place.root)] = steps();
  in_use = bytes_in_use(storage, program.steps.size(), alignment);
  across = in_use;
  for (const StorageBlock& block : storage.blocks) {
    if (block.output < 0)
      across[static_cast<size_t>(block.memory.first)] -= aligned(block.memory.bytes);
  }
  same_step.resize(program.steps.size() + copies.of_step.size());
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const int32_t block = storage.workspace_of_step[s];
    workspace.push_back(
        block < 0 ? 0 : aligned(storage.blocks[static_cast<size_t>(block)].memory.bytes));
    results.push_back(0);
    for (const Place& place : program.steps[s].outputs)
      results.back() += bytes[static_cast<size_t>(place.root)];
    const auto number = static_cast<size_t>(copies.of_step[s]);
    if (number >= same_step.size()) same_step.resize(number + 1);
    same_step[number].push_back(static_cast<int32_t>(s));
  }
}

bool Survey::in_arena(int32_t root) const {
  const int32_t block = storage.block_of_root[static_cast<size_t>(root)];
  return block >= 0 && storage.blocks[static_cast<size_t>(block)].output < 0;
}

int32_t Survey::fullest() const {
  return static_cast<int32_t>(std::max_element(in_use.begin(), in_use.end()) - in_use.begin());
}

DonationBounds donation_bounds(const LoweredProgram& program, const StoragePlan& storage) {
  std::vector<int32_t> begins(storage.blocks.size(), -1);  // the first root of each block
  std::vector<int32_t> input(program.roots.size(), -1);
  for (size_t r = 0; r < program.roots.size(); ++r) {
    const Root& root = program.roots[r];
    if (root.kind == Root::Kind::kInput)
      input[static_cast<size_t>(root.index)] = static_cast<int32_t>(r);
    const int32_t block = storage.block_of_root[r];
    if (block >= 0 && root.first == storage.blocks[static_cast<size_t>(block)].memory.first)
      begins[static_cast<size_t>(block)] = static_cast<int32_t>(r);
  }
  DonationBounds out;
  for (const StorageBlock& block : storage.blocks) {
    if (block.output < 0) continue;
    const auto& donors = storage.outputs[static_cast<size_t>(block.output)].donors;
    if (donors.empty()) continue;
    const int32_t root = begins[static_cast<size_t>(&block - storage.blocks.data())];
    out.all.push_back(root);
    for (int32_t donor : donors) out.results.emplace(input[static_cast<size_t>(donor)], root);
  }
  return out;
}

Move::Move(const Survey& survey, const DonationBounds& bounds, const MoveRules& rules,
           int32_t maker, int32_t peak)
    : at_(survey), bounds_(bounds), rules_(rules), maker_(maker) {
  if (!repeatable(at_.program.steps[static_cast<size_t>(maker)])) return;
  find_dropped(maker, peak);
  if (dropped_.empty() || !repeat(maker)) return;
  if (rules_.merges) find_merged();
  // Rules that change nothing are those of another move.
  possible_ = !(rules_.extends && extended_.empty()) && !(rules_.merges && merged_.empty());
  if (!possible_) return;
  measure_gain();
  measure_seconds();
}

/// Those that live at the peak and are not read there.
void Move::find_dropped(int32_t maker, int32_t peak) {
  for (const Place& place : at_.program.steps[static_cast<size_t>(maker)].outputs) {
    if (!at_.in_arena(place.root) || at_.last[static_cast<size_t>(place.root)] <= peak) continue;
    const int32_t next = at_.readers.from(place.root, peak);
    if (next <= peak) continue;
    dropped_.push_back(place.root);
    dropped_bytes_ += at_.bytes[static_cast<size_t>(place.root)];
    if (place_ < 0 || next < place_) place_ = next;
  }
}

bool Move::may_repeat(int32_t step) const {
  if (!repeatable(at_.program.steps[static_cast<size_t>(step)])) return false;
  if (!may_throw(at_.program.steps[static_cast<size_t>(step)])) return true;
  return std::all_of(bounds_.all.begin(), bounds_.all.end(), [&](int32_t result) {
    return place_ <= at_.first[static_cast<size_t>(result)];
  });
}

/// Adds a step behind those that make its operands.
bool Move::repeat(int32_t step) {
  if (repeated_.size() + begun_ >= kMostRepeated || !may_repeat(step)) return false;
  ++begun_;
  for (const Place& place : at_.program.steps[static_cast<size_t>(step)].inputs)
    if (!provide(place.root)) return false;
  --begun_;
  repeated_.push_back(step);
  for (const Place& place : at_.program.steps[static_cast<size_t>(step)].outputs)
    made_.insert(at_.copies.of_root[static_cast<size_t>(place.root)]);
  return true;
}

bool Move::may_read_input(int32_t root) const {
  if (at_.last[static_cast<size_t>(root)] >= place_) return true;
  const auto [begin, end] = bounds_.results.equal_range(root);
  return std::all_of(begin, end, [&](const auto& bound) {
    return place_ <= at_.first[static_cast<size_t>(bound.second)];
  });
}

/// Finds where a value can be read in front of the place, or how it comes to be there.
bool Move::provide(int32_t root) {
  const int32_t number = at_.copies.of_root[static_cast<size_t>(root)];
  if (made_.contains(number) || provided_.contains(number)) return true;
  if (at_.program.roots[static_cast<size_t>(root)].kind != Root::Kind::kComputed) {
    provided_.emplace(number, root);
    return may_read_input(root);
  }
  int32_t latest = root;
  for (int32_t same : at_.same_root[static_cast<size_t>(number)]) {
    const auto s = static_cast<size_t>(same);
    if (at_.first[s] >= place_) continue;
    if (at_.last[s] >= place_) {
      provided_.emplace(number, same);
      return true;
    }
    if (at_.last[s] > at_.last[static_cast<size_t>(latest)]) latest = same;
  }
  const int32_t maker = at_.first[static_cast<size_t>(latest)];
  const int64_t bytes = at_.bytes[static_cast<size_t>(latest)];
  if (!rules_.extends && bytes * kMuchSmaller > dropped_bytes_ && may_repeat(maker))
    return repeat(maker);
  extended_.push_back(latest);
  provided_.emplace(number, latest);
  return true;
}

/// Copies behind the place of the steps that are repeated there.
void Move::find_merged() {
  for (int32_t step : repeated_) {
    const int32_t number = at_.copies.of_step[static_cast<size_t>(step)];
    for (int32_t same : at_.same_step[static_cast<size_t>(number)])
      if (same > place_) merged_.push_back(same);
  }
  std::sort(merged_.begin(), merged_.end());
}

/// Whether nobody reads what the maker made where it was.
bool Move::moves_away() const {
  for (const Place& place : at_.program.steps[static_cast<size_t>(maker_)].outputs) {
    if (at_.last[static_cast<size_t>(place.root)] >= at_.steps()) return false;
    const int32_t next = at_.readers.from(place.root, 0);
    if (next < 0) continue;
    const bool goes = std::find(dropped_.begin(), dropped_.end(), place.root) != dropped_.end();
    if (!goes || next < place_) return false;
  }
  return true;
}

int64_t Move::beyond(int64_t bytes) const { return std::max<int64_t>(bytes - rules_.target, 0); }

void Move::change(int32_t first, int32_t last, int64_t bytes) {
  if (first > last) return;
  changes_.emplace_back(first, bytes);
  changes_.emplace_back(last + 1, -bytes);
}

/// What merged copies had in memory of their own lives from here on.
void Move::change_for_kept() {
  std::map<int32_t, int32_t> until;  // by number, the last step that has the value anyway
  for (int32_t root : dropped_)
    until[at_.copies.of_root[static_cast<size_t>(root)]] = at_.last[static_cast<size_t>(root)];
  for (int32_t step : merged_) {
    for (const Place& place : at_.program.steps[static_cast<size_t>(step)].outputs) {
      const auto r = static_cast<size_t>(place.root);
      if (at_.readers[place.root].empty()) continue;
      int32_t& last = until.try_emplace(at_.copies.of_root[r], place_ - 1).first->second;
      change(last + 1, step - 1, at_.bytes[r]);
      last = std::max(last, at_.last[r]);
    }
  }
}

void Move::measure_gain() {
  int64_t alive = at_.across[static_cast<size_t>(place_)] - dropped_bytes_;
  for (int32_t root : dropped_) {
    const int32_t before =
        std::max(at_.readers.before(root, place_), at_.first[static_cast<size_t>(root)]);
    change(before + 1, place_ - 1, -at_.bytes[static_cast<size_t>(root)]);
  }
  if (moves_away()) change(maker_, maker_, -at_.results[static_cast<size_t>(maker_)]);
  for (int32_t root : extended_) {
    const auto r = static_cast<size_t>(root);
    change(at_.last[r] + 1, place_ - 1, at_.bytes[r]);
    alive += at_.bytes[r];
  }
  change_for_kept();
  std::sort(changes_.begin(), changes_.end());
  int64_t bytes = 0;
  for (size_t i = 0; i < changes_.size(); ++i) {
    bytes += changes_[i].second;
    const int32_t end = i + 1 < changes_.size() ? changes_[i + 1].first : changes_[i].first;
    for (int32_t s = changes_[i].first; bytes != 0 && s < end; ++s) {
      const int64_t now = at_.in_use[static_cast<size_t>(s)];
      gain_ += beyond(now) - beyond(now + bytes);
    }
  }
  gain_ -= beyond_in_repeated(alive);
}

/// In the repeated steps themselves. @param alive what lives in front of them.
int64_t Move::beyond_in_repeated(int64_t alive) const {
  std::map<int32_t, size_t> last;  // by number, the last of the repeated steps that reads it
  for (size_t i = 0; i < repeated_.size(); ++i) {
    for (const Place& place : at_.program.steps[static_cast<size_t>(repeated_[i])].inputs)
      last[at_.copies.of_root[static_cast<size_t>(place.root)]] = i;
  }
  for (int32_t root : dropped_)
    last[at_.copies.of_root[static_cast<size_t>(root)]] = repeated_.size();
  for (int32_t step : merged_) {
    for (const Place& place : at_.program.steps[static_cast<size_t>(step)].outputs) {
      if (!at_.readers[place.root].empty())
        last[at_.copies.of_root[static_cast<size_t>(place.root)]] = repeated_.size();
    }
  }
  int64_t sum = 0;
  std::vector<int64_t> dying(repeated_.size() + 1, 0);
  for (size_t i = 0; i < repeated_.size(); ++i) {
    const auto step = static_cast<size_t>(repeated_[i]);
    sum += beyond(alive + at_.results[step] + at_.workspace[step]);
    for (const Place& place : at_.program.steps[step].outputs) {
      const auto found = last.find(at_.copies.of_root[static_cast<size_t>(place.root)]);
      if (found == last.end()) continue;
      alive += at_.bytes[static_cast<size_t>(place.root)];
      dying[found->second] += at_.bytes[static_cast<size_t>(place.root)];
    }
    alive -= dying[i];
  }
  return sum;
}

void Move::measure_seconds() {
  for (int32_t step : repeated_)
    seconds_ += seconds_of(at_.program.steps[static_cast<size_t>(step)]);
  for (int32_t step : merged_) seconds_ -= seconds_of(at_.program.steps[static_cast<size_t>(step)]);
  if (moves_away()) seconds_ -= seconds_of(at_.program.steps[static_cast<size_t>(maker_)]);
  seconds_ = std::max(seconds_, 1e-7);
}

std::vector<LoweredStep> Move::repeat_steps(LoweredProgram& program, Copies& copies,
                                            Roots& fresh) const {
  std::vector<LoweredStep> out;
  for (int32_t s : repeated_) {
    LoweredStep step = program.steps[static_cast<size_t>(s)];
    for (Place& place : step.inputs) {
      const int32_t number = copies.of_root[static_cast<size_t>(place.root)];
      const auto made = fresh.find(number);
      place.root = made != fresh.end() ? made->second : provided_.at(number);
    }
    for (Place& place : step.outputs) {
      const auto old = static_cast<size_t>(place.root);
      place.root = static_cast<int32_t>(program.roots.size());
      program.roots.push_back({.bytes = program.roots[old].bytes});
      copies.of_root.push_back(copies.of_root[old]);
      fresh[copies.of_root[old]] = place.root;
    }
    out.push_back(std::move(step));
  }
  return out;
}

void Move::apply(LoweredProgram& program, Copies& copies) const {
  Roots fresh;
  std::vector<LoweredStep> inserted = repeat_steps(program, copies, fresh);
  std::vector<int32_t> numbers;
  for (int32_t s : repeated_) numbers.push_back(copies.of_step[static_cast<size_t>(s)]);
  std::vector<int32_t> stands(program.roots.size());
  for (size_t r = 0; r < stands.size(); ++r) stands[r] = static_cast<int32_t>(r);
  const auto replace = [&](int32_t root) {
    stands[static_cast<size_t>(root)] = fresh.at(copies.of_root[static_cast<size_t>(root)]);
  };
  for (int32_t root : dropped_) replace(root);
  for (int32_t step : merged_) {
    for (const Place& place : program.steps[static_cast<size_t>(step)].outputs) replace(place.root);
  }
  for (auto s = static_cast<size_t>(place_); s < program.steps.size(); ++s) {
    for (Place& place : program.steps[s].inputs)
      place.root = stands[static_cast<size_t>(place.root)];
  }
  program.steps.insert(program.steps.begin() + place_, std::make_move_iterator(inserted.begin()),
                       std::make_move_iterator(inserted.end()));
  copies.of_step.insert(copies.of_step.begin() + place_, numbers.begin(), numbers.end());
}

}  // namespace linnet
