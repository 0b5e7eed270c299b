#pragma once
// Names a piece of our own work in step profiles (guda-worker --profile), beside LibTorch's operations, which name
// themselves.
#include <ATen/record_function.h>

#include <concepts>
#include <string>

namespace guda::worker {

/// Lasts from its construction to the end of its scope, nested as C++ scopes are. Nobody records: a look into
/// thread-local memory, no clock, no allocation.
class ProfileSpan {
 public:
  explicit ProfileSpan(const char* name) : record_(at::RecordScope::USER_SCOPE) {
    if (record_.isActive()) record_.before(name);
  }
  /// `name` returns the name; called only while somebody records.
  template <std::invocable Name>
  explicit ProfileSpan(const Name& name) : record_(at::RecordScope::USER_SCOPE) {
    if (record_.isActive()) record_.before(std::string(name()));
  }

 private:
  at::RecordFunction record_;
};

}  // namespace guda::worker
