"""What the scripts with two hosts share: the experiment, its numbers on this machine alone, and their cases."""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results_data import data_of

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
SHORT = ["--set", "methods=[{method: logo}, {method: guda, unlearn: {op: retrack_exact, steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1}}]",
         "--set", "comparison.second_reference=", "--set", "training.steps=400"]
BEAT = ["--heartbeat", "0.5/4/8", "--grace", "5"]


def wait_for_work(run, device, still_alive=lambda: True, output=lambda: "", seconds=120):
    """Until a worker whose device begins so is at a job."""
    until = time.time() + seconds
    while True:
        if (run / "status.json").exists():
            done = subprocess.run([GUDA, "status", run, "--json"], capture_output=True, text=True)
            workers = json.loads(done.stdout).get("workers", []) if done.returncode == 0 else []
            if any(w["device"].startswith(device) and w["state"] == "running" for w in workers):
                return
        assert still_alive() and time.time() < until, f"{device} never worked:\n{output()}"
        time.sleep(0.2)


def run_cases(reason_not, stage, cases, prefix):
    """`stage(work)` is a context whose value each case gets: case(value, work, reference). Names as arguments choose."""
    if reason_not:
        print(f"skipped: {reason_not}")
        sys.exit(77)
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        work = Path(folder)
        work.chmod(0o755)
        done = subprocess.run([GUDA, "run", RECIPE, "--run-dir", work / "one", "--workers", "2", *BEAT, *SHORT], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        reference = data_of(work / "one")
        with stage(work) as value:
            for case in cases:
                if wanted and case.__name__ not in wanted:
                    continue
                started = time.time()
                case(value, work, reference)
                print(f"ok   {case.__name__}: {time.time() - started:.0f} s", flush=True)
