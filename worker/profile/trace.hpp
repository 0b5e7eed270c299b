#pragma once
// Spans as a trace in the format of Chrome's about:tracing, which ui.perfetto.dev reads too.
#include <span>
#include <string>

#include "worker/profile/costs.hpp"

namespace guda::worker {

/// JSON: a complete event ("ph": "X") for each span, with processor time (tdur) beside wall time, in microseconds.
/// Format: "Trace Event Format", docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
[[nodiscard]] std::string chrome_trace(std::span<const Span> spans, const std::string& process);

}  // namespace guda::worker
