"""Our convolutions of few channels against LibTorch's on the same images, one core, processor time; and the core's peak."""

import json
import subprocess

from measure import BIN, BUILD, against


def measure(options):
    command = BIN / "guda_bench_kernels"
    if not command.exists():
        raise FileNotFoundError(f"{command} (cmake --build {BUILD} --target guda_bench_kernels)")
    result = json.loads(subprocess.run([command], check=True, capture_output=True, text=True).stdout)
    print(f"    {result['isa']}, one core's peak {result['peak_gflops']:.0f} GFLOP/s")
    rows = []
    for row in result["rows"]:
        for way in ("forward", "backward"):
            name = f"{row['shape']} {way} ({row[way + '_gflops']:.0f} GFLOP/s)"
            rows.append(against(name, row[way + "_us"], "us", "LibTorch", row[way + "_libtorch_us"]))
    return rows
