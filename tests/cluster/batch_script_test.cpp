#include "cluster/batch_script.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

namespace guda::cluster {
namespace {

BatchRequest request() {
  BatchRequest r;
  r.job_name = "guda-digits";
  r.run_folder = "/scratch/me/runs/digits";
  r.program = "/opt/guda/bin/guda";
  r.nodes = 2;
  r.cores_per_node = 32;
  r.gpus_per_node = 4;
  r.walltime = 43'200;
  r.signal_lead = 120;
  return r;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("batch script: GPUs are asked for per node, never per task") {
  const std::string s = batch_script(request());
  CHECK(has(s, "#SBATCH --gpus-per-node=4\n"));
  CHECK_FALSE(has(s, "--gpus-per-task"));
  CHECK_FALSE(has(s, "--gpu-bind"));
  CHECK(has(s, "#SBATCH --nodes=2 --ntasks-per-node=1 --cpus-per-task=32\n"));
  CHECK(has(s, "#SBATCH --time=12:00:00\n"));
  CHECK(has(s, "#SBATCH --signal=B:USR2@120\n"));
}

TEST_CASE("batch script: every signal reaches guda run as the one that hands jobs back") {
  const std::string s = batch_script(request());
  CHECK(has(s, "kill -USR2 $child' USR2\n"));
  CHECK(has(s, "kill -USR2 $child' TERM\n"));
  CHECK(has(s, "--open-mode=append"));
  CHECK(has(s, "\"$guda\" requeue \"$run\""));
}

TEST_CASE("batch script: without requeue it says how to go on instead") {
  BatchRequest r = request();
  r.requeue = false;
  const std::string s = batch_script(r);
  CHECK(has(s, "#SBATCH --no-requeue\n"));
  CHECK_FALSE(has(s, "\"$guda\" requeue"));
  CHECK(has(s, "sbatch $run/job.sbatch"));
}

TEST_CASE("batch script: blanks and percent signs of paths survive, quotes and control characters are refused") {
  BatchRequest r = request();
  r.run_folder = "/scratch/my runs/50%";
  const std::string s = batch_script(r);
  CHECK(has(s, "#SBATCH --output=\"/scratch/my runs/50%%/logs/slurm-%j.out\"\n"));
  CHECK(has(s, "run='/scratch/my runs/50%'\n"));
  r.run_folder = "/scratch/it's";
  CHECK_THROWS_AS(static_cast<void>(batch_script(r)), Error);
  r = request();
  r.account = "a\nrm -rf /";
  CHECK_THROWS_AS(static_cast<void>(batch_script(r)), Error);
  r = request();
  r.setup = {"module load x\nexit"};
  CHECK_THROWS_AS(static_cast<void>(batch_script(r)), Error);
}

TEST_CASE("batch script: fenced nodes are excluded, a container holds the program and not mpirun's host tools") {
  BatchRequest r = request();
  r.exclude = {"n3", "n7"};
  r.container = "/images/guda.sif";
  const std::string s = batch_script(r);
  CHECK(has(s, "#SBATCH --exclude=n3,n7\n"));
  CHECK(has(s, "apptainer exec --nv /images/guda.sif \"$guda\" run"));
}

TEST_CASE("batch script: words are quoted for the shell only where they need it") {
  CHECK(shell_quoted("--workers=4") == "--workers=4");
  CHECK(shell_quoted("a b") == "'a b'");
  CHECK(shell_quoted("it's") == "'it'\\''s'");
  CHECK(shell_quoted("") == "''");
}

}  // namespace guda::cluster
