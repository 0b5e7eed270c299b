"""Scoring by two workers of one run, against two processes of their own, pinned to a core each.

The run scores eleven barely trained digits networks on 333 timesteps, after all training has ended; pairs a second of its scoring stage, from the
first lease to the last commit: leases, rows, journal, results.h5 and the wait for the last job are in it. The other side is two `guda_bench_models`
that score as many batches of the same size side by side. Wall time, in turns.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from measure import BIN, RECIPES, ROOT, against, program
from networks import MODELS, Side

os.environ.setdefault("GUDA_BIN_DIR", str(BIN))
os.environ.setdefault("GUDA_SOURCE_DIR", str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "support"))
from run_under_test import records  # noqa: E402

COMMIT, LEASE = 2, 5  # record types of the journal, docs/formats.md
BATCH, BATCHES = 256, 1600
SETTINGS = ["methods=[{method: logo}, {method: random}]", "training.steps=2", "training.warmup_steps=1", "queries=[{name: real, kind: held_out, count: 297}]",
            "scoring.first_timestep=1", "scoring.last_timestep=999", "scoring.stride=3", "scoring.block=99", "comparison.second_reference=",
            "comparison.weightings=[{name: elbo, kind: elbo}]"]


def of_one_run():
    """Microseconds a pair of the scoring stage."""
    with tempfile.TemporaryDirectory() as scratch:
        run = pathlib.Path(scratch) / "run"
        options = [word for setting in SETTINGS for word in ("--set", setting)]
        done = subprocess.run([program("guda"), "run", RECIPES / "digits.yaml", "--run-dir", run, "--workers", "2", *options],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"guda run ended with {done.returncode}: {done.stderr}")
        scores = {job["digest"]: job["work"] for job in json.loads((run / "plan.json").read_text())["jobs"] if job["work"]["kind"] == "score"}
        journal = [(kind, body) for kind, body in records(run) if body.get("job") in scores]
        first = min(body["time"] for kind, body in journal if kind == LEASE)
        last = max(body["time"] for kind, body in journal if kind == COMMIT)
        return 1e6 * (last - first) / sum(work["count"] * len(work["slots"]) for work in scores.values())


class Pinned:
    """Two processes that score side by side."""

    def __init__(self, model):
        self.sides = [Side("taskset", "-c", core, program("guda_bench_models"), model) for core in (0, 1)]
        self()

    def __call__(self):
        started = time.perf_counter()
        threads = [threading.Thread(target=side, args=("score", (BATCH, BATCHES))) for side in self.sides]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 1e6 * (time.perf_counter() - started) / (2 * BATCH * (BATCHES + 1))

    def close(self):
        for side in self.sides:
            side.close()


def measure(options):
    if os.cpu_count() < 2:
        raise FileNotFoundError("a second core")
    with tempfile.TemporaryDirectory() as scratch:
        model = pathlib.Path(scratch) / "digits.json"
        model.write_text(json.dumps(MODELS["digits"]))
        pinned = Pinned(model)
        samples = [(of_one_run(), pinned()) for _ in range(options.repeat)]
        pinned.close()
    run, alone = (statistics.median(column) for column in zip(*samples))
    print(f"    {run:.2f} us a pair in a run of two workers, {alone:.2f} in two pinned processes: {alone / run:.3f} of their speed, aim 0.95")
    return [against("two workers against two pinned processes", run, "us", "pinned", alone)]
