"""A job that needs more memory than its control group has: the kernel kills its worker, the job is blamed, the run goes on.

Needs root and a memory controller (cgroup v1 or v2); says so and is skipped without.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from run_under_test import RECIPE, Run, failures, orphans  # noqa: E402

LIMIT = 1500 << 20  # bytes: several times what the other jobs need, a fraction of what the hungry ones do
HUNGRY = ["queries=[{name: generated, kind: generated, count: 6, sampler: {steps: 4}}, {name: hungry, kind: generated, count: 100000, sampler: {steps: 1, batch: 100000}}]",
          "scoring.block=100000", "scoring.stride=480", "training.steps=5"]


def make_group():
    """A control group of LIMIT bytes without swap, or None."""
    for root, limits in ((Path("/sys/fs/cgroup/memory"), ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")),
                         (Path("/sys/fs/cgroup"), ("memory.max", "memory.swap.max"))):
        group = root / f"guda-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limits[0]).write_text(str(LIMIT))
            if (group / limits[1]).exists():
                (group / limits[1]).write_text("0" if limits[1] == "memory.swap.max" else str(LIMIT))
            return group
        except OSError:
            if group.is_dir():
                group.rmdir()
    return None


def main():
    group = make_group()
    if group is None:
        print("skipped: no control group for memory can be made here (needs root and cgroup v1 or v2)")
        sys.exit(77)
    try:
        with tempfile.TemporaryDirectory() as name:
            # Whatever starts from here on is in the group; the script itself needs little.
            (group / "cgroup.procs").write_text(str(os.getpid()))
            run = Run(Path(name) / "run", *(word for override in HUNGRY for word in ("--set", override)), recipe=RECIPE.with_name("phases.yaml"), heartbeat="0.2/30/120").start()
            code = run.wait()
            assert code == 10, f"{code}:\n{run.output()}"
            assert not orphans(run.folder)
            found = failures(run.folder)
            assert found and all(f["label"].startswith("sample hungry") for f in found), found
            assert all(f["error"] == "out of memory" and "ran out of memory" in f["text"] for f in found), found
            assert [f["quarantined"] for f in found] == [False] * (len(found) - 1) + [True] and "batch" in found[-1]["cure"], found
            counts = json.loads(run.status())["jobs"]
            assert counts["quarantined"] == 1 and counts["done"] > 0 and counts["done"] + counts["blocked"] + 1 == counts["total"], counts
            print(f"{len(found)} kernel kills for memory, the job quarantined, {counts['done']} of {counts['total']} done: exit 10")
    finally:
        parent = group.parent
        (parent / "cgroup.procs").write_text(str(os.getpid()))
        subprocess.run(["rmdir", group], check=True)


if __name__ == "__main__":
    main()
