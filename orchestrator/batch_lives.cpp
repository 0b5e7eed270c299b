#include "orchestrator/batch_lives.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "common/files.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

Achieved achieved(const RunLayout& run) {
  Achieved a;
  if (fs::exists(run.journal())) a.commits = commits_of(read_journal(run.journal())).size();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(run.artifacts(), ignored)) {
    if (!entry.path().filename().string().ends_with(".checkpoints")) continue;
    struct stat info{};
    if (::stat(entry.path().c_str(), &info) == 0)
      a.newest_checkpoint =
          std::max(a.newest_checkpoint, double(info.st_mtim.tv_sec) + 1e-9 * double(info.st_mtim.tv_nsec));
  }
  return a;
}

fs::path batch_file(const RunLayout& run) { return run.folder / "batch.json"; }

BatchLives read_batch(const fs::path& file) {
  try {
    const Json j = Json::parse(read_file(file));
    BatchLives lives;
    j.at("job").get_to(lives.job);
    j.at("lives").get_to(lives.lives);
    j.at("barren").get_to(lives.barren);
    j.at("commits").get_to(lives.before.commits);
    j.at("newest_checkpoint").get_to(lives.before.newest_checkpoint);
    return lives;
  } catch (const std::exception&) {
    return {};
  }
}

void write_batch(const fs::path& file, const BatchLives& lives) {
  replace_file(file,
               Json{{"job", lives.job},
                    {"lives", lives.lives},
                    {"barren", lives.barren},
                    {"commits", lives.before.commits},
                    {"newest_checkpoint", lives.before.newest_checkpoint}}
                   .dump(1),
               true);
}

LifeVerdict after_life(BatchLives& lives, const Achieved& now, const LifeLimits& limits) {
  ++lives.lives;
  const bool progress = now.commits > lives.before.commits || now.newest_checkpoint > lives.before.newest_checkpoint;
  const std::uint64_t jobs = now.commits - std::min(now.commits, lives.before.commits);
  lives.barren = progress ? 0 : lives.barren + 1;
  lives.before = now;
  if (lives.lives >= limits.lives)
    return {false, fmt::format("this was life {} of at most {} (--max-lives)", lives.lives, limits.lives)};
  if (lives.barren >= limits.barren)
    return {false, fmt::format("{} lives in a row without progress (--barren-lives)", lives.barren)};
  if (!progress)
    return {true, fmt::format("no progress in this life ({} of {} in a row)", lives.barren, limits.barren)};
  if (jobs > 0) return {true, fmt::format("{} job{} done in this life", jobs, jobs == 1 ? "" : "s")};
  return {true, "checkpoints were written in this life"};
}

}  // namespace guda::orchestrator
