#include "orchestrator/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "common/clock.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kLineEvery = 5;  // s between plain lines

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0')
      return std::strstr(value, "UTF-8") != nullptr || std::strstr(value, "utf8") != nullptr;
  }
  return false;
}

std::string eta_text(const RunStatus& s) {
  if (s.state == "ended") return "";
  if (s.eta_p50 < 0) return ", ETA not known yet";
  return fmt::format(", ETA {} (90 %: {})", duration_text(s.eta_p50), duration_text(s.eta_p90));
}

std::string summary(const RunStatus& s) {
  std::string text = fmt::format("{}/{} jobs", s.done, s.total);
  if (s.running > 0) text += fmt::format(", {} running", s.running);
  if (s.quarantined > 0) text += fmt::format(", {} quarantined, {} blocked", s.quarantined, s.blocked);
  return text + eta_text(s);
}

/// Cuts to `columns` code points: labels are ASCII, bars are not.
std::string clip_columns(const std::string& line, int columns) {
  int seen = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if ((static_cast<unsigned char>(line[i]) & 0xC0) != 0x80 && ++seen > columns) return line.substr(0, i);
  }
  return line;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
  if (s >= 60) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} s", s);
}

std::string bar(double share, int width, bool utf8) {
  share = std::clamp(share, 0.0, 1.0);
  const int eighths = static_cast<int>(std::lround(share * width * 8));
  std::string text;
  for (int cell = 0; cell < width; ++cell) {
    const int filled = std::clamp(eighths - cell * 8, 0, 8);
    if (!utf8) {
      text += filled >= 4 ? '#' : '.';
      continue;
    }
    static constexpr const char* kBlocks[] = {"░", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    text += kBlocks[filled];
  }
  return text;
}

std::string render_progress(const RunStatus& s, int columns, bool utf8) {
  const int width = std::clamp(columns / 4, 10, 40);
  std::string text =
      fmt::format("{} {:3.0f} %  {}\n", bar(s.progress, width, utf8), std::floor(100 * s.progress), summary(s));
  for (const WorkerView& w : s.workers) {
    std::string line = fmt::format("  {:<12} ", w.device.substr(w.device.rfind('/') + 1));
    if (w.state != "running") {
      line += w.state;
    } else {
      const double share = w.steps > 0 ? double(w.step) / double(w.steps) : 0;
      line += fmt::format("{} {}", bar(share, 10, utf8), w.job);
      if (w.steps > 0) line += fmt::format("  {}/{}", w.step, w.steps);
      if (std::isfinite(w.loss) && w.loss != 0) line += fmt::format("  loss {:.4f}", w.loss);
      if (share > 0.02) line += fmt::format("  {} left", duration_text(w.running_for * (1 - share) / share));
    }
    text += clip_columns(line, columns - 1) + "\n";
  }
  return text;
}

Progress::Progress(std::FILE* out) : out_(out), terminal_(::isatty(::fileno(out)) == 1), utf8_(locale_is_utf8()) {}

void Progress::erase() {
  if (drawn_lines_ > 0) fmt::print(out_, "\033[{}A\033[J", drawn_lines_);
  drawn_lines_ = 0;
}

void Progress::note_new_errors(const RunStatus& s) {
  // Behind the last one that was noted; all of them when it is no longer among these.
  for (auto next = std::find(s.errors.rbegin(), s.errors.rend(), last_error_).base(); next != s.errors.end(); ++next)
    note(last_error_ = *next);
}

void Progress::show(const RunStatus& s) {
  note_new_errors(s);
  if (terminal_) {
    winsize size{};
    const int columns = ::ioctl(::fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    const std::string text = render_progress(s, columns, utf8_);
    erase();
    drawn_lines_ = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
    fmt::print(out_, "{}", text);
  } else if (steady_seconds() - last_line_at_ >= kLineEvery) {
    last_line_at_ = steady_seconds();
    fmt::print(out_, "{:3.0f} %  {}\n", std::floor(100 * s.progress), summary(s));
  }
  std::fflush(out_);
}

void Progress::note(const std::string& text) {
  erase();
  fmt::print(out_, "{}\n", text);
  std::fflush(out_);
}

void Progress::finish(const RunStatus& s) {
  note_new_errors(s);
  erase();
  const bool more = s.exit_code == 0 && s.done < s.total;  // another stage follows
  fmt::print(out_, "{}: {} of {} jobs done in {}, {} device-time in all",
             s.exit_code == 75 ? "stopped"
             : more            ? "stage finished"
                               : "finished",
             s.done, s.total, duration_text(s.elapsed), duration_text(s.device_seconds));
  if (s.quarantined > 0) fmt::print(out_, "; {} quarantined, {} blocked", s.quarantined, s.blocked);
  fmt::print(out_, "\n");
  std::fflush(out_);
}

}  // namespace guda::orchestrator
