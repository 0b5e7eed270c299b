"""guda --help, and guda status of a finished run, within 50 ms; /bin/true shows what starting a process costs."""

import pathlib
import subprocess
import tempfile

from measure import RECIPES, bounded, interleaved, program, wall_seconds


def measure(options):
    guda = program("guda")
    program("guda-worker")
    with tempfile.TemporaryDirectory() as scratch:
        run = pathlib.Path(scratch) / "run"
        subprocess.run([guda, "run", RECIPES / "digits-smoke.yaml", "--run-dir", run], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        help_s, status_s, true_s = interleaved(
            max(options.repeat, 15),
            lambda: wall_seconds([guda, "--help"]),
            lambda: wall_seconds([guda, "status", run]),
            lambda: wall_seconds(["/bin/true"]),
        )
    return [bounded("guda --help", 1000 * help_s, "ms", 50), bounded("guda status", 1000 * status_s, "ms", 50),
            {"name": "/bin/true", "value": 1000 * true_s, "unit": "ms"}]
