"""Two workers on one GPU: two deterministic runs of the same experiment side by side finish with each other's numbers, bit for bit."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "support"))
from results_data import data_of, same  # noqa: E402

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
SETTINGS = ["--set", "resources.device=cuda", "--set", "resources.deterministic=true", "--workers", "1"]


def first_gpu():
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return None
    said = subprocess.run([smi, "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True)
    return said.stdout.split()[0] if said.returncode == 0 and said.stdout.strip() else None


def main():
    gpu = first_gpu()
    if gpu is None:
        print("skipped: nvidia-smi shows no GPU")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        runs = [Path(work) / name for name in ("a", "b")]
        started = [subprocess.Popen([GUDA, "run", RECIPE, "--run-dir", run, *SETTINGS], env=dict(os.environ, CUDA_VISIBLE_DEVICES=gpu),
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for run in runs]
        for process in started:
            said, _ = process.communicate(timeout=600)
            assert process.returncode == 0, said[-3000:]
        same(data_of(runs[0]), data_of(runs[1]))


main()
