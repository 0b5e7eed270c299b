"""guda plan after guda doctor --calibrate, against what a run took: the finished quickstart of GUDA_QUICKSTART_RUN [runs/digits], or a digits run made here.

A calibration holds for the machine as it is: where the quickstart ran on a quiet machine, measure on a quiet one.
"""

import json
import os
import pathlib
import subprocess
import tempfile

from measure import RECIPES, ROOT, bounded, digits_at, program


def finished(run):
    """Its status, when this is a run of the whole experiment that came to its end in one life."""
    if not (run / "plan.json").exists():
        return None
    status = json.loads(subprocess.run([program("guda"), "status", run, "--json"], check=True, capture_output=True, text=True).stdout)
    whole = status["lives"] == 1 and status["jobs"]["done"] == status["jobs"]["total"] and status["failures"] == 0
    return status if whole and not status["alive"] else None


def measure(options):
    guda = program("guda")
    experiment = RECIPES / "digits.yaml"
    with tempfile.TemporaryDirectory() as scratch:
        work = pathlib.Path(scratch)
        environment = os.environ | {"GUDA_CALIBRATION": str(work / "calibration.json")}
        subprocess.run([guda, "doctor", "--calibrate", "--experiment", experiment, "--run-dir", work], check=True, env=environment, stdout=subprocess.DEVNULL)
        status, settings, name = finished(pathlib.Path(os.environ.get("GUDA_QUICKSTART_RUN", ROOT / "runs" / "digits"))), [], "quickstart"
        if not status:
            settings, name = digits_at(options.scale), f"digits at scale {options.scale:g}"
            run = work / "run"
            subprocess.run([guda, "run", experiment, "--run-dir", run, *settings], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            status = json.loads(subprocess.run([guda, "status", run, "--json"], check=True, capture_output=True, text=True).stdout)
        plan = json.loads(subprocess.run([guda, "plan", experiment, "--json", *settings], check=True, env=environment, capture_output=True, text=True).stdout)
    off = lambda planned, measured: 100 * abs(planned / measured - 1)  # noqa: E731
    return [{"name": f"{name}: device time measured", "value": status["device_seconds"], "unit": "s"},
            {"name": "  planned", "value": plan["device_seconds"], "unit": "s"},
            bounded("  device time planned, off by", off(plan["device_seconds"], status["device_seconds"]), "%", 30),
            bounded("  wall time planned, off by", off(plan["wall_seconds"], status["elapsed"]), "%", 30)]
