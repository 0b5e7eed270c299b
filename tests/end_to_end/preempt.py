"""guda run --simulate-preempt-after: the life ends with 75, the same command goes on, and the numbers are bitwise those of a quiet run."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
# Long enough that the first life is cut inside its first training job, on any machine.
LONG = ["--set", "training.steps=1500", "--set", "methods=[{method: logo}]", "--set", "groups.by=class", "--set", "comparison.second_reference=",
        "--workers", "2", "--grace", "20", "--heartbeat", "0.5/10/30"]
STOPPED = 75


def run(folder, *arguments):
    return subprocess.run([GUDA, "run", RECIPE, "--run-dir", folder, *LONG, *arguments], capture_output=True, text=True, timeout=600)


def main():
    with tempfile.TemporaryDirectory() as work:
        quiet, rehearsed = Path(work) / "quiet", Path(work) / "rehearsed"
        done = run(quiet)
        assert done.returncode == 0, done.stderr

        lives = 0
        while True:
            lives += 1
            done = run(rehearsed, "--simulate-preempt-after", "3")
            if done.returncode == 0:
                break
            assert done.returncode == STOPPED, f"guda run ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            assert "preemption rehearsed after 3 s" in done.stderr, done.stderr
            assert "the same command goes on from here" in done.stderr, done.stderr
            assert "killed by signal" not in done.stderr, f"a planned stop killed a worker:\n{done.stderr}"
            status = json.loads(subprocess.run([GUDA, "status", rehearsed, "--json"], capture_output=True, text=True, check=True).stdout)
            assert not status["alive"] and status["jobs"]["done"] < status["jobs"]["total"] and status["failures"] == 0, status
            if lives == 2:  # the same command without a rehearsal ends it
                done = run(rehearsed)
                assert done.returncode == 0, done.stderr
                break
        assert lives >= 2, "the run ended before the rehearsal began"
        same(data_of(quiet), data_of(rehearsed))
        checkpoints = list((rehearsed / "artifacts").glob("*.checkpoints"))
        assert not checkpoints, f"left behind: {checkpoints}"
        print(f"preempted {lives} times: identical")


if __name__ == "__main__":
    main()
