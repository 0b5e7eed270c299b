"""Share of a full grid's forwards at which adaptive slots agree with the oracle as well as the grid does, within 1/5."""

import json
import os
import pathlib
import subprocess

from measure import BIN, BUILD, ROOT, bounded


def subsampled():
    """The rows of guda_bench_forwards, both views."""
    command = BIN / "guda_bench_forwards"
    if not command.exists():
        raise FileNotFoundError(f"{command} (cmake --build {BUILD} --target guda_bench_forwards)")
    run = pathlib.Path(os.environ.get("GUDA_FORWARDS_RUN", ROOT / "runs" / "digits-draws"))
    if not (run / "results.h5").exists():
        raise FileNotFoundError(f"{run} (docs/results.md, 'Fewer forwards', says how to make it; or set GUDA_FORWARDS_RUN)")
    arguments = [command, run, "--pilot", "4", "--reference-draws", "4"]
    return json.loads(subprocess.run([*arguments, "--json"], check=True, capture_output=True, text=True).stdout)


def measure(options):
    elbo = [row for row in subsampled() if row["view"] == "elbo"]
    grid = next(row for row in elbo if row["how"] == "full grid, 1 draw")
    enough = [row["forwards"] for row in elbo if row["how"].startswith("adaptive") and "pairs" not in row["how"] and row["top1"] >= grid["top1"] and row["spearman"] >= grid["spearman"]]
    return [bounded("adaptive slots, elbo weights, of a full grid", min(enough, default=float("inf")), "x", 0.2)]
