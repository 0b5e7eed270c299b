"""Speed of guda, as ratios of medians of interleaved runs. usage: ./run bench [--repeat N] [ROW...]

Each row compares `ours` with `theirs` (or with a bound); runs alternate between the two sides, so that a machine that
slows down meanwhile slows both. The numbers go to build/bench.json, a table to the terminal. A missed bound exits 1.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("GUDA_BIN_DIR", ROOT / "build" / "release" / "bin"))


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


def noop_rate(work, run, jobs, workers):
    """Jobs per second of the real coordinator and agents with workers that do nothing."""
    folder = work / "bin"
    if not folder.exists():
        folder.mkdir()
        for name in ("guda-coordinator", "guda-agent"):
            shutil.copy(BIN / name, folder / name)
        for name in ("guda-noop-run", "guda-worker"):
            shutil.copy(BIN / "guda_noop_run", folder / name)
    shutil.rmtree(run, ignore_errors=True)
    done = subprocess.run([folder / "guda-noop-run", run, str(jobs), str(workers)], capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        sys.exit(f"guda-noop-run ended with {done.returncode}: {done.stdout}{done.stderr}")
    answer = json.loads(done.stdout)
    return answer["jobs"] / answer["seconds"]


def peer_rate(tasks):
    """Tasks per second of mpi4py.futures with three workers; nothing where it is not installed."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import mpi4py.futures"], capture_output=True).returncode != 0:
        return None
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl_vader_single_copy_mechanism", "none", "-np", "4",
               python, "-m", "mpi4py.futures", ROOT / "tests/bench/peer_futures.py", str(tasks)]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=900)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer["jobs"] / answer["seconds"]


def simulated(*arguments):
    return json.loads(subprocess.run([BIN / "guda", "simulate", "--json", *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def bench_coordinator(repeat):
    """No-op jobs per second beside mpi4py.futures, the scheduler at 10,000 workers, guda status at 1e5 jobs. Bounds: docs/scale.md."""
    rows = []
    with tempfile.TemporaryDirectory() as disk, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        work = pathlib.Path(disk)
        sides = [lambda: noop_rate(work, pathlib.Path(memory) / "run", 20000, 3), lambda: noop_rate(work, work / "run", 20000, 3),
                 lambda: peer_rate(20000)]
        samples = [[side() for side in sides] for _ in range(min(repeat, 3))]
        off, on, peer = ([s[i] for s in samples] for i in range(3))
        peer_text = "not installed" if peer[0] is None else f"{statistics.median(peer):.0f}/s mpi4py.futures"
        for name, rates, least in [("no-op jobs/s, journal in memory", off, 10000), ("no-op jobs/s, journal on disk", on, 5000)]:
            rate = statistics.median(rates)
            result = row(f"coordinator: {name}", 1 / rate, bound=1 / least)
            result |= {"per_second": rate, "text": f"{rate:.0f}/s, at least {least}; {peer_text}"}
            rows.append(result)
        run = work / "status"
        noop_rate(work, run, 100000, 3)
        status = statistics.median(wall_seconds([BIN / "guda", "status", run]) for _ in range(max(repeat, 5)))
        rows.append(row("coordinator: status at 1e5 jobs", status, bound=0.1))
    small, large = simulated("--workers", 1000, "--jobs", 1000), simulated("--workers", 1000, "--jobs", 1000000)
    ratio = large["cpu_seconds_per_event"] / small["cpu_seconds_per_event"]
    rows.append({"name": "coordinator: event, 1e6 / 1e3", "seconds": large["cpu_seconds_per_event"], "bound_seconds": 1.3 * small["cpu_seconds_per_event"],
                 "ratio": ratio / 1.3, "text": f"{1e6 * large['cpu_seconds_per_event']:.2f} us, {ratio:.2f}x of 1e3 jobs, at most 1.3x"})
    big = simulated("--workers", 10000, "--jobs", 1000000, "--failures", 0.01)
    rows.append(row("coordinator: 1e4 workers, 1e6 jobs", big["wall_seconds"], bound=60) | {
        "text": f"{big['wall_seconds']:.1f} s, {big['peak_memory_bytes'] / 1e9:.2f} GB, {100 * big['utilisation_before_tail']:.2f} % busy before the tail"})
    # 60 styles: unlearn, then score, ten blocks each, on 64 GPUs.
    styles, blind = (simulated("--workers", 64, "--jobs", 1200, "--chains", *more) for more in ([], ["--blind"]))
    rows.append({"name": "coordinator: makespan / bound", "seconds": styles["makespan_over_bound"], "bound_seconds": 1.05,
                 "ratio": styles["makespan_over_bound"] / 1.05, "text": f"{styles['makespan_over_bound']:.3f} longest first, at most 1.05; {blind['makespan_over_bound']:.3f} first come, first served"})
    return rows


ROWS = {"cli": bench_cli, "coordinator": bench_coordinator, "build-no-torch": bench_build_no_torch}
NEEDS_PROGRAMS = {"cli", "coordinator"}


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
        if "text" in result:  # what seconds alone don't say
            print(f"{result['name']:40} {result['text']}{'' if result['ratio'] <= 1 else '   MISSED'}")
            continue
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
