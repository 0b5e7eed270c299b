"""Scoring to the Top-1 agreement of the published full grid: forwards that adaptive slots, pairs and races save, times what a forward takes.

Needs the run of the row `forwards` scored with pairs (docs/results.md, 'Fewer forwards', says how to make it) and the figures of the row `models`
for its network: GUDA_FORWARDS_NETWORK=16px says that the run is that of CIFAR-10 at 16 px.
The pilot is in the forwards: the four queries that it had here (scoring.pilot.share: 0.002), two draws of every timestep, in a run of 2,048 queries.
"""

import json
import os

from measure import BENCH
from rows.forwards import subsampled

PILOT = {1: 4 * 2 / 2048, 2: 4 * 4 / 2048}  # full grids a query; twice as much with pairs
AIMS = {"a": 10, "b": 6}


def fewest(rows, grid, wanted):
    """Forwards, with the pilot, of the cheapest of these rows that agrees at least as well as the grid."""
    enough = [(row["forwards"] + PILOT[2 if "pairs" in row["how"] else 1], row["how"]) for row in rows if wanted(row["how"]) and row["top1"] >= grid["top1"]]
    return min(enough, default=(float("inf"), "none"))


def measure(options):
    figures = BENCH / "models.json"
    if not figures.exists():
        raise FileNotFoundError(f"{figures} (./run bench models)")
    network = os.environ.get("GUDA_FORWARDS_NETWORK", "digits")
    forward = {row["name"]: row["ratio"] for row in json.loads(figures.read_text())["rows"]}
    elbo = [row for row in subsampled() if row["view"] == "elbo"]
    grid = next(row for row in elbo if row["how"] == "full grid, 1 draw")
    rows = []
    for what, wanted in (("adaptive", lambda how: how.startswith("adaptive") and "pairs" not in how),
                         ("adaptive pairs", lambda how: how.startswith("adaptive") and "pairs" in how),
                         ("racing", lambda how: how.startswith("racing to top1"))):
        forwards, how = fewest(elbo, grid, wanted)
        print(f"    {what}: {how} takes {forwards:.3f} full grids with its pilot")
        for peer, aim in AIMS.items():
            speed = 1 / (forwards * forward[f"{network} score against ({peer})"])
            row = {"name": f"{network}: {what} against ({peer})", "value": speed, "unit": "x"}
            if what == "adaptive pairs":  # the best that a user can ask for; the others are for comparison
                row |= {"bound": aim, "ratio": aim / speed}
            rows.append(row)
    return rows
