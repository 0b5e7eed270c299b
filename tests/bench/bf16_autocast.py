#!/usr/bin/env python3
"""Whether bfloat16 autocast pays on this processor: training steps of a small UNet2DModel in float32 and under torch.autocast, in turns.

One core, processor time, channels last, diffusers and PyTorch as they are. docs/decisions/precision.md has what was measured.

    python tests/bench/bf16_autocast.py [--batch 32] [--repeat 3]
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel

SHAPES = {
    "16 x 16, 24-48 channels": dict(sample_size=16, block_out_channels=(24, 48), layers_per_block=1, norm_num_groups=8, add_attention=False,
                                    down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2),
    "32 x 32, 32-64 channels, attention": dict(sample_size=32, block_out_channels=(32, 64, 64, 64), layers_per_block=1, norm_num_groups=8, attention_head_dim=8,
                                               down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
                                               up_block_types=("UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")),
    "32 x 32, 128-256 channels, attention": dict(sample_size=32, block_out_channels=(128, 256), layers_per_block=1, norm_num_groups=32, attention_head_dim=8,
                                                 down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D")),
}


def step(model, optimizer, x, t, noise, bfloat16):
    begin = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        predicted = model(x, t).sample
    loss = F.mse_loss(predicted.float(), noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return time.process_time() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"PyTorch {torch.__version__}, bfloat16 in hardware: AVX-512 {torch.cpu._is_avx512_bf16_supported()}, AMX {torch.cpu._is_amx_tile_supported()}")
    for name, shape in SHAPES.items():
        model = UNet2DModel(in_channels=3, out_channels=3, **shape).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.AdamW(model.parameters())
        batch = max(1, options.batch // (8 if shape["block_out_channels"][0] > 64 else 1))
        x, noise = (torch.randn(batch, 3, shape["sample_size"], shape["sample_size"]).to(memory_format=torch.channels_last) for _ in range(2))
        t = torch.randint(1000, (batch,))
        rows = [[step(model, optimizer, x, t, noise, bfloat16) for bfloat16 in (False, True)] for _ in range(options.repeat + 1)][1:]
        single, half = (statistics.median(column) for column in zip(*rows))
        print(f"{name:40} float32 {1000 * single:8.1f} ms   bfloat16 {1000 * half:8.1f} ms   {half / single:.2f} of it", flush=True)


main()
