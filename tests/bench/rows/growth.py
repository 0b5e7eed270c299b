"""Scoring a thousand and a million (query, timestep) pairs of the digits' UNet costs the same a pair, within 5 %.

Processor time of one thread in one process, batches of 256; rounds of all sizes in turns.
"""

import json
import pathlib
import statistics
import tempfile

from measure import bounded, program
from networks import MODELS, Side

BATCH = 256
PAIRS = (1_000, 10_000, 100_000, 1_000_000)


def measure(options):
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "digits.json"
        file.write_text(json.dumps(MODELS["digits"]))
        ours = Side(program("guda_bench_models"), file)
        ours("score", (BATCH, 4))
        # As many batches for each size a round, so that its median says as much: a small one is measured more often.
        samples = {pairs: [] for pairs in PAIRS}
        for _ in range(options.repeat):
            for pairs in PAIRS:
                times = max(1, min(20, PAIRS[-1] // pairs // 5))
                samples[pairs].append(statistics.median(ours("score", (BATCH, pairs // BATCH + 1)) for _ in range(times)))
        ours.close()
    us = {pairs: statistics.median(values) for pairs, values in samples.items()}
    for pairs, value in us.items():
        print(f"    {pairs:9,} pairs: {value:.2f} us a pair")
    return [bounded("a million pairs against a thousand, a pair", us[PAIRS[-1]], "us", 1.05 * us[PAIRS[0]])]
