// Whatever an experiment file holds: an experiment that survives its own JSON, or an Error.
#include <cstdint>
#include <string>

#include "common/error.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/experiment_json.hpp"
#include "tests/fuzz/require.hpp"

using namespace guda;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const jobs::Experiment experiment =
        jobs::read_experiment(std::string(reinterpret_cast<const char*>(data), size), "/nowhere/fuzz.yaml");
    const Json json(experiment);
    fuzz::require(Json(json.get<jobs::Experiment>()) == json, "an experiment changes on its way through JSON");
  } catch (const Error&) {
    // refused
  }
  return 0;
}
