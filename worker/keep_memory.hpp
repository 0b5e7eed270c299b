#pragma once
// How this process treats memory that was freed.

namespace guda::worker {

/// Freed activations stay with the process, whole, for the next step: glibc would map, fault in and unmap those of
/// small models again and again, and cut those of larger ones to pieces (docs/performance.md). The process then holds
/// the most that it ever needed. Before the first tensor and the first thread.
void keep_freed_memory();

}  // namespace guda::worker
