"""Time from the death of the coordinator to the first job of the next life, with the supervisor's ordinary limits."""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from measure import BIN, RECIPES, ROOT, program

os.environ.setdefault("GUDA_BIN_DIR", str(BIN))
os.environ.setdefault("GUDA_SOURCE_DIR", str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "support"))
from run_under_test import below, records  # noqa: E402

LIFE, LEASE = 1, 5  # record types of the journal, docs/formats.md


def leases(run):
    """Times of the leases, a list for each life."""
    lives = []
    for kind, body in records(run):
        if kind == LIFE:
            lives.append([])
        elif kind == LEASE:
            lives[-1].append(body["time"])
    return lives


def one_death(scratch):
    """Seconds without work after SIGKILL to the coordinator in the middle of the smoke experiment."""
    run = scratch / "run"
    child = subprocess.Popen([program("guda"), "run", RECIPES / "digits-smoke.yaml", "--run-dir", run, "--workers", "2"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    jobs = 0
    while jobs == 0 or sum(map(len, leases(run))) < jobs // 2:
        if child.poll() is not None:
            raise RuntimeError(f"guda run ended with {child.returncode} before half of its jobs were begun")
        time.sleep(0.02)
        if jobs == 0 and (run / "journal").exists():
            jobs = len(json.loads((run / "plan.json").read_text())["jobs"])
    lives = len(leases(run))
    died = time.time()
    os.kill(next(p.pid for p in below(child.pid) if p.name == "guda-coordinator"), signal.SIGKILL)
    while not (later := sum(leases(run)[lives:], [])):
        if child.poll() is not None:
            raise RuntimeError(f"guda run ended with {child.returncode} after the death of its coordinator")
        time.sleep(0.02)
    if child.wait(timeout=300) != 0:
        raise RuntimeError(f"guda run ended with {child.returncode}")
    return later[0] - died


def measure(options):
    samples = []
    for _ in range(max(3, options.repeat)):
        with tempfile.TemporaryDirectory() as scratch:
            samples.append(one_death(pathlib.Path(scratch)))
    return [{"name": "death of the coordinator to the next job", "value": statistics.median(samples), "unit": "s"},
            {"name": "  the slowest", "value": max(samples), "unit": "s"}]
