"""guda bench-device in half a minute: every row is there, measured or left out with the reason; guda plan uses what was measured."""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ["GUDA_BIN_DIR"])
SOURCE = Path(os.environ["GUDA_SOURCE_DIR"])
SECONDS = 25

with tempfile.TemporaryDirectory() as scratch:
    calibration, file = Path(scratch) / "calibration.json", Path(scratch) / "bench.json"
    environment = {**os.environ, "GUDA_CALIBRATION": str(calibration)}

    def guda(*arguments, code=0):
        done = subprocess.run([BIN / "guda", *arguments], capture_output=True, text=True, timeout=300, env=environment)
        if done.returncode != code:
            sys.exit(f"guda {' '.join(map(str, arguments))} ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}")
        return done

    def basis(threads):
        return guda("plan", SOURCE / "jobs" / "recipes" / "cifar10-paper.yaml", "--set", "resources.device=cpu", "--set", f"resources.threads={threads}").stdout

    assert "assumed: " in basis(2), basis(2)
    begin = time.time()
    table = guda("bench-device", "--device", "cpu", "--threads", "2", "--seconds", str(SECONDS), "--json", file).stdout
    took = time.time() - begin
    bench = json.loads(file.read_text())
    rows = bench["rows"]
    names = {row["name"] for row in rows}
    for name in ("peak matmul", "peak convolution", "copy", "host to device", "node cache", "broadcast", "attention math", "attention flash", "attention cudnn",
                 "cifar10 forward", "cifar10 training", "cifar10 retrack step", "cifar10 clip + AdamW + EMA", "sd15 forward", "sd15 training", "graph replay"):
        assert name in names, name
    measured = [row for row in rows if "skipped" not in row]
    for row in measured:
        assert row["seconds"] > 0 and row["times"] >= 1, row
    done = {row["name"] for row in measured}
    assert {"peak matmul", "peak convolution", "copy"} <= done, rows
    if bench["seconds"] < 4 * SECONDS:  # a machine that gives us our time
        assert "cifar10 forward" in done, rows
    for row in rows:
        assert "skipped" in row or row["name"] in done, row
        assert "failed" not in row.get("skipped", ""), row
    assert {row["name"]: row for row in rows}["graph replay"]["skipped"] == "CUDA only"
    assert bench["peaks"]["float32"] > 1e9 and bench["copy_bytes_per_second"] > 1e8, bench
    assert all(row["name"] in table for row in rows) and "target" in table and "not measured: " in table, table
    assert took < 8 * SECONDS, took
    stored = json.loads(calibration.read_text())["devices"][bench["kind"]]
    assert stored["bench"]["rows"] == rows
    if "cifar10 forward" in done:
        assert "measured on " + bench["kind"] in basis(2), basis(2)
    assert "assumed: " in basis(1), "two threads are another kind of device than one"
    guda("bench-device", "--device", "tpu", code=2)
    guda("bench-device", "--seconds", "0", code=2)
    print(f"{len(done)} kinds of row in {took:.1f} s")
