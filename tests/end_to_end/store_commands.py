"""status, explain, retry, stop, verify, gc, retention and reuse on real runs, as a person types them."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ["GUDA_BIN_DIR"])
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
FAST = ["--heartbeat", "0.2/1/3", "--workers", "2"]


def guda(*arguments, code=0):
    done = subprocess.run([BIN / "guda", *arguments], capture_output=True, text=True, timeout=300)
    if code is not None and done.returncode != code:
        sys.exit(f"guda {' '.join(map(str, arguments))} ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}")
    return done


def ask(*arguments, code=0):
    return json.loads(guda(*arguments, "--json", code=code).stdout)


def start(folder, *arguments):
    return subprocess.Popen([BIN / "guda", "run", RECIPE, "--run-dir", folder, *FAST, *arguments], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def wait_for_jobs(folder, jobs):
    for _ in range(1200):
        done = guda("status", folder, "--json", code=None)
        if done.returncode == 0:
            status = json.loads(done.stdout)
            if status["jobs"]["done"] >= jobs:
                return status
        time.sleep(0.05)
    sys.exit(f"{folder}: {jobs} jobs are never done")


def artifacts(folder):
    """Kinds of the artifacts on disk."""
    kinds = {}
    for path in (folder / "artifacts").iterdir():
        kinds.setdefault("query set" if not (path / "config.json").exists() else json.loads((path / "guda.json").read_text())["kind"], []).append(path)
    return kinds


def check_help():
    for command in ["status", "explain", "retry", "stop", "verify", "gc"]:
        text = guda(command, "--help").stdout
        assert "examples" in text and "Exit" in text and "--json" in text, text
        assert guda(command, code=2).stderr


def check_stop(work):
    for name, options, leftover in [("stop", [], None), ("drain", ["--drain"], None), ("now", ["--now"], None)]:
        folder = work / name
        child = start(folder)
        before = wait_for_jobs(folder, 5)
        while before["jobs_per_hour"] is None:  # not before a second has passed
            before = ask("status", folder)
        assert before["alive"] and before["owner"]["pid"] == child.pid and not before["remote"]
        assert len(before["workers"]) == 2 and before["jobs_per_hour"] is not None, before
        assert all(w["since"] > 1e9 for w in before["workers"] if w["job"]), before["workers"]
        stopped = ask("stop", folder, *options)
        assert stopped["was_at_work"] and stopped["stopped"], stopped
        assert child.wait(timeout=60) == 75, name
        status = ask("status", folder)
        assert not status["alive"] and "Resume" in status["headline"] and status["jobs"]["running"] == 0, status
        assert 5 <= status["jobs"]["done"] < status["jobs"]["total"]
        assert ask("verify", folder)["sound"]
        assert not ask("stop", folder)["was_at_work"]
        print(f"guda stop {' '.join(options)}: {status['jobs']['done']} of {status['jobs']['total']} jobs done, exit 75, sound")


def check_other_host(work):
    """A coordinator that is asked through the run directory only, as from another machine."""
    folder = work / "asked"
    child = start(folder)
    status = wait_for_jobs(folder, 3)
    (folder / "control" / "0.json").write_text("no request")
    request = {"schema": 1, "kind": "stop", "epoch": status["epoch"], "every_job": False, "jobs": [], "unfence": [], "by": "me@elsewhere"}
    (folder / "control" / "1.json.partial").write_text(json.dumps(request))
    (folder / "control" / "1.json.partial").rename(folder / "control" / "1.json")
    assert child.wait(timeout=60) == 75
    assert not list((folder / "control").iterdir())
    print("a request in RUN/control stops it, too")


def check_dead(work):
    folder = work / "stop"
    (folder / "status.json").unlink()
    lost = ask("status", folder)
    assert lost["jobs"]["done"] >= 5 and not lost["alive"] and lost["lives"] >= 1, "counts come from the journal when the status is lost"
    assert "Resume" in guda("status", folder).stdout
    waiting = ask("explain", folder, "score logo -3 on real (seed 0, draws 0)")["jobs"]
    assert waiting and all(j["state"] in ("waiting", "ready", "done") and j["why"] for j in waiting), waiting
    plan = json.loads(guda("plan", folder, "--json", "--jobs").stdout)
    done = ask("explain", folder, plan["jobs"][0]["digest"])["jobs"]
    assert len(done) == 1 and done[0]["digest"] == plan["jobs"][0]["digest"]
    guda("explain", folder, "nothing of that name", code=2)
    assert "means" in guda("explain", folder, "score", code=2).stderr
    guda("retry", folder, "--job", plan["jobs"][0]["digest"], code=2)
    assert ask("retry", folder)["jobs"] == []


def check_quarantine(work):
    """A job that can't succeed is given up, explained, and tried again on request."""
    folder = work / "chaos"
    child = start(folder, "--chaos", "nan=unlearn ifu -3")
    code = child.wait(timeout=200)
    assert code == 10, code
    status = ask("status", folder)
    assert status["quarantined_jobs"] == ["unlearn ifu -3 (seed 0)"], status
    story = ask("explain", folder, "unlearn ifu -3 (seed 0)")["jobs"][0]
    assert story["state"] == "quarantined" and "guda retry" in story["why"], story
    failed = [a for a in story["attempts"] if a["outcome"] == "failed"]
    assert failed and all(a["worker"] and a["device"] and a["node"] and a["cause"] and a["text"] for a in failed), failed
    blocked = ask("explain", folder, "score ifu -3 on real (seed 0, draws 1)")["jobs"]
    assert all(j["state"] == "blocked" for j in blocked)
    retried = ask("retry", folder, "--job", "unlearn ifu -3")
    assert [j["label"] for j in retried["jobs"]] == ["unlearn ifu -3 (seed 0)"] and retried["taken"]
    guda("run", RECIPE, "--run-dir", folder, *FAST)
    assert ask("status", folder)["headline"] == "complete"
    assert ask("verify", folder)["sound"]
    print(f"given up after {len(failed)} attempts, explained, retried, complete")


