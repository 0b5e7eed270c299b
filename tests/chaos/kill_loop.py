"""Real runs whose processes are killed and frozen at random (seeded) times end by themselves with bitwise equal results.

    kill_loop.py [RUNS] [SEED]      15 runs by default; kill_loop_long.py: 300

Victims: worker, agent, coordinator, mpirun, and guda run itself by SIGKILL (then the same command is typed again); all but
the last also by SIGSTOP. After each run: the data in results.h5 are those of an undisturbed run, no job was committed twice,
nothing is left running. Prints kills survived and tried, and the time that a kill cost.
"""
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from results_data import data_of, same  # noqa: E402
from run_under_test import GUDA, Run, below, commits, orphans  # noqa: E402

SUPERVISOR = "guda"
VICTIMS = [(name, signal.SIGKILL) for name in ("guda-worker", "guda-agent", "guda-coordinator", "mpirun", SUPERVISOR)]
VICTIMS += [(name, signal.SIGSTOP) for name in ("guda-worker", "guda-agent", "guda-coordinator", "mpirun")]
PATIENCE = 240  # s without an end: a hang


class Disturbed:
    """One run directory under attack."""

    def __init__(self, folder, rng):
        self.run, self.rng = Run(folder), rng
        self.kills = []

    def strike(self, name, number):
        """True when there was somebody to hit."""
        found = [self.run.pid] if name == SUPERVISOR else [p for p in below(self.run.pid) if p.name == name]
        if not found:
            return False
        victim = found[0] if name == SUPERVISOR else self.rng.choice(found).pid
        try:
            os.kill(victim, number)
        except ProcessLookupError:
            return False
        self.kills.append((name, number.name))
        if name == SUPERVISOR:
            self.run.process.wait()
            until = time.monotonic() + 15
            while orphans(self.run.folder) and time.monotonic() < until:
                time.sleep(0.05)
            assert not orphans(self.run.folder), f"alive after the death of guda run: {orphans(self.run.folder)}"
            self.run.start()
        return True

    def go(self, plan):
        """Strikes (wait, victim, signal) after (wait, ...) while the run goes on; its end in seconds."""
        start = time.monotonic()
        self.run.start()
        for wait, name, number in plan:
            until = time.monotonic() + wait
            while time.monotonic() < until or not self.strike(name, number):
                if self.run.process.poll() is not None:
                    break
                time.sleep(0.02)
            if self.run.process.poll() is not None:
                break
        try:
            code = self.run.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            sys.exit(f"hangs after {self.kills}:\n{self.run.output()}\n{self.run.status()}")
        if code != 0:
            sys.exit(f"ended with {code} after {self.kills}:\n{self.run.output()}\n{self.run.status()}")
        return time.monotonic() - start


def main(runs, seed):
    print(f"{GUDA}: {runs} runs, seed {seed}")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as work:
        quiet = Disturbed(Path(work) / "undisturbed", rng)
        undisturbed = quiet.go([])
        reference = data_of(quiet.run.folder)
        jobs = set(commits(quiet.run.folder))
        print(f"undisturbed: {undisturbed:.1f} s, {len(jobs)} jobs")
        tried, costs = 0, []
        hits = {}
        for n in range(runs):
            # Every victim in turn, so that few runs meet them all; the moments and the second ones are random.
            plan = [(rng.uniform(0.2, 0.8 * undisturbed), *VICTIMS[n % len(VICTIMS)])]
            plan += [(rng.uniform(0.3, 2.0), *rng.choice(VICTIMS)) for _ in range(rng.randint(0, 2))]
            disturbed = Disturbed(Path(work) / f"run-{n}", rng)
            took = disturbed.go(plan)
            same(reference, data_of(disturbed.run.folder))
            made = commits(disturbed.run.folder)
            for job in jobs - set(made):  # killed between publishing an artifact and its commit: the artifact counts
                assert (disturbed.run.folder / "artifacts" / job).is_dir(), f"job {job} is neither in the journal nor an artifact"
            assert all(times == 1 for times in made.values()), "a job was committed twice"
            until = time.monotonic() + 15
            while orphans(disturbed.run.folder) and time.monotonic() < until:
                time.sleep(0.05)
            assert not orphans(disturbed.run.folder), f"left over: {orphans(disturbed.run.folder)}"
            tried += len(disturbed.kills)
            for kill in disturbed.kills:
                hits[kill] = hits.get(kill, 0) + 1
            if disturbed.kills:
                costs.append((took - undisturbed) / len(disturbed.kills))
            print(f"run {n}: {took:5.1f} s, {', '.join(f'{s[3:]} {v}' for v, s in disturbed.kills) or 'nothing hit'}: identical", flush=True)
        print(f"kills survived / tried: {tried} / {tried} in {runs} runs ({', '.join(f'{s[3:]} {v} {k}' for (v, s), k in sorted(hits.items()))})")
        if costs:
            print(f"time lost per kill: median {statistics.median(costs):.1f} s, worst {max(costs):.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15, int(sys.argv[2]) if len(sys.argv) > 2 else 7)
