"""Processor share of a rank that has nothing to do, below 2 %: agent, its worker, coordinator and mpirun, while three of four workers train.

And what heartbeats cost each worker that computes, below 1 %: its agent and a quarter of coordinator and supervisor.
"""

import json
import pathlib
import signal
import subprocess
import tempfile
import time

from measure import RECIPES, bounded, processes_below, program

SECONDS = 20


def wait_for_one_at_work(run, child):
    """Two groups: the full model and two LOGO models are trained, everything else waits for them."""
    until = time.time() + 120
    while time.time() < until and child.poll() is None:
        try:
            workers = json.loads((run / "status.json").read_text())["workers"]
        except (FileNotFoundError, json.JSONDecodeError):
            workers = []
        if sorted(w["state"] for w in workers) == ["idle", "running", "running", "running"]:
            return
        time.sleep(0.1)
    raise RuntimeError("the run did not come to one idle and three training workers")


def measure(options):
    guda = program("guda")
    program("guda-worker")
    with tempfile.TemporaryDirectory() as scratch:
        run, manifest = pathlib.Path(scratch) / "run", pathlib.Path(scratch) / "groups.json"
        manifest.write_text(json.dumps({"one": list(range(100)), "two": list(range(100, 200))}))
        child = subprocess.Popen([guda, "run", RECIPES / "digits.yaml", "--run-dir", run, "--workers", "4", "--set", "training.steps=1000000",
                              "--set", f"groups={{by: manifest, manifest: {manifest}}}"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_one_at_work(run, child)
            time.sleep(3)
            begin, before = time.perf_counter(), processes_below(child.pid)
            time.sleep(SECONDS)
            after, elapsed = processes_below(child.pid), time.perf_counter() - begin
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=120)
    shares = {}
    for pid, (name, seconds) in after.items():
        if pid in before:
            shares.setdefault(name, []).append(100 * (seconds - before[pid][1]) / elapsed)
    rows = []
    for name in ("guda-agent", "guda-worker", "guda-coordinator", "mpirun", "guda"):
        found = [share for known, share in shares.items() if known == name[:15]]
        # The least busy worker is the idle one. Agents and coordinator only wait, whatever the workers do.
        share = (min if name == "guda-worker" else max)(found[0])
        rows.append(bounded(f"idle: {name}", share, "%", 2))
    agents = sorted(shares["guda-agent"])  # the one that waits for a job looks for it often: the last
    shared = shares["guda-coordinato"] + shares["guda"]
    rows.append(bounded("heartbeats, per computing worker", sum(agents[:-1]) / len(agents[:-1]) + sum(shared) / len(agents), "%", 1))
    return rows
