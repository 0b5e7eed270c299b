#!/usr/bin/env python3
"""Writes autoencoder_kl_<name>.safetensors: moments, images and gradients of diffusers' AutoencoderKL, as generate.py does for
UNet2DModel, with the same formulas of weights and inputs; and autoencoder_kl_sd15.json, the parameters of Stable Diffusion 1.5's.

    python tests/golden/generate_autoencoder.py          # writes next to itself
"""
import json
import pathlib

import diffusers
import torch
from diffusers import AutoencoderKL
from generate import uniform, weight_values
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
SMALL = dict(sample_size=8, block_out_channels=[4, 8], norm_num_groups=2, latent_channels=4,
             down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2)
CONFIGS = {
    # Stable Diffusion's in small.
    "sd": dict(),
    "no_attention": dict(mid_block_add_attention=False, act_fn="mish", in_channels=1, out_channels=2),
    "no_quant": dict(use_quant_conv=False, use_post_quant_conv=False, latent_channels=3, act_fn="gelu"),
    "three_levels": dict(block_out_channels=[4, 8, 4], layers_per_block=2, sample_size=[8, 12], latent_channels=1,
                         down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3, act_fn="relu"),
    "one_level": dict(block_out_channels=[6], norm_num_groups=3, use_post_quant_conv=False, act_fn="swish",
                      down_block_types=["DownEncoderBlock2D"], up_block_types=["UpDecoderBlock2D"]),
}
SD15 = dict(in_channels=3, out_channels=3, act_fn="silu", block_out_channels=[128, 256, 512, 512], latent_channels=4,
            layers_per_block=2, norm_num_groups=32, sample_size=512, down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4)


def random_images(seed, *shape):
    return torch.from_numpy(uniform(seed, torch.Size(shape).numel())).reshape(shape)


def main():
    for number, (name, options) in enumerate(CONFIGS.items()):
        config = {**SMALL, **options}
        seed = 30000 + 1000 * number
        model = AutoencoderKL(**config).eval()
        model.load_state_dict(weight_values(model, seed))
        size = config["sample_size"]
        height, width = size if isinstance(size, list) else (size, size)
        factor = 2 ** (len(config["block_out_channels"]) - 1)
        sample = random_images(9001, 2, config.get("in_channels", 3), height, width)
        target = random_images(9002, 2, config.get("out_channels", 3), height, width)
        latents = 1.7 * random_images(9003, 2, config["latent_channels"], height // factor, width // factor)
        moments = model.encode(sample).latent_dist
        decoded = model.decode(latents).sample
        # Reaches every parameter: the images of the mean, and the variance.
        loss = torch.nn.functional.mse_loss(model.decode(moments.mean).sample, target) + moments.logvar.square().mean()
        loss.backward()
        tensors = {"sample": sample, "target": target, "latents": latents, "mean": moments.mean.detach(),
                   "logvar": moments.logvar.detach(), "decoded": decoded.detach(), "loss": loss.detach().reshape(1)}
        for key, p in model.named_parameters():
            tensors["grad." + key] = p.grad
        file = HERE / f"autoencoder_kl_{name}.safetensors"
        save_file({k: v.contiguous() for k, v in tensors.items()}, file,
                  metadata={"config": json.dumps(config), "weight_seed": str(seed)})
        file.chmod(0o644)
    with torch.device("meta"):
        shapes = {key: list(p.shape) for key, p in sorted(AutoencoderKL(**SD15).named_parameters())}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
    (HERE / "autoencoder_kl_sd15.json").write_text(f'{{"config": {json.dumps(SD15)},\n"shapes": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    assert diffusers.__version__ == "0.31.0" and torch.__version__.startswith("2.11"), "pinned references"
    torch.set_num_threads(1)
    main()
