#include "worker/profile/recorder.hpp"

#include <ctime>
#include <mutex>
#include <utility>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

double thread_processor_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return double(used.tv_sec) + 1e-9 * double(used.tv_nsec);
}

struct Begun : at::ObserverContext {
  double begin = 0, processor = 0;
};

}  // namespace

struct SpanRecorder::Sink {
  double begin = steady_seconds();
  std::mutex mutex;
  std::vector<Span> spans;

  /// The callbacks of LibTorch are plain functions: they find the recording here.
  static Sink*& current() {
    static Sink* sink = nullptr;
    return sink;
  }
  static std::unique_ptr<at::ObserverContext> started(const at::RecordFunction&) {
    auto context = std::make_unique<Begun>();
    context->processor = thread_processor_seconds();
    context->begin = steady_seconds();
    return context;
  }
  static void ended(const at::RecordFunction& operation, at::ObserverContext* context) {
    const double end = steady_seconds(), processor = thread_processor_seconds();
    Sink* const sink = current();
    if (sink == nullptr || context == nullptr) return;
    const auto& begun = static_cast<const Begun&>(*context);
    Span span{operation.name(), static_cast<std::uint32_t>(at::RecordFunction::currentThreadId()),
              begun.begin - sink->begin, end - begun.begin, processor - begun.processor};
    const std::lock_guard lock(sink->mutex);
    sink->spans.push_back(std::move(span));
  }
};

SpanRecorder::SpanRecorder() : sink_(std::make_unique<Sink>()), callback_(at::INVALID_CALLBACK_HANDLE) {
  if (Sink::current() != nullptr) throw Bug("two profiles at once");
  Sink::current() = sink_.get();
  callback_ = at::addGlobalCallback(
      at::RecordFunctionCallback(&Sink::started, &Sink::ended)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE}));
  constexpr int kSpans = 4000;
  sink_->spans.reserve(1 << 16);
  const double before = thread_processor_seconds();
  for (int i = 0; i < kSpans; ++i) const ProfileSpan empty("the recorder itself");
  const double each = (thread_processor_seconds() - before) / kSpans;
  for (const Span& span : sink_->spans) overhead_.within += span.processor / kSpans;
  overhead_.around = each - overhead_.within;
  sink_->spans.clear();
  sink_->begin = steady_seconds();
}

SpanRecorder::~SpanRecorder() {
  if (callback_ != at::INVALID_CALLBACK_HANDLE) (void)stop();
}

std::vector<Span> SpanRecorder::stop() {
  at::removeCallback(callback_);
  callback_ = at::INVALID_CALLBACK_HANDLE;
  Sink::current() = nullptr;
  const std::lock_guard lock(sink_->mutex);
  return std::move(sink_->spans);
}

double SpanRecorder::now() const { return steady_seconds() - sink_->begin; }

}  // namespace guda::worker
