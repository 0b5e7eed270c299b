"""INT, TERM and USR2 to guda run end it with 75 within --grace in every phase; the same command goes on to the same bytes.

One run is interrupted again and again: at start-up, in training, unlearning, sampling and scoring, and near its end. A
second INT ends it at once. Phases are waited for in `guda status --json`, not timed.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from results_data import data_of, same  # noqa: E402
from run_under_test import COMMIT, GUDA, RECIPE, Run, below, commits, failures, orphans, records  # noqa: E402

GRACE = 60  # s: many times what handing back takes, so that only a signal that was not heeded lasts as long
LIFE, LEASE = 1, 5
PHASES = RECIPE.with_name("phases.yaml")


def read(file):
    """JSON of a file that others replace, or nothing."""
    try:
        return json.loads(Path(file).read_text())
    except (OSError, ValueError):
        return {}


def catches_usr2(pid):
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line for line in text.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1)


class Interrupted:
    """A run directory whose run is stopped again and again."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.epoch = 0  # of the last life that was stopped

    def start(self, heartbeat="0.1/30/120"):
        self.former = {name: read(self.folder / name).get("token") for name in ("life.json", "status.json")}
        self.run = Run(self.folder, "--grace", str(GRACE), recipe=PHASES, heartbeat=heartbeat).start()
        return self

    def until(self, reached):
        """What `reached` returns once that is something."""
        while not (found := reached()):
            assert self.run.process.poll() is None, f"ended with {self.run.process.poll()}:\n{self.run.output()}"
            time.sleep(0.01)
        return found

    def renewed(self, name):
        """True once this life has written the file."""
        return (token := read(self.folder / name).get("token")) and token != self.former[name]

    def at_work(self, phase):
        """Workers of this life that are in the middle of a job of the phase."""
        status = json.loads(self.run.status() or "{}")
        if status.get("epoch", 0) <= self.epoch or status["state"] != "running":
            return []
        return [w for w in status["workers"] if w["job"].startswith(phase) and w["step"] > 0]

    def tell_workers(self, number):
        for process in below(self.run.pid):
            if process.name == "guda-worker":
                os.kill(process.pid, number)

    def frozen_in(self, phase):
        """Freezes the workers in the middle of a job of the phase. False, and all go on: the job has just ended."""
        if not self.at_work(phase):
            return False
        self.tell_workers(signal.SIGSTOP)
        if any(label.startswith(phase) for label in self.undone()):
            return True
        self.tell_workers(signal.SIGCONT)
        return False

    def undone(self):
        """Labels of the jobs that this life had begun and not finished."""
        labels = {job["digest"]: job["label"] for job in read(self.folder / "plan.json")["jobs"]}
        begun = []
        for kind, body in records(self.folder):
            if kind == LIFE:
                begun = []
            elif kind == LEASE:
                begun.append(body["job"])
            elif kind == COMMIT and body["job"] in begun:
                begun.remove(body["job"])
        return [labels[job] for job in begun]

    def ended(self, *codes):
        """Waits for the end, which must be with one of the exit codes; which."""
        code = self.run.wait()
        assert code in codes, f"{code} instead of {codes}:\n{self.run.output()}"
        assert not orphans(self.folder), orphans(self.folder)
        assert not failures(self.folder), failures(self.folder)
        self.epoch = read(self.folder / "life.json").get("epoch", 0)
        return code

    def stop(self, number, *codes, frozen=False):
        """A signal, and the end within the grace; the exit code. Frozen workers go on once they were told to stop."""
        begin = time.monotonic()
        self.run.process.send_signal(number)
        if frozen:
            while self.run.process.poll() is None and read(self.folder / "status.json").get("state") != "stopping":
                time.sleep(0.01)
            self.tell_workers(signal.SIGCONT)
        code = self.ended(*(codes or [75]))
        assert time.monotonic() - begin < GRACE, f"not within --grace {GRACE}:\n{self.run.output()}"
        return code


def at_start_up(run):
    # The lock names its owner before the first life begins, status.json comes from the coordinator. In between mpirun
    # forwards a signal that it catches to the ranks it has started: none.
    run.start().until(lambda: read(run.folder / "lock").get("pid") == run.run.pid)
    run.stop(signal.SIGINT)
    run.start().until(lambda: run.renewed("life.json") and any(p.name == "mpirun" and catches_usr2(p.pid) for p in below(run.run.pid)))
    run.stop(signal.SIGTERM)
    run.start().until(lambda: run.renewed("status.json"))
    run.stop(signal.SIGUSR2)
    print(f"before or at the first jobs: {len(commits(run.folder))} results, 75 three times")


def in_phases(run, signals):
    """Stops the run in the middle of a job of each phase, in whatever order they come; labels of these jobs. A job may have been at its last step."""
    labels, left = [], dict(signals)
    for _ in range(5 + len(signals)):
        if not left:
            return labels
        run.start().until(lambda: run.frozen_in(tuple(left)))
        phase = next(phase for phase in left if any(label.startswith(phase) for label in run.undone()))
        number = left[phase]
        run.stop(number, frozen=True)
        if met := [label for label in run.undone() if label.startswith(phase)]:
            print(f"{number.name} in {', '.join(met)}: 75")
            labels += met
            del left[phase]
    sys.exit(f"never stopped in the middle of a job of {', '.join(left)}")


def twice(run):
    """A frozen worker can't hand its job back: the first INT waits for it, the second does not."""
    run.start(heartbeat="0.2/300/1000").until(lambda: run.at_work("train"))
    run.tell_workers(signal.SIGSTOP)
    said = run.run.output().count("stopping:")
    run.run.process.send_signal(signal.SIGINT)
    run.until(lambda: run.run.output().count("stopping:") > said)
    assert run.run.process.poll() is None
    run.stop(signal.SIGINT)
    checked = subprocess.run([GUDA, "verify", run.folder], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    print("a second INT ends at once what does not hand itself back; guda verify finds no fault")


def near_the_end(run):
    total = len(read(run.folder / "plan.json")["jobs"])
    run.start().until(lambda: len(commits(run.folder)) >= total - 1)
    code = run.stop(signal.SIGUSR2, 75, 0)
    print(f"with {len(commits(run.folder))} of {total} jobs done: {code}")


def main():
    with tempfile.TemporaryDirectory() as name:
        quiet = Interrupted(Path(name) / "undisturbed").start()
        quiet.ended(0)
        run = Interrupted(Path(name) / "interrupted")
        at_start_up(run)
        twice(run)
        resumed = in_phases(run, {"train": signal.SIGINT})
        resumed += in_phases(run, {"unlearn": signal.SIGTERM, "sample": signal.SIGUSR2})  # the scheduler has them in any order
        in_phases(run, {"score": signal.SIGINT})
        near_the_end(run)
        run.start().ended(0)
        same(data_of(quiet.folder), data_of(run.folder))
        made = commits(run.folder)
        assert made.keys() == commits(quiet.folder).keys() and all(times == 1 for times in made.values()), made
        labels = {job["digest"]: job["label"] for job in read(run.folder / "plan.json")["jobs"]}
        for kind, body in records(run.folder):
            if kind == COMMIT and labels[body["job"]] in resumed and not labels[body["job"]].startswith("sample"):
                assert body["metrics"].get("resumed_from_step", 0) > 0, body
        print("finished by the same command: identical, nothing done twice, stopped jobs went on from the step they had reached")


if __name__ == "__main__":
    main()
