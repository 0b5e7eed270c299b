#!/usr/bin/env python3
"""Forwards of a UNet2DConditionModel in PyTorch + diffusers: what guda's is timed against.

    python tests/bench/peer_sd.py MODEL.json THREADS

float32, channels-last, torch.compile, inference mode. Reads lines "forward COUNT", answers each with wall seconds of a forward of one
image and 77 tokens; compiling comes on top, its seconds go to stderr.
"""
import json
import pathlib
import sys
import time

import torch
from diffusers import UNet2DConditionModel


def main():
    torch.set_num_threads(int(sys.argv[2]))
    config = json.loads(pathlib.Path(sys.argv[1]).read_text())
    model = UNet2DConditionModel.from_config(config).eval().to(memory_format=torch.channels_last)
    forward = torch.compile(lambda x, t, context: model(x, t, context, return_dict=False)[0])
    side = config["sample_size"]
    x = torch.randn(1, config["in_channels"], side, side).to(memory_format=torch.channels_last)
    t, context = torch.tensor([500]), torch.randn(1, 77, config["cross_attention_dim"])
    with torch.inference_mode():
        begin = time.perf_counter()
        forward(x, t, context)
        print(f"compiled in {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        for line in sys.stdin:
            count = int(line.split()[1])
            begin = time.perf_counter()
            for _ in range(count):
                forward(x, t, context)
            print((time.perf_counter() - begin) / count, flush=True)


if __name__ == "__main__":
    main()
