#!/usr/bin/env python3
"""Projected gradients of single images as PyTorch users take them: torch.func.vmap over grad on diffusers' UNet2DModel, one
product with a dense Rademacher matrix that is kept in memory. Reads a word a line (vmap, or dense: with the projection),
measures once and answers with processor microseconds an image; one thread. ./run bench gradients
"""
import sys
import time

import torch
from diffusers import UNet2DModel
from torch.func import functional_call, grad, vmap

IMAGES, DIMENSION = 64, 4096


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = UNet2DModel(sample_size=8, in_channels=1, out_channels=1, block_out_channels=(16, 32), layers_per_block=1,
                        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
                        norm_num_groups=8, add_attention=False).eval()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    images, noise = torch.randn(2, IMAGES, 1, 8, 8)
    timesteps = torch.randint(1000, (IMAGES,))

    def loss(weights, x, t, eps):
        return (functional_call(model, weights, (x[None], t[None])).sample[0] - eps).square().mean()

    per_image = vmap(grad(loss), in_dims=(None, 0, 0, 0))

    def gradients():
        return torch.cat([g.flatten(1) for g in per_image(weights, images, timesteps, noise).values()], 1)

    projection = None
    for line in sys.stdin:
        if line.strip() == "dense" and projection is None:
            projection = torch.randint(0, 2, (sum(p.numel() for p in weights.values()), DIMENSION), dtype=torch.int8).float().mul_(2).sub_(1)
        begin = time.thread_time()
        if line.strip() == "dense":
            gradients() @ projection
        else:
            gradients()
        print((time.thread_time() - begin) / IMAGES * 1e6, flush=True)


if __name__ == "__main__":
    main()
