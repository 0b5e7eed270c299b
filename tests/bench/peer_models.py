#!/usr/bin/env python3
"""Scoring and training of a UNet in PyTorch + diffusers on one thread: what guda's worker is timed against.

    python tests/bench/peer_models.py MODEL.json published|tuned

published: the structure of the released code: float32, eager, NCHW; scoring goes through timesteps in a Python loop with the
posterior means and their KL in float64; training with AdamW, clip_grad_norm_, diffusers' EMAModel, the loss read back every step.
tuned: what a good user would do: channels-last, torch.compile, AdamW(fused=True), one _foreach_lerp_ for the average, scoring by
squared errors; in float32 or under bfloat16 autocast, whichever is faster (tried at the start of each kind of work).

Reads lines "score BATCH BATCHES" and "train BATCH STEPS", answers each with processor microseconds an image; what is compiled or
tried, and one batch or step of warm-up, comes on top. Seconds of compiling go to stderr.
"""
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel

T, EMA_DECAY = 4000, 0.9999


def make_model(config):
    torch.manual_seed(0)
    return UNet2DModel.from_config(config)


class Published:
    def __init__(self, config):
        self.config, self.scheduler = config, DDPMScheduler(T, beta_schedule="squaredcos_cap_v2")
        self.scoring = self.training = None
        self.shape = (config["in_channels"], config["sample_size"], config["sample_size"])

    @torch.no_grad()
    def kl(self, x0, t):
        """Of the posteriors q(x_{t-1} | x_t, x_0) and p, as the released scoring has it."""
        a, a_before = self.scheduler.alphas_cumprod[t], self.scheduler.alphas_cumprod[t - 1]
        beta = 1 - a / a_before
        noise = torch.randn_like(x0)
        at = torch.full((len(x0),), t)
        x_t = self.scheduler.add_noise(x0, noise, at)
        predicted = self.scoring(x_t, at).sample
        x0_hat = (x_t - (1 - a).sqrt() * predicted) / a.sqrt()
        first, second = a_before.sqrt() * beta / (1 - a), (1 - beta).sqrt() * (1 - a_before) / (1 - a)
        mean, mean_hat = first * x0 + second * x_t, first * x0_hat + second * x_t
        variance = (beta * (1 - a_before) / (1 - a)).double()
        return ((mean.double() - mean_hat.double()) ** 2 / (2 * variance)).flatten(1).sum(1)

    def score(self, batch, batches):
        if self.scoring is None:
            self.scoring = make_model(self.config).eval()
        x0 = torch.randn(batch, *self.shape)
        begin = 0.0
        for i in range(batches + 1):
            if i == 1:
                begin = time.process_time()
            self.kl(x0, 10 + 10 * i).tolist()
        return (time.process_time() - begin) / (batch * batches)

    def train(self, batch, steps):
        if self.training is None:
            self.training = make_model(self.config).train()
            self.optimizer = torch.optim.AdamW(self.training.parameters(), lr=1e-4)
            self.average = EMAModel(self.training.parameters(), decay=EMA_DECAY)
            images = torch.randn(max(512, batch * 2), *self.shape)
            self.loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=batch, shuffle=True, drop_last=True)
        stream, begin = iter(self.loader), 0.0
        for step in range(steps + 1):
            if step == 1:
                begin = time.process_time()
            try:
                (x0,) = next(stream)
            except StopIteration:
                stream = iter(self.loader)
                (x0,) = next(stream)
            noise, t = torch.randn_like(x0), torch.randint(T, (len(x0),))
            loss = F.mse_loss(self.training(self.scheduler.add_noise(x0, noise, t), t).sample, noise)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.training.parameters(), 1.0)
            self.optimizer.step()
            self.average.step(self.training.parameters())
            loss.item()
        return (time.process_time() - begin) / (batch * steps)


class Tuned:
    def __init__(self, config):
        self.config, self.scheduler = config, DDPMScheduler(T, beta_schedule="squaredcos_cap_v2")
        self.shape = (config["in_channels"], config["sample_size"], config["sample_size"])
        self.kinds = {}

    def autocast(self, half):
        return torch.autocast("cpu", torch.bfloat16, enabled=half)

    def fastest(self, name, make):
        """`make(half)` returns a function of one argument, how often; the faster precision is kept."""
        if name not in self.kinds:
            tried = {}
            for half in (False, True):
                run, begin = make(half), time.perf_counter()
                run(1)
                compiled, begin = time.perf_counter() - begin, time.process_time()
                run(2)
                tried[half] = (time.process_time() - begin, run)
                print(f"{name} {'bfloat16' if half else 'float32'}: compiled in {compiled:.0f} s, {tried[half][0] / 2:.3f} s a time", file=sys.stderr, flush=True)
            self.kinds[name] = min(tried.values(), key=lambda pair: pair[0])[1]
        return self.kinds[name]

    def noised(self, batch):
        x0 = torch.randn(batch, *self.shape).to(memory_format=torch.channels_last)
        noise, t = torch.randn_like(x0), torch.randint(T, (batch,))
        return self.scheduler.add_noise(x0, noise, t), t, noise

    def score(self, batch, batches):
        def make(half):
            model = make_model(self.config).eval().to(memory_format=torch.channels_last)
            forward = torch.compile(lambda x, t: model(x, t, return_dict=False)[0])

            @torch.inference_mode()
            def run(times):
                for _ in range(times):
                    x_t, t, noise = self.noised(batch)
                    with self.autocast(half):
                        predicted = forward(x_t, t)
                    (predicted.float() - noise).square().sum((1, 2, 3)).tolist()
            return run

        return self.timed(self.fastest(f"score {batch}", make), batch, batches)

    def train(self, batch, steps):
        def make(half):
            model = make_model(self.config).train().to(memory_format=torch.channels_last)
            parameters = list(model.parameters())
            average = [p.detach().clone() for p in parameters]
            optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

            @torch.compile
            def loss_of(x_t, t, noise):
                return F.mse_loss(model(x_t, t, return_dict=False)[0].float(), noise)

            def run(times):
                for _ in range(times):
                    with self.autocast(half):
                        loss = loss_of(*self.noised(batch))
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                    optimizer.step()
                    with torch.no_grad():
                        torch._foreach_lerp_(average, parameters, 1 - EMA_DECAY)
            return run

        return self.timed(self.fastest(f"train {batch}", make), batch, steps)

    @staticmethod
    def timed(run, batch, times):
        run(1)
        begin = time.process_time()
        run(times)
        return (time.process_time() - begin) / (batch * times)


def main():
    torch.set_num_threads(1)
    side = {"published": Published, "tuned": Tuned}[sys.argv[2]](json.loads(pathlib.Path(sys.argv[1]).read_text()))
    for line in sys.stdin:
        what, batch, times = line.split()
        print(1e6 * getattr(side, what)(int(batch), int(times)), flush=True)


if __name__ == "__main__":
    main()
