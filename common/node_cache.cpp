#include "common/node_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "common/checksums.hpp"
#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "common/process.hpp"

namespace guda {
namespace fs = std::filesystem;

namespace {

constexpr const char* kUsers = "users.lock";  // shared: the cache is in use; exclusive: it is being emptied
constexpr const char* kSpace = "space.lock";  // exclusive: room is being made
constexpr const char* kPartial = ".partial";  // a copy that is being made or removed
constexpr std::size_t kPiece = 4 << 20;
constexpr auto kNap = std::chrono::milliseconds(10);

bool lock(int fd, int how) {
  int result = 0;
  do result = ::flock(fd, how);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

Fd lock_file(const fs::path& path) { return open_file(path, O_RDWR | O_CREAT, 0600); }

/// When something was last written below `folder`, in ns; 0: never.
std::int64_t last_written(const fs::path& folder) {
  std::int64_t latest = 0;
  std::error_code gone;
  for (fs::recursive_directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) {
    struct stat s{};
    if (::stat(at->path().c_str(), &s) == 0)
      latest = std::max(latest, std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec);
  }
  return latest;
}

std::uint64_t bytes_below(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code gone;
  for (fs::recursive_directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) bytes += at->file_size(ignored);
  }
  return bytes;
}

/// A folder of this user that nobody else may write to; made if there is none. Throws Error.
void private_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) throw IoError(errno_text("cannot create", folder, errno));
  struct stat s{};
  if (::lstat(folder.c_str(), &s) != 0) throw IoError(errno_text("cannot see", folder, errno));
  if (!S_ISDIR(s.st_mode) || s.st_uid != ::geteuid() || (s.st_mode & 022) != 0)
    throw Error(folder.string() + " is no folder that only you can write to");
}

/// The shared file system failed us, not the cache.
struct SourceError : IoError {
  using IoError::IoError;
};

template <class Read>
auto from_source(Read&& read) {
  try {
    return read();
  } catch (const IoError& e) {
    throw SourceError(e.what());
  }
}

bool is_entry(const std::string& name) {
  return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

/// The files of an artifact as its checksums.json has them.
struct NodeCache::Listing {
  struct File {
    std::uint64_t bytes = 0;
    std::string digest;
  };
  std::string text;  // of checksums.json
  std::map<std::string, File> files;
  std::uint64_t bytes = 0;

  static std::optional<Listing> of(const fs::path& source) {
    if (!fs::exists(source / kChecksumsFile)) return std::nullopt;
    Listing listing;
    listing.text = from_source([&] { return read_file(source / kChecksumsFile); });
    listing.bytes = listing.text.size();
    try {
      const Json json = Json::parse(listing.text);  // named: items() of a temporary dangles
      for (const auto& [name, file] : json.at("files").items()) {
        const fs::path path(name);
        if (path.empty() || path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end())
          throw SourceError((source / kChecksumsFile).string() + ": '" + name + "' is no path below the folder");
        listing.files[name] = {file.at("bytes").get<std::uint64_t>(), file.at("xxh3_128").get<std::string>()};
        listing.bytes += listing.files[name].bytes;
      }
    } catch (const Json::exception&) {
      throw SourceError((source / kChecksumsFile).string() +
                        " is damaged. Cure: guda verify --repair makes the artifact anew");
    }
    return listing;
  }
};

NodeCache::NodeCache(NodeCachePlace place, std::function<void(const std::string&)> note)
    : place_(std::move(place)), note_(std::move(note)) {
  if (place_.folder.empty()) return;
  try {
    open();
  } catch (const std::exception& e) {
    users_ = {};
    if (note_) note_(fmt::format("node cache: off, {}", e.what()));
  }
}

void NodeCache::open() {
  make_directories(place_.folder);
  const fs::path ours = place_.folder / fmt::format("guda-cache-{}", ::geteuid());
  private_folder(ours);
  const std::string boot = boot_id();
  for (const auto& entry : fs::directory_iterator(ours)) {  // not synced, so what an earlier boot left may be torn
    std::error_code ignored;
    if (entry.path().filename() != boot) fs::remove_all(entry.path(), ignored);
  }
  folder_ = ours / boot;
  private_folder(folder_);
  Fd users = lock_file(at(kUsers));
  if (!lock(users.get(), LOCK_SH)) throw IoError(errno_text("cannot lock", at(kUsers), errno));
  users_ = std::move(users);
}

NodeCache::~NodeCache() {
  if (!on() || place_.keep || !lock(users_.get(), LOCK_EX | LOCK_NB)) return;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (entry.path().filename() != kUsers) fs::remove_all(entry.path(), ignored);
  }
}

NodeCacheUse NodeCache::use() const {
  const std::lock_guard guard(mutex_);
  return use_;
}

