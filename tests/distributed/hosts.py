"""Two hosts (network, UTS and mount namespaces): a run spreads over both, and outlives one that is cut off or powered down.

mpirun reaches the second host through a script in ssh's place; messages go over TCP between the namespaces.
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from hosts import Hosts  # noqa: E402
from results_data import data_of, same  # noqa: E402
from two_hosts import BEAT, GUDA, RECIPE, SHORT, run_cases, wait_for_work  # noqa: E402


def start(hosts, run):
    hostfile = run.parent / "hostfile"
    environment = os.environ | {"OMPI_MCA_plm_rsh_agent": str(hosts.rsh)}
    return subprocess.Popen(hosts.command("node0", GUDA, "run", RECIPE, "--run-dir", run, "--hostfile", hostfile, *BEAT, *SHORT), env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output_of(child):
    child.kill()
    return child.communicate()[0]


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


def spreads_over_both(hosts, work, reference):
    run = work / "both"
    child = start(hosts, run)
    wait_for_work(run, "node1/", lambda: child.poll() is None, lambda: output_of(child))
    out = finish(child)
    assert "2 nodes, 2 workers" in out and "node1: 1 worker" in out, out
    same(reference, data_of(run))


def outlives_a_host_that_is_cut_off(hosts, work, reference):
    run = work / "cut"
    child = start(hosts, run)
    wait_for_work(run, "node1/", lambda: child.poll() is None, lambda: output_of(child))
    hosts.cut("node1")
    try:
        finish(child)
        wait_gone(hosts, "node1", run)  # no coordinator speaks to them: they leave by themselves
    finally:
        hosts.mend("node1")
        hosts.kill("node1")
    same(reference, data_of(run))


def outlives_a_host_that_loses_power(hosts, work, reference):
    run = work / "power"
    child = start(hosts, run)
    wait_for_work(run, "node1/", lambda: child.poll() is None, lambda: output_of(child))
    hosts.kill("node1")
    finish(child)
    same(reference, data_of(run))


def doctor_asks_every_host(hosts, work, _):
    environment = os.environ | {"OMPI_MCA_plm_rsh_agent": str(hosts.rsh)}
    ask = lambda folder: subprocess.run(  # noqa: E731
        [str(c) for c in hosts.command("node0", GUDA, "doctor", "--json", "--hostfile", work / "hostfile", "--run-dir", folder)], env=environment, capture_output=True, text=True)
    done = ask(work)
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["ready"], done.stdout
    assert any(c["check"] == "launch" and "2 of 2 nodes" in c["finding"] for c in answer["checks"]), done.stdout
    done = ask("/dev/shm")  # of node0 only
    assert done.returncode == 2 and "node1 does not see the run folder" in done.stdout, done.stdout


@contextlib.contextmanager
def two_hosts(work):
    (work / "hostfile").write_text("# this machine first\nnode0 cores=1\nnode1 cores=1\n")
    with Hosts(work, 2) as hosts:
        yield hosts


if __name__ == "__main__":
    run_cases(Hosts.reason_not(), two_hosts, [spreads_over_both, outlives_a_host_that_is_cut_off, outlives_a_host_that_loses_power, doctor_asks_every_host],
              "guda-hosts-")
