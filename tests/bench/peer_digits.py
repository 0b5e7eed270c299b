#!/usr/bin/env python3
"""The digits study as a plain PyTorch + diffusers script: what guda's worker is timed against.

Written as one writes such a study with the published pieces (UNet2DModel, DDIMScheduler, torch.optim.AdamW,
clip_grad_norm_, EMAModel) and with guda's hyper-parameters: full model, one retraining per class, queries drawn from the
full model, unlearning of every class by every operator, eight previews of every model, losses of every query under every
model (full and retrained ones on two noise draws, unlearned ones on one), two pixel controls: the units of jobs/recipes/digits.yaml.
One process with --threads threads, or --processes single-threaded ones that share out the models. Prints seconds per stage
(of all processes together) and the wall time from after the imports to the end; --json for machines.

    python tests/bench/peer_digits.py --data jobs/data/digits/digits.csv.gz --json
    python tests/bench/peer_digits.py --scale 0.05          # a twentieth of the steps, sampler steps and timesteps
"""
import argparse
import copy
import gzip
import json
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel

T = 1000
CLASSES = 10
PREVIEWS = 8
OPERATORS = ("retrack_exact", "ifu", "retrack_released")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = pathlib.Path(__file__).resolve().parents[2] / "jobs/data/digits/digits.csv.gz"
    parser.add_argument("--data", type=pathlib.Path, default=data)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on steps, sampler steps and scored timesteps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--groups", type=int, default=CLASSES, help="retrain and unlearn only the first classes")
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def load_digits(path):
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    images = torch.from_numpy(table[:, :64] / 8 - 1).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(table[:, 64].astype(np.int64))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return images[order[:1500]], labels[order[:1500]], images[order[1500:]]


def make_model():
    return UNet2DModel(sample_size=8, in_channels=1, out_channels=1, block_out_channels=(16, 32), layers_per_block=1,
                       down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
                       norm_num_groups=8, add_attention=False)


