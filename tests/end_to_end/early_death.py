"""Deaths before a life has told anything: of the coordinator or an agent in MPI_Init, or before the journal begins."""
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from run_under_test import Run, below  # noqa: E402


def a_status_of_the_same_epoch(work):
    """A coordinator that died before its journal began leaves a status.json of the very epoch that the next life has."""
    run = Run(work / "run").start()
    while not (run.folder / "status.json").exists():
        assert run.process.poll() is None, run.output()
    run.process.kill()
    run.wait()
    for segment in (run.folder / "journal").glob("*.bin"):
        segment.unlink()
    assert run.start().wait() == 0, run.output()
    assert "ended early" not in run.output(), f"a sound life was taken for the dead one:\n{run.output()}"


def hit_in_its_start(work, name, number, reason=""):
    """The other ranks wait in MPI_Init for ever; the supervisor sees it long before a silent start would have run out of patience."""
    run = Run(work / f"{name}-{number.name}").start()
    while not (found := [p.pid for p in below(run.pid) if p.name == name]):
        assert run.process.poll() is None, run.output()
        time.sleep(0.005)
    time.sleep(0.25)  # seen by the supervisor, which looks five times a second
    os.kill(found[0], number)
    early = not (run.folder / "status.json").exists()
    assert run.wait() == 0, run.output()
    assert "does not move any more" not in run.output(), run.output()
    if early and name == "guda-coordinator":  # an agent may have been through MPI_Init: then the life goes on without it
        assert f"ended early: {reason}" in run.output(), run.output()
    return early


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        a_status_of_the_same_epoch(work)
        hits = [hit_in_its_start(work, "guda-coordinator", signal.SIGKILL, "the coordinator died"),
                hit_in_its_start(work, "guda-agent", signal.SIGKILL),
                hit_in_its_start(work, "guda-agent", signal.SIGSTOP)]
        print(f"hit before the first status: {sum(hits)} of {len(hits)}")


if __name__ == "__main__":
    main()
