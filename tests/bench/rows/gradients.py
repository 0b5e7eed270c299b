"""Gradients of single images of the digits network, batched, against autograd image by image; one core, processor time."""

import json
import subprocess

from measure import BIN, BUILD, against


def measure(options):
    command = BIN / "guda_bench_gradients"
    if not command.exists():
        raise FileNotFoundError(f"{command} (cmake --build {BUILD} --target guda_bench_gradients)")
    result = json.loads(subprocess.run([command], check=True, capture_output=True, text=True).stdout)
    for p in result["projections"]:
        print(f"    projection to {p['dimension']} by {p['kind']}: {p['us']:.0f} us an image")
    return [against("gradient of one image", result["batched_us"], "us", "autograd one by one", result["one_by_one_us"])]
