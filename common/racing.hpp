#pragma once
// A race of groups for their places: units of work arrive one after another, each an independent unbiased estimate of
// every live group's score under common noise, and a group whose place is decided gets no more. Pairs of groups are
// compared through their paired differences, whose noise is far below that of either score.
//
// "a is above b" is declared when the one-sided asymptotic confidence sequence of the mean difference a - b lies above
// 0. It holds at all numbers of units at once, so that looking after every unit costs nothing. With a sample standard
// deviation s after n units its margin is s sqrt(2 (n r + 1) / (n^2 r) log(1 + sqrt(n r + 1) / (2 alpha)))
// (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
// sequences", Annals of Statistics 52 (2024), arXiv 2103.06476: a Gaussian mixture boundary).
//
// 1 - confidence is split over the pairs whose wrong order would make the answer wrong: k (N - k) for a top k, because
// no group enters or leaves it wrongly before a member and an outsider are mistaken for each other; N (N - 1) / 2 for
// the whole ranking. Pure; one thread at a time.
#include <cstdint>
#include <span>
#include <vector>

namespace guda {

/// What has to be known. top1: the first group. top3: the set of the first three (all of fewer). ranking: every place.
enum class RaceUntil { top1, top3, ranking };

struct RaceRules {
  RaceUntil until = RaceUntil::top1;
  double confidence = 0.95;
  std::uint32_t first_decision = 8;  ///< units before the first; at least 8, the boundary is asymptotic
  std::uint32_t most_units = 64;     ///< then the race ends, decided or not
};

/// Margin in standard deviations after n units at one-sided error alpha; r tunes where it is tightest.
[[nodiscard]] double race_margin(std::uint32_t n, double alpha, double r);

class Race {
 public:
  /// Throws Error on fewer than two groups, a confidence not in [0.5, 1), fewer than 8 units before the first decision,
  /// or most_units below that.
  Race(std::uint32_t groups, const RaceRules& rules);

  /// One more unit: values[group], read for live groups only; they must be finite (Error). Bug when finished.
  void add(std::span<const double> values);

  /// Whether the group still gets units: its place, or that of a group it must be told apart from, is open.
  [[nodiscard]] bool live(std::uint32_t group) const { return live_[group]; }
  /// Whether the question is answered. finished() without decided() is an honest "undecided".
  [[nodiscard]] bool decided() const noexcept { return decided_; }
  [[nodiscard]] bool finished() const noexcept { return decided_ || units_ == rules_.most_units; }

  [[nodiscard]] std::uint32_t units() const noexcept { return units_; }
  /// Units that the group got: the budget, for the log.
  [[nodiscard]] std::span<const std::uint32_t> spent() const noexcept { return spent_; }
  /// Best first. A declared order is kept (by how many groups each was declared above, minus below), the rest by mean:
  /// a best guess where not decided. For top3 the first three are the answer, in no proven order.
  [[nodiscard]] std::vector<std::uint32_t> order() const;
  /// What is decided of each group. Top k: 1 among the first k, -1 not, 0 open. Ranking: its place from 1, 0 open.
  [[nodiscard]] std::vector<int> places() const;

 private:
  struct Pair {
    std::uint32_t n = 0;
    double mean = 0, squares = 0;  ///< of value[a] - value[b], a < b
    int declared = 0;              ///< +1: a above b; -1: b above a; 0: open
  };
  Pair& pair(std::uint32_t a, std::uint32_t b) { return pairs_[std::size_t{a} * groups_ + b]; }
  [[nodiscard]] bool above(std::uint32_t a, std::uint32_t b) const;
  void declare();
  void close_top(std::uint32_t k);
  void close_ranking();

  std::uint32_t groups_;
  RaceRules rules_;
  double alpha_ = 0, r_ = 0;
  std::uint32_t units_ = 0;
  bool decided_ = false;
  std::vector<Pair> pairs_;  ///< [group, group], a < b used
  std::vector<char> live_;
  std::vector<int> place_;  ///< top k: +1 in, -1 out, 0 open
  std::vector<std::uint32_t> spent_;
  std::vector<double> sums_;
};

}  // namespace guda
