"""tests/bench/peer_gpu.py on this processor, in seconds: both peers answer, what does not fit says so, and ratios are those of the rates."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "bench" / "peer_gpu.py"

with tempfile.TemporaryDirectory() as scratch:
    guda, peers = Path(scratch) / "guda.json", Path(scratch) / "peers.json"
    rows = [{"name": "cifar10 forward", "batch": 1, "per_second": 40.0}, {"name": "cifar10 training", "batch": 1, "per_second": 5.0},
            {"name": "cifar10 forward", "batch": 100000, "per_second": 40.0}, {"name": "cifar10 forward", "batch": 64, "skipped": "no time"}]
    guda.write_text(json.dumps({"device": "cpu", "threads": 2, "rows": rows}))
    done = subprocess.run([sys.executable, PEER, "--device", "cpu", "--guda", guda, "--seconds", "30", "--no-compile", "--output", peers], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    got = json.loads(peers.read_text())
    assert got["device"] == "cpu" and got["threads"] == 2 and not got["compiled"], got
    assert len(got["rows"]) == 6, got
    for row in got["rows"]:
        if row["batch"] == 100000:
            assert "would take about" in row["skipped"], row
        elif "skipped" not in row:
            ours = 40.0 if row["work"] == "forward" else 5.0
            assert abs(row["guda_times_faster"] - ours / row["per_second"]) < 1e-9, row
        assert "failed" not in row.get("skipped", ""), row
    assert {row["peer"] for row in got["rows"] if "skipped" not in row} == {"published", "tuned"}, got
