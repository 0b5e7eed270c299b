#!/usr/bin/env python3
"""Writes samplers.safetensors: steps of diffusers' DDPMScheduler and DPMSolverMultistepScheduler on given model outputs.

    python tests/golden/generate_samplers.py          # writes next to itself

Each set of options has `sample`, `timesteps` and one row per step of `outputs`, `noises` and `results`, all on tables
recomputed in float64 (generate.py, in_double). The options have guda's names.
"""
import json
import pathlib

import diffusers
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from generate import in_double, uniform
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
BETAS = dict(beta_start=1e-4, beta_end=0.02)
SAMPLERS = {
    "ddpm": dict(kind="ddpm", steps=10),
    "ddpm_every_timestep": dict(kind="ddpm", steps=12, timesteps=12),
    "ddpm_unclamped": dict(kind="ddpm", steps=7, clamp=False),
    "ddpm_v_prediction": dict(kind="ddpm", steps=10, schedule="linear", prediction="v_prediction", **BETAS),
    "ddpm_sample": dict(kind="ddpm", steps=10, schedule="scaled_linear", prediction="sample", **BETAS),
    "solver_one_step": dict(kind="dpmsolver++", steps=1, clamp=False),
    "solver": dict(kind="dpmsolver++", steps=7, clamp=False),
    "solver_many_steps": dict(kind="dpmsolver++", steps=20, clamp=False, timesteps=4000),
    "solver_v_prediction": dict(kind="dpmsolver++", steps=10, clamp=False, schedule="linear", prediction="v_prediction",
                                **BETAS),
    "solver_sample": dict(kind="dpmsolver++", steps=10, clamp=False, schedule="scaled_linear", prediction="sample", **BETAS),
}


def scheduler_of(o):
    """diffusers' scheduler for guda's options, timesteps set."""
    config = dict(num_train_timesteps=o.get("timesteps", 1000), beta_schedule=o.get("schedule", "squaredcos_cap_v2"),
                  beta_start=o.get("beta_start", 1e-4), beta_end=o.get("beta_end", 0.02),
                  prediction_type=o.get("prediction", "epsilon"))
    if o["kind"] == "ddpm":
        s = DDPMScheduler(**config, variance_type="fixed_small", clip_sample=o.get("clamp", True))
    else:
        s = DPMSolverMultistepScheduler(**config)
    s.config.set_alpha_to_one = True  # only read by in_double
    s = in_double(s)
    s.set_timesteps(o["steps"])
    return s


def run(s, sample, outputs, noises):
    """Every step from the result of the one before; DDPM takes the given noise."""
    results, x = [], sample
    for i, t in enumerate(s.timesteps):
        diffusers.schedulers.scheduling_ddpm.randn_tensor = lambda *_, **__: noises[i]
        x = s.step(outputs[i], t if isinstance(s, DPMSolverMultistepScheduler) else int(t), x).prev_sample.float()
        results.append(x)
    return torch.stack(results)


def main():
    tensors = {}
    for number, (name, options) in enumerate(SAMPLERS.items()):
        s, steps, seed = scheduler_of(options), options["steps"], 7200 + 10 * number
        sample = 2 * torch.from_numpy(uniform(seed, 32)).reshape(2, 1, 4, 4)
        outputs = torch.from_numpy(uniform(seed + 1, 32 * steps)).reshape(steps, 2, 1, 4, 4)
        noises = 1.5 * torch.from_numpy(uniform(seed + 2, 32 * steps)).reshape(steps, 2, 1, 4, 4)
        tensors.update({f"{name}.sample": sample, f"{name}.outputs": outputs, f"{name}.noises": noises,
                        f"{name}.timesteps": s.timesteps.to(torch.int64), f"{name}.results": run(s, sample, outputs, noises)})
    save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / "samplers.safetensors",
              metadata={"options": json.dumps(SAMPLERS)})
    (HERE / "samplers.safetensors").chmod(0o644)


if __name__ == "__main__":
    assert diffusers.__version__ == "0.31.0" and torch.__version__.startswith("2.11"), "pinned references"
    torch.set_num_threads(1)
    main()
