// Self-checks of the unlearning targets on models that are known in closed form.
#include "worker/unlearn/operators.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>
#include <set>
#include <string>

#include "common/error.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

/// A forget batch of `rows` copies of a_f with random noise, all of `retain` [K, D] as neighbours.
ForgetBatch batch_of(const torch::Tensor& a_f, const torch::Tensor& retain, const torch::Tensor& snr,
                     std::uint64_t seed) {
  torch::manual_seed(seed);
  const std::int64_t rows = snr.numel();
  ForgetBatch batch;
  batch.noise = torch::randn({rows, a_f.numel()});
  batch.prediction = torch::randn({rows, a_f.numel()}).requires_grad_();
  batch.snr = snr;
  batch.differences = (a_f - retain).unsqueeze(0).expand({rows, retain.size(0), retain.size(1)}).contiguous();
  return batch;
}

/// The target that a retrack loss pulls towards: for mean_D (p - target)^2 it is p - D/2 * gradient.
torch::Tensor target_of(ForgetLoss loss, const ForgetBatch& batch, const jobs::UnlearnConfig& config) {
  const torch::Tensor gradient = torch::autograd::grad({loss(batch, config).sum()}, {batch.prediction})[0];
  return (batch.prediction - gradient * (static_cast<double>(batch.prediction.size(1)) / 2)).detach();
}

/// Posterior mean of the noise at x_t under a retain set of points, straight from its definition in float64.
torch::Tensor posterior_noise(const torch::Tensor& x_t, const torch::Tensor& retain, double gamma, double sigma) {
  const torch::Tensor residual = x_t.unsqueeze(0) - gamma * retain;
  const torch::Tensor p = (-residual.square().sum(1) / (2 * sigma * sigma)).softmax(0);
  return (p.unsqueeze(1) * residual / sigma).sum(0);
}

jobs::UnlearnConfig config_of(const char* op) {
  jobs::UnlearnConfig config;
  config.op = op;
  return config;
}

}  // namespace

TEST_CASE(
    "retrack_exact: with all retain points as neighbours the target is the posterior mean of the noise (methods.md "
    "1.6.1, "
    "A.2)") {
  const torch::Tensor retain = torch::tensor({{1.0F, 0.0F}, {-0.5F, 0.8F}});  // two points of the plane
  const torch::Tensor a_f = torch::tensor({0.2F, -1.0F});
  const torch::Tensor snr = torch::tensor({1e-3F, 0.1F, 1.0F, 10.0F, 1e3F});
  const ForgetBatch batch = batch_of(a_f, retain, snr, 1);
  const torch::Tensor target = target_of(retrack_exact_loss, batch, {});
  for (std::int64_t row = 0; row < snr.numel(); ++row) {
    const double gamma = std::sqrt(snr[row].item<double>() / (1 + snr[row].item<double>())),
                 sigma = std::sqrt(1 - gamma * gamma);
    const torch::Tensor x_t = gamma * a_f.to(torch::kFloat64) + sigma * batch.noise[row].to(torch::kFloat64);
    const torch::Tensor expected = posterior_noise(x_t, retain.to(torch::kFloat64), gamma, sigma);
    CHECK((target[row] - expected).abs().max().item<double>() < 1e-4 * (1 + expected.abs().max().item<double>()));
  }
}

TEST_CASE("retrack_exact: the difference form has the exponents of the definition, up to a constant (methods.md A.2)") {
  torch::manual_seed(11);
  const torch::Tensor retain = torch::rand({10, 3072}) * 2 - 1, a_f = torch::rand({3072}) * 2 - 1;
  for (const double snr : {1e-3, 0.1, 1.0}) {
    const ForgetBatch batch = batch_of(a_f, retain, torch::tensor({static_cast<float>(snr)}), 12);
    const double gamma = std::sqrt(snr / (1 + snr)), sigma = std::sqrt(1 - gamma * gamma);
    const torch::Tensor x_t = gamma * a_f.to(torch::kFloat64) + sigma * batch.noise[0].to(torch::kFloat64);
    const torch::Tensor all = -(x_t - gamma * retain.to(torch::kFloat64)).square().sum(1) / (2 * sigma * sigma);
    CHECK(all.max().item<double>() < -1000);  // what exp() of float32 turns into 0
    const torch::Tensor expected = (all - all.max()).softmax(0);
    // The weights, from the target: noise + sqrt(SNR) sum_r p_r (a_f - a_r), one equation a pixel.
    const torch::Tensor moved = (target_of(retrack_exact_loss, batch, {})[0] - batch.noise[0]).to(torch::kFloat64);
    const torch::Tensor by_definition =
        std::sqrt(snr) * expected.unsqueeze(0).matmul((a_f - retain).to(torch::kFloat64)).squeeze(0);
    CAPTURE(snr);
    CHECK((moved - by_definition).norm().item<double>() < 1e-3 * by_definition.norm().item<double>());
  }
}

