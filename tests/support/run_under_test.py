"""What the scripts of tests/chaos share: a run with fast time limits, its processes, its data."""
import json
import os
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "chaos" / "small.yaml"
COMMIT, FAILURE = 2, 3  # record types of the journal, docs/formats.md


class Run:
    """guda run on a folder, started as often as it takes."""

    def __init__(self, folder, *arguments, recipe=RECIPE, workers=2, heartbeat=os.environ.get("GUDA_CHAOS_HEARTBEAT", "0.2/1/3")):
        self.folder = Path(folder)
        self.log = self.folder.with_suffix(".log")
        self.command = [GUDA, "run", recipe, "--run-dir", self.folder, "--workers", str(workers), "--heartbeat", heartbeat, *arguments]
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        return self

    def wait(self, timeout=300):
        return self.process.wait(timeout=timeout)

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        return self.log.read_text()

    def status(self):
        return subprocess.run([GUDA, "status", self.folder, "--json"], capture_output=True, text=True).stdout

    def jobs_done(self):
        """Number of finished jobs; 0 while there is no run yet."""
        said = self.status()
        return json.loads(said)["jobs"]["done"] if said else 0

    def kill_after(self, jobs):
        """Kills `guda run` once so many jobs are done; it must not have ended before."""
        while self.jobs_done() < jobs:
            assert self.process.poll() is None, self.output()
            time.sleep(0.1)
        self.process.kill()
        self.process.wait()

    def to_the_end(self):
        """Starts it, or goes on with it, until it is complete."""
        assert self.start().wait() == 0, self.output()
        return self


class Process(NamedTuple):
    pid: int
    name: str


def stat_of(pid):
    """(name, state, parent) of a living process, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    rest = text[text.rindex(")") + 2:].split()
    return text[text.index("(") + 1:text.rindex(")")], rest[0], int(rest[1])


def name_of(pid):
    """Name of the program; /proc/PID/stat cuts it to 15 characters."""
    try:
        return Path(os.readlink(f"/proc/{pid}/exe")).name
    except OSError:
        return ""


def below(pid):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := stat_of(entry)) and stat[1] != "Z":
            children.setdefault(stat[2], []).append(int(entry))
    found = [pid]
    for p in found:
        found += children.get(p, [])
    return [Process(p, "mpirun" if name_of(p) in ("orterun", "prterun") else name_of(p)) for p in found[1:]]


def orphans(folder):
    """Living processes that have the run directory among their arguments."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            arguments = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        stat = stat_of(entry)
        if str(folder).encode() in arguments and stat and stat[1] != "Z":
            found.append((int(entry), stat))
    return found


def records(folder):
    """(type, body) of every whole record in the journal."""
    found = []
    for file in sorted((Path(folder) / "journal").glob("*.bin")):
        data = file.read_bytes()
        at = 16
        while (at := data.find(b"JREC", at)) >= 0 and at + 24 <= len(data):
            length, = struct.unpack_from("<I", data, at + 4)
            kind, = struct.unpack_from("<I", data, at + 16)
            body = data[at + 24:at + 24 + length]
            try:
                found.append((kind, json.loads(body)))
                at += 24 + length
            except ValueError:
                at += 4  # torn
    return found


def commits(folder):
    """How often each job was committed."""
    return Counter(body["job"] for kind, body in records(folder) if kind == COMMIT)


def failures(folder):
    return [body for kind, body in records(folder) if kind == FAILURE]
