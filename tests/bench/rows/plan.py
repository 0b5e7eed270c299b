"""guda plan against what a run then took, after guda doctor --calibrate: device-seconds and wall time of the digits experiment."""

import json
import os
import pathlib
import subprocess
import tempfile

from measure import RECIPES, bounded, digits_at, program


def measure(options):
    guda = program("guda")
    experiment = RECIPES / "digits.yaml"
    with tempfile.TemporaryDirectory() as scratch:
        work = pathlib.Path(scratch)
        environment = os.environ | {"GUDA_CALIBRATION": str(work / "calibration.json")}
        subprocess.run([guda, "doctor", "--calibrate", "--experiment", experiment, "--run-dir", work], check=True, env=environment, stdout=subprocess.DEVNULL)
        settings = digits_at(options.scale)
        plan = json.loads(subprocess.run([guda, "plan", experiment, "--json", *settings], check=True, env=environment, capture_output=True, text=True).stdout)
        run = work / "run"
        subprocess.run([guda, "run", experiment, "--run-dir", run, *settings], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        status = json.loads(subprocess.run([guda, "status", run, "--json"], check=True, capture_output=True, text=True).stdout)
    off = lambda planned, measured: 100 * abs(planned / measured - 1)  # noqa: E731
    return [{"name": "device time measured", "value": status["device_seconds"], "unit": "s"},
            bounded("device time planned, off by", off(plan["device_seconds"], status["device_seconds"]), "%", 30),
            bounded("wall time planned, off by", off(plan["wall_seconds"], status["elapsed"]), "%", 30)]
