"""Fewer forwards: antithetic pairs, slots drawn by weight, and adaptive slots in two stages, killed in each and between them.

An adaptive run that was killed again and again ends with the bits of a quiet one; its cost is known before, its state all the time.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy
import xarray

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402
from run_under_test import Run, commits  # noqa: E402
from staged_runs import GUDA, RECIPE, SMALL, guda, killed_after, killed_when, plan_of, status  # noqa: E402

WEIGHT = [*SMALL, "--set", "scoring.allocation=weight", "--set", "scoring.slots=10", "--set", "scoring.antithetic=true"]
ADAPTIVE = [*SMALL, "--set", "scoring.allocation=adaptive", "--set", "scoring.slots=10"]


def scores_follow(folder, slots):
    """Every score is the plain weighted sum over the slots of its draw set, which `slots` of them make."""
    with xarray.open_dataset(folder / "results.h5", engine="h5netcdf") as r:
        assert r.sizes["slot"] == 2 * slots, r.sizes
        for method, mine in (("logo", slice(0, slots)), ("retrack_exact", slice(slots, None))):
            difference = r[f"loss__{method}"].astype("f8") - r.loss_full.astype("f8")
            expected = (difference * r.slot_weight).isel(slot=mine).sum("slot").transpose("query", "group")
            assert numpy.allclose(r[f"score__{method}"], expected, rtol=1e-9), method
            assert r[f"score_stderr__{method}"].notnull().all() and (r[f"score_stderr__{method}"] > 0).all(), method
        members = 2 if "slot_negated" in r else 1
        assert (numpy.unique(r.slot_stratum, return_counts=True)[1] == 2 * 2 * members).all(), "two units a stratum in each draw set"
        return r.load()


def by_weight(folder):
    Run(folder, *WEIGHT, recipe=RECIPE).start().wait()
    assert status(folder)["headline"] == "complete"
    r = scores_follow(folder, 20)  # ten pairs
    assert (r.slot_negated.values == [0, 1] * 20).all()
    assert (r.slot_draw.values[::2] == r.slot_draw.values[1::2]).all() and (r.slot_timestep.values[::2] == r.slot_timestep.values[1::2]).all()
    assert (r.loss_full.values[:, ::2] != r.loss_full.values[:, 1::2]).all()
    # The plain grid of the same models, with pairs and without: equal losses where the noise is equal.
    grid, pairs = folder.with_name("grid"), folder.with_name("pairs")
    Run(grid, *SMALL, recipe=RECIPE).start().wait()
    Run(pairs, *SMALL, "--set", "scoring.antithetic=true", recipe=RECIPE).start().wait()
    plain, paired = data_of(grid), data_of(pairs)
    assert "slot_negated" not in plain and "slot_stratum" not in plain
    for name in ("loss_full", "loss__logo", "loss__retrack_exact"):
        assert numpy.array_equal(plain[name], paired[name][..., ::2], equal_nan=True), name
    assert numpy.allclose(plain["slot_weight"], 2 * paired["slot_weight"][::2])


def adaptive(folder):
    quiet = folder.with_name("quiet")
    priced = json.loads(guda("plan", RECIPE, *ADAPTIVE, "--json"))
    assert any("pilot will decide" in note for note in priced["assumptions"]), priced["assumptions"]
    assert Run(quiet, *ADAPTIVE, recipe=RECIPE).start().wait() == 0
    final = plan_of(quiet)
    assert sum(kind["jobs"] for kind in priced["kinds"].values()) == len(final["jobs"]), "guda plan counted other jobs than the run did"
    pilots = [job["digest"] for job in final["jobs"] if job["label"].startswith("pilot ")]
    first = [job["digest"] for job in final["jobs"] if not job["label"].startswith("score ")]
    assert len(pilots) == 20 and len(final["pilot_spread"]) == 17, (len(pilots), final["pilot_spread"])  # two query sets
    r = scores_follow(quiet, 10)
    assert len(set(r.slot_draw.values[:10]) & set(r.slot_draw.values[10:])) == 0
    assert status(quiet)["headline"] == "complete"
    guda("verify", quiet)

    run = Run(folder, *ADAPTIVE, recipe=RECIPE)
    killed_when(run, lambda done: not done.isdisjoint(pilots))
    with h5py.File(folder / "results.h5") as f:
        assert f["slot"].shape == (0,) and f["loss__logo"].shape == (10, 12, 0), "the first stage has no slots"
    with xarray.open_dataset(folder / "results.h5", engine="h5netcdf") as opened:
        assert opened.sizes["slot"] == 0 and opened.sizes["query"] == 12
    said = subprocess.run([GUDA, "compare", folder], capture_output=True, text=True)
    assert said.returncode != 0 and "pilot" in said.stderr, said
    killed_after(run, first)
    assert set(commits(folder)) <= set(first)
    between = status(folder)
    jobs = between["jobs"]
    assert jobs["total"] == len(final["jobs"]), jobs
    assert jobs["done"] >= len(first) and between["headline"] != "complete", between
    scored = set(job["digest"] for job in final["jobs"]) - set(first)
    killed_when(run, lambda done: len(done & scored) >= 5)
    assert status(folder)["jobs"]["done"] < len(final["jobs"])
    if len(commits(folder)) < len(final["jobs"]):
        (folder / "plan.json").unlink()  # a plan that is lost is made again, from the pilot's rows
    assert run.start().wait() == 0, run.output()
    assert status(folder)["headline"] == "complete"
    assert plan_of(folder)["pilot_spread"] == final["pilot_spread"] and plan_of(folder)["digest"] == final["digest"]
    assert max(commits(folder).values()) == 1, "a job was done twice"
    same(data_of(quiet), data_of(folder))
    # What the pilot found is kept when methods are added, and the same command changes nothing.
    assert run.start().wait() == 0 and max(commits(folder).values()) == 1
    more = [part.replace("{method: knn}", "{method: knn}, {method: guda, unlearn: {op: ifu, steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1}}")
            for part in ADAPTIVE]
    assert Run(folder, *more, "--extend", recipe=RECIPE).start().wait() == 0
    assert numpy.array_equal(data_of(folder)["loss__retrack_exact"], data_of(quiet)["loss__retrack_exact"], equal_nan=True)
    print(f"adaptive: {len(first)} jobs in the first stage, {len(scored)} in the second; killed in each: identical")


def main():
    with tempfile.TemporaryDirectory() as work:
        by_weight(Path(work) / "weight")
        adaptive(Path(work) / "adaptive")


if __name__ == "__main__":
    main()