TEST_CASE("retrack_exact: a model that predicts the retain posterior has no gradient (methods.md 1.6.1)") {
  const torch::Tensor retain = torch::randn({6, 4});
  ForgetBatch batch = batch_of(torch::randn({4}), retain, torch::tensor({0.01F, 1.0F, 50.0F}), 2);
  batch.prediction = target_of(retrack_exact_loss, batch, {}).requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({retrack_exact_loss(batch, {}).sum()}, {batch.prediction})[0];
  CHECK(gradient.abs().max().item<double>() < 1e-5);
}

TEST_CASE(
    "retrack_exact: exponents of any size give the weights of the nearest point, never NaN or zero (methods.md 1.6.2, "
    "12.1 G1)") {
  // ||a_f - a_r||^2 SNR of 1e7: the released code's exponentials are all 0 here.
  const torch::Tensor retain = torch::stack({torch::full({64}, 3.0F), torch::full({64}, 3.1F)});
  const ForgetBatch batch = batch_of(torch::zeros({64}), retain, torch::tensor({25000.0F}), 3);
  const torch::Tensor target = target_of(retrack_exact_loss, batch, {});
  const torch::Tensor nearest = batch.noise[0] + std::sqrt(25000.0F) * (0 - retain[0]);
  CHECK(torch::allclose(target[0], nearest, 1e-4, 1e-2));
}

TEST_CASE(
    "retrack_exact: a duplicate of the forget image among the neighbours leaves the noise as target at small t "
    "(methods.md 1.6.3)") {
  const torch::Tensor a_f = torch::randn({64});
  const torch::Tensor retain = torch::cat({a_f.unsqueeze(0), torch::randn({9, 64})});
  const ForgetBatch batch = batch_of(a_f, retain, torch::tensor({1000.0F, 10000.0F}), 4);
  CHECK(torch::allclose(target_of(retrack_exact_loss, batch, {}), batch.noise, 1e-4, 1e-4));
}

TEST_CASE("retrack_clipped: no neighbour moves the target by more than sqrt(2 kl_cap), a large cap changes nothing") {
  const torch::Tensor retain = torch::randn({10, 64}) * 2;
  const ForgetBatch batch = batch_of(torch::randn({64}), retain, torch::tensor({0.001F, 1.0F, 1000.0F}), 5);
  jobs::UnlearnConfig config = config_of("retrack_clipped");
  for (const double cap : {0.5, 1.0, 100.0}) {
    config.kl_cap = cap;
    const torch::Tensor moved = (target_of(retrack_clipped_loss, batch, config) - batch.noise).square().sum(1).sqrt();
    CHECK(moved.max().item<double>() <= std::sqrt(2 * cap) * 1.001);
    CHECK(moved[2].item<double>() > 0.3 * std::sqrt(2 * cap));
  }
  config.kl_cap = 1e12;
  CHECK(torch::allclose(target_of(retrack_clipped_loss, batch, config), target_of(retrack_exact_loss, batch, {}), 1e-4,
                        1e-4));
  // A duplicate has a correction of length 0.
  const torch::Tensor a_f = torch::randn({64});
  const ForgetBatch twin = batch_of(a_f, a_f.unsqueeze(0), torch::tensor({10.0F}), 6);
  CHECK(torch::allclose(target_of(retrack_clipped_loss, twin, config), twin.noise, 1e-5, 1e-5));
}

TEST_CASE("retrack_minsnr: rows weigh min(SNR, gamma)/SNR of retrack_exact's") {
  const ForgetBatch batch = batch_of(torch::randn({64}), torch::randn({5, 64}), torch::tensor({0.1F, 5.0F, 50.0F}), 7);
  jobs::UnlearnConfig config = config_of("retrack_minsnr");
  const torch::Tensor ratio = retrack_minsnr_loss(batch, config) / retrack_exact_loss(batch, config);
  CHECK(torch::allclose(ratio, torch::tensor({1.0F, 1.0F, 0.1F})));
  config.minsnr_gamma = 1;
  CHECK(torch::allclose(retrack_minsnr_loss(batch, config) / retrack_exact_loss(batch, config),
                        torch::tensor({1.0F, 0.2F, 0.02F})));
}

TEST_CASE(
    "retrack_released: the loss is the mean square of the prediction whatever the neighbours (methods.md 1.6.4)") {
  ForgetBatch batch = batch_of(torch::randn({64}), torch::randn({5, 64}), torch::tensor({0.1F, 50.0F}), 8);
  const torch::Tensor loss = retrack_released_loss(batch, {});
  CHECK(torch::allclose(loss, batch.prediction.square().mean(1)));
  batch.differences = torch::Tensor();
  CHECK(torch::equal(loss, retrack_released_loss(batch, {})));
}

