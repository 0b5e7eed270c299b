#!/usr/bin/env python3
"""What the alternatives give on this device: the reference networks of `guda bench-device` in PyTorch + diffusers.

    guda bench-device --json guda.json                               # the device, otherwise idle
    .deps/parity/bin/python tests/bench/peer_gpu.py --guda guda.json # the same batches, and the ratios

published: the structure of the released code: eager, NCHW; CIFAR-10 scoring in float32 with the posterior means and their KL in float64;
Stable Diffusion scoring under bfloat16 autocast on a GPU; training under float16 AMP on a GPU, float32 on a CPU, with AdamW,
clip_grad_norm_, diffusers' EMAModel and the loss read back every step.
tuned: what a good user would do: channels-last, bfloat16 on a GPU (float32 on a CPU), torch.compile, AdamW(fused=True), one _foreach_lerp_
for the average, squared errors only. --no-compile leaves the compiler out.

Works within --seconds: what would not fit is left out, and says so. Writes JSON to --output (default: standard output, after the table).
"""
import argparse
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.training_utils import EMAModel

ATTENTION = ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"]
NETWORKS = {  # jobs/reference_networks.cpp; GMAC of a forward
    "cifar10": (8.38e9, 49e6, lambda: UNet2DModel(
        sample_size=32, in_channels=3, out_channels=3, down_block_types=ATTENTION, up_block_types=[n.replace("Down", "Up") for n in reversed(ATTENTION)],
        block_out_channels=[128, 256, 256, 256], layers_per_block=3, attention_head_dim=8, norm_num_groups=32, dropout=0.3)),
    "sd15": (401.6e9, 860e6, lambda: UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)),
}
BATCHES = {"cpu": {("cifar10", "forward"): [1, 8], ("cifar10", "training"): [1, 8], ("sd15", "forward"): [1], ("sd15", "training"): [1]},
           "cuda": {("cifar10", "forward"): [64, 256, 1024], ("cifar10", "training"): [128, 256], ("sd15", "forward"): [8, 32], ("sd15", "training"): [4, 16]}}


class Device:
    def __init__(self, name):
        self.name = name

    def wait(self):
        if self.name == "cuda":
            torch.cuda.synchronize()

    def memory(self):
        if self.name == "cuda":
            return 0.9 * torch.cuda.mem_get_info()[0]
        return 1024 * next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemAvailable:"))


def inputs(network, batch, device, dtype=torch.float32):
    shape = (3, 32, 32) if network == "cifar10" else (4, 64, 64)
    context = () if network == "cifar10" else (torch.randn(batch, 77, 768, device=device.name, dtype=dtype),)
    return torch.randn(batch, *shape, device=device.name, dtype=dtype), torch.randint(1000, (batch,), device=device.name), *context


class Published:
    def __init__(self, network, device, compiled):
        self.network, self.device, self.model = network, device, NETWORKS[network][2]().to(device.name)

    def forward(self, batch):
        model, x = self.model.eval(), inputs(self.network, batch, self.device)
        half = self.network == "sd15" and self.device.name == "cuda"

        @torch.no_grad()
        def run():
            with torch.autocast(self.device.name, torch.bfloat16, enabled=half):
                predicted = model(*x).sample
            if self.network == "cifar10":  # means of q(x_{t-1} | x_t, x_0) and p, and their KL
                x0_hat = (x[0] - 0.5 * predicted) / 0.8
                mean, mean_hat = 0.3 * x[0] + 0.6 * predicted, 0.3 * x0_hat + 0.6 * predicted
                ((mean.double() - mean_hat.double()) ** 2).flatten(1).sum(1).tolist()
            else:
                (predicted.float() - x[0]).square().mean((1, 2, 3)).tolist()
        return run

    def training(self, batch):
        model, x = self.model.train(), inputs(self.network, batch, self.device)
        half = self.device.name == "cuda"
        optimizer, average = torch.optim.AdamW(model.parameters(), lr=1e-5), EMAModel(model.parameters(), decay=0.9999)
        scaler = torch.amp.GradScaler(self.device.name, enabled=half)

        def run():
            with torch.autocast(self.device.name, torch.float16, enabled=half):
                loss = F.mse_loss(model(*x).sample.float(), x[0])
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            average.step(model.parameters())
            loss.item()
        return run


