"""One worker and two workers: identical data in results.h5, bitwise (with processes that are killed: tests/chaos/).

Also: the same command resumes, a finished run is left alone, and an edited experiment is refused or extended as documented.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
FAST = ["--heartbeat", "0.2/1/3"]


def run(folder, *arguments, check=True):
    done = subprocess.run([GUDA, "run", RECIPE, "--run-dir", folder, *FAST, *arguments], capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        sys.exit(f"guda run ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def main():
    with tempfile.TemporaryDirectory() as work:
        one, two = (Path(work) / n for n in ["one", "two"])
        start = time.time()
        run(one, "--workers", "1")
        print(f"one worker: {time.time() - start:.1f} s")
        start = time.time()
        run(two, "--workers", "2")
        print(f"two workers: {time.time() - start:.1f} s")
        reference = data_of(one)
        assert np.isfinite(reference["loss_full"]).all() and np.isfinite(reference["score__logo"]).all()
        assert (reference["loss__logo"].std(axis=0) > 0).any(), "counterfactuals do not differ"
        same(reference, data_of(two))

        start = time.time()
        again = run(one, "--workers", "1")
        print(f"the same command on a finished run: {time.time() - start:.1f} s")
        assert "agreement" in again.stdout.lower() or "top1" in again.stdout.lower() or "Top-1" in again.stdout, again.stdout
        same(reference, data_of(one))

        refused = run(one, "--set", "training.steps=7", check=False)
        assert refused.returncode == 2 and "training.steps" in refused.stderr, refused.stderr
        refused = run(one, "--set", "queries.real.count=12", check=False)
        assert refused.returncode == 2, refused.stderr
        busy = subprocess.Popen([GUDA, "run", RECIPE, "--run-dir", Path(work) / "busy", "--workers", "1", *FAST],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(1.5)
        second = run(Path(work) / "busy", check=False)
        assert second.returncode == 2 and "at work" in second.stderr, second.stderr
        busy.send_signal(signal.SIGINT)
        said = busy.communicate(timeout=60)[1]
        assert busy.returncode in (0, 75)
        assert "killed by signal" not in said, f"a planned stop killed a worker:\n{said}"
        status = json.loads(subprocess.run([GUDA, "status", Path(work) / "busy", "--json"], capture_output=True, text=True).stdout)
        assert not status["alive"], status
        run(Path(work) / "busy", "--workers", "2")
        same(reference, data_of(Path(work) / "busy"))
        print("interrupted with ^C and resumed: identical")


if __name__ == "__main__":
    main()
