"""The whole digits experiment against the same work in Python/diffusers (peer_digits.py), on all cores, at most half its time.

Both sides do the same number of steps and forwards at the same hyper-parameters; --scale shrinks both alike. Each
finished run is kept in build/bench/digits-<scale>.json, so an interrupted measurement goes on when typed again.
The peer runs twice: as one process with a thread per core, and as one process per core; the faster one counts. Its time
does not contain its imports; ours is that of the whole command, from the shell to the report.
"""

import json
import os
import statistics
import subprocess
import tempfile

from measure import BENCH, RECIPES, ROOT, against, digits_at, program, wall_seconds


def ours(scale):
    with tempfile.TemporaryDirectory() as scratch:
        return wall_seconds([program("guda"), "run", RECIPES / "digits.yaml", "--run-dir", f"{scratch}/run", *digits_at(scale)],
                            stderr=subprocess.DEVNULL)


def peer(scale, *arguments):
    python = os.environ.get("GUDA_PARITY_PYTHON", str(ROOT / ".deps/parity/bin/python"))
    if not os.path.exists(python):
        raise FileNotFoundError(f"{python} (./run test sets it up)")
    command = [python, ROOT / "tests/bench/peer_digits.py", "--scale", str(scale), "--json", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["total"]


def measure(options):
    cores = str(os.cpu_count())
    sides = {"guda": lambda: ours(options.scale),
             "python, threads": lambda: peer(options.scale, "--threads", cores),
             "python, processes": lambda: peer(options.scale, "--processes", cores)}
    program("guda-worker")
    kept = BENCH / f"digits-{options.scale:g}.json"
    samples = {} if options.fresh or not kept.exists() else json.loads(kept.read_text())
    for turn in range(options.repeat):
        for name, side in sides.items():
            if len(samples.get(name, [])) <= turn:
                samples.setdefault(name, []).append(side())
                print(f"{name:18} run {turn + 1}: {samples[name][turn]:.1f} s", flush=True)
                kept.write_text(json.dumps(samples) + "\n")
    medians = {name: statistics.median(values[:options.repeat]) for name, values in samples.items()}
    best = min((name for name in medians if name != "guda"), key=medians.get)
    rows = [against(f"digits at scale {options.scale:g}, against {name}", medians["guda"], "s", name, medians[name]) for name in medians if name != "guda"]
    rows.append(bounded_by_half(medians["guda"], medians[best]))
    return rows


def bounded_by_half(seconds, peer_seconds):
    return {"name": "digits: share of half the faster peer's time", "value": seconds, "unit": "s", "bound": peer_seconds / 2,
            "ratio": seconds / (peer_seconds / 2)}
