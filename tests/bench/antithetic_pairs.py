#!/usr/bin/env python3
"""What antithetic noise pairs gain on trained models: variance of loss differences over independent draws and over pairs (+eps, -eps).

Takes the full and the LOGO models and the queries of a finished run (seed 0) and scores them in PyTorch and diffusers. Gain: variance of a draw over
twice the variance of a pair's mean, that is at equal forwards; 1 = nothing, below 1 = pairs are worse. Differences are centred over the groups, as ranks see them.

    python tests/bench/antithetic_pairs.py RUN [--queries 16] [--pairs 16] [--groups 3]
"""
import argparse
import json
import pathlib

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", type=pathlib.Path)
parser.add_argument("--queries", type=int, default=16)
parser.add_argument("--pairs", type=int, default=16)
parser.add_argument("--groups", type=int, default=3, help="LOGO models that are compared with each other")
parser.add_argument("--timesteps", type=int, nargs="+", default=[10, 30, 50, 110, 210, 410, 610])
arguments = parser.parse_args()

plan = json.loads((arguments.run / "plan.json").read_text())
seeded = [job for job in plan["jobs"] if job["label"].endswith("(seed 0)")]
folder = {job["label"]: arguments.run / "artifacts" / job["digest"] for job in seeded if job["work"]["kind"] in ("train", "sample")}
logo = [path for label, path in folder.items() if label.startswith("train -")][:arguments.groups]
queries_at = next(path for label, path in folder.items() if label.startswith("sample "))
x = torch.from_numpy(np.load(queries_at / "queries.npy")).float()[:arguments.queries]
diffusion = plan["experiment"]["diffusion"]
alpha_bar = DDPMScheduler(num_train_timesteps=diffusion["timesteps"], beta_schedule=diffusion["schedule"]).alphas_cumprod
models = [UNet2DModel.from_pretrained(path).eval() for path in logo]
print(f"{len(models)} LOGO models, {len(x)} queries of {tuple(x.shape[1:])}, {arguments.pairs} pairs")

generator = torch.Generator().manual_seed(0)
print(f"{'t':>5}{'gain':>8}")
with torch.inference_mode():
    for t in arguments.timesteps:
        eps = torch.randn((arguments.pairs, *x.shape), generator=generator)
        loss = torch.empty(2, len(models), arguments.pairs, len(x), dtype=torch.float64)
        for sign, signed in enumerate((eps, -eps)):
            noisy = (alpha_bar[t].sqrt() * x + (1 - alpha_bar[t]).sqrt() * signed).flatten(0, 1)
            for m, model in enumerate(models):
                error = (model(noisy, t).sample - signed.flatten(0, 1)).double().square().flatten(1).sum(1)
                loss[sign, m] = error.view(arguments.pairs, len(x))
        difference = loss - loss.mean(1, keepdim=True)
        single = difference.var(2).mean()
        pair = difference.mean(0).var(1).mean()
        print(f"{t:>5}{single / (2 * pair):>8.2f}", flush=True)
