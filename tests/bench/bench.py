"""Speed of guda, as ratios of medians of interleaved runs. usage: ./run bench [--repeat N] [ROW...]

Each row compares `ours` with `theirs` (or with a bound); runs alternate between the two sides, so that a machine that
slows down meanwhile slows both. The numbers go to build/bench.json, a table to the terminal. A missed bound exits 1.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build" / "release" / "bin"


def wall_seconds(command, **options):
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    return time.perf_counter() - started


def interleaved(repeat, *sides):
    """Median of each side, sides taking turns; a side is a function that returns seconds."""
    samples = [[side() for side in sides] for _ in range(repeat)]
    return [statistics.median(column) for column in zip(*samples)]


def row(name, seconds, bound=None, reference=None, reference_seconds=None):
    result = {"name": name, "seconds": seconds}
    if bound is not None:
        result |= {"bound_seconds": bound, "ratio": seconds / bound}
    if reference is not None:
        result |= {"reference": reference, "reference_seconds": reference_seconds, "ratio": seconds / reference_seconds}
    return result


def bench_cli(repeat):
    """guda --help, and guda status of a finished run, within 50 ms; /bin/true shows what starting a process costs."""
    guda = BIN / "guda"
    with tempfile.TemporaryDirectory() as scratch:
        run = pathlib.Path(scratch) / "run"
        subprocess.run([guda, "run", ROOT / "jobs/recipes/digits-smoke.yaml", "--run-dir", run], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        help_s, status_s, true_s = interleaved(
            max(repeat, 15),
            lambda: wall_seconds([guda, "--help"]),
            lambda: wall_seconds([guda, "status", run]),
            lambda: wall_seconds(["/bin/true"]),
        )
    return [row("cli: guda --help", help_s, bound=0.05), row("cli: guda status", status_s, bound=0.05), row("cli: /bin/true", true_s)]


def bench_build_no_torch(repeat):
    """A cold build of everything but guda-worker and the tests, without ccache, within 90 s on 2 cores."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"CCACHE_DISABLE": "1"}
        seconds = wall_seconds(["cmake", "-S", ROOT, "-B", scratch, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                                "-DGUDA_WITH_TORCH=OFF", "-DGUDA_WITH_TESTS=OFF"], env=environment)
        seconds += wall_seconds(["cmake", "--build", scratch, "-j", "2"], env=environment)
    return [row("build-no-torch", seconds, bound=90)]


ROWS = {"cli": bench_cli, "build-no-torch": bench_build_no_torch}
NEEDS_PROGRAMS = {"cli"}


def main():
    listing = "rows:\n" + "\n".join(f"  {name:16} {function.__doc__}" for name, function in ROWS.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=listing, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each side (default 5)")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no row named {', '.join(sorted(unknown))}; there are: {', '.join(ROWS)}")

    results, missing = [], []
    for name in options.rows or ROWS:
        if name in NEEDS_PROGRAMS and not (BIN / "guda").exists():
            missing.append(name)
            continue
        print(f"==> {name}", flush=True)
        results += ROWS[name](options.repeat)

    print(f"\n{'row':28}{'seconds':>10}{'against':>26}{'ratio':>8}")
    for result in results:
        against = f"bound {result['bound_seconds']:g} s" if "bound_seconds" in result else ""
        if "reference" in result:
            against = f"{result['reference']} {result['reference_seconds']:.3g} s"
        ratio = f"{result['ratio']:.2f}" if "ratio" in result else ""
        print(f"{result['name']:28}{result['seconds']:>10.4g}{against:>26}{ratio:>8}")
    for name in missing:
        print(f"{name:28}not measured: no {BIN / 'guda'} (./run build)")

    output = ROOT / "build" / "bench.json"
    output.parent.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "system": platform.platform()}
    output.write_text(json.dumps({"schema": 1, "machine": machine, "rows": results}, indent=1) + "\n")
    print(f"\n{output.relative_to(ROOT)}")
    slow = [r["name"] for r in results if "bound_seconds" in r and r["ratio"] > 1]
    return 1 if slow or missing else 0


if __name__ == "__main__":
    sys.exit(main())
