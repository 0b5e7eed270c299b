#!/usr/bin/env python3
"""A step of ReTrack on CIFAR-10 in Python, in the structure of the published trainer: what guda's step is timed against.

As the published loop has it (described in docs/methods.md and arXiv 2601.22651, written anew here): images come one by one
through an augmenting data set (PIL, random flip, tensor, normalise), a retain and a forget loader of 128 each, one forward for
either batch, neighbour lists found beforehand, and for each forget image a Python loop that fetches its 10 neighbours through
the same data set and makes its target from them; AdamW, an average of the weights updated parameter by parameter, the loss
read back every step. Not as published: weights by a softmax that does not underflow (the same operations), float32 without
autocast (a CPU), no previews, no validation. The neighbours themselves are random ones: finding them is not timed.

    python tests/bench/peer_retrack.py MODEL.json --steps 3 --threads 2 [--data FOLDER]
"""
import argparse
import json
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from PIL import Image

ITEMS, BATCH, NEIGHBOURS, T = 10000, 128, 10, 4000
KL_CAP, FORGET_WEIGHT, EMA_DECAY = 1.0, 0.03, 0.9999


def load(folder):
    if folder is None:
        return np.random.default_rng(7).integers(0, 256, (ITEMS, 32, 32, 3), dtype=np.uint8), np.arange(ITEMS) % 10
    records = np.concatenate([np.fromfile(file, np.uint8).reshape(-1, 3073) for file in sorted(pathlib.Path(folder).glob("data_batch_*.bin"))])[:ITEMS]
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]


class Augmented(torch.utils.data.Dataset):
    """An image is decoded, flipped, made a tensor and normalised each time it is asked for."""

    def __init__(self, pixels, items):
        self.pixels, self.items = pixels, items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        image = Image.fromarray(self.pixels[self.items[index]])
        if torch.rand(1).item() < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return (tensor - 0.5) / 0.5, index


def forget_targets(x0, indices, noise, timesteps, alphas, retain, neighbours):
    targets = []
    for i in range(len(x0)):
        a = alphas[timesteps[i]]
        gamma, sigma = a.sqrt(), (1 - a).sqrt()
        near = torch.stack([retain[int(n)][0] for n in neighbours[indices[i]]])
        x_t = gamma * x0[i] + sigma * noise[i]
        distances = (x_t - gamma * near).flatten(1).square().sum(1)
        weights = (-distances / (2 * sigma ** 2)).softmax(0)
        correction = gamma / sigma * (x0[i] - near)
        lengths = correction.flatten(1).norm(dim=1)
        scale = ((2 * KL_CAP) ** 0.5 / lengths.clamp_min(1e-8)).clamp_max(1.0)
        target = noise[i] + correction * scale[:, None, None, None]
        targets.append((weights[:, None, None, None] * target).sum(0))
    return torch.stack(targets)


def options_of(description):
    """What is asked for on the command line; as many threads as it says from here on."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def main():
    options = options_of(__doc__)
    torch.manual_seed(0)
    pixels, labels = load(options.data)
    retain_set, forget_set = Augmented(pixels, np.flatnonzero(labels != 0)), Augmented(pixels, np.flatnonzero(labels == 0))
    neighbours = torch.randint(len(retain_set), (len(forget_set), NEIGHBOURS))
    loaders = [torch.utils.data.DataLoader(s, BATCH, shuffle=True, drop_last=True) for s in (retain_set, forget_set)]
    model = UNet2DModel.from_config(json.loads(options.model.read_text()))
    model.train()
    average = [p.detach().clone() for p in model.parameters()]
    scheduler = DDPMScheduler(T, beta_schedule="squaredcos_cap_v2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=1e-4)

    streams = [iter(loader) for loader in loaders]
    begin = 0.0
    for step in range(options.steps + 1):
        if step == 1:
            begin = time.process_time()  # the first step is warm-up
        (retain, _), (forget, indices) = (next(stream) for stream in streams)
        noise, t = torch.randn_like(retain), torch.randint(T, (BATCH,))
        loss = F.mse_loss(model(scheduler.add_noise(retain, noise, t), t).sample, noise)
        noise, t = torch.randn_like(forget), torch.randint(T, (BATCH,))
        target = forget_targets(forget, indices, noise, t, scheduler.alphas_cumprod, retain_set, neighbours)
        loss = loss + FORGET_WEIGHT * F.mse_loss(model(scheduler.add_noise(forget, noise, t), t).sample, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for kept, now in zip(average, model.parameters()):
                kept.mul_(EMA_DECAY).add_(now, alpha=1 - EMA_DECAY)
        loss.item()
    print(json.dumps({"processor_seconds_per_step": (time.process_time() - begin) / options.steps, "steps": options.steps,
                      "threads": options.threads, "parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
