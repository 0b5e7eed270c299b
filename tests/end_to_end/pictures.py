"""A folder of JPEG and PNG pictures to a report: from random weights, then from a diffusers pipeline's folder; a picture that does not
decode is refused by name, left out on request; a changed picture is another data set; `guda attribute` takes a JPEG of any size.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402
from run_under_test import GUDA, Run  # noqa: E402

EXPERIMENT = Path(__file__).with_suffix(".yaml")
WRITER = Path(os.environ["GUDA_BIN_DIR"]) / "guda_write_canvas"


def plan_of(folder):
    return json.loads((folder / "plan.json").read_text())


def pipeline_from(run, folder):
    """A run's full model and frozen parts, laid out as diffusers saves a pipeline."""
    artifacts = {job["label"]: run / "artifacts" / job["digest"] for job in plan_of(run)["jobs"]}
    parts = {"unet": artifacts["train full (seed 0)"], "vae": artifacts["train autoencoder"],
             "text_encoder": artifacts["text encoder"] / "text_encoder", "tokenizer": artifacts["text encoder"] / "tokenizer"}
    for part, source in parts.items():
        shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("guda.json", "checksums.json"))
    return folder


def guda(*arguments):
    return subprocess.run([GUDA, *arguments], capture_output=True, text=True)


def main():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        os.environ["GUDA_CACHE"] = str(work / "cache")
        canvas = work / "canvas"
        subprocess.run([WRITER, canvas], check=True)
        experiment = shutil.copy(EXPERIMENT, work)

        run = Run(work / "run", recipe=experiment).to_the_end()
        found = data_of(run.folder)
        plan = plan_of(run.folder)
        assert plan["groups"] == ["Artist Sketch", "Monet"], plan["groups"]
        for method in plan["experiment"]["methods"]:
            table = found["score__" + method["name"]]
            assert table.shape == (12, 2) and numpy.isfinite(table).all(), method["name"]
        prompts = next(job["work"]["prompts"] for job in plan["jobs"] if job["label"] == "sample generated (seed 0)")
        assert prompts == [json.loads(line)["prompt"] for line in (canvas / "eval.jsonl").read_text().splitlines()], prompts
        assert "An artwork of Cats" in (run.folder / "report.html").read_text()
        same(found, data_of(Run(work / "once-more", recipe=experiment).to_the_end().folder))

        # Fine-tuned from a checkpoint, whose folder says what the model is.
        text = EXPERIMENT.read_text()
        begin, end = text.index("pipeline:"), text.index("diffusion:")
        tuned = work / "tuned.yaml"
        tuned.write_text(f"{text[:begin]}pipeline: {{folder: {pipeline_from(run.folder, work / 'pipeline')}}}\n{text[end:]}")
        from_folder = Run(work / "tuned", recipe=tuned).to_the_end()
        labels = [job["label"] for job in plan_of(from_folder.folder)["jobs"]]
        assert "base model" in labels and "train autoencoder" not in labels, labels
        assert not numpy.array_equal(data_of(from_folder.folder)["loss__logo"], found["loss__logo"])

        # A person's own picture, of another size and format.
        answer = guda("attribute", run.folder, canvas / "Monet" / "Sea" / "1.jpg", "--prompt", prompts[0], "--method", "weighted", "--json")
        assert answer.returncode == 0, answer.stderr
        groups = json.loads(answer.stdout)["images"][0]["groups"]
        assert len(groups) == 2 and all(numpy.isfinite(g["score"]) for g in groups), groups

        # A picture changes: another data set.
        victim = canvas / "Cubism" / "Cats" / "3.jpg"
        victim.write_bytes((canvas / "Cubism" / "Cats" / "2.jpg").read_bytes())
        again = guda("run", experiment, "--run-dir", run.folder)
        assert again.returncode == 2 and "contents of the data set" in again.stderr, again.stderr

        # A picture is cut off.
        victim.write_bytes(victim.read_bytes()[:200])
        refused = guda("plan", experiment)
        assert refused.returncode == 2 and "1 of 36 pictures" in refused.stderr and "Cubism/Cats/3.jpg" in refused.stderr, refused.stderr
        left_out = guda("plan", experiment, "--set", "dataset.skip_bad=1", "--set", "dataset.train=0", "--set", "queries.real.kind=training", "--json")
        assert left_out.returncode == 0, left_out.stderr
        notes = json.loads(left_out.stdout)["assumptions"]
        assert any("Left out" in note and "Cubism/Cats/3.jpg" in note for note in notes), notes


if __name__ == "__main__":
    sys.exit(main())
