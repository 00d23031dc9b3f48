// Reinforcement learning: a policy learns to balance a pole on a cart. The world is made of tensor
// operations, so that a whole batch of episodes is one `scan` inside the compiled training step,
// and the policy gradient is the derivative through it.
//
//   cart_pole [updates]
//
// Barto, Sutton and Anderson, 1983, for the cart; Williams, REINFORCE, 1992, for the gradient.
#include <cstdio>
#include <cstdlib>
#include <numbers>

#include "linnet/linnet.h"

using namespace linnet;

constexpr int64_t kEpisodes = 64, kTime = 200;

/// One step of 0.02 s for carts `s` f32 [n, 4] (place, speed, angle, its speed), pushed to the
/// right where `right` is true.
Tensor advance(const Tensor& s, const Tensor& right) {
  constexpr double kGravity = 9.8, kPole = 0.1, kMass = 1.1, kHalfLength = 0.5, kStep = 0.02;
  const std::vector<Tensor> parts = split(s, 4, 1);
  const Tensor &speed = parts[1], &angle = parts[2], &turning = parts[3];
  const Tensor force = expand_dims(where(right, 10.f, -10.f), 1);
  const Tensor push = (force + kPole * kHalfLength * square(turning) * sin(angle)) / kMass;
  const Tensor angular = (kGravity * sin(angle) - cos(angle) * push) /
                         (kHalfLength * (4.0 / 3 - kPole * square(cos(angle)) / kMass));
  const Tensor linear = push - kPole * kHalfLength * angular * cos(angle) / kMass;
  return s + kStep * concatenate({speed, linear, turning, angular}, 1);
}

/// bool [n]: the cart is on its track and the pole within 12 degrees.
Tensor stands(const Tensor& s) {
  const Tensor place = index_axis(s, 0, 1), angle = index_axis(s, 2, 1);
  return abs(place) < 2.4 && abs(angle) < 12 * std::numbers::pi / 180;
}

struct Policy {
  nnx::Linear hidden, logits;
  explicit Policy(nnx::Rngs& rngs) : hidden(4, 32, rngs), logits(32, 2, rngs) {}
  LINNET_FIELDS(hidden, logits)
  Tensor operator()(const Tensor& s) const { return logits(tanh(hidden(s))); }
};

struct Episodes {
  Tensor log_probability;  ///< f32 [time, n], of the action that was taken
  Tensor reward;           ///< f32 [time, n]: 1 as long as the pole stands
};

Episodes play(const Policy& policy, const Key& key) {
  const auto [start_key, play_key] = random::split<2>(key);
  const Tensor start = random::uniform(start_key, {kEpisodes, 4}, -0.05, 0.05);
  const auto turn = [&](const std::pair<Tensor, Tensor>& carry, const Key& turn_key) {
    const auto& [s, alive] = carry;
    const Tensor log_p = log_softmax(policy(s));
    const Tensor action = random::categorical(turn_key, log_p);
    const Tensor chosen = take_along_axis(log_p, expand_dims(action, 1), 1).reshape(-1);
    const Tensor next = advance(s, action == 1);
    // What has fallen stays where it fell; its actions count for nothing.
    const Tensor next_alive = alive && stands(next);
    const Tensor kept = where(expand_dims(next_alive, 1), next, s);
    return std::pair(std::pair(kept, next_alive),
                     Episodes{where(alive, chosen, 0), next_alive.astype(DType::kF32)});
  };
  return scan(turn, std::pair(start, ones({kEpisodes}, DType::kBool)),
              random::split(play_key, kTime))
      .second;
}

/// One policy gradient step; gives the mean length of the episodes.
Tensor train(Policy& policy, optim::Optimizer& optimizer, const Key& key) {
  const auto [loss, length, gradients] = nnx::value_and_grad(
      [&](Policy& p) {
        const Episodes e = play(p, key);
        // An action is answerable for what comes after it, compared with the other episodes.
        const Tensor to_come = cumsum(e.reward, 0, true);
        const Tensor surprise = (to_come - mean(to_come, 1, true)) / (std_dev(to_come) + 1e-6);
        return std::pair(-mean(e.log_probability * stop_gradient(surprise)),
                         mean(sum(e.reward, 0)));
      },
      policy);
  optimizer.update(policy, gradients);
  return length;
}

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 100;
  nnx::Rngs rngs(0);
  Policy policy(rngs);
  optim::Optimizer optimizer(policy, optim::adam(1e-2));
  const auto step = jit(train);
  double length = 0;
  for (int i = 1; i <= updates; ++i) {
    length = step(policy, optimizer, random::fold_in(Key(1), i)).item<double>();
    if (i == 1 || i % 20 == 0) {
      std::printf("update %4d  the pole stands for %5.1f of %lld steps\n", i, length,
                  static_cast<long long>(kTime));
    }
  }
  return length > 150 ? 0 : 1;
}
