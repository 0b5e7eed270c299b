#include "cluster/batch_script.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/node_list.hpp"
#include "common/error.hpp"

namespace guda::cluster {
namespace {

void refuse_control(const std::string& text, const char* what) {
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    throw Error(fmt::format("{} has a control character: it can't be written into a batch script", what));
  }
}

/// A value behind #SBATCH --name=: quoted as sbatch reads it. `pattern`: % means something there.
std::string directive_value(const std::string& value, const char* what, bool pattern = false) {
  refuse_control(value, what);
  std::string text;
  bool quote = false;
  for (const char c : value) {
    if (c == '"' || c == '\\' || c == '\'')
      throw Error(fmt::format("{} '{}' has a quote or backslash, which sbatch can't read in a script", what, value));
    quote = quote || c == ' ' || c == '#';
    text += c;
    if (pattern && c == '%') text += '%';
  }
  return quote ? "\"" + text + "\"" : text;
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '/' || c == '.' || c == '_' || c == '-' || c == '=' || c == ',' || c == ':' ||
           c == '+' || c == '@';
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string batch_script(const BatchRequest& r) {
  std::string s = "#!/bin/bash\n";
  for (const std::string& line : r.about) {
    refuse_control(line, "a comment");
    s += line.empty() ? "#\n" : "# " + line + "\n";
  }
  const auto directive = [&](const std::string& text) { s += "#SBATCH " + text + "\n"; };
  const auto named = [&](const char* name, const std::string& value) {
    if (!value.empty()) directive(fmt::format("--{}={}", name, directive_value(value, name)));
  };
  named("job-name", r.job_name);
  named("partition", r.partition);
  named("account", r.account);
  named("constraint", r.constraint);
  named("qos", r.qos);
  named("reservation", r.reservation);
  // One task per node, whose cores mpirun's agents share; GPUs per node, never per task: a task would see only its own.
  directive(fmt::format("--nodes={} --ntasks-per-node=1 --cpus-per-task={}", r.nodes, r.cores_per_node));
  if (r.gpus_per_node > 0) directive(fmt::format("--gpus-per-node={}", r.gpus_per_node));
  if (!r.memory.empty()) named("mem", r.memory);
  directive("--time=" + slurm_time(r.walltime));
  directive(fmt::format("--signal=B:USR2@{}", r.signal_lead));
  directive(r.requeue ? "--requeue" : "--no-requeue");
  // --no-kill: the loss of a node costs that node's jobs, not the allocation.
  directive("--open-mode=append --no-kill");
  directive("--output=" + directive_value(r.run_folder + "/logs/", "the run directory", true) + "slurm-%j.out");
  if (r.run_folder.find(' ') != std::string::npos || r.run_folder.find('#') != std::string::npos) {
    // The pattern belongs inside the quotes.
    const std::string wrong = "/logs/\"slurm-%j.out";
    s.replace(s.rfind(wrong), wrong.size(), "/logs/slurm-%j.out\"");
  }
  if (!r.exclude.empty()) {
    std::string nodes;
    for (const std::string& node : r.exclude) nodes += (nodes.empty() ? "" : ",") + node;
    named("exclude", nodes);
  }
  for (const std::string& line : r.extra) {
    refuse_control(line, "an #SBATCH option");
    directive(line);
  }
  s += "set -u\n";
  s += "run=" + shell_quoted(r.run_folder) + "\n";
  s += "guda=" + shell_quoted(r.program) + "\n";
  s += fmt::format(
      "echo \"==> life ${{SLURM_RESTART_COUNT:-0}} of Slurm job $SLURM_JOB_ID on $SLURM_JOB_NODELIST at $(date "
      "-Is)\"\n");
  for (const std::string& line : r.setup) {
    refuse_control(line, "a set-up line");
    s += line + "\n";
  }
  s += "export HDF5_USE_FILE_LOCKING=FALSE NCCL_DEBUG=${NCCL_DEBUG:-WARN}\n";
  // Newer Slurm does not pass --cpus-per-task on to the step that carries mpirun's daemons.
  s += "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}\n";
  // Asked here: the program may run in a container without Slurm's commands. "auto" where nobody answers.
  s += "deadline=$(squeue --noheader --jobs \"$SLURM_JOB_ID\" --format %e 2>/dev/null) || deadline=auto\n";
  std::string options;
  for (const std::string& option : r.run_options) options += " " + shell_quoted(option);
  const std::string prefix =
      r.container.empty()
          ? ""
          : fmt::format("apptainer exec {}{} ", r.gpus_per_node > 0 ? "--nv " : "", shell_quoted(r.container));
  s += fmt::format("{}\"$guda\" run \"$run\" --deadline \"${{deadline:-auto}}\"{} &\n", prefix, options);
  s += R"sh(child=$!
# USR2 comes before the walltime's end and, where the cluster sends it, before preemption; TERM at preemption elsewhere.
# Either way guda run hears USR2 and lets running jobs hand themselves back.
trap 'echo "==> USR2: handing back"; kill -USR2 $child' USR2
trap 'echo "==> TERM: handing back"; kill -USR2 $child' TERM
while :; do  # a signal ends wait, not the child
  wait $child
  code=$?
  kill -0 $child 2>/dev/null || break
done
trap - USR2 TERM
echo "==> guda run ended with $code at $(date -Is)"
)sh";
  if (r.requeue) {
    s += "if [ $code -eq 75 ]; then\n";
    s +=
        fmt::format("  {}\"$guda\" requeue \"$run\" --max-lives {} --barren-lives {} && sleep 60  # scontrol ends us\n",
                    prefix, r.max_lives, r.barren_lives);
    s += "fi\n";
  } else {
    s += "[ $code -ne 75 ] || echo \"not requeued (--no-requeue); it goes on with: sbatch $run/job.sbatch\"\n";
  }
  s += "exit $code\n";
  return s;
}

}  // namespace guda::cluster
