"""One forward of Stable Diffusion 1.5's UNet (random weights, 64 x 64 latents, one image) against diffusers with torch.compile.

859,520,964 parameters, float32, 77 tokens, the same threads (GUDA_BENCH_THREADS, default 1: a worker's); programs that stay up and take
turns, wall time: measure on a machine with nothing else to do. Both together need 9 GB. Compiling, minutes, is not counted.
"""

import json
import os
import pathlib
import statistics
import tempfile

from measure import ROOT, against, program
from networks import SD15, Side


def measure(options):
    python = os.environ.get("GUDA_PARITY_PYTHON", str(ROOT / ".deps/parity/bin/python"))
    if not os.path.exists(python):
        raise FileNotFoundError(f"{python} (./run test sets it up)")
    threads = os.environ.get("GUDA_BENCH_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "sd15.json"
        file.write_text(json.dumps(SD15))
        sides = [Side(program("guda_bench_sd"), file, threads, threads=threads),
                 Side(python, ROOT / "tests/bench/peer_sd.py", file, threads, threads=threads)]
        for side in sides:
            side("forward", (1,))
        samples = [[side("forward", (1,)) for side in sides] for _ in range(max(options.repeat, 5))]
        for side in sides:
            side.close()
    mine, theirs = (statistics.median(column) for column in zip(*samples))
    print("    " + ", ".join(f"{a:.2f}/{b:.2f}" for a, b in samples) + f" s, ours/theirs, {threads} thread(s)")
    return [{**against(f"forward of SD 1.5's UNet, {threads} thread(s)", mine, "s", "torch.compile", theirs), "aim": 1}]
