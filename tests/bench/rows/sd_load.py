"""Loading Stable Diffusion 1.5's UNet (3.4 GB of random numbers): at most 1.3 times the time of reading the file.

From a warm cache into touched memory, in turns, wall time; reading is the whole file into memory of the same allocator. GUDA_BENCH_FOLDER names a place for 3.4 GB.
"""

import json
import os
import pathlib
import statistics
import tempfile

from measure import bounded, program
from networks import SD15, Side


def measure(options):
    with tempfile.TemporaryDirectory(dir=os.environ.get("GUDA_BENCH_FOLDER")) as scratch:
        file = pathlib.Path(scratch) / "sd15.json"
        file.write_text(json.dumps(SD15))
        side = Side(program("guda_bench_sd"), file, 1)
        folder = pathlib.Path(scratch) / "unet"
        side("save", (folder,))
        for what in ("load", "read") * 5:  # until the allocator's pages have been touched
            side(what, (folder,))
        samples = [(side("load", (folder,)), side("read", (folder,))) for _ in range(max(options.repeat, 5))]
        side.close()
    load, read = (statistics.median(column) for column in zip(*samples))
    print("    " + ", ".join(f"{a:.2f}/{b:.2f}" for a, b in samples) + " s, loading/reading")
    return [bounded("loading SD 1.5's UNet", load, "s", 1.3 * read)]
