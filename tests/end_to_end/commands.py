"""Every command on a real run: what it prints, what it writes, what it says to wrong input, and how fast it starts."""
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray

BIN = Path(os.environ["GUDA_BIN_DIR"])
RECIPES = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes"
METRICS = ["top1", "top3", "mrr", "ndcg3_exp", "ndcg3_lin", "ndcg5_exp", "ndcg5_lin", "wpra3", "rbo", "spearman", "kendall", "pooled_r"]


def guda(*arguments, code=0):
    done = subprocess.run([BIN / "guda", *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        sys.exit(f"guda {' '.join(map(str, arguments))} ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}")
    return done


def check_results(run):
    with xarray.open_dataset(run / "results.h5", engine="h5netcdf") as data:
        assert data.sizes["group"] == 10
        seven = data.sel(group="7")
        assert np.isfinite(seven.score__logo).all() and np.isfinite(seven.score__retrack_exact).all()
        # score = sum over slots of weight * (loss_-k - loss_full), checked by a second way
        draws = data.slot_draw.values
        for method, draw_set in [("logo", draws < 2), ("retrack_exact", draws >= 2)]:
            difference = (data[f"loss__{method}"] - data.loss_full).values.astype("f8")
            score = np.nansum(np.where(draw_set, difference * data.slot_weight.values, 0), axis=2).T
            assert np.allclose(score, data[f"score__{method}"].values, rtol=1e-6, atol=1e-9), method
        assert np.isnan(data.loss__retrack_exact.values[:, :, draws < 2]).all(), "methods are scored on their own draws only"


def check_comparison(run):
    comparison = json.loads(guda("compare", run, "--json").stdout)
    assert comparison["schema"] == 1
    for view in comparison["views"]:
        assert view["weighting"] in ("elbo", "mid") and view["draws"] in ("independent", "same")
        for method in view["methods"].values():
            for metric in METRICS:
                m = method["metrics"][metric]
                assert m["low"] <= m["value"] <= m["high"] or abs(m["value"]) < 1e-12, (metric, m)
                assert 0 <= m["p_vs_best"] <= 1
    assert {v["query_set"] for v in comparison["views"]} == {"generated", "real"}
    text = guda("compare", run).stdout
    assert "retrack_exact" in text and "chance" in text and "ceiling" in text


def check_recorded(run, tables):
    """Scores that were exported in the published layouts compare as what they were, with the run and without it."""
    guda("export", run, "--csv", tables, "--sorted", "--canvas")
    rows = list(csv.DictReader((tables / "scores_logo.csv").open()))
    assert len(rows) == 12 * 10 and rows[0].keys() == {"query", "set", "group", "score", "stderr"}
    view = json.loads(guda("compare", run, "--json", "--scores", f"again={tables / 'canvas_retrack_exact.csv'}").stdout)["views"][0]
    again, before = (view["methods"][name]["metrics"]["top1"] for name in ("again", "retrack_exact"))
    assert view["weighting"] == "elbo" and all(again[k] == before[k] for k in ("value", "low", "high")), (again, before)
    alone = json.loads(guda("compare", tables / "sorted_logo.csv", "--json", "--scores", f"exact={tables / 'sorted_retrack_exact.csv'}").stdout)
    (view,) = alone["views"]
    assert view["draws"] == "recorded" and view["queries"] == 12 and 0 <= view["methods"]["exact"]["metrics"]["mrr"]["value"] <= 1
    assert "is an oracle's table" in guda("compare", tables / "sorted_logo.csv", code=2).stderr
    assert "NAME=FILE" in guda("compare", run, "--scores", "knn", code=2).stderr
    by_class = guda("compare", run, "--by-class").stdout
    assert "slope < 0" in by_class and "retrack_exact" in by_class


def check_errors(work):
    bad = work / "bad.yaml"
    bad.write_text((RECIPES / "digits-smoke.yaml").read_text().replace("timesteps: 1000", "timestep: 1000"))
    started = time.time()
    refused = guda("run", bad, code=2)
    assert time.time() - started < 1, "refused late"
    assert "bad.yaml:" in refused.stderr and "did you mean" in refused.stderr and "timesteps" in refused.stderr, refused.stderr
    guda("run", work / "nothing.yaml", code=2)
    guda("status", work, code=2)
    guda("frobnicate", code=2)
    guda("run", code=2)
    guda("run", RECIPES / "digits-smoke.yaml", "--heartbeat", "5/4/3", code=2)


def check_paper_plan():
    """The whole paper experiment with its cost, on a machine that has neither the images nor a GPU."""
    plan = json.loads(guda("plan", RECIPES / "cifar10-paper.yaml", "--set", "dataset.path=/nowhere", "--json").stdout)
    assert plan["groups"] == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    assert plan["kinds"]["train"]["jobs"] >= 11 and plan["methods"]["logo"]["p50"] > 10 * plan["methods"]["retrack_exact"]["p50"] > 0
    said = " ".join(plan["assumptions"])
    assert "not checked" in said and "/nowhere" in said and "clip-vit-base-patch32" in said, said
    assert plan["workers"] == 1 or "imagined" not in said, said
    assert "not checked" in guda("plan", RECIPES / "cifar10-paper.yaml", "--set", "dataset.path=/nowhere", "--workers", "8").stdout
    for command in (["run"], ["plan", "--run-dir", "/nowhere"]):  # only an estimate can do without
        assert "there is no /nowhere" in guda(*command, RECIPES / "cifar10-paper.yaml", "--set", "dataset.path=/nowhere", code=2).stderr


def check_start():
    for arguments in (["--help"], ["--version"], ["methods"]):
        best = min(_timed(arguments) for _ in range(5))
        print(f"guda {' '.join(arguments)}: {1000 * best:.0f} ms")
    for command in ["run", "plan", "submit", "simulate", "requeue", "status", "compare", "report", "export", "attribute", "doctor", "methods", "config-reference"]:
        assert "examples" in guda(command, "--help").stdout, command


def _timed(arguments):
    started = time.perf_counter()
    guda(*arguments)
    return time.perf_counter() - started


def main():
    check_start()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        check_errors(work)
        plan = json.loads(guda("plan", RECIPES / "digits-smoke.yaml", "--json", "--jobs").stdout)
        assert sum(k["jobs"] for k in plan["kinds"].values()) == len(plan["jobs"])
        assert plan["memory_bytes"] == max(job["memory_bytes"] for job in plan["jobs"]) > 0
        check_paper_plan()
        run = work / "run"
        guda("run", RECIPES / "digits-smoke.yaml", "--run-dir", run, "--heartbeat", "0.2/1/3")
        assert (run.stat().st_mode & 0o777) == 0o700
        status = json.loads(guda("status", run, "--json").stdout)
        assert status["exit_code"] == 0 and status["jobs"]["done"] == len(plan["jobs"]), status
        check_results(run)
        check_comparison(run)
        check_recorded(run, work / "tables")
        guda("report", run)
        report = (run / "report.html").read_text()
        assert "<svg" in report and "retrack_exact" in report and "https://" not in report.split("<body")[1].split("guda-data")[0]
        guda("doctor", "--run-dir", work)


if __name__ == "__main__":
    main()
