#include "worker/failure.hpp"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <ios>
#include <new>
#include <string_view>

#include "common/memory.hpp"

namespace guda::worker {
namespace {

constexpr std::int32_t kCudaErrorMemoryAllocation = 2;

/// Texts of libraries that have no exception type for it.
bool tells_of_memory(std::string_view text) {
  // c10's CPU allocator, oneDNN, cuBLAS and cuDNN throw plain errors.
  constexpr std::array kPhrases{"DefaultCPUAllocator: ",      "could not create a memory object",
                                "CUDA error: out of memory",  "CUDA out of memory",
                                "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"};
  for (const char* phrase : kPhrases) {
    if (text.find(phrase) != std::string_view::npos) return true;
  }
  return false;
}

bool tells_of_the_device(std::string_view text) {
  constexpr std::array kPhrases{"CUDA error",     "CUDA driver error", "cuDNN error",
                                "CUBLAS_STATUS_", "CUDNN_STATUS_",     "NCCL error"};
  for (const char* phrase : kPhrases) {
    if (text.find(phrase) != std::string_view::npos) return true;
  }
  return false;
}

Failure out_of_memory(const std::string& text) {
  return {ErrorClass::out_of_memory,
          fmt::format(
              "out of memory: {} (this worker's host memory has peaked at {:.2f} GiB). Cure: a smaller batch, or fewer "
              "workers on this node",
              text, static_cast<double>(peak_memory()) / (1ULL << 30))};
}

}  // namespace

Failure describe_failure(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return {e.error_class(), e.what()};
  } catch (const std::bad_alloc&) {
    return out_of_memory("the host gave no more");
  } catch (const c10::OutOfMemoryError& e) {
    return out_of_memory(e.what_without_backtrace());
  } catch (const c10::AcceleratorError& e) {
    if (e.get_error_code() == kCudaErrorMemoryAllocation) return out_of_memory(e.what_without_backtrace());
    return {ErrorClass::device, e.what_without_backtrace()};
  } catch (const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    if (tells_of_memory(text)) return out_of_memory(text);
    return {tells_of_the_device(text) ? ErrorClass::device : ErrorClass::bug, text};
  } catch (const std::ios_base::failure& e) {
    return {ErrorClass::io, e.what()};
  } catch (const std::filesystem::filesystem_error& e) {
    return {ErrorClass::io, e.what()};
  } catch (const std::exception& e) {
    const std::string text = e.what();
    if (tells_of_memory(text)) return out_of_memory(text);
    return {tells_of_the_device(text) ? ErrorClass::device : ErrorClass::bug, text};
  } catch (...) {
    return {ErrorClass::bug, "an exception of unknown type"};
  }
}

}  // namespace guda::worker
