"""A run directory on disks, locks and clocks that fail: every error names path and cure, nothing committed is lost, and the same
command goes on once the disk is well again.

Faults come from a small tmpfs (where mounting is allowed), from permissions, and from an LD_PRELOAD library.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ["GUDA_BIN_DIR"])
FAULTS = BIN / "libguda_disk_faults.so"
ENOLCK, ENOTSUP, ENOSPC, EDQUOT, EROFS, EIO = 37, 95, 28, 122, 30, 5
skipped = []


def life(run, *arguments, code=None, **faults):
    environment = dict(os.environ, **{f"GUDA_FAULT_{name}": str(value) for name, value in faults.items()})
    if faults:
        environment["LD_PRELOAD"] = str(FAULTS)
    done = subprocess.run([BIN / "guda_store_life", run, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=120)
    if code is not None and done.returncode != code:
        sys.exit(f"store life {arguments} {faults} ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}")
    return done


def committed(done):
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("committed ")]


def open_jobs(done):
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("open ")][0]


def verify(run):
    done = subprocess.run([BIN / "guda", "verify", run], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"guda verify {run} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def goes_on(run, before, total):
    """The same command with a healthy disk does what is left, and only that."""
    after = life(run, code=0)
    # A record that was written but not synced may be there all the same: its rows are durable, so it counts.
    assert open_jobs(after) in (total - len(before), total - len(before) - 1), (open_jobs(after), total, len(before))
    assert not set(before) & set(committed(after)), "a committed job was done again"
    assert len(committed(after)) == open_jobs(after)
    verify(run)


def names(done, *words):
    assert all(word in done.stderr for word in words), f"the error should name {words}: {done.stderr}"


def check_faults(work, total):
    cases = {
        "journal full": (dict(PATH="/journal/0", WRITE=f"{ENOSPC}:9000"), ["journal/", "No space left", "free space"]),
        "journal over quota": (dict(PATH="/journal/0", WRITE=f"{EDQUOT}:9000"), ["journal/", "quota"]),
        "journal does not sync": (dict(PATH="/journal/0", SYNC=f"{EIO}:12"), ["journal/0", "Input/output error", "run the same command again"]),
        "journal does not sync once": (dict(PATH="/journal/0", SYNC=f"{EIO}:12:1"), ["journal/0", "Input/output error"]),
        "rows full": (dict(PATH="/rows/", WRITE=f"{ENOSPC}:700"), ["rows/", "free space"]),
        "rows do not sync": (dict(PATH="/rows/", SYNC=f"{EIO}:3"), ["rows/", "Input/output error"]),
        "artifacts full": (dict(PATH="/artifacts/", WRITE=f"{ENOSPC}:2000"), ["artifacts/", "free space"]),
    }
    for name, (faults, words) in cases.items():
        run = work / name.replace(" ", "_")
        broken = life(run, code=75, **faults)
        names(broken, str(run), *words)
        before = committed(broken)
        assert 0 < len(before) < total, f"{name}: {len(before)} commits before the fault, the test shows nothing"
        goes_on(run, before, total)
        print(f"{name}: {len(before)} commits before, none lost, the rest after")
    for error, word in ((EROFS, "Read-only"), (ENOSPC, "free space")):
        run = work / f"open_{error}"
        before = committed(life(run, 9, code=0))
        names(life(run, code=75, PATH=str(run), OPEN=error), str(run), word)
        goes_on(run, before, total)
        print(f"open fails with {error}: refused at once, goes on later")


def check_read_only_directory(work, total):
    run = work / "read_only"
    before = committed(life(run, 9, code=0))
    if os.geteuid() == 0:
        if subprocess.run(["mount", "--bind", run, run], capture_output=True).returncode != 0:
            skipped.append("read-only bind mount: not allowed here")
            return
        subprocess.run(["mount", "-o", "remount,bind,ro", run], check=True)
        restore = lambda: subprocess.run(["umount", run], check=True)
    else:
        for folder in [run, *run.iterdir()]:
            if folder.is_dir():
                folder.chmod(0o500)
        restore = lambda: [f.chmod(0o700) for f in [run, *run.iterdir()] if f.is_dir()]
    try:
        names(life(run, code=75), str(run), "writable")
        shown = subprocess.run([BIN / "guda", "status", run], capture_output=True, text=True)
        assert shown.returncode == 0 and "Resume" in shown.stdout, shown
    finally:
        restore()
    goes_on(run, before, total)
    print("read-only directory: refused by name, status still reads it, goes on later")


def check_small_disk(work, total):
    disk = work / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True).returncode != 0:
        skipped.append("full disk on a tmpfs: mounting is not allowed here (the LD_PRELOAD cases cover the errors)")
        return
    try:
        run = disk / "run"
        before = committed(life(run, 20, code=0))
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as out:
            try:
                while True:
                    out.write(b"x" * 4096)
            except OSError:
                pass
        full = life(run, code=75)
        names(full, str(run), "free space")
        assert not committed(full)
        assert not list(run.rglob("*.partial")), "halves are left on a full disk"
        # A little more room each time: it fails again and again, and nothing is lost or done twice.
        refusals = 0
        while True:
            size = ballast.stat().st_size
            assert size > 0, "an empty disk is full"
            os.truncate(ballast, max(0, size - 8 * 1024))
            step = life(run)
            before += committed(step)
            if step.returncode == 0:
                break
            assert step.returncode == 75, step
            names(step, str(run), "free space")
            refusals += 1
        assert refusals > 3, "the disk was never full"
        assert len(before) == len(set(before)) == total
        verify(run)
        print(f"full tmpfs: refused by name {refusals + 1} times, freed step by step, nothing lost or done twice")
    finally:
        subprocess.run(["umount", disk], check=True)


def check_locks(work, total):
    for error in (ENOLCK, ENOTSUP):
        run = work / f"flock_{error}"
        done = life(run, 5, code=0, FLOCK=error)
        assert "note" in done.stdout and "no flock" in done.stdout, done.stdout
        first = subprocess.Popen([BIN / "guda_store_life", run, "--pause", "200"], stdout=subprocess.PIPE, text=True,
                                 env=dict(os.environ, LD_PRELOAD=str(FAULTS), GUDA_FAULT_FLOCK=str(error)))
        while not (line := first.stdout.readline()).startswith("committed"):
            assert line, "the first owner ended"
        second = life(run, code=2, FLOCK=error)
        names(second, f"pid {first.pid}", "at work", "Cure")
        first.send_signal(signal.SIGKILL)
        before = committed(done) + [line.split()[1]] + [l.split()[1] for l in first.communicate()[0].splitlines() if l.startswith("committed")]
        after = life(run, code=0, FLOCK=error)
        assert open_jobs(after) in (total - len(before), total - len(before) - 1)  # one may have been committed and not been printed
        verify(run)
    print("no flock (ENOLCK, ENOTSUP): said so, a second owner is refused by name, a dead one is taken over")


def check_two_starters(work):
    """Both without flock, at the same moment: one of them is the owner."""
    run = work / "race"
    life(run, 0, code=0)
    environment = dict(os.environ, LD_PRELOAD=str(FAULTS), GUDA_FAULT_FLOCK=str(ENOLCK))
    both = [subprocess.Popen([BIN / "guda_store_life", run, "--pause", "300"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=environment) for _ in range(2)]
    time.sleep(2.5)
    alive = [p for p in both if p.poll() is None]
    assert len(alive) <= 1, "two owners at work"
    for p in both:
        p.kill()
        p.communicate()
    print("two starters without flock: one owner")


def check_clock(work, total):
    run, clock = work / "clock", work / "seconds"
    for seconds in (0, 90000, -90000, 3):
        clock.write_text(str(seconds))
        life(run, 10, code=0, CLOCK=clock)
    clock.write_text("0")
    running = subprocess.Popen([BIN / "guda_store_life", run, "--pause", "100"], stdout=subprocess.PIPE, text=True,
                               env=dict(os.environ, LD_PRELOAD=str(FAULTS), GUDA_FAULT_CLOCK=str(clock)))
    assert running.stdout.readline().startswith("open")
    for seconds in (90000, -90000):
        clock.write_text(str(seconds))
        names(life(run, code=2, CLOCK=clock), f"pid {running.pid}")
    assert running.wait(timeout=120) == 0
    assert open_jobs(life(run, code=0)) == 0
    verify(run)
    print("clock set by +-25 h, between and during lives: nobody is taken over, nothing is lost")


def main():
    if not FAULTS.exists():
        print(f"skipped: {FAULTS} is not built (sanitizers)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        total = open_jobs(life(work / "whole", code=0))
        verify(work / "whole")
        check_faults(work, total)
        check_read_only_directory(work, total)
        check_small_disk(work, total)
        check_locks(work, total)
        check_two_starters(work)
        check_clock(work, total)
    for reason in skipped:
        print("skipped: " + reason)


if __name__ == "__main__":
    main()
