#pragma once
// What the keys of an experiment say together: the checks that no single key can make. All are made; none reads more of
// the file system than whether a file is there.
#include "common/config/yaml.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

/// Adds an issue for every rule that is broken, at the key that a person would change. Skips rules about keys that are
/// already known to be wrong.
/// `data_may_be_missing`: a folder of CIFAR-10 that is not there is none.
void check_experiment(const Experiment& experiment, const config::Node& root, config::Issues& issues,
                      bool data_may_be_missing = false);

}  // namespace guda::jobs
