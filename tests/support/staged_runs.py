"""What the scripts of runs in stages share: a small experiment on the digits, and a run that is killed at a given moment."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from run_under_test import commits, orphans

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
SMALL = ["--set", "methods=[{method: logo}, {method: guda, unlearn: {op: retrack_exact, steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1}}, {method: knn}]",
         "--set", "comparison.second_reference=", "--set", "scoring.stride=50", "--set", "scoring.draws=1"]


def guda(*arguments, code=0):
    done = subprocess.run([GUDA, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, f"guda {arguments} ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def status(folder):
    return json.loads(guda("status", folder, "--json"))


def plan_of(folder):
    return json.loads((folder / "plan.json").read_text())


def settled(folder):
    """Jobs with nothing left to do: committed, or with an artifact that a killed life published and could not commit any more."""
    return set(commits(folder)) | {path.name for path in (Path(folder) / "artifacts").glob("*") if not path.suffix}


def until(run, ready):
    """Waits until ready(jobs that are settled) holds; looks once at all of them, so that a fast run can't pass between two looks."""
    for _ in range(30000):
        if ready(settled(run.folder)):
            return
        assert run.process.poll() is None, f"guda run ended before it was to be killed:\n{run.output()}"
        time.sleep(0.005)
    raise AssertionError(f"what was waited for did not come:\n{run.output()}")


def kill(run):
    """The processes of the life outlive `guda run` for a moment, and may commit in it: they are waited for."""
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    for _ in range(1000):
        if not orphans(run.folder):
            return
        time.sleep(0.02)
    raise AssertionError(f"processes live on: {orphans(run.folder)}")


def killed_when(run, ready):
    """Starts the run and kills it as soon as ready(jobs that are settled) holds."""
    run.start()
    until(run, ready)
    kill(run)


def killed_after(run, stage):
    """Starts the run and kills it between two stages: `guda run` stands still from the first new job on, and can't begin the next stage."""
    before = settled(run.folder)
    run.start()
    until(run, lambda done: done > before)
    run.process.send_signal(signal.SIGSTOP)
    until(run, lambda done: done.issuperset(stage))
    kill(run)