def learning_rate(optimizer, steps, warmup):
    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + np.cos(np.pi * (step - warmup) / max(1, steps - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def stratified(rows):
    return ((torch.arange(rows) + torch.rand(rows)) / rows * T).long().clamp_max(T - 1)


def train(images, scheduler, steps, seed):
    torch.manual_seed(seed)
    model = make_model()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = learning_rate(optimizer, steps, max(1, round(steps / 12)))
    ema = EMAModel(model.parameters(), decay=0.995)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=64, shuffle=True, drop_last=True)
    done = 0
    while done < steps:
        for (x0,) in loader:
            noise = torch.randn_like(x0)
            t = stratified(len(x0))
            loss = F.mse_loss(model(scheduler.add_noise(x0, noise, t), t).sample, noise)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            ema.step(model.parameters())
            done += 1
            if done == steps:
                break
    ema.copy_to(model.parameters())
    return model.eval()


@torch.no_grad()
def sample(model, scheduler, count, steps):
    torch.manual_seed(1)
    ddim = DDIMScheduler.from_config(scheduler.config, clip_sample=True)
    ddim.set_timesteps(steps)
    images = []
    for first in range(0, count, 64):
        x = torch.randn(min(64, count - first), 1, 8, 8)
        for t in ddim.timesteps:
            x = ddim.step(model(x, t).sample, t, x, eta=1.0).prev_sample
        images.append(x)
    return ((torch.cat(images).clamp(-1, 1) + 1) * 8).round() / 8 - 1


def unlearn(full, images, labels, scheduler, group, operator, steps, seed):
    torch.manual_seed(seed)
    model = copy.deepcopy(full)
    model.train()
    retain, forget = images[labels != group], images[labels == group]
    near = torch.cdist(forget.flatten(1), retain.flatten(1)).topk(10, largest=False).indices
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = learning_rate(optimizer, steps, min(5, steps))
    ratio = len(forget) / len(retain)
    for _ in range(steps):
        r = torch.randperm(len(retain))[:32]
        f = torch.randperm(len(forget))[:32]
        x0 = torch.cat([retain[r], forget[f]])
        noise = torch.randn_like(x0)
        t = torch.cat([stratified(32), stratified(32)])
        x_t = scheduler.add_noise(x0, noise, t)
        predicted = model(x_t, t).sample
        if operator == "ifu":
            with torch.no_grad():
                teacher = full(x_t, t).sample
            change = predicted - teacher
            loss = change[:32].square().mean() + ratio * (change[32:].square() - 2 * change[32:] * (teacher - noise)[32:]).mean()
        else:
            loss = F.mse_loss(predicted[:32], noise[:32])
            if operator == "retrack_released":
                target = torch.zeros_like(noise[32:])
            else:
                a = scheduler.alphas_cumprod[t[32:]]
                snr = (a / (1 - a))[:, None]
                differences = forget[f].flatten(1)[:, None] - retain[near[f]].flatten(2)
                along = (differences * noise[32:].flatten(1)[:, None]).sum(2)
                weights = (-0.5 * (snr * differences.square().sum(2) + 2 * snr.sqrt() * along)).softmax(1)
                redirect = snr.sqrt() * (weights[:, :, None] * differences).sum(1)
                target = noise[32:] + redirect.view_as(noise[32:])
            loss = loss + 0.1 * F.mse_loss(predicted[32:], target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def score(model, queries, scheduler, timesteps, draw_set):
    """[queries, timesteps] squared errors; the same noise for every model, rows in batches of 256."""
    losses = torch.empty(len(queries), len(timesteps))
    for column, t in enumerate(timesteps):
        noise = torch.randn(queries.shape, generator=torch.Generator().manual_seed(2 * int(t) + draw_set))
        for first in range(0, len(queries), 256):
            x0, eps = queries[first:first + 256], noise[first:first + 256]
            at = torch.full((len(x0),), int(t))
            predicted = model(scheduler.add_noise(x0, eps, at), at).sample
            losses[first:first + 256, column] = (eps - predicted).square().sum((1, 2, 3))
    return losses


def controls(queries, images, labels):
    """Scores [queries, classes] by pixel cosine and by the 5 nearest neighbours."""
    q, x = F.normalize(queries.flatten(1), dim=1), F.normalize(images.flatten(1), dim=1)
    member = F.one_hot(labels, CLASSES).float()
    cosine = (q @ x.T) @ member / member.sum(0)
    near = torch.cdist(queries.flatten(1), images.flatten(1)).topk(5, largest=False).indices
    return cosine, member[near].sum(1)


class Stopwatch:
    def __init__(self):
        self.seconds, self.units = {}, {}

    def __call__(self, stage, units, function, *args):
        begin = time.perf_counter()
        result = function(*args)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begin
        self.units[stage] = self.units.get(stage, 0) + units
        return result

    def add(self, other):
        for stage in other.seconds:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + other.seconds[stage]
            self.units[stage] = self.units.get(stage, 0) + other.units[stage]


class Study:
    """What every process knows; a task is one counterfactual model from its making to its losses."""

    def __init__(self, options):
        self.seed = options.seed
        self.steps, self.unlearn_steps = max(2, round(600 * options.scale)), max(2, round(100 * options.scale))
        self.sampler_steps = max(2, round(100 * options.scale))
        self.timesteps = list(range(10, T, 20))[:max(1, round(50 * options.scale))]
        self.scheduler = DDIMScheduler(num_train_timesteps=T, beta_schedule="squaredcos_cap_v2")
        self.images, self.labels, self.held_out = load_digits(options.data)

    def losses(self, watch, model, everything, draw_sets):
        watch("preview", PREVIEWS * self.sampler_steps, sample, model, self.scheduler, PREVIEWS, self.sampler_steps)
        for draw_set in draw_sets:
            watch("score", len(everything) * len(self.timesteps), score, model, everything, self.scheduler, self.timesteps, draw_set)

    def counterfactual(self, full, everything, method, group):
        watch = Stopwatch()
        if method == "logo":
            kept = self.images[self.labels != group]
            model = watch("train", self.steps, train, kept, self.scheduler, self.steps, self.seed)
        else:
            model = watch("unlearn", self.unlearn_steps, unlearn, full, self.images, self.labels, self.scheduler, group, method,
                          self.unlearn_steps, self.seed)
        self.losses(watch, model, everything, (0, 1) if method == "logo" else (1,))
        return watch


def start_process(options):
    global study
    torch.set_num_threads(1)
    study = Study(options)


def work(weights, everything, method, group):
    full = make_model()
    full.load_state_dict(weights)
    return study.counterfactual(full.eval(), everything, method, group)


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    begin = time.perf_counter()
    shared = Study(options)
    watch = Stopwatch()
    full = watch("train", shared.steps, train, shared.images, shared.scheduler, shared.steps, options.seed)
    queries = watch("sample", options.queries * shared.sampler_steps, sample, full, shared.scheduler, options.queries, shared.sampler_steps)
    everything = torch.cat([queries, shared.held_out])
    tasks = [(method, group) for method in ("logo", *OPERATORS) for group in range(options.groups)]
    if options.processes > 1:
        with torch.multiprocessing.get_context("spawn").Pool(options.processes, start_process, (options,)) as pool:
            pending = [pool.apply_async(work, (full.state_dict(), everything, *task)) for task in tasks]
            shared.losses(watch, full, everything, (0, 1))
            for one in pending:
                watch.add(one.get())
    else:
        shared.losses(watch, full, everything, (0, 1))
        for task in tasks:
            watch.add(shared.counterfactual(full, everything, *task))
    watch("controls", len(everything), controls, everything, shared.images, shared.labels)
    total = time.perf_counter() - begin
    report = {"schema": 1, "torch": torch.__version__, "threads": options.threads, "processes": options.processes, "scale": options.scale,
              "seconds": watch.seconds, "units": watch.units, "total": total}
    if options.json:
        print(json.dumps(report))
        return
    for stage, seconds in watch.seconds.items():
        print(f"{stage:8} {seconds:8.1f} s  {watch.units[stage]:9d} steps or forwards  {watch.units[stage] / seconds:9.1f} /s")
    print(f"{'wall':8} {total:8.1f} s")


if __name__ == "__main__":
    main()
