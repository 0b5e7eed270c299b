"""A text-to-image experiment from captions to the report: killed on the way, the same command finishes with the numbers of an
undisturbed run; the same parts as a diffusers pipeline's folder give the same numbers; `guda attribute` answers for one's own picture and prompt.
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


def pipeline_from(run, folder):
    """The frozen parts of a run, laid out as diffusers saves a pipeline."""
    artifacts = {job["label"]: run / "artifacts" / job["digest"] for job in json.loads((run / "plan.json").read_text())["jobs"]}
    parts = {"unet": artifacts["train base"], "vae": artifacts["train autoencoder"],
             "text_encoder": artifacts["text encoder"] / "text_encoder", "tokenizer": artifacts["text encoder"] / "tokenizer"}
    for part, source in parts.items():
        shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("guda.json", "checksums.json"))
    return folder


def report_again(folder):
    subprocess.run([GUDA, "report", folder], check=True, capture_output=True)
    return (folder / "report.html").read_text()


def main():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        run = Run(work / "run", recipe=EXPERIMENT).start()
        run.kill_after(14)
        folder = run.to_the_end().folder
        found = data_of(folder)
        plan = json.loads((folder / "plan.json").read_text())
        for method in plan["experiment"]["methods"]:
            table = found["score__" + method["name"]]
            assert table.shape == (16, 8) and numpy.isfinite(table).all(), method["name"]
            assert numpy.unique(table[0]).size > 1, f"{method['name']} says nothing about the groups of a query"
        assert not numpy.array_equal(found["loss__weighted"], found["loss__uniform"]), "anchors make no difference"
        # Gradient checkpointing changes no number.
        same(found, data_of(Run(work / "once-more", "--set", "resources.gradient_checkpointing=true", recipe=EXPERIMENT).to_the_end().folder))

        # Captions, latents and prompts are computed by jobs of their own, each text once.
        kinds = [job["work"]["kind"] for job in plan["jobs"]]
        assert kinds.count("component") == 1, kinds
        texts = [t for job in plan["jobs"] if job["label"].startswith("embed captions") for t in job["work"]["texts"]]
        assert len(texts) == len(set(texts)) > 100, len(texts)

        # The same parts from a folder: copied, not trained, and every number as before.
        pipeline = pipeline_from(folder, work / "pipeline")
        copied = Run(work / "copied", "--set", f"pipeline={{folder: {pipeline}, caption_dropout: 0.1}}", recipe=EXPERIMENT).to_the_end()
        labels = [job["label"] for job in json.loads((copied.folder / "plan.json").read_text())["jobs"]]
        assert "base model" in labels and "train base" not in labels, labels
        same(found, data_of(copied.folder))

        # The report says what each similarity compares, what was asked for, and says it again after retention.
        for text in [(folder / "report.html").read_text(), report_again(folder)]:
            for part in ["Each style by its own prompt", "A depiction of", "cosine between latents", "cosine between pixels", "style asked for"]:
                assert part in text, part

        groups = subprocess.run([GUDA, "compare", folder, "--over-groups"], capture_output=True, text=True, check=True).stdout
        assert "intervals over 8 groups of queries" in groups, groups

        picture = work / "mine.npy"
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
