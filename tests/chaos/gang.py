"""Two workers train one model together; one of them is killed, or frozen, in the middle: the attempt fails once, with the
victim to blame, is tried again, and the run ends with the bits of an undisturbed one. Nothing is left running or in /dev/shm.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from results_data import data_of, same  # noqa: E402
from run_under_test import GUDA, RECIPE, Run, below, commits, failures, orphans, records  # noqa: E402

GANG = RECIPE.with_name("gang.yaml")
LEASE = 5


def labels_of(folder):
    return {job["digest"]: job["label"] for job in json.loads((Path(folder) / "plan.json").read_text())["jobs"]}


def litter():
    return {name for name in os.listdir("/dev/shm") if re.fullmatch("guda-[0-9a-f]{16}-[0-9]+-[0-9]+-[0-9]+", name)}


class Pair:
    """A run whose training jobs want both of its workers."""

    def __init__(self, folder, heartbeat="0.2/30/120"):  # limits of minutes where no loss is meant
        self.folder = Path(folder)
        self.run = Run(folder, "--checkpoint-every", "0.2", recipe=GANG, heartbeat=heartbeat)

    def go(self, code=0):
        got = self.run.wait()
        if got != code:
            sys.exit(f"ended with {got} instead of {code}:\n{self.run.output()}\n{self.run.status()}")
        until = time.monotonic() + 15
        while orphans(self.folder) and time.monotonic() < until:
            time.sleep(0.05)
        assert not orphans(self.folder), orphans(self.folder)

    def met_at_work(self):
        """Waits for a gang in the middle of a job that has left a checkpoint; its workers by name of their device."""
        while True:
            assert self.run.process.poll() is None, f"ended before a gang was met:\n{self.run.output()}"
            status = json.loads(self.run.status() or "{}")
            members = [w for w in status.get("workers", []) if w["state"] == "running" and w["member"]]
            if len(members) == 2 and members[0]["step"] > 0 and list(self.folder.glob("artifacts/*.checkpoints/*.safetensors")):
                assert {w["member"] for w in members} == {"1 of 2", "2 of 2"}, members
                assert members[0]["job"] == members[1]["job"] and members[0]["job"].startswith("train"), members
                return members
            time.sleep(0.02)

    def worker(self, member):
        """Pid of the worker process of a member: the child of the agent of that rank."""
        mine = [p for p in below(self.run.pid) if p.name == "guda-worker"]
        for process in mine:
            words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
            if words[words.index(b"--name") + 1].decode() == member["device"]:
                return process.pid
        sys.exit(f"no worker {member['device']} among {mine}")


def disturbed(folder, reference, which, number):
    """One member gets a signal in the middle of a training job."""
    pair = Pair(folder, *(["0.2/4/10"] if number == signal.SIGSTOP else []))
    pair.run.start()
    victim = next(w for w in pair.met_at_work() if w["member"] == which)
    os.kill(pair.worker(victim), number)
    pair.go()
    found = failures(folder)
    assert len(found) == 1, found
    assert found[0]["error"] == "crash" and found[0]["device"] == victim["device"], (victim, found)
    assert ("frozen" if number == signal.SIGSTOP else "signal 9") in found[0]["text"], found
    made = commits(folder)
    assert made.keys() == commits(reference).keys() and all(times == 1 for times in made.values()), made
    same(data_of(reference), data_of(folder))
    retried = next(body for kind, body in records(folder) if kind == 2 and body["job"] == found[0]["job"])
    assert retried["attempt"] == 2, retried
    leases = [body for kind, body in records(folder) if kind == LEASE and "members" in body]
    assert all(len(body["members"]) == 2 and body["members"][0] == body["worker"] for body in leases), leases
    explained = subprocess.run([GUDA, "explain", folder, found[0]["job"]], capture_output=True, text=True).stdout
    assert "of the gang rank" in explained and victim["device"] in explained, explained
    print(f"{number.name} to member {which}: one attempt failed ({found[0]['text']}), "
          f"went on from step {retried['metrics'].get('resumed_from_step', 0)}, identical")


def stopped(folder, reference):
    """A planned stop is handed back by both, counts for nobody, and the same command goes on."""
    pair = Pair(folder)
    pair.run.start()
    pair.met_at_work()
    pair.run.process.send_signal(signal.SIGINT)
    pair.go(75)
    assert not failures(folder)
    pair.run.start()
    pair.go()
    assert not failures(folder)
    same(data_of(reference), data_of(folder))
    print("INT: handed back by both members, resumed, identical")


def main():
    before = litter()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for too_few in (["run", GANG, "--run-dir", work / "alone", "--workers", "1"], ["plan", GANG, "--nodes", "3", "--cores-per-node", "1"]):
            refused = subprocess.run([GUDA, *too_few], capture_output=True, text=True)
            assert refused.returncode == 2 and "resources.gang" in refused.stderr and "Cure" in refused.stderr, refused
        planned = subprocess.run([GUDA, "plan", GANG, "--nodes", "1", "--cores-per-node", "2", "--json"], capture_output=True, text=True)
        assert json.loads(planned.stdout)["gang"] == 2, planned
        quiet = Pair(work / "undisturbed")
        quiet.run.start()
        quiet.go()
        trained = [d for d, label in labels_of(quiet.folder).items() if label.startswith("train")]
        together = {body["job"] for kind, body in records(quiet.folder) if kind == LEASE and "members" in body}
        assert together == set(trained) and len(trained) == 3, (together, trained)
        assert not failures(quiet.folder)
        disturbed(work / "root killed", quiet.folder, "1 of 2", signal.SIGKILL)
        disturbed(work / "member killed", quiet.folder, "2 of 2", signal.SIGKILL)
        disturbed(work / "member frozen", quiet.folder, "2 of 2", signal.SIGSTOP)
        stopped(work / "stopped", quiet.folder)
        left = litter() - before
        assert not left, f"left in /dev/shm: {left}"


if __name__ == "__main__":
    main()