TEST_CASE(
    "ifu: with rho a group far from all others has a finite optimum, teacher + (teacher - noise)/rho; without it "
    "none") {
  ForgetBatch batch;
  torch::manual_seed(9);
  batch.noise = torch::randn({4, 64});
  batch.teacher = batch.noise + 0.3 * torch::randn({4, 64});
  jobs::UnlearnConfig config = config_of("ifu");
  config.rho = 2;
  // Nothing of the retain set is near, so the prediction there is free: gradient descent on the forget rows alone.
  const auto descend = [&](int steps) {
    torch::Tensor prediction = batch.teacher.clone().requires_grad_();
    for (int step = 0; step < steps; ++step) {
      batch.prediction = prediction;
      const torch::Tensor gradient = torch::autograd::grad({ifu_loss(batch, config).sum()}, {prediction})[0];
      prediction = (prediction - 8 * gradient).detach().requires_grad_();
    }
    return prediction.detach();
  };
  CHECK(torch::allclose(descend(200), batch.teacher + (batch.teacher - batch.noise) / 2, 1e-4, 1e-4));
  config.rho = 0;
  CHECK((descend(200) - batch.teacher).norm().item<double>() >
        50 * (batch.teacher - batch.noise).norm().item<double>() / 2);
}

TEST_CASE("ifu: at the full model the gradient points along the residual of the forget image") {
  ForgetBatch batch;
  batch.noise = torch::randn({3, 64});
  batch.teacher = torch::randn({3, 64});
  batch.prediction = batch.teacher.clone().requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({ifu_loss(batch, {}).sum()}, {batch.prediction})[0];
  CHECK(torch::allclose(gradient, -2 * (batch.teacher - batch.noise) / 64, 1e-4, 1e-6));
}

TEST_CASE("operators: names are unique, an unknown one lists them all") {
  std::set<std::string_view> names;
  for (const OperatorEntry& entry : kOperators) CHECK(names.insert(entry.name).second);
  CHECK(names.size() == 13);
  for (const OperatorEntry& entry : kOperators) {
    CHECK(&find_operator(config_of(std::string(entry.name).c_str())) == &entry);
    CHECK_THROWS_WITH_AS((void)find_operator(config_of("retrack")), doctest::Contains(std::string(entry.name).c_str()),
                         Error);
  }
}

TEST_CASE("operators: a field that an operator does not use is refused when it is set, and a bad number by its key") {
  const auto refused = [](const char* op, const char* key, auto&& change) {
    jobs::UnlearnConfig config = config_of(op);
    change(config);
    CAPTURE(op);
    CHECK_THROWS_WITH_AS((void)find_operator(config), doctest::Contains(key), Error);
  };
  refused("retrack_exact", "unlearn.kl_cap", [](auto& c) { c.kl_cap = 2; });
  refused("retrack_exact", "unlearn.rho", [](auto& c) { c.rho = 0; });
  refused("retrack_released", "unlearn.neighbours", [](auto& c) { c.neighbours = 5; });
  refused("finetune_retain", "unlearn.forget_weight", [](auto& c) { c.forget_weight = 0.3; });
  refused("finetune_retain", "unlearn.forget_batch", [](auto& c) { c.forget_batch = 8; });
  refused("ifu", "unlearn.forget_scaling", [](auto& c) { c.forget_scaling = "proportional"; });
  refused("retrack_exact", "unlearn.strength", [](auto& c) { c.strength = 2; });
  refused("retrack_exact", "unlearn.guidance", [](auto& c) { c.guidance = 2; });
  refused("ifu", "unlearn.gradient_cap", [](auto& c) { c.gradient_cap = 0; });
  refused("siss", "unlearn.forget_weight", [](auto& c) { c.forget_weight = 1; });
  refused("siss", "unlearn.preserve", [](auto& c) { c.preserve = "distillation"; });
  refused("esd", "unlearn.damping", [](auto& c) { c.damping = 1; });
  refused("esd", "unlearn.guidance", [](auto& c) { c.guidance = -1; });
  refused("erasediff", "unlearn.rho", [](auto& c) { c.rho = 2; });
  refused("fisher", "unlearn.optimizer", [](auto& c) { c.optimizer.lr = 1; });
  refused("fisher", "unlearn.clip", [](auto& c) { c.clip = 5; });
  refused("fisher", "unlearn.guard_temperature", [](auto& c) { c.guard_temperature = 1; });
  refused("fisher", "unlearn.damping", [](auto& c) { c.damping = 0; });
  refused("ifu", "unlearn.strength", [](auto& c) { c.strength = 0; });
  refused("ifu", "unlearn.guard_temperature", [](auto& c) { c.guard_temperature = -1; });
  refused("finetune_retain", "unlearn.guard_temperature", [](auto& c) { c.guard_temperature = 1; });
  refused("ifu", "unlearn.preserve", [](auto& c) { c.preserve = "distillation"; });
  refused("retrack_minsnr", "unlearn.minsnr_gamma", [](auto& c) { c.minsnr_gamma = 0; });
  refused("retrack_clipped", "unlearn.kl_cap", [](auto& c) { c.kl_cap = -1; });
  refused("retrack_exact", "unlearn.steps", [](auto& c) { c.steps = 0; });
  refused("retrack_exact", "unlearn.forget_scaling", [](auto& c) { c.forget_scaling = "linear"; });
  refused("retrack_exact", "unlearn.preserve", [](auto& c) { c.preserve = "none"; });
}
