"""A coordinator that died before its journal began leaves a status.json of the very epoch that the next life has."""
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from run_under_test import Run  # noqa: E402


def main():
    with tempfile.TemporaryDirectory() as work:
        run = Run(Path(work) / "run").start()
        while not (run.folder / "status.json").exists():
            assert run.process.poll() is None, run.output()
        run.process.kill()
        run.wait()
        for segment in (run.folder / "journal").glob("*.bin"):
            segment.unlink()
        assert run.start().wait() == 0, run.output()
        assert "ended early" not in run.output(), f"a sound life was taken for the dead one:\n{run.output()}"


if __name__ == "__main__":
    main()
