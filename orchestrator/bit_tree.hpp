#pragma once
// A set of small numbers that knows its order: a bitmap with a summary of 64 bits a level, so that a million members
// need four words to look at whatever is asked. What the ready queue stands on.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace guda::orchestrator {

class BitTree {
 public:
  static constexpr std::size_t kNone = ~std::size_t{0};

  /// Holds numbers below `size`; empty.
  explicit BitTree(std::size_t size = 0) {
    do {
      size = (size + 63) / 64;
      levels_.emplace_back(size, 0);
    } while (size > 1);
  }

  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] bool contains(std::size_t i) const { return (levels_[0][i / 64] >> (i % 64) & 1) != 0; }

  void insert(std::size_t i) {
    if (contains(i)) return;
    ++count_;
    for (auto& level : levels_) {
      const bool was_empty = level[i / 64] == 0;
      level[i / 64] |= std::uint64_t{1} << (i % 64);
      if (!was_empty) return;
      i /= 64;
    }
  }

  void erase(std::size_t i) {
    if (!contains(i)) return;
    --count_;
    for (auto& level : levels_) {
      level[i / 64] &= ~(std::uint64_t{1} << (i % 64));
      if (level[i / 64] != 0) return;
      i /= 64;
    }
  }

  /// Smallest member >= i.
  [[nodiscard]] std::size_t next(std::size_t i) const {
    for (std::size_t l = 0; l < levels_.size() && i / 64 < levels_[l].size(); ++l) {
      if (const std::uint64_t word = levels_[l][i / 64] >> (i % 64); word != 0) {
        i += static_cast<std::size_t>(std::countr_zero(word));
        while (l-- > 0) i = i * 64 + static_cast<std::size_t>(std::countr_zero(levels_[l][i]));
        return i;
      }
      i = i / 64 + 1;
    }
    return kNone;
  }

  /// Largest member <= i.
  [[nodiscard]] std::size_t previous(std::size_t i) const {
    for (std::size_t l = 0; l < levels_.size(); ++l) {
      if (const std::uint64_t word = levels_[l][i / 64] << (63 - i % 64); word != 0) {
        i -= static_cast<std::size_t>(std::countl_zero(word));
        while (l-- > 0) i = i * 64 + 63 - static_cast<std::size_t>(std::countl_zero(levels_[l][i]));
        return i;
      }
      if (i / 64 == 0) return kNone;
      i = i / 64 - 1;
    }
    return kNone;
  }

 private:
  std::vector<std::vector<std::uint64_t>> levels_;  // levels_[l+1] bit i: word i of levels_[l] is not empty
  std::size_t count_ = 0;
};

}  // namespace guda::orchestrator
