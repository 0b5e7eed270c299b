#include "orchestrator/start_watch.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>

#include "common/process.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

/// A child of ours whose program bears a rank's name and sleeps.
class Rank {
 public:
  Rank(const test::ScratchFolder& folder, const std::string& name) {
    std::filesystem::copy_file("/bin/sleep", folder.path() / name, std::filesystem::copy_options::skip_existing);
    start({(folder.path() / name).string(), "60"}, name.substr(0, 15));
  }
  Rank(const test::ScratchFolder& folder, const std::string& name, const std::string& later) {
    std::filesystem::copy_file("/bin/sh", folder.path() / name);
    start({(folder.path() / name).string(), "-c", "sleep 1; exec " + later}, name);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;
  ~Rank() { end(); }
  void tell(int signal, char state) const {
    ::kill(pid_, signal);
    until([&] { return process_state(pid_) == state; });
  }
  void end() {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  static void until(const std::function<bool()>& reached) {
    for (int i = 0; i < 500 && !reached(); ++i) ::usleep(10'000);
    REQUIRE(reached());
  }

 private:
  void start(std::vector<std::string> arguments, const std::string& name) {
    pid_ = spawn({.arguments = std::move(arguments)});
    until([&] { return process_name(pid_) == name; });
  }
  pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("start watch: a coordinator or an agent that was there and is there no more is a death") {
  const test::ScratchFolder folder;
  for (const bool coordinator : {true, false}) {
    Rank first(folder, "guda-coordinator"), second(folder, "guda-agent");
    StartWatch watch;
    watch.look(::getpid());
    watch.look(::getpid());
    CHECK(watch.death().empty());
    (coordinator ? first : second).end();
    watch.look(::getpid());
    CHECK(watch.death().starts_with(coordinator ? "the coordinator died" : "an agent died"));
  }
}

TEST_CASE("start watch: a rank is stopped as long as it stands still, whatever others do") {
  const test::ScratchFolder folder;
  Rank agent(folder, "guda-agent"), other(folder, "another");
  StartWatch watch;
  other.tell(SIGSTOP, 'T');
  watch.look(::getpid());
  CHECK_FALSE(watch.stopped());
  agent.tell(SIGSTOP, 'T');
  watch.look(::getpid());
  CHECK(watch.stopped());
  agent.tell(SIGCONT, 'S');
  watch.look(::getpid());
  CHECK_FALSE(watch.stopped());
  other.end();
  watch.look(::getpid());
  CHECK(watch.death().empty());
}

TEST_CASE("start watch: what an agent forked is no rank once it has become a worker") {
  const test::ScratchFolder folder;
  Rank child(folder, "guda-agent", "/bin/sleep 60");
  StartWatch watch;
  watch.look(::getpid());
  Rank::until([&] { return process_name(child.pid()) == "sleep"; });
  watch.look(::getpid());
  child.end();
  watch.look(::getpid());
  CHECK(watch.death().empty());
}
