"""A ReTrack step against a Python/diffusers loop of the published structure (at most a third of its time) and a tuned one; nearest neighbours.

128 + 128 images of 32 x 32, ten neighbours each; the UNet of cifar10-16px.yaml, which the bound is for, and one of the published shape at a quarter
of its width, with attention. Whole batches, and 16 images at once (`resources.micro_batch`), which stay in the caches. One thread a side, as a guda worker has, in turns (--repeat pairs), processor time. Flip-aware exact neighbours of 1,000
images among 9,000, on all cores: at most 3 s of wall time on two. GUDA_CIFAR10 names a folder of CIFAR-10 with at least 10,000 images; without it both
sides take made-up ones.
"""

import json
import os
import pathlib
import subprocess
import tempfile

from measure import BIN, BUILD, ROOT, against, bounded, interleaved

COMMON = {"sample_size": 32, "in_channels": 3, "out_channels": 3, "layers_per_block": 1, "norm_num_groups": 8}
MODELS = {
    "UNet of the study": {**COMMON, "block_out_channels": [24, 48], "down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2,
                          "add_attention": False},
    "published shape": {**COMMON, "block_out_channels": [32, 64, 64, 64], "attention_head_dim": 8, "dropout": 0.3,
                        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
                        "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]}}
STEPS = 2
PEERS = ("peer_retrack.py", "peer_retrack_tuned.py")


def printed(command):
    return json.loads(subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout)


def side(command):
    name = next(pathlib.Path(word).name for word in command if not word.endswith("python"))

    def run():
        seconds = printed(command)["processor_seconds_per_step"]
        print(f"    {name}: {seconds:.2f} s a step", flush=True)
        return seconds
    return run


def measure(options):
    ours, python = BIN / "guda_bench_unlearn", os.environ.get("GUDA_PARITY_PYTHON", str(ROOT / ".deps/parity/bin/python"))
    if not ours.exists():
        raise FileNotFoundError(f"{ours} (cmake --build {BUILD} --target guda_bench_unlearn)")
    if not os.path.exists(python):
        raise FileNotFoundError(f"{python} (./run test sets it up)")
    data = os.environ.get("GUDA_CIFAR10")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "config.json"
        for name, model in MODELS.items():
            file.write_text(json.dumps(model))
            work = [str(file), "--steps", str(STEPS), "--threads", "1"] + (["--data", data] if data else [])
            mine, parts, theirs, tuned = interleaved(
                options.repeat, *(side([str(ours), data or "-", str(file), str(STEPS), at_once, "1"]) for at_once in ("0", "16")),
                *(side([python, str(ROOT / "tests/bench" / peer), *work]) for peer in PEERS))
            for label, seconds in ((name, mine), (f"{name}, 16 at once", parts)):
                rows += [against(f"ReTrack step, {label}, against the {peer} loop", seconds, "s", peer, other) for peer, other in (("published", theirs), ("tuned", tuned))]
            if name == "UNet of the study":
                rows.append(bounded("ReTrack step, 16 at once, in thirds of Python's", parts, "s", theirs / 3))
    neighbours = printed([str(ours), data or "-", "neighbours", str(os.cpu_count())])
    print(f"    neighbours: {neighbours['processor_seconds']:.2f} s of processor time")
    return rows + [bounded("neighbours, 1,000 x 9,000 x 3072, mirrors", neighbours["seconds"], "s", 3)]
