"""Processor time of everything that is not a worker, as a share of the digits experiment's, below 2 %."""

import pathlib
import subprocess
import tempfile
import time

from measure import RECIPES, bounded, digits_at, processes_below, program


def measure(options):
    guda = program("guda")
    program("guda-worker")
    used = {}  # (pid, name) -> processor seconds when last seen; a process loses at most one period
    with tempfile.TemporaryDirectory() as scratch:
        run = pathlib.Path(scratch) / "run"
        child = subprocess.Popen([guda, "run", RECIPES / "digits.yaml", "--run-dir", run, *digits_at(options.scale)],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while child.poll() is None:
            for pid, (name, seconds) in processes_below(child.pid).items():
                used[pid, name] = seconds
            time.sleep(0.1)
        if child.returncode != 0:
            raise RuntimeError(f"guda run ended with {child.returncode}")
    by_name = {}
    for (_, name), seconds in used.items():
        by_name[name] = by_name.get(name, 0) + seconds
    total = sum(by_name.values())
    rows = [{"name": f"overhead: {name}", "value": seconds, "unit": "s"} for name, seconds in sorted(by_name.items(), key=lambda e: -e[1])]
    rest = total - by_name.get("guda-worker", 0)
    rows.append(bounded(f"overhead at scale {options.scale:g}", 100 * rest / total, "%", 2))
    return rows
