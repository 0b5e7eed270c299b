#include "common/full_disk.hpp"

namespace guda {
namespace {

// Writers are called from everywhere, with paths only: a disk is as little an argument of theirs as a real one is.
thread_local int full_disks = 0;

}  // namespace

FullDisk::FullDisk() noexcept { ++full_disks; }
FullDisk::~FullDisk() { --full_disks; }
bool FullDisk::here() noexcept { return full_disks > 0; }

}  // namespace guda
