"""What the scripts of runs in stages share: a small experiment on the digits, and a run that is killed at a given moment."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from run_under_test import commits

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


def until(run, ready):
    """Waits until ready(jobs that are committed) holds; the journal is read once a look, so that a fast run can't pass between two looks."""
    for _ in range(30000):
        if ready(set(commits(run.folder))):
            return
        assert run.process.poll() is None, f"guda run ended before it was to be killed:\n{run.output()}"
        time.sleep(0.005)
    raise AssertionError(f"what was waited for did not come:\n{run.output()}")


def kill(run):
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def killed_when(run, ready):
    """Starts the run and kills it as soon as ready(jobs that are committed) holds."""
    run.start()
    until(run, ready)
    kill(run)


def killed_after(run, stage):
    """Starts the run and kills it between two stages: `guda run` stands still from the first new commit, and can't begin the next stage."""
    before = set(commits(run.folder))
    run.start()
    until(run, lambda done: done > before)
    run.process.send_signal(signal.SIGSTOP)
    until(run, lambda done: done.issuperset(stage))
    kill(run)
