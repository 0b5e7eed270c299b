#include "jobs/picture_facts.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <mutex>
#include <thread>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/rgb_picture.hpp"

namespace guda::jobs {
namespace {
namespace fs = std::filesystem;

constexpr int kFactsSchema = 1;
constexpr unsigned kMostReaders = 8;
constexpr std::int64_t kSettled =
    2'000'000'000;  // ns: a file that was just written may change within one tick of its time

/// What tells that a file is the one of the last time.
struct Stamp {
  std::uint64_t size = 0, inode = 0;
  std::int64_t changed = 0;  ///< ns
  bool operator==(const Stamp&) const = default;
};

Stamp stamp_of(const fs::path& file) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) throw IoError(errno_text("cannot read", file, errno));
  return {static_cast<std::uint64_t>(found.st_size), found.st_ino,
          std::int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec};
}

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// {"schema": 1, "files": {"a/b.jpg": [size, inode, changed, digest, damage]}}; what is no such thing is as good as
/// none.
Json read_facts(const fs::path& file) {
  std::error_code missing;
  if (!fs::exists(file, missing)) return Json::object();
  try {
    Json all = Json::parse(read_file(file));
    if (all.at("schema") == kFactsSchema && all.at("files").is_object()) return std::move(all.at("files"));
  } catch (const std::exception&) {  // it will be written anew
  }
  return Json::object();
}

bool known(const Json& files, const std::string& name, const Stamp& stamp, PictureFacts& facts) {
  const auto found = files.find(name);
  if (found == files.end() || !found->is_array() || found->size() != 5) return false;
  const Json& entry = *found;
  if (entry[0] != stamp.size || entry[1] != stamp.inode || entry[2] != stamp.changed || !entry[3].is_string() ||
      !entry[4].is_string())
    return false;
  facts = {entry[3].get<std::string>(), entry[4].get<std::string>()};
  return true;
}

PictureFacts read_picture(const fs::path& file) {
  const std::string bytes = read_file(file);
  PictureFacts facts{digest_of(bytes).hex, {}};
  try {
    check_picture(bytes, file);
  } catch (const Error& error) {
    facts.damage = error.what();
  }
  return facts;
}

/// Calls `work(i)` for every i below `count`, on several threads; the first exception comes out.
template <class Work>
void on_threads(std::size_t count, Work&& work) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr failed;
  std::mutex failing;
  const auto loop = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(failing);
        if (!failed) failed = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::jthread> others;
  const auto threads = std::min<std::size_t>({kMostReaders, std::max(1U, std::thread::hardware_concurrency()), count});
  for (std::size_t t = 1; t < threads; ++t) others.emplace_back(loop);
  loop();
  others.clear();
  if (failed) std::rethrow_exception(failed);
}

void remember(const fs::path& file, Json files) {
  try {
    make_directories(file.parent_path());
    replace_file(file, Json{{"schema", kFactsSchema}, {"files", std::move(files)}}.dump() + "\n", false);
  } catch (const Error&) {  // a read-only home: the next program reads the pictures again
  }
}

}  // namespace

fs::path picture_facts_file(const fs::path& folder) {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return fs::path(value != nullptr ? value : "");
  };
  fs::path cache = variable("GUDA_CACHE");
  if (cache.empty() && !variable("XDG_CACHE_HOME").empty()) cache = variable("XDG_CACHE_HOME") / "guda";
  if (cache.empty()) cache = variable("HOME") / ".cache" / "guda";
  return cache / "pictures" / (digest_of(fs::absolute(folder).lexically_normal().string()).hex + ".json");
}

std::vector<PictureFacts> picture_facts(const fs::path& folder, std::span<const fs::path> files, std::size_t* read) {
  const fs::path cache = picture_facts_file(folder);
  Json remembered = read_facts(cache);
  std::vector<PictureFacts> facts(files.size());
  std::vector<Stamp> stamps;
  std::vector<std::size_t> unknown;
  const std::int64_t begun = now_ns();
  for (std::size_t i = 0; i < files.size(); ++i) {
    stamps.push_back(stamp_of(folder / files[i]));
    if (!known(remembered, files[i].string(), stamps[i], facts[i])) unknown.push_back(i);
  }
  if (read != nullptr) *read = unknown.size();
  if (unknown.empty()) return facts;
  on_threads(unknown.size(), [&](std::size_t i) { facts[unknown[i]] = read_picture(folder / files[unknown[i]]); });
  for (const std::size_t i : unknown) {
    if (stamps[i].changed + kSettled > begun) continue;
    remembered[files[i].string()] = {stamps[i].size, stamps[i].inode, stamps[i].changed, facts[i].digest,
                                     facts[i].damage};
  }
  remember(cache, std::move(remembered));
  return facts;
}

}  // namespace guda::jobs
