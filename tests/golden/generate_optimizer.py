#!/usr/bin/env python3
"""Writes optimizer.npy: AdamW with clipping and a warm-up/cosine rate (PyTorch) and EMAModel (diffusers) on recorded
gradients. float32 [1 + 3 * 40, 19]: the initial parameters, then gradient, parameters and averages of each step; the
columns are three tensors of shapes (2, 3), (5,), (2, 1, 2, 2) laid end to end."""
import math
import pathlib

import numpy as np
import torch
from diffusers.training_utils import EMAModel

STEPS, WARMUP = 40, 5
torch.manual_seed(7)
parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in [(2, 3), (5,), (2, 1, 2, 2)]]
flat = lambda tensors: np.concatenate([t.detach().numpy().ravel() for t in tensors])
optimizer = torch.optim.AdamW(parameters, lr=4e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)
factor = lambda s: (s + 1) / WARMUP if s < WARMUP else 0.5 * (1 + math.cos(math.pi * (s - WARMUP) / (STEPS - WARMUP)))
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
ema = EMAModel(parameters, decay=0.6)
rows = [flat(parameters)]
for step in range(STEPS):
    for p in parameters:
        p.grad = torch.randn_like(p) * (0.05 if step % 3 else 2.0)  # some steps are clipped, some are not
    rows.append(flat([p.grad for p in parameters]))
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    schedule.step()
    ema.step(parameters)
    rows += [flat(parameters), flat(ema.shadow_params)]
np.save(pathlib.Path(__file__).with_name("optimizer.npy"), np.stack(rows).astype(np.float32))