class Tuned:
    def __init__(self, network, device, compiled):
        self.network, self.device = network, device
        self.dtype = torch.bfloat16 if device.name == "cuda" else torch.float32
        self.model = NETWORKS[network][2]().to(device.name, memory_format=torch.channels_last)
        options = {"mode": "max-autotune"} if device.name == "cuda" else {}
        self.compile = (lambda function: torch.compile(function, **options)) if compiled else lambda function: function
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    def forward(self, batch):
        model, x = self.model.eval().to(self.dtype), inputs(self.network, batch, self.device, self.dtype)
        predict = self.compile(lambda *given: model(*given, return_dict=False)[0])

        @torch.inference_mode()
        def run():
            (predict(*x).float() - x[0]).square().sum((1, 2, 3)).tolist()
        return run

    def training(self, batch):
        model, x = self.model.float().train(), inputs(self.network, batch, self.device)
        parameters = list(model.parameters())
        average = [p.detach().clone() for p in parameters]
        optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)
        loss_of = self.compile(lambda *given: F.mse_loss(model(*given, return_dict=False)[0].float(), given[0]))

        def run():
            with torch.autocast(self.device.name, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                loss = loss_of(*x)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
            optimizer.step()
            torch._foreach_lerp_(average, parameters, 1e-4)
        return run


def measure(run, device, allowance):
    """Median seconds; one warm-up, which compiles, is not counted."""
    begin = time.perf_counter()
    run()
    device.wait()
    last, times = time.perf_counter() - begin, []
    while not times or (len(times) < 20 and time.perf_counter() - begin + last < allowance):
        start = time.perf_counter()
        run()
        device.wait()
        times.append(last := time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def batches_of(guda, device):
    """Those that guda measured, else our own."""
    if guda is None:
        return BATCHES[device]
    found = {}
    for row in guda["rows"]:
        network, _, work = row["name"].partition(" ")
        if network in NETWORKS and work in ("forward", "training") and "skipped" not in row:
            sizes = found.setdefault((network, work), [])
            if row["batch"] not in sizes:
                sizes.append(row["batch"])
    return found


def fastest_of_guda(guda, network, work, batch):
    rates = [row["per_second"] for row in (guda or {"rows": []})["rows"] if row["name"] == f"{network} {work}" and row.get("batch") == batch and "per_second" in row]
    return max(rates, default=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--guda", help="what guda bench-device --json wrote: the same batches, and ratios")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--output")
    arguments = parser.parse_args()
    guda = json.load(open(arguments.guda)) if arguments.guda else None
    if guda and guda["device"] != arguments.device:
        sys.exit(f"{arguments.guda} was measured on {guda['device']}, not on {arguments.device}")
    device, end = Device(arguments.device), time.perf_counter() + arguments.seconds
    if guda and arguments.device == "cpu":
        torch.set_num_threads(guda["threads"])
    a = torch.randn(2048, 2048, device=device.name)
    peak = 2 * 2048**3 / measure(lambda: a @ a, device, 0.5)
    cases = [(n, w, b, p) for (n, w), sizes in batches_of(guda, arguments.device).items() if n in arguments.networks for b in sizes for p in (Published, Tuned)]
    rows, peers = [], {}
    for i, (network, work, batch, peer) in enumerate(cases):
        macs, parameters, _ = NETWORKS[network]
        row = {"peer": peer.__name__.lower(), "network": network, "work": work, "batch": batch}
        allowance = (end - time.perf_counter()) / (len(cases) - i)
        expected = 2 * 2 * macs * batch * (3 if work == "training" else 1) / (0.3 * peak) + 12e-9 * parameters
        needed = parameters * (20 if work == "training" else 4)
        if expected > allowance:
            row["skipped"] = f"would take about {expected:.2g} s, {max(0, allowance):.2g} s of the time are its"
        elif needed > device.memory():
            row["skipped"] = f"needs {needed / 1e9:.1f} GB of memory"
        else:
            key = (network, peer)
            if key not in peers:
                peers.clear()  # one network at a time
                torch.manual_seed(0)
                peers[key] = peer(network, device, not arguments.no_compile)
            try:
                seconds = measure(getattr(peers[key], work)(batch), device, allowance)
            except (RuntimeError, MemoryError) as e:
                row["skipped"] = f"failed: {e}"
            else:
                row |= {"seconds": seconds, "per_second": batch / seconds, "flops_per_second": 2 * macs * batch * (3 if work == "training" else 1) / seconds}
                ours = fastest_of_guda(guda, network, work, batch)
                row["guda_times_faster"] = ours / row["per_second"] if ours else math.nan
        rows.append(row)
        what = f"{network + ' ' + work:<18} batch {batch:<5} {row['peer']:<9}"
        print(what, row.get("skipped") or f"{row['per_second']:10.4g}/s" + (f"   guda: {row['guda_times_faster']:.2f} x" if row["guda_times_faster"] == row["guda_times_faster"] else ""), file=sys.stderr, flush=True)
    result = {"schema": 1, "device": arguments.device, "threads": torch.get_num_threads(), "torch": torch.__version__, "compiled": not arguments.no_compile,
              "rows": [{k: (None if isinstance(v, float) and math.isnan(v) else v) for k, v in row.items()} for row in rows]}
    text = json.dumps(result, indent=1) + "\n"
    if arguments.output:
        with open(arguments.output, "w") as out:
            out.write(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
