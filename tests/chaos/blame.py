"""The right one is blamed: a job that crashes, one that diverges, one that runs out of memory, a device that fails everything.

Each on real runs with real processes: crashes are segmentation faults. The run finishes whatever can be finished.
"""
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from results_data import data_of, same  # noqa: E402
from run_under_test import GUDA, RECIPE, Run, commits, failures, orphans, records  # noqa: E402

FENCE = 9


def finished(folder, *arguments, code):
    run = Run(folder, *arguments).start()
    got = run.wait()
    if got != code:
        sys.exit(f"{arguments} ended with {got} instead of {code}:\n{run.output()}\n{run.status()}")
    assert not orphans(folder)
    return run, json.loads(run.status())


def named_jobs(work):
    """A crash, a NaN, an out of memory and a full disk, each in a job of its own."""
    folder = work / "jobs"
    words = {"unlearn retrack_exact -3": "crash", "unlearn finetune_retain -4": "divergence", "unlearn retrack_exact -5": "out of memory",
             "unlearn retrack_exact -6": "i/o"}
    run, status = finished(folder, "--chaos", "crash=unlearn retrack_exact -3,nan=unlearn finetune_retain -4,oom=unlearn retrack_exact -5,disk=unlearn retrack_exact -6", code=10)
    found = failures(folder)
    for label, error in words.items():
        mine = [f for f in found if f["label"].startswith(label)]
        assert mine and all(f["error"] == error for f in mine), (label, mine)
        assert [f["quarantined"] for f in mine] == [False] * (len(mine) - 1) + [True], mine
        assert mine[-1]["cure"], mine
        if error == "divergence":
            assert len(mine) == 1, mine
        elif error == "i/o":  # tried again and again: a disk may be freed
            assert len(mine) == 6 and all("/artifacts/" in f["text"] and "No space left" in f["text"] and "free space" in f["text"] for f in mine), mine
        else:  # blamed only after it failed on both devices
            assert len({f["device"] for f in mine}) == 2, mine
    assert len(found) == sum(1 for f in found if f["label"].startswith(tuple(words))), "somebody else was blamed"
    assert not [body for kind, body in records(folder) if kind == FENCE], "a device was blamed"
    assert status["jobs"]["quarantined"] == 4 and status["jobs"]["done"] + status["jobs"]["blocked"] + 4 == status["jobs"]["total"], status
    assert "Segmentation fault" in run.output() and "scoring.batch" in run.output(), run.output()
    # The same command again: what is quarantined stays so, nothing is computed.
    before = sum(commits(folder).values())
    again, _ = finished(folder, code=10)
    assert sum(commits(folder).values()) == before
    print(f"crash, NaN, out of memory, full disk: {len(found)} attempts failed, four jobs quarantined, everything else done")


def broken_device(work, reference):
    """One of two devices fails whatever it gets."""
    folder = work / "device"
    run, status = finished(folder, "--chaos", "crash=*@cpu1", code=0)
    found = failures(folder)
    assert found and all(f["device"].endswith("cpu1") for f in found), found
    assert len(found) <= 4, f"{len(found)} jobs failed on the broken device before it was held back"
    fences = [body for kind, body in records(folder) if kind == FENCE]
    assert [f["device"].split("/")[-1] for f in fences] == ["cpu1"] and fences[0]["fenced"], fences
    assert any(name.endswith("cpu1") for name in status["fenced"]), status
    same(reference, data_of(folder))
    print(f"a device that fails everything: fenced after {len(found)} failures, every job done elsewhere, identical")


def shares(work, reference):
    """Random faults by shares: recorded, and without a trace in the numbers."""
    folder = work / "shares"
    chaos = "seed=7,kill=0.04,stop=0.01,slow=0.02,agent=0.01,torn=0.01,coordinator=0.01"
    finished(folder, "--chaos", chaos, code=0)
    same(reference, data_of(folder))
    assert all(times == 1 for times in commits(folder).values())
    with h5py.File(folder / "results.h5") as f:
        assert chaos in str(f.attrs["chaos"])
    lives = [body for kind, body in records(folder) if kind == 1]
    assert lives[0]["chaos"] == chaos
    print(f"--chaos {chaos}: {len(failures(folder))} failed attempts, {len(lives)} lives, identical")


def signals(work, reference):
    """Stop signals hand running jobs back; the next command goes on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        folder = work / number.name
        run = Run(folder).start()
        while not commits(folder):
            assert run.process.poll() is None, run.output()
        run.process.send_signal(number)
        code = run.wait(60)
        assert code == 75, (number, code, run.output())
        assert not failures(folder) and not orphans(folder)
        finished(folder, code=0)
        same(reference, data_of(folder))
    run = Run(work / "at once").start()
    while not commits(run.folder):
        assert run.process.poll() is None, run.output()
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGTERM)
    assert run.wait(60) == 75
    assert not orphans(run.folder)
    print("INT, TERM and USR2: 75, nothing counted as a failure, resumed to identical results; the second signal ends at once")


def main():
    wrong = subprocess.run([GUDA, "run", RECIPE, "--chaos", "kil=0.1"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "kil" in wrong.stderr and "kill" in wrong.stderr, wrong
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        finished(work / "undisturbed", code=0)
        reference = data_of(work / "undisturbed")
        named_jobs(work)
        broken_device(work, reference)
        shares(work, reference)
        signals(work, reference)


if __name__ == "__main__":
    main()
