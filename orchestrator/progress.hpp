#pragma once
// What a person sees while a run goes on: bars on a terminal, plain lines in a log.
#include <cstdio>
#include <string>

#include "orchestrator/run_status.hpp"

namespace guda::orchestrator {

/// "1 h 02 min", "3 min 20 s", "12 s".
[[nodiscard]] std::string duration_text(double seconds);
/// One bar of `width` cells with eighth blocks, or '#' where the terminal has no UTF-8.
[[nodiscard]] std::string bar(double share, int width, bool utf8);
/// The whole block of lines for one status: overall bar, then a line per worker.
[[nodiscard]] std::string render_progress(const RunStatus& status, int columns, bool utf8);

class Progress {
 public:
  /// `out` is where it is shown (stderr); a terminal gets redrawn bars, anything else a line every 5 s and at the end.
  explicit Progress(std::FILE* out);
  void show(const RunStatus& status);
  void note(const std::string& text);
  void finish(const RunStatus& status);

 private:
  void note_new_errors(const RunStatus& status);
  void erase();
  std::FILE* out_;
  bool terminal_, utf8_;
  int drawn_lines_ = 0;
  double last_line_at_ = -1e9;
  std::string last_error_;
};

}  // namespace guda::orchestrator
