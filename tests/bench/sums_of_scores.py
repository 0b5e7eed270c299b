#!/usr/bin/env python3
"""Agreement of sums of two methods' scores, and of scores without their group means, with the oracle (docs/results.md, CIFAR-10 at 16 x 16).

Scores are scaled by mean and deviation over the tuning queries, then added; group means are those of the tuning queries, too. Top-1 and Spearman
are means over the two oracles, logo and logo_b, on the reported queries; score__* of results.h5 are those of the first weighting.

    python tests/bench/sums_of_scores.py RUN [--sum A,B ...] [--debias METHOD ...]      # .deps/tools/bin/python
"""
import argparse
import pathlib

import numpy as np
import xarray

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", type=pathlib.Path)
parser.add_argument("--sum", action="append", default=[], help="methods, by commas; the first sum is compared with every later one, paired")
parser.add_argument("--debias", action="append", default=[])
arguments = parser.parse_args()

with xarray.open_dataset(arguments.run / "results.h5", engine="h5netcdf") as opened:
    results = opened.load()
scores = {str(name)[len("score__"):]: results[name].transpose("query", "group").values for name in results.data_vars if str(name).startswith("score__")}
reported = np.array([str(query).startswith("generated/") for query in results["query"].values])
tuning = np.array([str(query).startswith("tuning/") for query in results["query"].values])
oracles = [scores["logo"], scores["logo_b"]]


def hits(score, queries):
    return np.mean([score[queries].argmax(1) == oracle[queries].argmax(1) for oracle in oracles], axis=0)


def spearman(score):
    def ranks(of):
        centred = of[reported].argsort(1).argsort(1).astype(float)
        return centred - centred.mean(1, keepdims=True)
    mine = ranks(score)
    return np.mean([(mine * ranks(o)).sum(1) / np.sqrt((mine**2).sum(1) * (ranks(o)**2).sum(1)) for o in oracles])


def line(name, score):
    print(f"{name:52} {hits(score, reported).mean():.3f}     {spearman(score):.3f}       {hits(score, tuning).mean():.3f}")


print(f"{'':52} top1      spearman    top1 on the tuning queries")
sums = []
for names in arguments.sum:
    parts = [scores[name] for name in names.split(",")]
    sums.append((names, sum((part - part[tuning].mean()) / part[tuning].std() for part in parts)))
    line(names.replace(",", " + "), sums[-1][1])
for name in arguments.debias:
    score, means = scores[name], scores[name][tuning].mean(0)
    line(name, score)
    line(f"{name} without group means", score - means)
    line(f"{name} without group means, scaled by group", (score - means) / score[tuning].std(0))
draw = np.random.default_rng(0)
for names, score in sums[1:]:
    gain = hits(sums[0][1], reported) - hits(score, reported)
    worse = np.mean([draw.choice(gain, gain.size).mean() <= 0 for _ in range(2000)])
    print(f"{sums[0][0].replace(',', ' + ')} against {names.replace(',', ' + ')}: {gain.mean():+.3f}, p = {worse:.3f}")
