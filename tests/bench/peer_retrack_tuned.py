#!/usr/bin/env python3
"""A step of ReTrack as a good user of PyTorch would write it: what guda's step is timed against beside peer_retrack.py.

The same work: 128 + 128 images, 10 neighbours, AdamW, an average of the weights. Images resident as uint8 and flipped at once,
targets of all forget images in one batched expression, one forward for both batches, channels-last, torch.compile,
AdamW(fused=True), one _foreach_lerp_; in float32 or under bfloat16 autocast, whichever is faster (tried first, not timed).

    python tests/bench/peer_retrack_tuned.py MODEL.json --steps 3 --threads 1 [--data FOLDER]
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from peer_retrack import BATCH, EMA_DECAY, FORGET_WEIGHT, KL_CAP, NEIGHBOURS, T, load, options_of


def images_of(pixels, items):
    images = pixels[items].float().div(127.5).sub(1)
    flipped = torch.rand(len(items)) < 0.5
    images[flipped] = images[flipped].flip(-1)
    return images.contiguous(memory_format=torch.channels_last)


def forget_targets(x0, x_t, near, noise, gamma, sigma):
    """x0, x_t, noise [B, C, H, W]; near [B, K, C, H, W]; gamma, sigma [B, 1, 1, 1]."""
    gamma, sigma = gamma.unsqueeze(1), sigma.unsqueeze(1)
    distances = (x_t.unsqueeze(1) - gamma * near).flatten(2).square().sum(2)
    weights = (-distances / (2 * sigma.flatten(1) ** 2)).softmax(1)
    correction = gamma / sigma * (x0.unsqueeze(1) - near)
    scale = ((2 * KL_CAP) ** 0.5 / correction.flatten(2).norm(dim=2).clamp_min(1e-8)).clamp_max(1.0)
    return noise + torch.einsum("bk,bkchw->bchw", weights * scale, correction)


def make_step(config, data, half):
    pixels, retain, forget, neighbours = data
    torch.manual_seed(0)
    model = UNet2DModel.from_config(config).train().to(memory_format=torch.channels_last)
    forward = torch.compile(lambda x, t: model(x, t, return_dict=False)[0])
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=1e-4, fused=True)
    alphas = DDPMScheduler(T, beta_schedule="squaredcos_cap_v2").alphas_cumprod

    def step():
        chosen = torch.randint(len(forget), (BATCH,))
        x0 = torch.cat([images_of(pixels, retain[torch.randint(len(retain), (BATCH,))]), images_of(pixels, forget[chosen])])
        near = images_of(pixels, retain[neighbours[chosen]].flatten()).unflatten(0, (BATCH, NEIGHBOURS))
        noise, t = torch.randn_like(x0), torch.randint(T, (2 * BATCH,))
        gamma, sigma = (a.view(-1, 1, 1, 1) for a in (alphas[t].sqrt(), (1 - alphas[t]).sqrt()))
        x_t = gamma * x0 + sigma * noise
        target = forget_targets(x0[BATCH:], x_t[BATCH:], near, noise[BATCH:], gamma[BATCH:], sigma[BATCH:])
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            predicted = forward(x_t, t)
        loss = F.mse_loss(predicted[:BATCH].float(), noise[:BATCH]) + FORGET_WEIGHT * F.mse_loss(predicted[BATCH:].float(), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1 - EMA_DECAY)

    return step


def seconds_of(step, steps):
    begin = time.process_time()
    for _ in range(steps):
        step()
    return (time.process_time() - begin) / steps


def main():
    options = options_of(__doc__)
    pixels, labels = load(options.data)
    pixels, labels = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)
    retain, forget = torch.nonzero(labels != 0).flatten(), torch.nonzero(labels == 0).flatten()
    data = (pixels, retain, forget, torch.randint(len(retain), (len(forget), NEIGHBOURS)))
    config = json.loads(options.model.read_text())
    tried = {}
    for half in (False, True):
        step, begin = make_step(config, data, half), time.perf_counter()
        step()
        compiled = time.perf_counter() - begin
        step()
        tried[half] = (seconds_of(step, 1), step)
        print(f"{'bfloat16' if half else 'float32'}: compiled in {compiled:.0f} s, {tried[half][0]:.3f} s a step", file=sys.stderr, flush=True)
    half, (_, step) = min(tried.items(), key=lambda kind: kind[1][0])
    print(json.dumps({"processor_seconds_per_step": seconds_of(step, options.steps), "steps": options.steps, "threads": options.threads,
                      "precision": "bfloat16" if half else "float32"}))


if __name__ == "__main__":
    main()
