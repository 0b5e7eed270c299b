"""guda run --simulate-preempt-after: the life ends with 75, the same command goes on, and the numbers are bitwise those of a quiet run."""
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
LONG = ["--set", "training.steps=300", "--set", "methods=[{method: logo}, {method: pixel_cosine}]", "--set", "comparison.second_reference=", "--workers", "2", "--grace", "20",
        "--heartbeat", "0.5/10/30"]
STOPPED = 75


def run(folder, *arguments):
    return subprocess.run([GUDA, "run", RECIPE, "--run-dir", folder, *LONG, *arguments], capture_output=True, text=True, timeout=600)


def main():
    with tempfile.TemporaryDirectory() as work:
        quiet, rehearsed = Path(work) / "quiet", Path(work) / "rehearsed"
        done = run(quiet)
        assert done.returncode == 0, done.stderr

        after, did = 3, 0
        while not did:  # a slow machine has not begun after three seconds: later then
            done = run(rehearsed, "--simulate-preempt-after", str(after))
            assert done.returncode == STOPPED, f"guda run ended with {done.returncode} before anything was seen to be cut:\n{done.stdout}\n{done.stderr}"
            assert f"preemption rehearsed after {after} s" in done.stderr and "the same command goes on from here" in done.stderr, done.stderr
            assert "killed by signal" not in done.stderr, f"a planned stop killed a worker:\n{done.stderr}"
            status = json.loads(subprocess.run([GUDA, "status", rehearsed, "--json"], capture_output=True, text=True, check=True).stdout)
            jobs = status["jobs"]
            assert not status["alive"] and jobs["done"] < jobs["total"] and status["failures"] == 0, status
            did = jobs["done"] + len(list((rehearsed / "artifacts").glob("*.checkpoints")))
            after *= 2

        done = run(rehearsed)
        assert done.returncode == 0, done.stderr
        same(data_of(quiet), data_of(rehearsed))
        checkpoints = list((rehearsed / "artifacts").glob("*.checkpoints"))
        assert not checkpoints, f"left behind: {checkpoints}"
        print(f"preempted {int(math.log2(after / 3))} times, with {jobs['done']} of {jobs['total']} jobs done: identical")


if __name__ == "__main__":
    main()
