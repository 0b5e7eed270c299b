"""A real Slurm of two nodes made of namespaces: guda submit spreads over both nodes, and doctor asks both."""
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from hosts import Hosts  # noqa: E402
from results_data import data_of, same  # noqa: E402
from slurm import Cluster  # noqa: E402
from two_hosts import BEAT, GUDA, RECIPE, SHORT, run_cases, wait_for_work  # noqa: E402


def log_of(run):
    return "".join(f.read_text() for f in sorted((run / "logs").glob("slurm-*.out")))


def submit(cluster, run):
    command = cluster.on(cluster.head, GUDA, "submit", RECIPE, "--run-dir", run, "--nodes", "2", "--cores-per-node", "1", "--time", "20m", "--json", *BEAT, *SHORT)
    done = subprocess.run(command, capture_output=True, text=True, env=cluster.environment, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["job"]


def spreads_over_both_nodes(cluster, work, reference):
    run = work / "both"
    job = submit(cluster, run)
    wait_for_work(run, "node1/", output=lambda: log_of(run))
    done = cluster.wait_state(job, "COMPLETED", "FAILED", seconds=240)
    assert done["JobState"] == "COMPLETED", log_of(run)
    assert f"launch: Slurm job {job}, 2 nodes, 2 workers" in log_of(run), log_of(run)
    same(reference, data_of(run))


def doctor_asks_both_nodes(cluster, work, _):
    out = work / "doctor.out"
    cluster.ask("sbatch", "--wait", "--nodes=2", "--ntasks-per-node=1", f"--output={out}", f"--wrap={GUDA} doctor --json --run-dir '{work}'", check=False)
    answer = json.loads(out.read_text())
    assert answer["ready"], answer
    findings = {c["check"]: c["finding"] for c in answer["checks"]}
    assert "2 of 2 nodes" in findings["launch"] and "user signal first" in findings["preemption"] and "ends in" in findings["walltime"], findings


@contextlib.contextmanager
def two_nodes(work):
    with Hosts(work, 2) as hosts, Cluster(work / "cluster", hosts, cores=1) as cluster:
        yield cluster


if __name__ == "__main__":
    run_cases(Cluster.reason_not() or Hosts.reason_not(), two_nodes, [spreads_over_both_nodes, doctor_asks_both_nodes], "guda-nodes-")
