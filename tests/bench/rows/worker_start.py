"""From starting guda-worker to its first forward with a network of 49 M weights: at most 1 s and the time to read the file.

guda-worker eval-model: start of the process, LibTorch's libraries, the network, its weights (196 MB), one image. Reading is what `cat`
takes for the same file. Wall time, since a start waits as much as it computes: measure on a machine with nothing else to do.
"""

import json
import pathlib
import struct
import subprocess
import tempfile

from measure import bounded, interleaved, program, wall_seconds
from networks import MODELS, Side


def probe(path):
    """One image and a timestep as safetensors."""
    image, step = bytes(4 * 3 * 32 * 32), struct.pack("<q", 500)
    header = json.dumps({"sample": {"dtype": "F32", "shape": [1, 3, 32, 32], "data_offsets": [0, len(image)]},
                         "timestep": {"dtype": "I64", "shape": [1], "data_offsets": [len(image), len(image) + 8]}}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + image + step)


def measure(options):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "cifar.json").write_text(json.dumps(MODELS["cifar"]))
        maker = Side(program("guda_bench_models"), folder / "cifar.json")
        maker("save", (folder / "unet",))
        maker.close()
        probe(folder / "probe.safetensors")
        (weights,) = (folder / "unet").glob("*.safetensors")
        command = [program("guda-worker"), "eval-model", folder / "unet", "--input", folder / "probe.safetensors", "--output", folder / "out.safetensors"]
        start, read = interleaved(max(options.repeat, 5), lambda: wall_seconds(command), lambda: wall_seconds(["cat", weights]))
        version = wall_seconds([program("guda-worker"), "--version"])
    print(f"    reading {weights.name}: {read:.2f} s; guda-worker --version: {version:.2f} s")
    return [bounded("start to the first forward, 49 M weights", start, "s", 1 + read)]
