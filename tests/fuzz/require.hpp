#pragma once
// What a fuzz target asserts: not an exception that a target's own catch might swallow.
#include <cstdio>
#include <cstdlib>

namespace guda::fuzz {

inline void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

}  // namespace guda::fuzz
