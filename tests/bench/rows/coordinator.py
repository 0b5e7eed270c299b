"""No-op jobs per second beside mpi4py.futures and libEnsemble; the scheduler at 10,000 workers; guda status at 1e5 jobs. docs/scale.md has the table."""

import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from measure import ROOT, against, bounded, processor_seconds, program

JOBS, PEER_JOBS, WORKERS = 20000, 5000, 3


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


def rate_of(program_words, tasks):
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl_vader_single_copy_mechanism", "none",
               "-np", WORKERS + 1, *program_words, tasks]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=900, check=True)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer["jobs"] / answer["seconds"]


def peers():
    """{name: side} of the peers that can run here: jobs -> tasks per second with as many workers. Says which can't."""
    bench, debian = ROOT / "tests" / "bench", "/usr/bin/python3"
    found = {}
    for name, python, module, words in (("mpi4py.futures", debian, "mpi4py.futures", ["-m", "mpi4py.futures", bench / "peer_futures.py"]),
                                        ("libEnsemble", sys.executable, "libensemble", [bench / "peer_libensemble.py"])):
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
            found[name] = lambda tasks, command=(python, *words): rate_of(command, tasks)
        else:
            print(f"    skipped: no {name} (Debian: python3-mpi4py; PyPI: cmake/requirements/bench.txt)", flush=True)
    return found


def simulated(*arguments):
    return json.loads(subprocess.run([program("guda"), "simulate", "--json", *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def measure(options):
    rows = []
    with tempfile.TemporaryDirectory() as disk, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        work = pathlib.Path(disk)
        others = peers()
        # Sides take turns, so that whatever else the machine does meets all of them.
        sides = [lambda: noop_rate(work, pathlib.Path(memory) / "run", JOBS), lambda: noop_rate(work, work / "run", JOBS),
                 *(lambda side=side: side(PEER_JOBS) for side in others.values())]
        off, on, *theirs = (statistics.median(column) for column in zip(*[[side() for side in sides] for _ in range(min(options.repeat, 3))]))
        # A rate is a bound from below: its reciprocal is one from above.
        rows += [bounded("no-op job, journal in memory", 1e6 / off, "us", 100), bounded("no-op job, journal on disk", 1e6 / on, "us", 200)]
        rows += [against("no-op job, journal on disk", 1e6 / on, "us", name, 1e6 / rate) for name, rate in zip(others, theirs)]
        run = work / "status"
        noop_rate(work, run, 100000)
        status = [program("guda"), "status", run]
        rows.append(bounded("guda status at 1e5 jobs, processor", 1000 * min(processor_seconds(status) for _ in range(5)), "ms", 100))
        # A life that was killed has left no last word: everything is read from plan and journal.
        (run / "status.json").unlink()
        rows.append({"name": "  the same from the journal", "value": 1000 * min(processor_seconds(status) for _ in range(2)), "unit": "ms"})
    # In turns, and the least of five on both sides: what is fast once the machine has woken up is the program's own cost.
    turns = [[simulated("--workers", 100, "--jobs", jobs)["cpu_seconds_per_event"] for jobs in (1_000_000, 1000)] for _ in range(5)]
    large, small = (min(column) for column in zip(*turns))
    rows.append(bounded("event at 1e6 jobs / at 1e3", large / small, "x", 1.3))
    big = simulated("--workers", 10000, "--jobs", 1000000, "--failures", 0.01)
    rows += [bounded("1e4 workers, 1e6 jobs", big["wall_seconds"], "s", 60), bounded("  its memory", big["peak_memory_bytes"] / 1e9, "GB", 1),
             bounded("  idle before the tail", 100 * (1 - big["utilisation_before_tail"]), "%", 1)]
    # 60 styles: unlearn, then score ten blocks, on 64 GPUs.
    styles, blind = (simulated("--workers", 64, "--jobs", 60 * 11, "--styles", *more) for more in ([], ["--blind"]))
    rows += [bounded("makespan / bound, longest first", styles["makespan_over_bound"], "x", 1.05),
             against("makespan / bound", styles["makespan_over_bound"], "x", "first come first served", blind["makespan_over_bound"])]
    return rows
