#pragma once
// Where things lie in a run directory (docs/formats.md).
#include <filesystem>
#include <string>

namespace guda::orchestrator {

struct RunLayout {
  std::filesystem::path folder;
  [[nodiscard]] std::filesystem::path experiment() const { return folder / "experiment.yaml"; }
  [[nodiscard]] std::filesystem::path plan() const { return folder / "plan.json"; }
  [[nodiscard]] std::filesystem::path journal() const { return folder / "journal"; }
  [[nodiscard]] std::filesystem::path results() const { return folder / "results.h5"; }
  [[nodiscard]] std::filesystem::path report() const { return folder / "report.html"; }
  [[nodiscard]] std::filesystem::path lock() const { return folder / "lock"; }
  [[nodiscard]] std::filesystem::path status() const { return folder / "status.json"; }
  [[nodiscard]] std::filesystem::path life() const { return folder / "life.json"; }
  [[nodiscard]] std::filesystem::path artifacts() const { return folder / "artifacts"; }
  /// Of a job that has not ended.
  [[nodiscard]] std::filesystem::path checkpoints(const std::string& digest) const {
    return artifacts() / (digest + ".checkpoints");
  }
  [[nodiscard]] std::filesystem::path rows() const { return folder / "rows"; }
  [[nodiscard]] std::filesystem::path control() const { return folder / "control"; }
  [[nodiscard]] std::filesystem::path logs() const { return folder / "logs"; }
};

}  // namespace guda::orchestrator
