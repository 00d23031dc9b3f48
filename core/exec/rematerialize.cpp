#include "core/exec/rematerialize.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "core/exec/arena_report.h"
#include "core/exec/remat_move.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet {
namespace {

/// How often what is aimed at is lowered, because offsets need more than the values themselves or
/// because no move helps: the next level tells moves apart that look alike from this one.
constexpr int kMostRounds = 16;
constexpr int64_t kLevels = 8;
/// Moves that were expected to help and did not, one after the other.
constexpr int kMostVain = 8;
/// A program of so many times its steps is not what anybody wants to run.
constexpr size_t kMostGrowth = 8;

class Rematerializer {
 public:
  Rematerializer(LoweredProgram& program, const RematerializeOptions& options)
      : program_(program), options_(options), most_steps_(kMostGrowth * program.steps.size()) {}

  void run() {
    StoragePlan plan = full_plan();
    if (plan.arena_bytes <= options_.limit) return;
    needed_ = reached_ = plan.arena_bytes;
    bounds_ = donation_bounds(program_, plan);
    copies_.of_root.resize(program_.roots.size());
    std::iota(copies_.of_root.begin(), copies_.of_root.end(), 0);
    copies_.of_step.resize(program_.steps.size());
    std::iota(copies_.of_step.begin(), copies_.of_step.end(), 0);
    auto enough = static_cast<int64_t>(options_.limit), target = enough;
    for (int round = 0; round < kMostRounds && enough > 0; ++round) {
      const int64_t most = reduce(target, enough);
      plan = full_plan();
      reached_ = std::min(reached_, plan.arena_bytes);
      if (plan.arena_bytes <= options_.limit) return log(plan);
      if (most <= enough)
        enough = most - static_cast<int64_t>(plan.arena_bytes - options_.limit);
      else
        target -= target / kLevels;
      target = std::min(target, enough);
    }
    fail<DeviceError>(
        "compiled program: {} bytes of intermediate values cannot be brought within the memory "
        "limit of {} bytes; {} bytes were reached by computing values again; the largest "
        "owners:{}",
        needed_, options_.limit, reached_, largest_values(program_, plan));
  }

 private:
  StoragePlan full_plan() const {
    return plan_storage(program_, true, options_.alignment, options_.restores);
  }

  /// Until no step uses more than `enough`, or nothing helps. @param target of the moves.
  /// @return what the fullest step uses.
  int64_t reduce(int64_t target, int64_t enough) {
    int64_t least = std::numeric_limits<int64_t>::max();
    int vain = 0;
    while (true) {
      number_steps();
      const Survey survey(program_, copies_, options_.alignment);
      const int32_t peak = survey.fullest();
      const int64_t most = survey.in_use[static_cast<size_t>(peak)];
      if (most <= enough) return most;
      int64_t beyond = 0;
      for (int64_t bytes : survey.in_use) beyond += std::max<int64_t>(bytes - target, 0);
      vain = beyond < least ? 0 : vain + 1;
      least = std::min(least, beyond);
      if (vain > kMostVain || program_.steps.size() > most_steps_) return most;
      const std::optional<Move> move = best_move(survey, peak, target);
      if (!move) return most;
      move->apply(program_, copies_);
    }
  }

  std::optional<Move> best_move(const Survey& survey, int32_t peak, int64_t target) const {
    std::optional<Move> best;
    for (int32_t maker = 0; maker < peak; ++maker) {
      for (const bool extends : {false, true}) {
        for (const bool merges : {false, true}) {
          Move move(survey, bounds_, {target, extends, merges}, maker, peak);
          if (!move.possible() || move.gain() <= 0) continue;
          if (!best || move.score() > best->score()) best.emplace(std::move(move));
        }
      }
    }
    return best;
  }

  /// Drops steps whose results nobody reads, and writes down when the roots of the others are made
  /// and read.
  void number_steps() {
    std::vector<int32_t> reads(program_.roots.size(), 0);
    for (const LoweredStep& step : program_.steps)
      for (const Place& place : step.inputs) ++reads[static_cast<size_t>(place.root)];
    for (const Place& place : program_.outputs) ++reads[static_cast<size_t>(place.root)];
    std::vector<uint8_t> dead(program_.steps.size(), 0);
    for (size_t s = program_.steps.size(); s-- > 0;) {
      const LoweredStep& step = program_.steps[s];
      dead[s] = repeatable(step) &&
                std::all_of(step.outputs.begin(), step.outputs.end(), [&](const Place& place) {
                  return reads[static_cast<size_t>(place.root)] == 0;
                });
      if (!dead[s]) continue;
      for (const Place& place : step.inputs) --reads[static_cast<size_t>(place.root)];
    }
    remove(dead);
    for (Root& root : program_.roots) {
      root.last = -1;
      if (root.kind == Root::Kind::kComputed) root.first = -1;  // unless a step still makes it
    }
    for (size_t s = 0; s < program_.steps.size(); ++s) {
      for (const Place& place : program_.steps[s].inputs)
        program_.roots[static_cast<size_t>(place.root)].last = static_cast<int32_t>(s);
      for (const Place& place : program_.steps[s].outputs)
        program_.roots[static_cast<size_t>(place.root)].first = static_cast<int32_t>(s);
    }
  }

  void remove(const std::vector<uint8_t>& dead) {
    size_t kept = 0;
    for (size_t s = 0; s < program_.steps.size(); ++s) {
      if (dead[s]) continue;
      if (kept != s) program_.steps[kept] = std::move(program_.steps[s]);
      copies_.of_step[kept++] = copies_.of_step[s];
    }
    program_.steps.resize(kept);
    copies_.of_step.resize(kept);
  }

  void log(const StoragePlan& plan) const {
    if (!log_enabled("graph")) return;
    log_line("graph", fmt::format("memory limit of {} bytes: arena of {} instead of {} bytes, {} "
                                  "steps instead of {}",
                                  options_.limit, plan.arena_bytes, needed_, program_.steps.size(),
                                  most_steps_ / kMostGrowth));
  }

  LoweredProgram& program_;
  RematerializeOptions options_;
  size_t most_steps_;
  size_t needed_ = 0, reached_ = 0;
  Copies copies_;
  DonationBounds bounds_;
};

}  // namespace

void rematerialize(LoweredProgram& program, const RematerializeOptions& options) {
  Rematerializer(program, options).run();
}

}  // namespace linnet
