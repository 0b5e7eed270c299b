"""Subset models, removals and self-influence are planned, run and shown; GUARD's entanglement is in the report; one more subset model is
added to a finished run."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
EXPERIMENT = Path(__file__).with_suffix(".yaml")


def guda(*arguments, notes=False):
    """What the command prints, or what it says while it works."""
    done = subprocess.run([GUDA, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr if notes else done.stdout


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "run"
        guda("run", EXPERIMENT, "--run-dir", folder, "--workers", 2)
        found = json.loads(guda("evaluate", folder, "--json"))
        assert found["schema"] == 1 and found["missing"] == [], found["missing"]

        views = {(v["query_set"], v["weighting"]): v for v in found["datamodel"]}
        assert set(views) == {(s, w) for s in ("generated", "itself") for w in ("elbo", "mid")}, set(views)
        view = views["generated", "elbo"]
        assert view["queries"] == 6 and view["subsets"] == 3 and set(view["methods"]) == {"logo", "retrack_exact", "dtrak", "similarity"}
        assert all(-1 <= m["low"] <= m["value"] <= m["high"] <= 1 for m in view["methods"].values())

        removal = found["removal"]
        assert removal["attributed"] == 4 and set(removal["methods"]) == {"dtrak", "similarity", "random items"}, removal
        assert removal["methods"]["random items"]["removed"] == 20
        for name, row in removal["methods"].items():
            assert 5 <= row["removed"] <= 20, (name, row)
            assert 0 < row["distance"]["value"] <= 2 and row["control_ssim"] is not None, (name, row)

        self_influence = {row["method"]: row for row in found["self_influence"]}
        assert self_influence["similarity"]["first"] == 1 and self_influence["similarity"]["median_rank"] == 1, self_influence
        assert self_influence["dtrak"]["found"] == 1 and self_influence["dtrak"]["kept"] == 300, self_influence  # all are kept

        with h5py.File(folder / "results.h5") as file:
            assert numpy.isfinite(file["loss_subset__002"][:]).any()
        assert 'id="entanglement"' in (folder / "report.html").read_text()
        assert "Linear datamodelling score" in guda("evaluate", folder)

        more = guda("run", EXPERIMENT, "--run-dir", folder, "--workers", 2, "--extend", "--set", "evaluation.subsets.count=4", notes=True)
        assert "subset__003" in more or "train without" in more, more
        again = json.loads(guda("evaluate", folder, "--json"))
        assert again["datamodel"][0]["subsets"] == 4 and again["removal"] == removal


if __name__ == "__main__":
    sys.exit(main())
