"""The comparison of `quickstart --full` (1,980 queries, 10 methods, 32 views, 1,000 resamples) within 3 s."""

import json
import statistics
import subprocess

from measure import BIN, BUILD, bounded


def measure(options):
    command = BIN / "guda_bench_compare"
    if not command.exists():
        raise FileNotFoundError(f"{command} (cmake --build {BUILD} --target guda_bench_compare)")
    seconds = [json.loads(subprocess.run([command], check=True, capture_output=True, text=True).stdout)["seconds"] for _ in range(options.repeat)]
    return [bounded("compare at --full scale", statistics.median(seconds), "s", 3)]
