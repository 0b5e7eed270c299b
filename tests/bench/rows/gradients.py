"""Gradients of single images of the digits network against autograd image by image, and projected against torch.func.vmap.

Both programs stay up and measure when asked, in turns; processor time of one thread.
"""

import os
import statistics
import subprocess

from measure import ROOT, program

OURS = ("single", "batched", "sjlt")


class Side:
    """A program that answers every line with microseconds an image."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, what):
        print(what, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def at_most(name, value, peer, share):
    """A row whose bound is a share of the peer's time."""
    return {"name": name, "value": value, "unit": "us", "bound": share * peer, "ratio": value / (share * peer)}


def measure(options):
    python = os.environ.get("GUDA_PARITY_PYTHON", str(ROOT / ".deps/parity/bin/python"))
    if not os.path.exists(python):
        raise FileNotFoundError(f"{python} (./run test sets it up)")
    ours, peer = Side(program("guda_bench_gradients")), Side(python, ROOT / "tests/bench/peer_gradients.py")
    turns = [(ours, what) for what in OURS] + [(peer, "vmap"), (peer, "dense")]
    for side, what in turns:  # first calls allocate, and draw the peer's matrix
        side(what)
    samples = {what: [] for _, what in turns}
    for _ in range(options.repeat):
        for side, what in turns:
            samples[what].append(side(what))
    ours.close()
    peer.close()
    us = {what: statistics.median(values) for what, values in samples.items()}
    for what, value in us.items():
        print(f"    {what:12}{value:9.0f} us an image")
    return [at_most("gradient: a quarter of one-by-one autograd", us["batched"], us["single"], 1 / 4),
            at_most("gradient, projected to 4096: half of vmap + dense", us["sjlt"], us["dense"], 1 / 2)]
