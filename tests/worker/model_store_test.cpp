#include "worker/model_store.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "tests/support/tiny_study.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

Denoiser model(std::uint64_t seed) { return make_denoiser(test::tiny_model(), seed); }

/// A store that counts what it loads; model number n has the weights of seed n.
struct Counted {
  ModelStore store;
  std::atomic<int> loads{0};
  explicit Counted(std::uint64_t budget) : store(budget) {}
  ModelStore::Load load(int n) {
    return [this, n] {
      ++loads;
      return model(static_cast<std::uint64_t>(n));
    };
  }
  Denoiser get(int n) { return store.get(digest_of(std::to_string(n)), torch::kCPU, load(n)); }
  void prefetch(int n) { store.prefetch(digest_of(std::to_string(n)), torch::kCPU, load(n)); }
  bool holds(int n) { return store.holds(digest_of(std::to_string(n)), torch::kCPU); }
};

std::uint64_t one() { return bytes_of(model(0)); }

}  // namespace

TEST_CASE("model store: a sweep over models that fit loads each once, whatever the order of visits") {
  Counted counted(5 * one());
  for (int round = 0; round < 3; ++round) {
    for (int n = 0; n < 5; ++n) CHECK(test::same_weights(counted.get((n * 3 + round) % 5), model((n * 3 + round) % 5)));
  }
  CHECK(counted.loads == 5);
  CHECK(counted.store.bytes() == 5 * one());
  CHECK(counted.store.counts().resident == 10);
}

TEST_CASE("model store: what was used longest ago makes room, and one model is kept however little is allowed") {
  Counted counted(2 * one());
  (void)counted.get(1);
  (void)counted.get(2);
  (void)counted.get(1);
  (void)counted.get(3);
  CHECK(counted.holds(1));
  CHECK_FALSE(counted.holds(2));
  CHECK(counted.holds(3));
  CHECK(counted.store.bytes() == 2 * one());
  Counted poor(1);
  (void)poor.get(1);
  (void)poor.get(1);
  CHECK(poor.loads == 1);
  (void)poor.get(2);
  CHECK_FALSE(poor.holds(1));
  CHECK(poor.store.bytes() == one());
}

TEST_CASE("model store: what was loaded ahead is not loaded again, and has the same weights") {
  Counted counted(10 * one());
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id there;
  counted.store.prefetch(digest_of("7"), torch::kCPU, [&] {
    there = std::this_thread::get_id();
    return model(7);
  });
  const Denoiser ahead = counted.get(7);
  CHECK(counted.loads == 0);
  CHECK(there != here);
  CHECK(counted.store.counts().prefetched == 1);
  CHECK(test::same_weights(ahead, model(7)));
  counted.prefetch(7);  // at hand
  counted.store.settle();
  CHECK(counted.loads == 0);
  counted.prefetch(8);
  (void)counted.get(9);  // the guess was wrong
  counted.store.settle();
  CHECK(counted.loads == 2);
}

TEST_CASE("model store: a failure ahead of time is no failure: the model is loaded anew when it is wanted") {
  Counted counted(10 * one());
  counted.store.prefetch(digest_of("1"), torch::kCPU, []() -> Denoiser { throw std::runtime_error("not yet there"); });
  CHECK(test::same_weights(counted.get(1), model(1)));
  CHECK(counted.loads == 1);
  CHECK_THROWS_AS(static_cast<void>(counted.store.get(digest_of("2"), torch::kCPU,
                                                      []() -> Denoiser { throw std::runtime_error("gone"); })),
                  std::runtime_error);
}

TEST_CASE("model store: loading ahead leaves torch's generator as it was") {
  Counted counted(10 * one());
  torch::manual_seed(5);
  const torch::Tensor expected = torch::randn({4});
  torch::manual_seed(5);
  counted.prefetch(1);
  counted.store.settle();
  CHECK(torch::equal(torch::randn({4}), expected));
}
