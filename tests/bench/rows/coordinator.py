"""No-op jobs per second beside mpi4py.futures; the scheduler at 10,000 workers; guda status at 1e5 jobs. docs/scale.md has the table."""

import json
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from measure import ROOT, against, bounded, program, wall_seconds

JOBS, WORKERS = 20000, 3


def noop_rate(work, run, jobs):
    """Jobs per second of the real supervisor, coordinator and agents with workers that do nothing."""
    folder = work / "bin"
    if not folder.exists():
        folder.mkdir()
        for name in ("guda-coordinator", "guda-agent"):
            shutil.copy(program(name), folder / name)
        for name in ("guda-noop-run", "guda-worker"):
            shutil.copy(program("guda_noop_run"), folder / name)
    shutil.rmtree(run, ignore_errors=True)
    done = subprocess.run([folder / "guda-noop-run", run, str(jobs), str(WORKERS)], capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(f"guda-noop-run ended with {done.returncode}: {done.stdout}{done.stderr}")
    answer = json.loads(done.stdout)
    return answer["jobs"] / answer["seconds"]


def peer_rate(tasks):
    """Tasks per second of mpi4py.futures with as many workers; 0 where it is not installed (Debian: python3-mpi4py)."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import mpi4py.futures"], capture_output=True).returncode != 0:
        return 0
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl_vader_single_copy_mechanism", "none",
               "-np", str(WORKERS + 1), python, "-m", "mpi4py.futures", ROOT / "tests/bench/peer_futures.py", str(tasks)]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=900)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer["jobs"] / answer["seconds"]


def simulated(*arguments):
    return json.loads(subprocess.run([program("guda"), "simulate", "--json", *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def measure(options):
    rows = []
    with tempfile.TemporaryDirectory() as disk, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        work = pathlib.Path(disk)
        sides = [lambda: noop_rate(work, pathlib.Path(memory) / "run", JOBS), lambda: noop_rate(work, work / "run", JOBS), lambda: peer_rate(JOBS)]
        off, on, peer = (statistics.median(column) for column in zip(*[[side() for side in sides] for _ in range(min(options.repeat, 3))]))
        # A rate is a bound from below: its reciprocal is one from above.
        rows += [bounded("no-op job, journal in memory", 1e6 / off, "us", 100), bounded("no-op job, journal on disk", 1e6 / on, "us", 200)]
        if peer:
            rows.append(against("no-op job, journal on disk", 1e6 / on, "us", "mpi4py.futures", 1e6 / peer))
        run = work / "status"
        noop_rate(work, run, 100000)
        rows.append(bounded("guda status at 1e5 jobs", 1000 * statistics.median(wall_seconds([program("guda"), "status", run]) for _ in range(5)), "ms", 100))
    large = simulated("--workers", 100, "--jobs", 1_000_000)
    small = min((simulated("--workers", 100, "--jobs", 1000) for _ in range(5)), key=lambda s: s["cpu_seconds_per_event"])
    rows.append(bounded("event at 1e6 jobs / at 1e3", large["cpu_seconds_per_event"] / small["cpu_seconds_per_event"], "x", 1.3))
    big = simulated("--workers", 10000, "--jobs", 1000000, "--failures", 0.01)
    rows += [bounded("1e4 workers, 1e6 jobs", big["wall_seconds"], "s", 60), bounded("  its memory", big["peak_memory_bytes"] / 1e9, "GB", 1),
             bounded("  idle before the tail", 100 * (1 - big["utilisation_before_tail"]), "%", 1)]
    # 60 styles: unlearn, then score ten blocks, on 64 GPUs.
    styles, blind = (simulated("--workers", 64, "--jobs", 60 * 11, "--styles", *more) for more in ([], ["--blind"]))
    rows += [bounded("makespan / bound, longest first", styles["makespan_over_bound"], "x", 1.05),
             against("makespan / bound", styles["makespan_over_bound"], "x", "first come first served", blind["makespan_over_bound"])]
    return rows
