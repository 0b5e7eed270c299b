"""Two hosts (network, UTS and mount namespaces): a run spreads over both, and outlives one that is cut off or powered down.

mpirun reaches the second host through a script in ssh's place; messages go over TCP between the namespaces.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
import h5py  # noqa: E402
from hosts import Hosts  # noqa: E402

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
SHORT = ["--set", "methods=[{method: logo}, {method: guda, unlearn: {op: retrack_exact, steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1}}]",
         "--set", "comparison.second_reference=", "--set", "training.steps=400"]
BEAT = ["--heartbeat", "0.5/4/8", "--grace", "5"]


def data_of(run):
    with h5py.File(run / "results.h5", "r") as f:
        return {name: f[name][()].tobytes() for name in f if f[name].dtype.kind in "fui"}


def same(reference, run):
    data = data_of(run)
    assert data.keys() == reference.keys()
    for name in data:
        assert data[name] == reference[name], f"{name} differs from the run on one host"


def status(run):
    done = subprocess.run([GUDA, "status", run, "--json"], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def start(hosts, run, hostfile):
    environment = os.environ | {"OMPI_MCA_plm_rsh_agent": str(hosts.rsh)}
    return subprocess.Popen(hosts.command("node0", GUDA, "run", RECIPE, "--run-dir", run, "--hostfile", hostfile, *BEAT, *SHORT), env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_work(run, child, device, seconds=120):
    """Until a worker of the second host is at a job."""
    until = time.time() + seconds
    while True:
        workers = status(run).get("workers", []) if (run / "status.json").exists() else []
        if any(w["device"].startswith(device) and w["state"] == "running" for w in workers):
            return
        if child.poll() is not None or time.time() > until:
            child.kill()
            raise AssertionError(f"{device} never worked:\n{child.communicate()[0]}")
        time.sleep(0.2)


def finish(child, seconds=240):
    try:
        out = child.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGINT)
        raise AssertionError(f"guda run did not end:\n{child.communicate(timeout=60)[0]}") from None
    assert child.returncode == 0, f"guda run ended with {child.returncode}:\n{out}"
    return out


def ours(hosts, name, run):
    """Agents and workers of this run that live on a host."""
    found = []
    for pid in hosts.processes(name):
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() in ("guda-agent", "guda-worker", "guda-coordinato") and str(run) in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
        except OSError:
            pass
    return found


def wait_gone(hosts, name, run, seconds=30):
    until = time.time() + seconds
    while ours(hosts, name, run):
        assert time.time() < until, f"processes of {run.name} live on at {name}"
        time.sleep(0.2)


def spreads_over_both(hosts, work, hostfile, reference):
    run = work / "both"
    child = start(hosts, run, hostfile)
    wait_for_work(run, child, "node1/")
    out = finish(child)
    assert "2 nodes, 2 workers" in out and "node1: 1 worker" in out, out
    same(reference, run)


def outlives_a_host_that_is_cut_off(hosts, work, hostfile, reference):
    run = work / "cut"
    child = start(hosts, run, hostfile)
    wait_for_work(run, child, "node1/")
    hosts.cut("node1")
    try:
        finish(child)
        wait_gone(hosts, "node1", run)  # no coordinator speaks to them: they leave by themselves
    finally:
        hosts.mend("node1")
        hosts.kill("node1")
    same(reference, run)


def outlives_a_host_that_loses_power(hosts, work, hostfile, reference):
    run = work / "power"
    child = start(hosts, run, hostfile)
    wait_for_work(run, child, "node1/")
    hosts.kill("node1")
    finish(child)
    same(reference, run)


def doctor_asks_every_host(hosts, work, hostfile, _):
    environment = os.environ | {"OMPI_MCA_plm_rsh_agent": str(hosts.rsh)}
    ask = lambda folder: subprocess.run(  # noqa: E731
        [str(c) for c in hosts.command("node0", GUDA, "doctor", "--json", "--hostfile", hostfile, "--run-dir", folder)], env=environment, capture_output=True, text=True)
    done = ask(work)
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["ready"], done.stdout
    assert any(c["check"] == "launch" and "2 of 2 nodes" in c["finding"] for c in answer["checks"]), done.stdout
    done = ask("/dev/shm")  # of node0 only
    assert done.returncode == 2 and "node1 does not see the run folder" in done.stdout, done.stdout


def main():
    reason = Hosts.reason_not()
    if reason:
        print(f"skipped: no hosts can be made here: {reason}")
        sys.exit(77)
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="guda-hosts-") as folder:
        work = Path(folder)
        one = work / "one"
        done = subprocess.run([GUDA, "run", RECIPE, "--run-dir", one, "--workers", "2", *BEAT, *SHORT], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        reference = data_of(one)
        with Hosts(work, 2) as hosts:
            hostfile = work / "hostfile"
            hostfile.write_text("# this machine first\nnode0 cores=1\nnode1 cores=1\n")
            for case in (spreads_over_both, outlives_a_host_that_is_cut_off, outlives_a_host_that_loses_power, doctor_asks_every_host):
                if wanted and case.__name__ not in wanted:
                    continue
                started = time.time()
                case(hosts, work, hostfile, reference)
                print(f"ok   {case.__name__}: {time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
