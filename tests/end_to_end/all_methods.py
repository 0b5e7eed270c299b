"""Every kind of method runs end to end: features, projected gradients, mirrored queries, controls; killed on the way, the
same command finishes with the numbers of an undisturbed run."""
import json
import os
import sys
import tempfile
from pathlib import Path

import h5py
import numpy

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from run_under_test import Run  # noqa: E402

EXPERIMENT = Path(__file__).with_suffix(".yaml")


def scores(folder):
    with h5py.File(folder / "results.h5") as file:
        return {name: file[name][:] for name in file if name.startswith("score__")}


def main():
    with tempfile.TemporaryDirectory() as work:
        run = Run(Path(work) / "run", recipe=EXPERIMENT).start()
        run.kill_after(40)
        found = scores(run.to_the_end().folder)
        methods = [m["name"] for m in json.loads((run.folder / "plan.json").read_text())["experiment"]["methods"]]
        assert sorted(found) == sorted(f"score__{name}" for name in methods), sorted(found)
        for name, table in found.items():
            assert table.shape == (8, 10) and numpy.isfinite(table).all(), name
            assert numpy.unique(table[0]).size > 1, f"{name} says nothing about the groups of a query"

        for name, table in scores(Run(Path(work) / "once-more", recipe=EXPERIMENT).to_the_end().folder).items():
            assert numpy.array_equal(table, found[name]), f"{name} differs from the killed and resumed run"


if __name__ == "__main__":
    sys.exit(main())
