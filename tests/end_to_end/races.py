"""Races for the first group: a pilot, then rounds of slots for what is not decided; killed in and between the rounds.

The numbers are those of a quiet run, whatever is killed and however many workers there are; what was spent and what stayed undecided is said.
"""
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy
import xarray

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402
from run_under_test import Run, commits  # noqa: E402
from staged_runs import RECIPE, SMALL, guda, killed_after, killed_when, plan_of, status  # noqa: E402

SLOTS, UNIT = 36, 2  # 18 units in rounds to 8, 12 and 18
RACING = [*SMALL, "--set", "scoring.allocation=adaptive", "--set", f"scoring.slots={SLOTS}", "--set", "scoring.until=top1"]


def budget_is_told(folder):
    """Who left a race has whole units, scores follow from them, and compare adds up what is in the file."""
    with xarray.open_dataset(folder / "results.h5", engine="h5netcdf") as opened:
        r = opened.load()
    assert r.sizes["slot"] == 2 * SLOTS, r.sizes
    told = json.loads(guda("compare", folder, "--json"))["race"]
    assert told["until"] == "top1" and told["over"] and len(told["races"]) == 3, told
    for method, mine in (("logo", slice(0, SLOTS)), ("retrack_exact", slice(SLOTS, None))):
        difference = (r[f"loss__{method}"].astype("f8") - r.loss_full.astype("f8")).isel(slot=mine)
        scored = difference.notnull()
        slots = scored.sum("slot")
        assert numpy.array_equal(slots.transpose("query", "group"), r[f"race_slots__{method}"])
        assert set(numpy.unique(slots)) <= {16, 24, 36}, numpy.unique(slots)
        assert (scored.isel(slot=slice(0, 16))).all()
        assert not (scored.astype(int).diff("slot") > 0).any(), "slots are a prefix"
        # Groups that stayed longest have the plain mean of their units.
        weighted = (difference * r.slot_weight.isel(slot=mine)).sum("slot") * SLOTS / slots
        stayed = slots == slots.max("group")
        score = r[f"score__{method}"].transpose("group", "query")
        assert numpy.allclose(score.values[stayed.values], weighted.values[stayed.values], rtol=1e-9), method
        assert (r[f"score_stderr__{method}"] > 0).all()
        lane = next(race for race in told["races"] if race["method"] == method and race["draw_set"] == (0 if method == "logo" else 1))
        assert lane["forwards"] == slots.sum() and lane["queries"] == r.sizes["query"]
        decided = r[f"race_decided__{method}"].values.astype(bool)
        assert lane["undecided"] == list(r["query"].values[~decided]), lane
        places = r[f"race_place__{method}"].values
        assert ((places == 1).sum(1) == decided).all() and (places[decided] != 0).all()
    assert "races to top1" in guda("compare", folder)
    return r


def main():
    with tempfile.TemporaryDirectory() as work:
        folder, quiet = Path(work) / "killed", Path(work) / "quiet"
        priced = json.loads(guda("plan", RECIPE, *RACING, "--json"))
        assert 0 < priced["race"]["device_seconds_at_least"] < priced["race"]["device_seconds_at_most"] == priced["device_seconds"], priced["race"]
        assert Run(quiet, *RACING, recipe=RECIPE, workers=2).start().wait() == 0
        final = plan_of(quiet)
        jobs = sum(kind["jobs"] for kind in priced["kinds"].values())
        assert len(final["jobs"]) <= jobs, (len(final["jobs"]), jobs)
        assert status(quiet)["headline"] == "complete"
        guda("verify", quiet)
        r = budget_is_told(quiet)
        rounds = [[job["digest"] for job in final["jobs"] if f", units {units})" in job["label"]] for units in ("1 to 8", "9 to 12", "13 to 18")]
        assert all(rounds), "the smoke models should leave something undecided in every round"

        run = Run(folder, *RACING, recipe=RECIPE, workers=1)
        killed_when(run, lambda done: len(done.intersection(rounds[0])) >= 3)
        killed_after(run, rounds[0])
        assert set(commits(folder)).isdisjoint(rounds[1])
        assert status(folder)["headline"] != "complete"
        killed_when(run, lambda done: not done.isdisjoint(rounds[1]))
        if len(commits(folder)) < len(final["jobs"]):
            (folder / "plan.json").unlink()  # a plan that is lost is made again, from the rows of pilot and rounds
        assert run.start().wait() == 0, run.output()
        assert status(folder)["headline"] == "complete"
        assert plan_of(folder)["digest"] == final["digest"] and plan_of(folder)["race"] == final["race"]
        assert max(commits(folder).values()) == 1, "a job was done twice"
        same(data_of(quiet), data_of(folder))
        assert run.start().wait() == 0 and max(commits(folder).values()) == 1
        print(f"races: {[len(jobs) for jobs in rounds]} jobs in the rounds, {int(r.race_slots__logo.sum())} of {r.race_slots__logo.size * SLOTS} "
              f"forwards of the oracle, {int(r.race_decided__logo.sum())} of {r.sizes['query']} queries decided; killed in and between rounds: identical")


if __name__ == "__main__":
    main()
