"""A text-to-image experiment from captions to the report: killed on the way, the same command finishes with the numbers of an
undisturbed run; `guda attribute` answers for one's own picture and prompt.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
EXPERIMENT = Path(__file__).with_suffix(".yaml")


def start(folder):
    return subprocess.Popen([GUDA, "run", EXPERIMENT, "--run-dir", folder, "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def done(folder):
    status = subprocess.run([GUDA, "status", folder, "--json"], capture_output=True, text=True)
    return json.loads(status.stdout)["jobs"]["done"] if status.returncode == 0 else 0


def data(folder):
    with h5py.File(folder / "results.h5") as file:
        return {name: file[name][:] for name in file if name.startswith(("score__", "loss_"))}


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "run"
        first = start(folder)
        while done(folder) < 14:
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.1)
        first.kill()
        first.wait()
        again = start(folder)
        output = again.communicate()[0]
        assert again.returncode == 0, output
        found = data(folder)
        plan = json.loads((folder / "plan.json").read_text())
        for method in plan["experiment"]["methods"]:
            table = found["score__" + method["name"]]
            assert table.shape == (16, 8) and numpy.isfinite(table).all(), method["name"]
            assert numpy.unique(table[0]).size > 1, f"{method['name']} says nothing about the groups of a query"
        assert not numpy.array_equal(found["loss__weighted"], found["loss__uniform"]), "anchors make no difference"

        once_more = Path(work) / "once-more"
        other = start(once_more)
        output = other.communicate()[0]
        assert other.returncode == 0, output
        for name, table in data(once_more).items():
            assert numpy.array_equal(table, found[name], equal_nan=True), f"{name} differs from the killed and resumed run"

        # Captions, latents and prompts are computed by jobs of their own, each text once.
        kinds = [job["work"]["kind"] for job in plan["jobs"]]
        assert kinds.count("component") == 1, kinds
        texts = [t for job in plan["jobs"] if job["label"].startswith("embed captions") for t in job["work"]["texts"]]
        assert len(texts) == len(set(texts)) > 100, len(texts)

        report = (folder / "report.html").read_text()
        assert "Each style by its own prompt" in report and "A depiction of" in report

        picture = Path(work) / "mine.npy"
        numpy.save(picture, numpy.linspace(-1, 1, 256, dtype=numpy.float32).reshape(1, 16, 16))
        refused = subprocess.run([GUDA, "attribute", folder, picture], capture_output=True, text=True)
        assert refused.returncode == 2 and "--prompt" in refused.stderr, refused.stderr
        answer = subprocess.run([GUDA, "attribute", folder, picture, "--prompt", "A depiction of Seven, artistic style featuring soft edges",
                                 "--method", "logo", "--draws", "2", "--json"], capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        groups = json.loads(answer.stdout)["images"][0]["groups"]
        assert len(groups) == 8 and all(numpy.isfinite(g["score"]) for g in groups), groups


if __name__ == "__main__":
    sys.exit(main())
