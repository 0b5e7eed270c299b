#include "worker/profile/trace.hpp"

#include <fmt/format.h>

#include <iterator>

#include "common/json.hpp"

namespace guda::worker {

std::string chrome_trace(std::span<const Span> spans, const std::string& process) {
  std::string text = fmt::format(
      R"({{"displayTimeUnit":"ms","traceEvents":[{{"ph":"M","pid":1,"name":"process_name","args":{{"name":{}}}}})",
      Json(process).dump());
  for (const Span& span : spans) {
    fmt::format_to(std::back_inserter(text),
                   ",\n"
                   R"({{"ph":"X","pid":1,"tid":{},"name":{},"ts":{:.3f},"dur":{:.3f},"tdur":{:.3f}}})",
                   span.thread, Json(span.name).dump(), span.begin * 1e6, span.wall * 1e6, span.processor * 1e6);
  }
  return text + "]}\n";
}

}  // namespace guda::worker
