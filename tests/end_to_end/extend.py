"""An edited experiment meets its finished run: additions extend it, old numbers stay bit for bit, everything else is refused.

A method and a query set are added *before* the old ones, so that every row of results.h5 moves.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import xarray

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"

MODELS = RECIPE.read_text().split("queries:")[0].replace("digits-smoke", "extended")
GENERATED = "  - {name: generated, kind: generated, count: 5, sampler: {steps: 3}}\n"
REAL = "  - {name: real, kind: held_out, count: 6}\n"
UNLEARN = "steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1"
LOGO = "  - method: logo\n"
EXACT = f"  - {{method: guda, unlearn: {{op: retrack_exact, {UNLEARN}}}}}\n"
IFU = f"  - {{method: guda, unlearn: {{op: ifu, {UNLEARN}}}}}\n"
KNN = "  - method: knn\n"


def experiment(path, queries, methods):
    path.write_text(MODELS + "queries:\n" + queries + "scoring: {first_timestep: 100, last_timestep: 900, stride: 400, draws: 2, block: 4}\n"
                    "methods:\n" + methods + "comparison: {reference: logo, bootstrap: 50}\n")
    return path


def run(file, folder, *arguments, code=0):
    done = subprocess.run([GUDA, "run", file, "--run-dir", folder, "--workers", "2", "--heartbeat", "0.2/1/3", *arguments],
                          capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        sys.exit(f"guda run {file.name} {arguments} ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}")
    return done.stderr


def data_of(folder):
    with h5py.File(folder / "results.h5", "r") as f:
        return {name: f[name][()] for name in f}


def commits(folder):
    """Digests of committed jobs by the life that committed them."""
    found = {}
    for file in sorted((folder / "journal").glob("*.bin")):
        bytes_, at, mine = file.read_bytes(), 16, []
        while at < len(bytes_):
            length, kind = int.from_bytes(bytes_[at + 4:at + 8], "little"), int.from_bytes(bytes_[at + 16:at + 20], "little")
            if kind == 2:
                mine.append(json.loads(bytes_[at + 24:at + 24 + length])["job"])
            at += 24 + length
        found[int(file.stem)] = mine
    return found


def unlearned(folder):
    return {job["digest"] for job in json.loads((folder / "plan.json").read_text())["jobs"] if job["work"]["kind"] == "unlearn"}


def state_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.startswith("lock")}


def refused(file, folder, expected, *arguments):
    before = state_of(folder)
    said = run(file, folder, *arguments, code=2)
    for part in expected:
        assert part in said, f"not said: {part!r}\n{said}"
    assert state_of(folder) == before, "a refusal changed the run directory"


def main():
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        folder = work / "run"
        small = experiment(work / "small.yaml", GENERATED, LOGO + EXACT + KNN)
        run(small, folder)
        old, old_commits = data_of(folder), commits(folder)
        old_plan = {job["digest"] for job in json.loads((folder / "plan.json").read_text())["jobs"]}
        dropped = {digest for digest in old_commits[1] if digest in unlearned(folder) and not (folder / "artifacts" / digest).exists()}
        assert len(dropped) == 10, "retention keeps no unlearned models by default"
        old_file = (folder / "results.h5").stat().st_ino
        with open(folder / "results.h5", "rb") as kept_open:  # a reader of the old file goes on reading it
            large = experiment(work / "large.yaml", REAL + GENERATED, LOGO + IFU + EXACT + KNN)
            refused(large, folder, ["adds", "device-seconds", "methods.ifu: added", "queries.real: added", "--extend"])

            said = run(large, folder, "--extend")
            new_plan = {job["digest"] for job in json.loads((folder / "plan.json").read_text())["jobs"]}
            added = len(new_plan - old_plan)
            for part in [f"extended: {added} jobs added and 10 made again", "device-seconds", "methods.ifu: added", "queries.real: added"]:
                assert part in said, f"not said: {part!r}\n{said}"
            assert old_plan < new_plan, "an extension lost digests"
            lives = commits(folder)
            assert set(lives[2]) == (new_plan - old_plan) | dropped, "the second life did not do exactly what was announced"
            assert lives[1] == old_commits[1]
            assert (folder / "results.h5").stat().st_ino != old_file, "results.h5 was not replaced by rename"
            kept_open.seek(0)
            with h5py.File(kept_open, "r") as f:
                assert list(f["query"].asstr()) == [q.decode() for q in old["query"]]

        new = data_of(folder)
        at = [list(new["query"]).index(q) for q in old["query"]]
        assert at != list(range(len(at))), "the rows should have moved"
        checked = 0
        for name, before in old.items():
            if name.startswith(("loss__", "score", "loss_full")):
                after = new[name][:, at] if name.startswith("loss__") else new[name][at]
                assert before.dtype == after.dtype and before.tobytes() == after.tobytes(), f"{name} changed"
                checked += 1
        assert checked >= 1 + 2 + 2 * 3, checked
        with xarray.open_dataset(folder / "results.h5", engine="h5netcdf") as opened:
            assert opened.sizes["query"] == 11 and opened.loss__ifu.notnull().any() and opened.score__ifu.sel(group="7").notnull().all()
            assert opened.score__retrack_exact.notnull().all()

        fresh = work / "fresh"
        run(large, fresh)
        for name, value in data_of(fresh).items():
            assert value.tolist() == new[name].tolist() if value.dtype == object else value.tobytes() == new[name].tobytes(), \
                f"{name} differs between an extended and a fresh run"
        print(f"extended by {added} jobs; {checked} arrays of the old rows unchanged; equal to a fresh run")

        run(large, folder)  # and it goes on without --extend
        refused(small, folder, ["finished jobs that this experiment would drop or alter", "methods.ifu: removed", "queries.real: removed",
                                "another --run-dir"], "--extend")
        refused(large, folder, ["training.steps: 8 -> 9", "drop or alter"], "--extend", "--set", "training.steps=9")
        refused(large, folder, ["queries.generated.count: 5 -> 7", "drop or alter"], "--extend", "--set", "queries.generated.count=7")


if __name__ == "__main__":
    main()
