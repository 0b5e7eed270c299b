"""guda submit on a real Slurm of one node: done, walltime, preemption, no requeue, no progress, kills inside, no scontrol.

One slurmctld serves all cases. Two lanes of cases run side by side; the preemption case needs the node to itself.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402
from slurm import Cluster  # noqa: E402

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
OPERATOR = "{method: guda, unlearn: {op: retrack_exact, steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1}}"
SHORT = ["--set", f"methods=[{{method: logo}}, {OPERATOR}]", "--set", "comparison.second_reference="]
LONG = [*SHORT, "--set", "training.steps=2000"]
LIVES = [*SHORT, "--set", "training.steps=6000"]  # more than half a minute of two fast cores, less than seven of two slow ones
EXPERIMENTS = {"short": SHORT, "long": LONG, "lives": LIVES}
BEAT = ["--heartbeat", "0.5/5/15"]
STOP_EARLY = 75


class Lane:
    """What a case needs: the cluster, a folder, and words for what it does."""

    def __init__(self, cluster, work, references):
        self.cluster, self.work, self.references = cluster, work, references

    def submit(self, run, *options, experiment=SHORT, time_limit="20m", check=True):
        command = [GUDA, "submit", RECIPE, "--run-dir", run, "--nodes", "1", "--cores-per-node", "2", "--time", time_limit, "--grace", "5", "--json",
                   *BEAT, *experiment, *options]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=self.cluster.environment, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"guda submit ended with {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)["job"] if check else done

    def status(self, run):
        return json.loads(subprocess.run([GUDA, "status", run, "--json"], capture_output=True, text=True, check=True).stdout)

    def log(self, run):
        return "".join(f.read_text() for f in sorted((run / "logs").glob("slurm-*.out")))

    def wait_log(self, run, text, seconds=90):
        until = time.time() + seconds
        while text not in self.log(run):
            if time.time() > until:
                raise AssertionError(f"'{text}' did not appear in:\n{self.log(run)}")
            time.sleep(0.1)

    def wait_running(self, run, seconds=90):
        """Until a worker of this run works on a job."""
        until = time.time() + seconds
        while not any(p for p in self.processes(run, "guda-worker")) or not (run / "status.json").exists() or self.status(run)["jobs"]["running"] == 0:
            if time.time() > until:
                raise AssertionError(f"nothing runs in {run}:\n{self.log(run)}")
            time.sleep(0.1)

    def processes(self, run, name):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text().strip() == name[:15] and str(run) in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def same_as(self, reference, run):
        same(self.references.data(reference), data_of(run))

    def said(self, run, *texts):
        log = self.log(run)
        for text in texts:
            assert text in log, f"'{text}' is not in the log:\n{log}"


class References:
    """Undisturbed runs without Slurm, made when the first case asks for one."""

    def __init__(self, work):
        self.work, self.lock, self.made = work, threading.Lock(), {}

    def data(self, name):
        with self.lock:
            if name not in self.made:
                run = self.work / f"reference-{name}"
                done = subprocess.run([GUDA, "run", RECIPE, "--run-dir", run, "--workers", "2", *BEAT, *EXPERIMENTS[name]],
                                      capture_output=True, text=True, timeout=400)
                assert done.returncode == 0, done.stderr
                self.made[name] = data_of(run)
            return self.made[name]


def submitted_runs_to_its_end(lane):
    run = lane.work / "plain run"  # a blank in the path must not matter
    job = lane.submit(run)
    lane.cluster.wait_state(job, "COMPLETED")
    assert lane.status(run)["exit_code"] == 0
    lane.said(run, "life 0 of Slurm job", f"launch: Slurm job {job}, 1 node, 2 workers", "deadline: in", "guda run ended with 0")
    script = (run / "job.sbatch").read_text()
    assert "--gpus-per-task" not in script and "estimate:" in script and "--signal=B:USR2@" in script
    assert not lane.processes(run, "guda-worker") and not lane.processes(run, "guda-agent")
    lane.same_as("short", run)


def worker_and_agent_die_inside_the_job(lane):
    run = lane.work / "killed"
    job = lane.submit(run, experiment=LONG)
    lane.wait_running(run)
    os.kill(lane.processes(run, "guda-worker")[0], signal.SIGKILL)
    time.sleep(1)
    os.kill(lane.processes(run, "guda-agent")[0], signal.SIGKILL)
    done = lane.cluster.wait_state(job, "COMPLETED", "FAILED", seconds=300)
    assert done["JobState"] == "COMPLETED", lane.log(run)
    assert int(done["Restarts"]) == 0
    lane.same_as("long", run)


def walltime_ends_and_the_next_life_goes_on(lane):
    run = lane.work / "walltime"
    # Slurm sends the signal 95 s before the end of two minutes: about half a minute of work a life.
    job = lane.submit(run, experiment=LIVES, time_limit="2m")
    done = lane.cluster.wait_state(job, "COMPLETED", "FAILED", "TIMEOUT", seconds=420)
    assert done["JobState"] == "COMPLETED", lane.log(run)
    lives = int(done["Restarts"])
    assert lives >= 1, "the walltime did not end a life: LIVES is too short for this machine"
    lane.said(run, "USR2: handing back", "requeueing:", "life 1 of Slurm job")
    assert lane.status(run)["failures"] == 0, "a planned stop counted as a failure"
    lane.same_as("lives", run)
    print(f"    walltime: {lives + 1} lives")


def preempted_with_grace(lane):
    run = lane.work / "preempted"
    job = lane.submit(run, experiment=LONG)
    lane.wait_running(run)
    time.sleep(2)
    rival = lane.work / "rival.sh"
    rival.write_text("#!/bin/sh\nsleep 2\n")
    first = lane.cluster.ask("sbatch", "--parsable", "--partition=high", "--exclusive", f"--output={lane.work}/rival.out", rival)
    lane.wait_log(run, "USR2: handing back")
    lane.cluster.wait_state(first, "COMPLETED", seconds=120)
    done = lane.cluster.wait_state(job, "COMPLETED", "FAILED", "PREEMPTED", seconds=300)
    assert done["JobState"] == "COMPLETED" and int(done["Restarts"]) >= 1, (done, lane.log(run))
    assert lane.status(run)["failures"] == 0
    lane.same_as("long", run)


def not_requeued_when_told_not_to(lane):
    run = lane.work / "no-requeue"
    job = lane.submit(run, "--no-requeue", experiment=LONG)
    lane.wait_running(run)
    lane.cluster.ask("scancel", "--batch", "--signal=USR2", job)
    done = lane.cluster.wait_state(job, "FAILED", "COMPLETED")
    assert done["ExitCode"] == f"{STOP_EARLY}:0" and int(done["Restarts"]) == 0, done
    lane.said(run, "USR2: handing back", "not requeued (--no-requeue)")


def lives_without_progress_end(lane):
    run, broken = lane.work / "barren", lane.work / "broken"
    broken.mkdir()
    (broken / "mpirun").write_text("#!/bin/sh\necho 'this cluster has no working MPI' >&2\nexit 1\n")
    (broken / "mpirun").chmod(0o755)
    job = lane.submit(run, "--barren-lives", "2", "--setup", f"export PATH={broken}:$PATH")
    done = lane.cluster.wait_state(job, "FAILED", "COMPLETED", seconds=180)
    assert done["ExitCode"] == f"{STOP_EARLY}:0" and int(done["Restarts"]) == 1, (done, lane.log(run))
    lane.said(run, "no progress in this life (1 of 2", "not requeued: 2 lives in a row without progress")


def without_scontrol_it_says_what_to_type(lane):
    run, tools = lane.work / "no-scontrol", lane.work / "tools"
    tools.mkdir()
    for name in ("mpirun", "orted", "sh", "bash", "date", "sleep", "squeue"):
        if shutil.which(name):
            (tools / name).symlink_to(shutil.which(name))
    job = lane.submit(run, "--setup", f"export PATH={tools}", experiment=LONG)
    lane.wait_running(run)
    lane.cluster.ask("scancel", "--batch", "--signal=USR2", job)
    done = lane.cluster.wait_state(job, "FAILED", "COMPLETED")
    assert done["ExitCode"] == f"{STOP_EARLY}:0", done
    lane.said(run, "scontrol is not on PATH", f"scontrol requeue {job}")


def refused_before_and_by_slurm(lane):
    for options, text in [
        (["--partition", "lov"], "did you mean 'low'"),
        (["--nodes", "7"], "has 1 nodes, not 7"),
        (["--gpus-per-node", "2", "--set", "resources.device=cuda"], "has 0 GPUs at most"),
        (["--time", "3d"], "allows 01:00:00"),
        (["--time", "30s"], "ends before"),
        (["--mem", "100G", "--time", "10m"], "sbatch refused"),
        (["--constraint", "a100", "--time", "10m"], "--constraint with one of"),
    ]:
        command = [GUDA, "submit", RECIPE, "--run-dir", lane.work / "refused", "--nodes", "1", "--cores-per-node", "2", "--time", "10m", *SHORT]
        for name, value in zip(options[::2], options[1::2]):
            if name in ("--nodes", "--time"):
                command[command.index(name) + 1] = value
            else:
                command += [name, value]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=lane.cluster.environment, timeout=60)
        assert done.returncode == 2 and text in done.stderr and "Cure:" in done.stderr, (options, done.returncode, done.stderr)


def run_lane(lane, cases, failures):
    for case in cases:
        started = time.time()
        try:
            case(lane)
            print(f"ok   {case.__name__}: {time.time() - started:.0f} s", flush=True)
        except Exception:
            failures.append(case.__name__)
            print(f"FAIL {case.__name__}: {time.time() - started:.0f} s\n{traceback.format_exc()}", flush=True)


def main():
    reason = Cluster.reason_not()
    if reason:
        print(f"skipped: no Slurm of our own can run here: {reason}")
        sys.exit(77)
    wanted = sys.argv[1:]
    lanes = [[walltime_ends_and_the_next_life_goes_on],
             [submitted_runs_to_its_end, lives_without_progress_end, worker_and_agent_die_inside_the_job, not_requeued_when_told_not_to,
              without_scontrol_it_says_what_to_type, refused_before_and_by_slurm]]
    alone = [preempted_with_grace]
    failures = []
    with tempfile.TemporaryDirectory(prefix="guda-slurm-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        with Cluster(Path(folder) / "cluster") as cluster:
            lane = Lane(cluster, work, References(work))
            pick = lambda cases: [c for c in cases if not wanted or c.__name__ in wanted]  # noqa: E731
            threads = [threading.Thread(target=run_lane, args=(lane, pick(cases), failures)) for cases in lanes]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            run_lane(lane, pick(alone), failures)
    sys.exit(f"failed: {', '.join(failures)}" if failures else 0)


if __name__ == "__main__":
    main()
