"""A real Slurm of two nodes made of namespaces: guda submit spreads over both, doctor asks both, a node may be cut off."""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
import h5py  # noqa: E402
from hosts import Hosts  # noqa: E402
from slurm import Cluster  # noqa: E402

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
SHORT = ["--set", "methods=[{method: logo}, {method: guda, unlearn: {op: retrack_exact, steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1}}]",
         "--set", "comparison.second_reference=", "--set", "training.steps=400"]
BEAT = ["--heartbeat", "0.5/5/10", "--grace", "5"]


def data_of(run):
    with h5py.File(run / "results.h5", "r") as f:
        return {name: f[name][()].tobytes() for name in f if f[name].dtype.kind in "fui"}


def log_of(run):
    return "".join(f.read_text() for f in sorted((run / "logs").glob("slurm-*.out")))


def submit(cluster, run):
    command = cluster.on(cluster.head, GUDA, "submit", RECIPE, "--run-dir", run, "--nodes", "2", "--cores-per-node", "1", "--time", "20m", "--json", *BEAT, *SHORT)
    done = subprocess.run(command, capture_output=True, text=True, env=cluster.environment, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["job"]


def wait_for_work(run, device, seconds=120):
    until = time.time() + seconds
    while True:
        if (run / "status.json").exists():
            status = json.loads(subprocess.run([GUDA, "status", run, "--json"], capture_output=True, text=True, check=True).stdout)
            if any(w["device"].startswith(device) and w["state"] == "running" for w in status.get("workers", [])):
                return
        assert time.time() < until, f"{device} never worked:\n{log_of(run)}"
        time.sleep(0.2)


def same(reference, run):
    data = data_of(run)
    assert data.keys() == reference.keys()
    for name in data:
        assert data[name] == reference[name], f"{name} differs from the run without Slurm"


def spreads_over_both_nodes(cluster, hosts, work, reference):
    run = work / "both"
    job = submit(cluster, run)
    wait_for_work(run, "node1/")
    done = cluster.wait_state(job, "COMPLETED", "FAILED", seconds=240)
    assert done["JobState"] == "COMPLETED", log_of(run)
    assert f"launch: Slurm job {job}, 2 nodes, 2 workers" in log_of(run), log_of(run)
    same(reference, run)


def doctor_asks_both_nodes(cluster, hosts, work, _):
    out = work / "doctor.out"
    cluster.ask("sbatch", "--wait", "--nodes=2", "--ntasks-per-node=1", f"--output={out}", f"--wrap={GUDA} doctor --json --run-dir '{work}'", check=False)
    answer = json.loads(out.read_text())
    assert answer["ready"], answer
    findings = {c["check"]: c["finding"] for c in answer["checks"]}
    assert "2 of 2 nodes" in findings["launch"] and "user signal first" in findings["preemption"] and "ends in" in findings["walltime"], findings


def outlives_a_node_that_is_cut_off(cluster, hosts, work, reference):
    run = work / "cut"
    job = submit(cluster, run)
    wait_for_work(run, "node1/")
    hosts.cut("node1")
    try:
        done = cluster.wait_state(job, "COMPLETED", "FAILED", seconds=240)
    finally:
        hosts.mend("node1")
    assert done["JobState"] == "COMPLETED", log_of(run)
    same(reference, run)


def main():
    reason = Cluster.reason_not() or Hosts.reason_not()
    if reason:
        print(f"skipped: no Slurm of two nodes can run here: {reason}")
        sys.exit(77)
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="guda-nodes-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        one = work / "one"
        done = subprocess.run([GUDA, "run", RECIPE, "--run-dir", one, "--workers", "2", *BEAT, *SHORT], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        reference = data_of(one)
        with Hosts(work, 2) as hosts, Cluster(work / "cluster", hosts, cores=1) as cluster:
            for case in (spreads_over_both_nodes, doctor_asks_both_nodes, outlives_a_node_that_is_cut_off):
                if wanted and case.__name__ not in wanted:
                    continue
                started = time.time()
                case(cluster, hosts, work, reference)
                print(f"ok   {case.__name__}: {time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
