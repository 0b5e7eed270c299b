#!/usr/bin/env python3
"""Writes the recorded references of tests/golden from diffusers 0.31.0 and torch 2.11 on a CPU.

    python tests/golden/generate.py          # writes next to itself

Weights are not stored: `weight_values` below and tests/worker/models/golden_weights.hpp compute the same ones.
"""
import json
import math
import pathlib

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DModel
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
MASK = (1 << 64) - 1


def splitmix64(x):
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def uniform(seed, count):
    """Numbers in [-1, 1): splitmix64 of seed * 2^32 + i, upper 24 bits. Exact in float32."""
    bits = splitmix64(np.arange(count, dtype=np.uint64) + np.uint64((seed << 32) & MASK))
    return ((bits >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0).astype(np.float32)


def weight_values(model, seed):
    """Parameters in order of their names; parameter i uses seed + i. Matrices and filters: u / sqrt(fan in); vectors: u / 4,
    plus 1 if they end in .weight (gains of norms)."""
    state = {}
    for i, (name, p) in enumerate(sorted(model.state_dict().items())):
        u = uniform(seed + i, p.numel())
        if p.dim() >= 2:
            u = (u.astype(np.float64) / np.sqrt(p[0].numel())).astype(np.float32)
        else:
            u = u * np.float32(0.25) + np.float32(1.0 if name.endswith(".weight") else 0.0)
        state[name] = torch.from_numpy(u).reshape(p.shape)
    return state


SMALL = dict(in_channels=1, out_channels=1, block_out_channels=[8, 16], layers_per_block=1, norm_num_groups=4,
             attention_head_dim=4, sample_size=8, down_block_types=["DownBlock2D", "DownBlock2D"],
             up_block_types=["UpBlock2D", "UpBlock2D"])
ATTENTION = dict(down_block_types=["DownBlock2D", "AttnDownBlock2D"], up_block_types=["AttnUpBlock2D", "UpBlock2D"])

CONFIGS = {
    "plain": dict(add_attention=False),
    "attention": dict(**ATTENTION, in_channels=3, out_channels=2),
    "resnet_sampling": dict(down_block_types=["AttnDownBlock2D", "DownBlock2D"], downsample_type="resnet",
                            up_block_types=["AttnUpBlock2D", "UpBlock2D"], upsample_type="resnet"),
    "scale_shift": dict(**ATTENTION, resnet_time_scale_shift="scale_shift", attention_head_dim=None,
                        flip_sin_to_cos=False, freq_shift=1),
    "scale_shift_mid_norm": dict(resnet_time_scale_shift="scale_shift", attn_norm_num_groups=2, act_fn="gelu",
                                 mid_block_scale_factor=1.4142135),
    "class_table": dict(num_class_embeds=5, act_fn="mish", downsample_padding=0, norm_eps=1e-3),
    "class_timestep": dict(class_embed_type="timestep", act_fn="relu", layers_per_block=2, block_out_channels=[4, 8]),
    "class_identity": dict(class_embed_type="identity", center_input_sample=True, act_fn="swish", dropout=0.3,
                           block_out_channels=[8, 8]),
    "fourier": dict(time_embedding_type="fourier", block_out_channels=[4, 8]),
    "three_levels": dict(block_out_channels=[4, 8, 8], attention_head_dim=3, sample_size=[8, 12], norm_num_groups=2,
                         down_block_types=["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
                         up_block_types=["UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D"]),
}


def labels_of(config, model, batch):
    if config.get("num_class_embeds"):
        return torch.tensor([0, 4, 2][:batch])
    if config.get("class_embed_type") == "timestep":
        return torch.tensor([3.0, 250.0, 17.0][:batch])
    if config.get("class_embed_type") == "identity":
        return torch.from_numpy(uniform(9003, batch * 4 * config["block_out_channels"][0])).reshape(batch, -1)
    return None


def unets():
    for number, (name, options) in enumerate(CONFIGS.items()):
        config = {**SMALL, **options}
        model = UNet2DModel(**config).eval()
        model.load_state_dict(weight_values(model, 1000 * (number + 1)))
        batch = 3
        size = config["sample_size"]
        height, width = size if isinstance(size, list) else (size, size)
        sample = torch.from_numpy(uniform(9001, batch * config["in_channels"] * height * width))
        sample = 1.7 * sample.reshape(batch, config["in_channels"], height, width)
        target = torch.from_numpy(uniform(9002, batch * config["out_channels"] * height * width))
        target = target.reshape(batch, config["out_channels"], height, width)
        timestep = torch.tensor([1.0, 37.5, 990.0]) if name == "fourier" else torch.tensor([0, 37, 990])
        labels = labels_of(config, model, batch)
        out = model(sample, timestep, class_labels=labels).sample
        loss = torch.nn.functional.mse_loss(out, target)
        loss.backward()
        tensors = {"sample": sample, "timestep": timestep, "target": target, "out": out.detach(),
                   "loss": loss.detach().reshape(1)}
        if labels is not None:
            tensors["class_labels"] = labels
        for key, p in model.named_parameters():
            if p.requires_grad:
                tensors["grad." + key] = p.grad
        save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / f"unet2d_{name}.safetensors",
                  metadata={"config": json.dumps(config), "weight_seed": str(1000 * (number + 1))})


def scheduler(**options):
    return DDIMScheduler(**{"num_train_timesteps": 1000, **options})


SCHEDULES = {
    "linear": dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "squaredcos_cap_v2": dict(beta_schedule="squaredcos_cap_v2"),
}


def schedules():
    record = {}
    for name, options in SCHEDULES.items():
        for timesteps in (50, 1000):
            s = DDIMScheduler(num_train_timesteps=timesteps, **options)
            rows = range(timesteps) if timesteps == 50 else [*range(0, 1000, 37), 998, 999]
            record[f"{name}/{timesteps}"] = {
                "t": list(rows), "beta": [s.betas[t].item() for t in rows],
                "alpha_bar": [s.alphas_cumprod[t].item() for t in rows]}
    (HERE / "schedules.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


DDIM = {
    "deterministic": dict(eta=0.0, steps=10),
    "ancestral": dict(eta=1.0, steps=10),
    "half": dict(eta=0.5, steps=7, clip_sample=False),
    "v_prediction": dict(eta=1.0, steps=10, prediction_type="v_prediction", beta_schedule="linear"),
    "sample": dict(eta=0.3, steps=10, prediction_type="sample", beta_schedule="scaled_linear"),
    "first_alpha": dict(eta=1.0, steps=10, set_alpha_to_one=False, steps_offset=1),
    "trailing": dict(eta=0.0, steps=7, timestep_spacing="trailing"),
    "linspace": dict(eta=0.0, steps=7, timestep_spacing="linspace", clip_sample_range=0.5),
    "reuse_clipped": dict(eta=1.0, steps=10, use_clipped_model_output=True),
}


def in_double(s):
    """The scheduler with its tables recomputed in float64: diffusers keeps 1 - A_t, 2.5e-5 at t = 0, to three digits only."""
    n, config = s.config.num_train_timesteps, s.config
    if config.beta_schedule == "squaredcos_cap_v2":
        def f(u):
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = np.array([min(1 - f((t + 1) / n) / f(t / n), 0.999) for t in range(n)])
    elif config.beta_schedule == "scaled_linear":
        betas = np.linspace(config.beta_start**0.5, config.beta_end**0.5, n) ** 2
    else:
        betas = np.linspace(config.beta_start, config.beta_end, n)
    s.alphas_cumprod = torch.from_numpy(np.cumprod(1 - betas))
    s.final_alpha_cumprod = torch.tensor(1.0) if config.set_alpha_to_one else s.alphas_cumprod[0]
    return s


def ddim():
    tensors, options_of = {}, {}
    for number, (name, given) in enumerate(DDIM.items()):
        options = {"beta_schedule": "squaredcos_cap_v2", **given}
        options_of[name] = options
        options = dict(options)
        steps, eta = options.pop("steps"), options.pop("eta")
        reuse = options.pop("use_clipped_model_output", False)
        exact, as_released = in_double(scheduler(**options)), scheduler(**options)
        exact.set_timesteps(steps)
        as_released.set_timesteps(steps)
        x = 2 * torch.from_numpy(uniform(7000 + 10 * number, 32)).reshape(2, 1, 4, 4)
        outputs = torch.from_numpy(uniform(7001 + 10 * number, 32 * steps)).reshape(steps, 2, 1, 4, 4)
        noises = 1.5 * torch.from_numpy(uniform(7002 + 10 * number, 32 * steps)).reshape(steps, 2, 1, 4, 4)
        results, released = [], []
        tensors[f"{name}.sample"] = x
        for i, t in enumerate(exact.timesteps):
            given = dict(eta=eta, variance_noise=noises[i], use_clipped_model_output=reuse)
            released.append(as_released.step(outputs[i], int(t), x, **given).prev_sample)
            x = exact.step(outputs[i], int(t), x, **given).prev_sample.float()
            results.append(x)
        tensors.update({f"{name}.timesteps": exact.timesteps.to(torch.int64), f"{name}.outputs": outputs,
                        f"{name}.noises": noises, f"{name}.results": torch.stack(results),
                        f"{name}.released": torch.stack(released)})
    save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / "ddim.safetensors",
              metadata={"options": json.dumps(options_of)})


if __name__ == "__main__":
    assert diffusers.__version__ == "0.31.0" and torch.__version__.startswith("2.11"), "pinned references"
    torch.set_num_threads(1)
    unets()
    schedules()
    ddim()
    for file in HERE.glob("*.safetensors"):
        file.chmod(0o644)
