// Small files of a run directory that other processes, machines or versions wrote: plan, status, lock, requests,
// checksums. The first byte chooses which.
#include <cstdint>
#include <string_view>

#include "common/checksums.hpp"
#include "common/error.hpp"
#include "orchestrator/control.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_lock.hpp"
#include "orchestrator/run_status.hpp"
#include "tests/fuzz/scratch_file.hpp"

using namespace guda;
using namespace guda::orchestrator;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::ScratchFiles scratch;
  static const RunLayout run{scratch.folder()};
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'p':
      scratch.write("plan.json", text);
      try {
        static_cast<void>(load_plan(run));
      } catch (const Error&) {
        // refused
      }
      break;
    case 's':
      scratch.write("status.json", text);
      static_cast<void>(read_status(run.status()));
      break;
    case 'l':
      scratch.write("lock", text);
      if (const auto info = read_lock(run.lock())) static_cast<void>(describe(*info));
      break;
    case 'k':
      scratch.write("checksums.json", text);
      static_cast<void>(check_checksums(run.folder));
      break;
    default:
      std::filesystem::create_directory(run.control());
      scratch.write("control/1.json", text);
      static_cast<void>(take_control(run, 1));
  }
  return 0;
}
