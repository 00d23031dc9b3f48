// Private: one step towards less memory: steps that are repeated in front of a reader, what they
// cost, and what they save.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/exec/lifetimes.h"

namespace linnet {

/// Which roots and steps are the same value, computed several times: copies are known by the number
/// of what they were copied from first.
struct Copies {
  std::vector<int32_t> of_root, of_step;
};

/// What is known of a program between two moves.
struct Survey {
  Survey(const LoweredProgram& program, const Copies& copies, size_t alignment);

  const LoweredProgram& program;
  const Copies& copies;
  Readers readers;
  StoragePlan storage;
  std::vector<int32_t> first, last;             ///< steps that make (-1: none) and last read a root
  std::vector<int64_t> bytes;                   ///< of each root, aligned
  std::vector<int64_t> in_use;                  ///< of the arena, while each step runs
  std::vector<int64_t> across;                  ///< by what lives before a step and in it
  std::vector<int64_t> results, workspace;      ///< of each step
  std::vector<std::vector<int32_t>> same_root;  ///< by number: copies of one root, ascending
  std::vector<std::vector<int32_t>> same_step;

  int32_t steps() const { return static_cast<int32_t>(program.steps.size()); }
  bool in_arena(int32_t root) const;
  /// The step that uses most of the arena.
  int32_t fullest() const;
};

/// Places that may not be passed, or memory that is given to results could not be.
struct DonationBounds {
  /// By root: results whose memory it may be, of which none may have been begun when it is read.
  std::multimap<int32_t, int32_t> results;
  /// All of them: none may have been begun when a step throws.
  std::vector<int32_t> all;
};
DonationBounds donation_bounds(const LoweredProgram& program, const StoragePlan& storage);

/// Whether a step may be repeated: it has a kernel, which is a function of its operands.
bool repeatable(const LoweredStep& step);

struct MoveRules {
  int64_t target = 0;    ///< bytes of the arena
  bool extends = false;  ///< operands that are gone stay longer instead of being computed again
  bool merges = false;   ///< later copies of what is repeated go, and their readers read this one
};

/// Repeats step `maker`, and what it needs, in front of the first reader behind `peak` of its
/// results.
class Move {
 public:
  Move(const Survey& survey, const DonationBounds& bounds, const MoveRules& rules, int32_t maker,
       int32_t peak);

  bool possible() const { return possible_; }
  /// Bytes beyond the target, over all steps, that it saves.
  int64_t gain() const { return gain_; }
  double seconds() const { return seconds_; }
  double score() const { return static_cast<double>(gain_) / seconds_; }
  /// How many steps are inserted.
  size_t size() const { return repeated_.size(); }
  void apply(LoweredProgram& program, Copies& copies) const;

 private:
  using Roots = std::map<int32_t, int32_t>;  ///< by number

  void find_dropped(int32_t maker, int32_t peak);
  bool repeat(int32_t step);
  bool provide(int32_t root);
  bool may_read_input(int32_t root) const;
  bool may_repeat(int32_t step) const;
  void find_merged();
  bool moves_away() const;

  int64_t beyond(int64_t bytes) const;
  void change(int32_t first, int32_t last, int64_t bytes);
  void measure_gain();
  void change_for_kept();
  int64_t beyond_in_repeated(int64_t alive) const;
  void measure_seconds();
  std::vector<LoweredStep> repeat_steps(LoweredProgram& program, Copies& copies,
                                        Roots& fresh) const;

  const Survey& at_;
  const DonationBounds& bounds_;
  MoveRules rules_;
  int32_t maker_, place_ = -1;
  bool possible_ = false;
  size_t begun_ = 0;  ///< steps that wait for those that make their operands
  int64_t dropped_bytes_ = 0, gain_ = 0;
  double seconds_ = 0;
  std::vector<int32_t> dropped_;   ///< results of the maker whose later readers read the new ones
  std::vector<int32_t> repeated_;  ///< steps, in order
  std::vector<int32_t> extended_;  ///< roots that live up to here
  std::vector<int32_t> merged_;    ///< steps that go, ascending
  std::unordered_set<int32_t> made_;                  ///< numbers of roots
  Roots provided_;                                    ///< that are there to be read
  std::vector<std::pair<int32_t, int64_t>> changes_;  ///< of bytes in use, from a step on
};

}  // namespace linnet
