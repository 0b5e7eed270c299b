"""The tests for GPUs and ./run gpu-check run through on a CPU, which they then compare with itself: only a GPU shows more."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD = Path(os.environ["GUDA_BUILD_DIR"])
CHECK = Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "gpu" / "check.py"


def main():
    if not (BUILD / "bin" / "guda_gpu_tests").exists():
        print("skipped: not a build with CUDA (./run test --cuda)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "report.json"
        done = subprocess.run([sys.executable, CHECK, BUILD, "--seconds", "0.05", "--output", output], env=dict(os.environ, GUDA_TEST_DEVICE="cpu"),
                              capture_output=True, text=True)
        report = json.loads(output.read_text())
        assert done.returncode == 0, str([test for test in report["tests"].values() if "output" in test]) + done.stderr[-3000:]
        states = {name: test["state"] for name, test in report["tests"].items()}
        assert states and set(states.values()) == {"passed"}, states
        rows = report["measured"]["rows"]
        assert {row["what"] for row in rows} >= {"scoring", "training"} and all(row["value"] > 0 for row in rows), rows
        assert "| scoring | tf32 |" in done.stdout, "no table"
        # Without a GPU and without a rehearsal it says so.
        hidden = dict(os.environ, PATH="/nowhere")
        hidden.pop("GUDA_TEST_DEVICE", None)
        plain = subprocess.run([sys.executable, CHECK, BUILD], env=hidden, capture_output=True, text=True)
        assert plain.returncode == 77 and "skipped" in plain.stdout, plain.stdout


main()
