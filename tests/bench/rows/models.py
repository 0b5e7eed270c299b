"""Scoring forwards and training images of three UNets against the published structure and against a tuned, compiled PyTorch.

The digits' UNet, that of cifar10-16px.yaml and the paper's of 49 M weights; peers (a) and (b) of peer_models.py, in (b) float32 or bfloat16,
whichever is faster. Programs that stay up and measure in turns, one thread each, processor time. Batches of our side are those of the
recipes (smaller for 49 M weights, where they do not matter: a test of one image takes a tenth of a second); (a) scores 64 at a time as the
released code does. Compiling is not counted; its seconds go to the terminal. GUDA_BENCH_MODELS=digits,16px names fewer networks.
"""

import json
import os
import pathlib
import statistics
import tempfile

from measure import ROOT, program
from networks import MODELS, Side

# batch and times: ours, (a), (b)
WORK = {
    "digits": {"score": ((256, 20), (64, 40), (256, 20)), "train": ((64, 40), (64, 40), (64, 40))},
    "16px": {"score": ((256, 4), (64, 8), (256, 4)), "train": ((64, 8), (64, 8), (64, 8))},
    "cifar": {"score": ((32, 1), (64, 1), (32, 1)), "train": ((8, 1), (8, 1), (8, 1))}}
# of the peer's time at most: issue 7
AIMS = {("digits", "score"): (3, 1.3), ("16px", "score"): (3, 1.3), ("cifar", "score"): (1.9, 1.1),
        ("digits", "train"): (2, 1.1), ("16px", "train"): (2, 1.1)}


def compared(name, mine, theirs, peer, aim):
    row = {"name": name, "value": mine, "unit": "us", "reference": peer, "reference_value": theirs, "ratio": mine / theirs}
    if aim:
        row["aim"] = 1 / aim
    return row


def measure(options):
    python = os.environ.get("GUDA_PARITY_PYTHON", str(ROOT / ".deps/parity/bin/python"))
    if not os.path.exists(python):
        raise FileNotFoundError(f"{python} (./run test sets it up)")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in os.environ.get("GUDA_BENCH_MODELS", "digits,16px,cifar").split(","):
            file = pathlib.Path(scratch) / f"{name}.json"
            file.write_text(json.dumps(MODELS[name]))
            peer = ROOT / "tests/bench/peer_models.py"
            sides = [Side(program("guda_bench_models"), file), Side(python, peer, file, "published"), Side(python, peer, file, "tuned")]
            for work, sizes in WORK[name].items():
                for side, (batch, _) in zip(sides, sizes):  # compiles, draws weights
                    side(work, (batch, 1))
                samples = [[side(work, size) for side, size in zip(sides, sizes)] for _ in range(options.repeat)]
                mine, published, tuned = (statistics.median(column) for column in zip(*samples))
                print(f"    {name} {work}: {mine:.1f} us an image, published {published:.1f}, tuned {tuned:.1f}", flush=True)
                aims = AIMS.get((name, work), (None, None))
                rows += [compared(f"{name} {work} against (a)", mine, published, "published", aims[0]),
                         compared(f"{name} {work} against (b)", mine, tuned, "tuned", aims[1])]
            for side in sides:
                side.close()
    for row in rows:
        if "aim" in row:
            print(f"    {row['name']}: {row['ratio']:.2f}, aim {row['aim']:.2f}{'' if row['ratio'] <= row['aim'] else ': missed'}")
    return rows
