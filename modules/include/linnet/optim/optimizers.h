// Optimisers beyond those of optim.h, named and behaving as in optax: chains of the transformations
// of optim.h and optim/transforms.h that end with the learning rate, a number or a schedule.
//
//   auto tx = optim::lamb(1e-3, {.weight_decay = 0.01});
#pragma once

#include <optional>

#include "linnet/optim/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

GradientTransformation nadam(Rate rate, AdamOptions options = {});
GradientTransformation nadamw(Rate rate, AdamWOptions options = {});
GradientTransformation amsgrad(Rate rate, AdamOptions options = {});
struct AdamaxOptions {
  double b1 = 0.9, b2 = 0.999, eps = 1e-8;
  double weight_decay = 0;  ///< decoupled; 1e-4 is the default of optax's adamaxw
  std::optional<Mask> mask = {};
};
/// With weight decay it is adamaxw.
GradientTransformation adamax(Rate rate, AdamaxOptions options = {});
GradientTransformation adamaxw(Rate rate, AdamaxOptions options = {.weight_decay = 1e-4});
GradientTransformation adabelief(Rate rate, BeliefOptions options = {});
GradientTransformation radam(Rate rate, RAdamOptions options = {});
GradientTransformation yogi(Rate rate, YogiOptions options = {});
GradientTransformation novograd(Rate rate, NovogradOptions options = {.eps = 1e-6});
GradientTransformation adadelta(Rate rate, double rho = 0.9, double eps = 1e-6,
                                double weight_decay = 0, std::optional<Mask> mask = {});
GradientTransformation adan(Rate rate, AdanOptions options = {.eps_root = 1e-8},
                            double weight_decay = 0, std::optional<Mask> mask = {});
GradientTransformation rprop(double rate, RpropOptions options = {});
GradientTransformation sm3(double rate, double momentum = 0.9);
GradientTransformation noisy_sgd(Rate rate, double eta, double gamma, const Key& key);

struct RmsPropOptions {
  RmsOptions rms = {};
  bool centered = false;  ///< by the deviation in place of the root mean square
  std::optional<double> momentum = {};
  bool nesterov = false;
};
GradientTransformation rmsprop(Rate rate, RmsPropOptions options);

struct LambOptions {
  double b1 = 0.9, b2 = 0.999, eps = 1e-6, eps_root = 0, weight_decay = 0;
  std::optional<Mask> mask = {};  ///< the parameters that decay
};
/// Adam with decay, each parameter's update brought to the size of the parameter (You et al. 2020).
GradientTransformation lamb(Rate rate, LambOptions options = {});

struct LarsOptions {
  double weight_decay = 0, trust_coefficient = 0.001, eps = 0, momentum = 0.9;
  bool nesterov = false;
  std::optional<Mask> weight_decay_mask = {};
  std::optional<Mask> trust_ratio_mask = {};  ///< the parameters whose updates are scaled
};
/// Momentum over updates of the size of the parameters (You et al. 2017).
GradientTransformation lars(Rate rate, LarsOptions options = {});

struct AdafactorOptions {
  int64_t min_dim_size_to_factor = 128;
  double decay_rate = 0.8;
  int64_t decay_offset = 0;
  bool multiply_by_parameter_scale = true;
  std::optional<double> clipping_threshold = 1.0;
  std::optional<double> momentum = {};
  std::optional<Rate> weight_decay_rate = {};
  std::optional<Mask> weight_decay_mask = {};
  double eps = 1e-30;
  bool factored = true;
};
/// Second moments by rows and columns, updates clipped and relative to the parameters (Shazeer and
/// Stern 2018). The rate may be left out.
GradientTransformation adafactor(std::optional<Rate> rate = {}, AdafactorOptions options = {});

struct MuonAdamOptions {
  MuonOptions muon = {};
  double weight_decay = 0;        ///< of the matrices
  std::optional<Mask> mask = {};  ///< the matrices that decay
  AdamWOptions adam = {.weight_decay = 0, .nesterov = true};
  std::optional<Rate> adam_rate = {};  ///< by default the same
};
/// Matrices by muon, all other parameters by Adam.
GradientTransformation muon(Rate rate, MuonAdamOptions options = {});

}  // namespace linnet::optim

#pragma GCC visibility pop