NodeCache::Entry NodeCache::artifact(const fs::path& source, const Digest& digest,
                                     const std::function<void()>& waiting) {
  if (!on() || !is_entry(digest.hex)) return Entry(source);
  try {
    Fd held = lock_file(at(digest.hex + ".lock"));
    const fs::path entry = at(digest.hex), partial = at(digest.hex + kPartial);
    bool filled = false;
    std::int64_t seen = last_written(partial);
    double grown = steady_seconds(), told = grown;
    while (true) {
      // Whoever holds the entry to read it lets others read it too: no need to wait for the end of its job.
      const bool there = fs::exists(entry);
      if (lock(held.get(), (there ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
        if (there != fs::exists(entry)) continue;  // evicted, or filled, since
        if (there) break;
        filled = fill(source, digest);
        if (!filled) return Entry(source);
        continue;  // the shared lock will do
      }
      if (errno != EWOULDBLOCK) throw IoError(errno_text("cannot lock", at(digest.hex + ".lock"), errno));
      std::this_thread::sleep_for(kNap);
      const double now = steady_seconds();
      if (const std::int64_t latest = last_written(partial); latest != seen) seen = latest, grown = now;
      if (now - grown > kPatience) throw IoError("whoever copies " + digest.brief() + " stands still");
      if (now - told > 0.2) {
        told = now;
        if (waiting) waiting();
      }
      const std::lock_guard guard(mutex_);
      use_.waited_seconds += std::chrono::duration<double>(kNap).count();
    }
    ::utimensat(AT_FDCWD, entry.c_str(), nullptr, 0);
    const std::uint64_t bytes = bytes_below(entry);
    const std::lock_guard guard(mutex_);
    if (!filled) use_.found += bytes;
    return Entry(entry, std::move(held));
  } catch (const SourceError&) {
    throw;
  } catch (const std::exception& e) {
    if (note_) note_(fmt::format("node cache: {}; read where it lies", e.what()));
    return Entry(source);
  }
}

/// Under the exclusive lock of the digest. False: it can't be kept here. Throws IoError for a source that is damaged.
bool NodeCache::fill(const fs::path& source, const Digest& digest) {
  const fs::path partial = at(digest.hex + kPartial);
  fs::remove_all(partial);  // of a process that was killed
  const auto listing = Listing::of(source);
  if (!listing) return false;
  struct Undo {
    fs::path path;
    ~Undo() {
      std::error_code ignored;
      if (!path.empty()) fs::remove_all(path, ignored);
    }
  } undo{partial};
  if (!reserve(partial, *listing)) {
    if (note_)
      note_(fmt::format("node cache: no room for {} ({:.1f} MB of at most {:.0f} MB); read where it lies",
                        digest.brief(), double(listing->bytes) / 1e6, double(place_.most) / 1e6));
    return false;
  }
  const double begin = steady_seconds();
  std::vector<char> piece(kPiece);
  for (const auto& [name, file] : listing->files) {
    const Fd in = from_source([&] { return open_file(source / name, O_RDONLY); });
    ::posix_fadvise(in.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    const Fd out = open_file(partial / name, O_WRONLY);
    DigestStream content;
    std::uint64_t bytes = 0;
    while (true) {
      const ssize_t n = ::read(in.get(), piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw SourceError(errno_text("cannot read", source / name, errno));
      if (n == 0) break;
      const std::string_view got(piece.data(), static_cast<std::size_t>(n));
      content.add(got);
      bytes += got.size();
      if (bytes <= file.bytes) write_all(out.get(), got, partial / name);
    }
    if (bytes != file.bytes || content.digest().hex != file.digest) {
      throw SourceError(fmt::format("{} {}. Cure: guda verify --repair makes the artifact anew",
                                    (source / name).string(),
                                    bytes != file.bytes ? fmt::format("has {} bytes instead of {}", bytes, file.bytes)
                                                        : std::string("has other content than when it was published")));
    }
  }
  replace_file(partial / kChecksumsFile, listing->text, false);
  fs::rename(partial, at(digest.hex));
  undo.path.clear();
  const double seconds = steady_seconds() - begin;
  if (note_)
    note_(fmt::format("node cache: read {} ({:.1f} MB) at {:.2f} GB/s", digest.brief(), double(listing->bytes) / 1e6,
                      double(listing->bytes) / 1e9 / std::max(seconds, 1e-9)));
  const std::lock_guard guard(mutex_);
  use_.read += listing->bytes;
  use_.read_seconds += seconds;
  return true;
}

/// Files of their full size under `partial`, others evicted for them. False when they do not fit.
bool NodeCache::reserve(const fs::path& partial, const Listing& listing) {
  const Fd space = lock_file(at(kSpace));
  if (!lock(space.get(), LOCK_EX)) return false;
  if (listing.bytes > place_.most) return false;
  while (bytes_below(folder_) + listing.bytes > place_.most) {
    if (!evict_one()) return false;
  }
  make_directories(partial);
  for (const auto& [name, file] : listing.files) {
    make_directories((partial / name).parent_path());
    const Fd out = open_file(partial / name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    while (file.bytes > 0 && ::fallocate(out.get(), 0, 0, static_cast<off_t>(file.bytes)) != 0) {
      if (errno == EOPNOTSUPP || errno == ENOSYS) break;  // then the writes will tell
      if (errno != EINTR && !evict_one()) return false;
    }
  }
  return true;
}

/// Removes the artifact, or the half of one, that was used longest ago and is not in use. Under the lock of space.
bool NodeCache::evict_one() {
  std::vector<std::pair<fs::file_time_type, std::string>> by_age;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    std::string name = entry.path().filename().string();
    std::error_code gone;
    if (is_entry(name.substr(0, name.find('.'))) && entry.is_directory(gone))
      by_age.emplace_back(entry.last_write_time(gone), std::move(name));
  }
  std::sort(by_age.begin(), by_age.end());
  for (const auto& [used, name] : by_age) {
    const std::string digest = name.substr(0, name.find('.'));
    const Fd held = lock_file(at(digest + ".lock"));
    if (!lock(held.get(), LOCK_EX | LOCK_NB)) continue;
    std::error_code error;
    const fs::path partial = at(digest + kPartial);
    // Half a folder must not keep the name of a whole one.
    if (name == digest) fs::remove_all(partial, error), fs::rename(at(name), partial, error);
    if (!error) fs::remove_all(partial, error);
    if (error) continue;
    if (note_) note_(fmt::format("node cache: {} made room", Digest{digest}.brief()));
    return true;
  }
  return false;
}

}  // namespace guda
