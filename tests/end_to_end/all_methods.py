"""Every kind of method runs end to end: features, projected gradients, mirrored queries, controls; killed on the way, the
same command finishes with the numbers of an undisturbed run."""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
EXPERIMENT = Path(__file__).with_suffix(".yaml")


def start(folder):
    return subprocess.Popen([GUDA, "run", EXPERIMENT, "--run-dir", folder, "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def done(folder):
    """Number of finished jobs; 0 while there is no run yet."""
    status = subprocess.run([GUDA, "status", folder, "--json"], capture_output=True, text=True)
    return json.loads(status.stdout)["jobs"]["done"] if status.returncode == 0 else 0


def scores(folder):
    with h5py.File(folder / "results.h5") as file:
        return {name: file[name][:] for name in file if name.startswith("score__")}


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "run"
        first = start(folder)
        while done(folder) < 40:
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.2)
        first.kill()
        first.wait()
        again = start(folder)
        output = again.communicate()[0]
        assert again.returncode == 0, output
        found = scores(folder)
        methods = [m["name"] for m in json.loads((folder / "plan.json").read_text())["experiment"]["methods"]]
        assert sorted(found) == sorted(f"score__{name}" for name in methods), sorted(found)
        for name, table in found.items():
            assert table.shape == (8, 10) and numpy.isfinite(table).all(), name
            assert numpy.unique(table[0]).size > 1, f"{name} says nothing about the groups of a query"

        once_more = Path(work) / "once-more"
        other = start(once_more)
        output = other.communicate()[0]
        assert other.returncode == 0, output
        for name, table in scores(once_more).items():
            assert numpy.array_equal(table, found[name]), f"{name} differs from the killed and resumed run"


if __name__ == "__main__":
    sys.exit(main())
