"""Memory runs out: all models of the sweep are made with half the rows at once while none is finished, later a person decides.

The failures are reported on purpose (--chaos oom=LABEL); tests/chaos/out_of_memory.py has the kernel's.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "chaos" / "small.yaml"


def run(folder, chaos, *more):
    done = subprocess.run([GUDA, "run", RECIPE, "--run-dir", folder, "--workers", "2", *(["--chaos", chaos] if chaos else []), *more],
                          capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def plan_of(folder):
    return json.loads((folder / "plan.json").read_text())


def main():
    with tempfile.TemporaryDirectory() as name:
        # Labels of divided batches end otherwise, so only whole and half batches "do not fit".
        halved = Path(name) / "halved"
        trained = ["full", *(f"-{group}" for group in range(10))]
        code, said = run(halved, ",".join([f"oom=train {what} (seed 0)" for what in trained] + ["oom=micro-batch 8"]))
        assert code == 0, f"{code}:\n{said}"
        plan = plan_of(halved)
        batch = plan["experiment"]["training"]["batch"]
        assert batch == 16 and plan["numerics"]["micro_batch"] == 4, plan["numerics"]
        made = [job["label"] for job in plan["jobs"] if job["label"].startswith(("train", "unlearn"))]
        assert made and all("micro-batch 4" in label for label in made), made
        assert "with 8 rows at once" in said and "with 4 rows at once" in said, said

        # The same command finds it finished, though the experiment file asks for whole batches.
        code, said = run(halved, None)
        assert code == 0, f"{code}:\n{said}"
        assert plan_of(halved) == plan
        left = json.loads(subprocess.run([GUDA, "plan", RECIPE, "--run-dir", halved, "--json"], capture_output=True, text=True, check=True).stdout)
        assert all(kind["done"] == kind["jobs"] for kind in left["kinds"].values()), left["kinds"]

        # Once a model is finished the sweep's arithmetic is fixed: the job is given up, with the cure.
        late = Path(name) / "late"
        code, said = run(late, "oom=unlearn")
        assert code == 10, f"{code}:\n{said}"
        assert "micro_batch" not in plan_of(late)["numerics"] or plan_of(late)["numerics"]["micro_batch"] == 0
        label = next(job["label"] for job in plan_of(late)["jobs"] if job["label"].startswith("unlearn"))
        why = subprocess.run([GUDA, "explain", late, label], capture_output=True, text=True).stdout
        assert "resources.micro_batch" in why, why
        print(f"batches of {batch} became micro-batches of 4 for all {len(made)} models; with a finished model: given up, exit 10")


if __name__ == "__main__":
    main()
