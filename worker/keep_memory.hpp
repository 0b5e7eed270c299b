#pragma once
// How this process treats memory that was freed.

namespace guda::worker {

/// Freed activations stay with the process for the next step. They lie just above glibc's mmap threshold for small
/// models: without this every one of them is mapped, faulted in and unmapped again (docs/performance.md: 17 % of
/// training, 25 % of scoring on the digits). Before the first thread is started.
void keep_freed_memory();

}  // namespace guda::worker
