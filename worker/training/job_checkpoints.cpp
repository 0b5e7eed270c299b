#include "worker/training/job_checkpoints.hpp"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <system_error>
#include <utility>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "worker/device/host_copies.hpp"

namespace guda::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";

at::Generator generator_of(c10::Device device) { return at::globalContext().defaultGenerator(device); }

fs::path tries_file(const fs::path& checkpoint) { return checkpoint.string() + ".tries"; }

/// Lines of the tries file: one for every attempt that began from the checkpoint.
std::size_t count_tries(const fs::path& checkpoint) {
  if (!fs::exists(tries_file(checkpoint))) return 0;
  const std::string lines = read_file(tries_file(checkpoint));
  return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
}

/// Durable before it returns: an attempt that kills its worker must have been counted.
void add_try(const fs::path& checkpoint, const std::string& worker) {
  const fs::path file = tries_file(checkpoint);
  const Fd fd = open_file(file, O_WRONLY | O_CREAT | O_APPEND);
  write_all(fd.get(), worker + "\n", file);
  sync_file(fd.get(), file);
  sync_directory(file.parent_path());
}

void remove_checkpoint(const fs::path& checkpoint) {
  std::error_code ignored;
  fs::remove(checkpoint, ignored);
  fs::remove(tries_file(checkpoint), ignored);
}

}  // namespace

void append_state(const torch::nn::Module& model, NamedTensors& state) {
  for (const auto& p : model.named_parameters()) state.emplace_back("model." + p.key(), p.value());
  for (const auto& b : model.named_buffers()) state.emplace_back("model." + b.key(), b.value());
}

JobCheckpoints::JobCheckpoints(JobCheckpointsConfig config) : config_(std::move(config)) {
  began_ = last_save_ = config_.clock();
}

std::uint64_t JobCheckpoints::resume(NamedTensors state, std::uint64_t steps, c10::Device device) {
  state_ = std::move(state);
  steps_ = steps;
  beside_ = config_.beside || device.is_cuda();
  std::vector<c10::Device> devices{c10::Device(c10::kCPU)};
  if (!device.is_cpu()) devices.push_back(device);
  for (const c10::Device& d : devices) {
    generators_.emplace_back(d, state_.size());
    state_.emplace_back("generator." + c10::DeviceTypeName(d.type(), /*lower_case=*/true), generator_of(d).get_state());
  }
  for (const std::uint64_t step : steps_on_disk()) {
    const fs::path file = file_of(step);
    try {
      if (count_tries(file) >= kTriesPerCheckpoint) {
        say(fmt::format("{} is discarded: {} attempts began from it and none got further", file.filename().string(),
                        kTriesPerCheckpoint));
        remove_checkpoint(file);
        continue;
      }
      const CheckpointHead head = read_checkpoint(file, config_.job, state_);
      add_try(file, config_.worker);
      for (const auto& [d, place] : generators_) generator_of(d).set_state(state_[place].second);
      resumed_from_ = saved_step_ = step;
      earlier_seconds_ = head.seconds;
      say(fmt::format("goes on from step {} of {} (written by {} after {:.1f} s)", step, steps, head.worker,
                      head.seconds));
      return step;
    } catch (const IoError& e) {
      say(fmt::format("{} is skipped: {}", file.filename().string(), e.what()));
    } catch (const Error& e) {
      say(fmt::format("{} is set aside as *.damaged: {}", file.filename().string(), e.what()));
      std::error_code ignored;
      fs::rename(file, file.string() + ".damaged", ignored);
    }
  }
  return 0;
}

void JobCheckpoints::finished_step(Progress done, const std::function<void(const Progress&)>& progress) {
  // After the last step the artifact itself follows.
  if (done.step < steps_ && due_in(done.step) <= 0) save(done.step);
  done.checkpoint_in = std::max(0.0, due_in(done.step));
  try {
    progress(done);
  } catch (const Cancelled&) {
    hand_back(done.step);
    throw;
  }
}

void JobCheckpoints::hand_back(std::uint64_t step) {
  settle();
  if (step > saved_step_) save(step);
  settle();
  if (saved_step_ == resumed_from_ && resumed_from_ > 0) forgive_this_try();
}

