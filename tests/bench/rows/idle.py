"""Processor share of a rank that has nothing to do, below 2 %: agent, its worker, coordinator and mpirun, while one of two workers trains."""

import json
import pathlib
import signal
import subprocess
import tempfile
import time

from measure import RECIPES, bounded, processes_below, program

SECONDS = 20


def wait_for_one_at_work(run, child):
    """The device of the idle worker, once the full model is trained by the other one."""
    until = time.time() + 60
    while time.time() < until and child.poll() is None:
        try:
            workers = json.loads((run / "status.json").read_text())["workers"]
        except (FileNotFoundError, json.JSONDecodeError):
            workers = []
        if sorted(w["state"] for w in workers) == ["idle", "running"]:
            return
        time.sleep(0.1)
    raise RuntimeError("the run did not come to one idle and one training worker")


def measure(options):
    guda = program("guda")
    program("guda-worker")
    with tempfile.TemporaryDirectory() as scratch:
        run = pathlib.Path(scratch) / "run"
        child = subprocess.Popen([guda, "run", RECIPES / "digits-smoke.yaml", "--run-dir", run, "--workers", "2", "--set", "training.steps=1000000"],
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
        # Of two workers one trains; the least busy one is the idle one. Both agents idle.
        share = (min if name == "guda-worker" else max)(found[0])
        rows.append(bounded(f"idle: {name}", share, "%", 2))
    return rows
