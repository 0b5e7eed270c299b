"""jobs/recipes/cifar10-16px-tiny.yaml on generated images of CIFAR-10's binary layout: every operator, weighting and role.

Also: `guda compare --json` has every metric of every method with interval and p-value in every view, and images that are cut
short are refused before anything runs.
"""
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "cifar10-16px-tiny.yaml"
CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def write_images(folder, items, held_out):
    """Labels take turns; pixels have a tint of their class."""
    folder.mkdir()
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    rng = random.Random(1)
    for name, count in [("data_batch_1.bin", items // 2), ("data_batch_2.bin", items - items // 2), ("test_batch.bin", held_out)]:
        records = [bytes([i % 10]) + bytes(20 * (i % 10) + rng.randrange(50) for _ in range(3072)) for i in range(count)]
        (folder / name).write_bytes(b"".join(records))


def guda(*arguments, expect=0):
    done = subprocess.run([str(a) for a in (GUDA, *arguments)], capture_output=True, text=True, timeout=600)
    if done.returncode != expect:
        sys.exit(f"guda {arguments[0]} ended with {done.returncode}, not {expect}:\n{done.stdout}\n{done.stderr}")
    return done


def check_comparison(comparison, methods):
    views = comparison["views"]
    assert {v["weighting"] for v in views} == {"elbo", "mid", "flat", "low", "min_snr"}
    assert {v["draws"] for v in views} == {"independent", "same"}
    assert {(v["query_set"], v["role"]) for v in views} == {("generated", "reported"), ("tuning", "tuning")}
    metrics = set(views[0]["methods"]["retrack_exact"]["metrics"])
    assert {"top1", "ndcg3_exp", "ndcg3_lin", "ndcg_val", "cal_mae", "global_mse", "global_mae", "pearson"} <= metrics, metrics
    for view in views:
        assert view["left_out"] == 0 and view["missing"] == [] and set(view["methods"]) == methods, view["reference"]
        for name, method in view["methods"].items():
            assert set(method["metrics"]) == metrics
            for metric, m in method["metrics"].items():
                assert all(math.isfinite(m[k]) for k in ("value", "low", "high")) and 0 < m["p_vs_best"] <= 1, (name, metric, m)
                assert ("median" in m) == (metric != "pooled_r" and not metric.startswith("global_")), metric
            assert sum(c["queries"] for c in method["by_class"].values()) == view["queries"]
            for of_class in method["by_class"].values():
                assert set(of_class["metrics"]) == metrics
                assert all(math.isfinite(m[k]) for m in of_class["metrics"].values() for k in ("value", "low", "high", "p_vs_best"))


def main():
    with tempfile.TemporaryDirectory() as work:
        images, run = Path(work) / "images", Path(work) / "run"
        write_images(images, items=300, held_out=20)
        setting = ["--set", f"dataset.path={images}"]
        guda("run", RECIPE, "--run-dir", run, *setting, "--workers", 2)
        comparison = json.loads(guda("compare", run, "--json").stdout)
        with h5py.File(run / "results.h5", "r") as f:
            scores = {n.removeprefix("score__") for n in f if n.startswith("score__")}
            for name in scores:
                assert np.isfinite(f["score__" + name][()]).all(), name
        check_comparison(comparison, scores - {"logo", "logo_b"})
        print(f"{len(scores)} methods, {len(comparison['views'])} views")

        batch = images / "data_batch_2.bin"
        batch.write_bytes(batch.read_bytes()[:-1])
        refused = guda("plan", RECIPE, *setting, expect=2)
        assert "data_batch_2.bin" in refused.stderr and "3073" in refused.stderr, refused.stderr


main()
