#!/usr/bin/env python3
"""Live comparison of guda-worker eval-sampler with diffusers' DDIM, DDPM and DPM-Solver++ schedulers on random options.

    live_samplers.py [GUDA_WORKER] [--chains N] [--seed S]      # default: $GUDA_BIN_DIR/guda-worker

Both go through all steps on the same model outputs and noises, each from its own last result, and are compared at every
step. diffusers' tables are recomputed in float64 first (tests/golden/generate.py, in_double). Run with an interpreter that has
torch, diffusers and safetensors, or name one in GUDA_PARITY_PYTHON.
Exit code 0: all within 1e-4 relative; 1: a difference; 77: skipped, because the packages are not there.
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import parity_python  # noqa: E402
import diffusers  # noqa: E402
import torch  # noqa: E402
from diffusers import DDIMScheduler  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
import generate_samplers  # noqa: E402
from generate import in_double  # noqa: E402

TOLERANCE = 1e-4  # errors of earlier steps are carried on: single steps are held to 1e-5 by the recorded ones


def random_options(rng):
    kind = rng.choice(["ddim", "ddpm", "dpmsolver++"])
    timesteps = rng.choice([50, 1000, 4000])
    o = {"kind": kind, "steps": rng.randint(1, 25), "timesteps": timesteps,
         "schedule": rng.choice(["squaredcos_cap_v2", "linear", "scaled_linear"]),
         "prediction": rng.choice(["epsilon", "v_prediction", "sample"]), "beta_start": 1e-4, "beta_end": 0.02,
         "clamp": False if kind == "dpmsolver++" else rng.random() < 0.7}
    if kind == "ddim":
        o["eta"] = rng.choice([0.0, 0.4, 1.0])
    return o


def theirs(o, sample, outputs, noises):
    """[timesteps], [results] of diffusers."""
    if o["kind"] != "ddim":
        s = generate_samplers.scheduler_of(o)
        return s.timesteps.to(torch.int64), generate_samplers.run(s, sample, outputs, noises)
    s = in_double(DDIMScheduler(num_train_timesteps=o["timesteps"], beta_schedule=o["schedule"], beta_start=o["beta_start"],
                                beta_end=o["beta_end"], prediction_type=o["prediction"], clip_sample=o["clamp"]))
    s.set_timesteps(o["steps"])
    results, x = [], sample
    for i, t in enumerate(s.timesteps):
        x = s.step(outputs[i], int(t), x, eta=o["eta"], variance_noise=noises[i]).prev_sample.float()
        results.append(x)
    return s.timesteps.to(torch.int64), torch.stack(results)


def main():
    args = parity_python.arguments_with_worker(chains=30, seed=0)
    print(f"guda-worker against diffusers {diffusers.__version__}, torch {torch.__version__}")
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    failures = 0
    for number in range(args.chains):
        o = random_options(rng)
        sample = torch.randn(2, 3, 4, 4)
        # Predictions of an image in the noise: x_0 stays of order one, as with a trained model.
        outputs = 0.5 * torch.randn(o["steps"], 2, 3, 4, 4)
        noises = torch.randn(o["steps"], 2, 3, 4, 4)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            save_file({"sample": sample, "outputs": outputs, "noises": noises}, folder / "in.safetensors",
                      metadata={"options": json.dumps(o)})
            command = [args.guda_worker, "eval-sampler", "--input", folder / "in.safetensors",
                       "--output", folder / "out.safetensors"]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            if done.returncode != 0:
                print(f"chain {number}: guda-worker failed: {done.stderr}\n{json.dumps(o)}")
                failures += 1
                continue
            ours = load_file(folder / "out.safetensors")
        timesteps, results = theirs(o, sample, outputs, noises)
        same = torch.equal(ours["timesteps"], timesteps)
        scale = results.abs().flatten(1).max(1).values.clamp_min(1.0)
        error = ((ours["results"] - results).abs().flatten(1).max(1).values / scale).max().item()
        good = same and error <= TOLERANCE
        failures += not good
        print(f"chain {number}: {o['kind']}, {o['steps']} steps, {error:.1e}{'' if good else '  FAILED ' + json.dumps(o)}")
    print(f"{args.chains - failures} of {args.chains} chains agree within {TOLERANCE}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