void JobCheckpoints::keep_end(std::uint64_t steps) {
  if (saved_ > 0 || resumed_from_ > 0) hand_back(steps);
}

void JobCheckpoints::remove() noexcept {
  try {
    settle();
  } catch (const std::exception&) {  // of a checkpoint that nobody needs any more
  }
  std::error_code error;
  fs::remove_all(config_.folder, error);
  if (error) say(fmt::format("{} can't be removed: {}", config_.folder.string(), error.message()));
}

fs::path JobCheckpoints::file_of(std::uint64_t step) const {
  return config_.folder / fmt::format("{}{:08}{}", kPrefix, step, kSuffix);
}

std::vector<std::uint64_t> JobCheckpoints::steps_on_disk() const {
  std::vector<std::uint64_t> steps;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(config_.folder, none)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    std::uint64_t step = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size() - kSuffix.size(), step);
    if (step > 0 && file_of(step) == entry.path()) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

double JobCheckpoints::due_in(std::uint64_t step) const {
  const double now = config_.clock();
  // The job's own pace so far is a better prediction than any model of the machine.
  const double spent = earlier_seconds_ + now - began_;
  const double predicted = spent / static_cast<double>(step) * static_cast<double>(steps_);
  const double interval =
      checkpoint_interval(config_.rule, predicted, write_seconds_) * checkpoint_jitter(config_.worker, saved_);
  return last_save_ + interval - now;
}

void JobCheckpoints::save(std::uint64_t step) {
  const double start = config_.clock();
  settle();
  for (const auto& [d, place] : generators_) state_[place].second = generator_of(d).get_state();
  const CheckpointHead head{config_.job, step, steps_, earlier_seconds_ + start - began_, config_.worker};
  if (beside_) {
    writing_step_ = step;
    writing_ = std::async(std::launch::async, [this, head, copies = std::make_shared<HostCopies>(state_)] {
      return write(head, copies->wait());
    });
  } else {
    take_note(step, write(head, state_));
  }
  last_save_ = config_.clock();
  if (!beside_) write_seconds_ = last_save_ - start;
  saving_seconds_ += last_save_ - start;
}

JobCheckpoints::Written JobCheckpoints::write(const CheckpointHead& head, const NamedTensors& state) const {
  const double start = steady_seconds();
  Written written;
  try {
    if (fs::create_directories(config_.folder)) sync_directory(config_.folder.parent_path());
    write_checkpoint(file_of(head.step), head, state);
    prune();
  } catch (const IoError& e) {
    written.why = e.what();
  } catch (const fs::filesystem_error& e) {
    written.why = e.what();
  }
  // Ours is published or void by now; what else lies here a killed writer left.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(config_.folder, ignored)) {
    if (entry.path().extension() == ".partial") fs::remove(entry.path(), ignored);
  }
  written.seconds = steady_seconds() - start;
  return written;
}

void JobCheckpoints::take_note(std::uint64_t step, const Written& written) {
  if (!written.why.empty()) return say(fmt::format("no checkpoint at step {}: {}", step, written.why));
  saved_step_ = step;
  ++saved_;
}

void JobCheckpoints::settle() {
  if (!writing_.valid()) return;
  const Written written = writing_.get();
  write_seconds_ = written.seconds;
  take_note(writing_step_, written);
}

void JobCheckpoints::prune() const {
  const std::vector<std::uint64_t> steps = steps_on_disk();
  for (std::size_t i = kCheckpointsKept; i < steps.size(); ++i) remove_checkpoint(file_of(steps[i]));
}

void JobCheckpoints::forgive_this_try() const {
  try {
    const fs::path file = tries_file(file_of(resumed_from_));
    std::string lines = read_file(file);
    if (!lines.empty()) lines.pop_back();
    lines.erase(lines.rfind('\n') + 1);  // npos + 1 = 0: it was the only one
    replace_file(file, lines);
  } catch (const IoError& e) {
    say(fmt::format("a planned stop counts as a try of step {}: {}", resumed_from_, e.what()));
  }
}

void JobCheckpoints::say(const std::string& line) const {
  if (config_.log) config_.log("checkpoints: " + line);
}

}  // namespace guda::worker
