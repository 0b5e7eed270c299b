"""What the rows share: where things lie, interleaved runs, processor time of processes."""

import dataclasses
import os
import pathlib
import resource
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GUDA_BENCH_BUILD", ROOT / "build" / "release"))
BIN = BUILD / "bin"
BENCH = ROOT / "build" / "bench"
RECIPES = ROOT / "jobs" / "recipes"
TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Options:
    repeat: int
    scale: float
    fresh: bool


def program(name):
    path = BIN / name
    if not path.exists():
        raise FileNotFoundError(f"{path} (./run build)")
    return path


def wall_seconds(command, **options):
    started = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
    return time.perf_counter() - started


def processor_seconds(command):
    """User and system time of the command and its children: other work on the machine hardly shows in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall_seconds(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interleaved(repeat, *sides):
    """Median of each side, sides taking turns; a side is a function that returns seconds."""
    samples = [[side() for side in sides] for _ in range(repeat)]
    return [statistics.median(column) for column in zip(*samples)]


def bounded(name, value, unit, bound):
    return {"name": name, "value": value, "unit": unit, "bound": bound, "ratio": value / bound}


def against(name, value, unit, reference, reference_value):
    return {"name": name, "value": value, "unit": unit, "reference": reference, "reference_value": reference_value, "ratio": value / reference_value}


def digits_at(scale):
    """--set options that shrink the digits experiment; peer_digits.py --scale does the same."""
    steps, unlearn, sampler = (max(2, round(n * scale)) for n in (600, 100, 100))
    timesteps = max(1, round(50 * scale))
    settings = [f"training.steps={steps}", f"training.warmup_steps={max(1, round(steps / 12))}",
                f"queries.generated.sampler.steps={sampler}", f"scoring.last_timestep={10 + 20 * (timesteps - 1)}"]
    for method in ("retrack_exact", "ifu", "retrack_released"):
        settings += [f"methods.{method}.unlearn.steps={unlearn}", f"methods.{method}.unlearn.warmup_steps={min(5, unlearn)}"]
    if scale < 0.3:  # the middle weights need timesteps from 100 on
        settings.append("comparison.weightings=[{name: elbo, kind: elbo}]")
    return [word for setting in settings for word in ("--set", setting)]


def processes_below(pid):
    """{pid: (name, processor seconds of the process itself)} of everything below `pid`, and `pid` itself."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
            table[int(entry)] = (int(rest[1]), name, (int(rest[11]) + int(rest[12])) / TICK)
    found = [pid]
    for parent in found:
        found += [child for child, (above, _, _) in table.items() if above == parent]
    return {p: table[p][1:] for p in found if p in table}