def check_verify(folder):
    whole = ask("verify", folder)
    assert whole["sound"] and whole["row_records"] > 0 and whole["artifacts"] > 0
    before = (folder / "results.h5").read_bytes()
    weights = next(p for p in (folder / "artifacts").iterdir() if (p / "config.json").exists())
    target = next(weights.rglob("*.safetensors"))
    damaged = bytearray(target.read_bytes())
    damaged[-9] ^= 1
    target.write_bytes(damaged)
    journal = folder / "journal" / "0001.bin"
    bytes_ = bytearray(journal.read_bytes())
    bytes_[len(bytes_) // 2] ^= 16
    journal.write_bytes(bytes_)
    (folder / "results.h5").write_bytes(before[:len(before) // 2])
    found = guda("verify", folder, code=2)
    for area in ("journal", "artifacts", "results"):
        assert re.search(rf"FAULT {area}", found.stdout), found.stdout
    assert "--repair" in found.stdout
    repaired = guda("verify", folder, "--repair")
    assert "sound" in repaired.stdout
    guda("run", RECIPE, "--run-dir", folder, *FAST, "--set", "retention.keep=all")
    assert ask("verify", folder)["sound"]
    assert (folder / "results.h5").stat().st_size == len(before)
    print("damage in journal, artifact and results.h5: named, repaired, made again")


def check_retention_and_gc(work, whole):
    for keep, kept in [("all", {"query set", "train", "unlearn"}), ("weights", {"query set", "train"}), ("queries+scores", {"query set"}), ("scores", set())]:
        folder = work / f"keep-{keep}"
        shutil.copytree(whole, folder)
        (folder / "artifacts" / "orphan.1.partial").mkdir()
        commits = ask("verify", folder)["commits"]
        guda("run", RECIPE, "--run-dir", folder, *FAST, "--set", f"retention.keep={keep}")
        (folder / "artifacts" / ("0" * 32)).mkdir()
        dry = ask("gc", folder, "--dry-run")
        items = [Path(item["path"]) for item in dry["items"]]
        assert sorted(p.name for p in items if p.parent.name != "rows") == ["0" * 32, "orphan.1.partial"], dry
        assert all(p.stat().st_size == 0 for p in items if p.parent.name == "rows"), "rows of a life that had nothing to do"
        assert ask("gc", folder)["items"] == dry["items"]
        assert ask("gc", folder)["items"] == []
        assert set(artifacts(folder)) == kept, (keep, artifacts(folder).keys())
        after = ask("verify", folder)
        assert after["sound"] and after["commits"] == commits
        again = guda("run", RECIPE, "--run-dir", folder, *FAST, "--set", f"retention.keep={keep}")
        assert ask("verify", folder)["commits"] == commits, again.stderr
    print("retention: every policy keeps what it says, the same command computes nothing again")


def check_reuse(work, whole):
    folder = work / "reusing"
    reused = guda("run", RECIPE, "--run-dir", folder, *FAST, "--set", f"reuse=[{whole}]", "--set", "retention.keep=all")
    assert "verified artifacts of other runs" in reused.stderr, reused.stderr
    links = [p for p in (folder / "artifacts").iterdir() if p.is_symlink()]
    assert len(links) == len(list((whole / "artifacts").iterdir())), "every artifact is taken"
    compared = [ask("compare", f)["views"] for f in (whole, folder)]
    for view in compared[0] + compared[1]:
        for method in view["methods"].values():
            method.pop("device_seconds")
    assert compared[0] == compared[1], "a run that reuses models scores otherwise"
    missing = guda("run", RECIPE, "--run-dir", work / "none", "--set", f"reuse=[{work}/nothing]", code=2)
    assert "reuse" in missing.stderr
    print(f"reuse: {len(links)} artifacts linked, equal comparison")


def main():
    check_help()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        check_stop(work)
        check_other_host(work)
        check_dead(work)
        check_quarantine(work)
        whole = work / "whole"
        guda("run", RECIPE, "--run-dir", whole, *FAST, "--set", "retention.keep=all")
        assert ask("status", whole)["headline"] == "complete"
        check_retention_and_gc(work, whole)
        check_reuse(work, whole)
        check_verify(whole)


if __name__ == "__main__":
    main()
