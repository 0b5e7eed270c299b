"""What guda submit and guda requeue say when Slurm refuses, times out, talks nonsense or isn't there: fake commands on PATH."""
import json
import os
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
SINFO = "echo 'cpu*|1-00:00:00|4|64|(null)|256000'; echo 'gpu|12:00:00|2|32|gpu:a100:4|512000'"


class Desk:
    """A folder of fake commands in front of a PATH that has no Slurm."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir()
        self.system = folder / "system"
        self.system.mkdir()
        for name in ("sh", "bash", "echo", "cat", "sleep", "true"):
            (self.system / name).symlink_to(subprocess.run(["which", name], capture_output=True, text=True).stdout.strip())
        self.say("sinfo", SINFO)
        self.say("sbatch", "echo 4711")

    def say(self, name, script):
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def without(self, name):
        (self.bin / name).unlink()

    def guda(self, *arguments, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
        return subprocess.run([str(GUDA), *map(str, arguments)], capture_output=True, text=True, timeout=90,
                              env=clean | {"PATH": f"{self.bin}:{self.system}", "GUDA_CALIBRATION": str(self.folder / "calibration.json"), **environment})

    def submit(self, name, *options):
        walltime = () if "--time" in options else ("--time", "1h")
        return self.guda("submit", RECIPE, "--run-dir", self.folder / name, "--nodes", "1", "--cores-per-node", "4", *walltime, *options)


def refused(done, *texts, code=2):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    for text in texts:
        assert text in done.stderr, f"'{text}' is not in: {done.stderr}"


def fence(run, **body):
    """Appends a life to the journal that did nothing but fence a node, or trust it again (docs/formats.md)."""
    lives = sorted((run / "journal").glob("*.bin"))
    epoch, fence_type = len(lives) + 1, 9
    text = json.dumps({**body, "why": "on purpose", "time": 1.0}).encode()
    header = lambda crc: struct.pack("<IIQII", 0x4345524A, len(text), epoch - 1, fence_type, crc)  # noqa: E731
    record = header(zlib.crc32(header(0) + text)) + text
    (run / "journal" / f"{epoch:04}.bin").write_bytes(struct.pack("<QII", 0x4C4E524A41445547, 1, epoch) + record)


def main():
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))

        done = desk.submit("good", "--json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["job"] == "4711" and Path(answer["script"]).exists() and answer["estimate"]["device_seconds"] > 0
        desk.say("sbatch", "echo 'a plugin says hello'; echo '4712;cluster'")
        assert json.loads(desk.submit("plugin", "--json").stdout)["job"] == "4712"

        # Found before sbatch is asked: it must not be called.
        desk.say("sbatch", "echo called >&2; exit 1")
        refused(desk.submit("p", "--partition", "gpuu"), "did you mean 'gpu'", "Cure:")
        refused(desk.submit("g", "--partition", "gpu", "--gpus-per-node", "8", "--set", "resources.device=cuda"), "4 GPUs at most, not 8", "--gpus-per-node 4")
        refused(desk.submit("t", "--partition", "gpu", "--time", "2d"), "allows 12:00:00, not 2-00:00:00")
        refused(desk.submit("short", "--time", "60s"), "Cure: a longer --time")
        # The wide model's one score job without checkpoints takes minutes by any rate that a plan assumes.
        wide = ("--set", "model.block_out_channels=[128,256]", "--set", "scoring.block=100000", "--set", "queries.real.count=297", "--set", "scoring.draws=40")
        refused(desk.submit("longest", "--time", "140s", "--grace", "1", *wide), "the longest job without checkpoints, 'score", "smaller jobs (scoring.block)")
        small_gpu = {"measured_at": "today", "workers": 1, "device_memory": 1_000_000, "models": {}}
        (desk.folder / "calibration.json").write_text(json.dumps({"schema": 1, "devices": {"cuda Tiny": small_gpu}}))
        on_gpus = ("--partition", "gpu", "--gpus-per-node", "4", "--set", "resources.device=cuda")
        refused(desk.submit("memory", *on_gpus), "the largest known here (cuda Tiny) has 1 MB", "Cure: smaller batches")
        refused(desk.guda("plan", RECIPE, "--set", "resources.device=cuda", "--nodes", "1", "--gpus-per-node", "1"), "(cuda Tiny) has 1 MB", "Cure: smaller batches")
        (desk.folder / "calibration.json").unlink()
        refused(desk.submit("units", "--time", "12"), "'12' is no duration")
        if os.access("/dev/shm", os.W_OK):
            refused(desk.guda("submit", RECIPE, "--run-dir", "/dev/shm/guda-not-shared", "--nodes", "1", "--cores-per-node", "4", "--time", "1h"),
                    "memory file system", "Cure: --run-dir")
            assert not Path("/dev/shm/guda-not-shared").exists()
        for name in ("p", "g", "t", "short", "longest", "memory"):
            assert not (desk.folder / name).exists(), "a refused submission left a run directory"

        # Nodes that a life fenced are left out, those that are trusted again are not; also when the next life is requeued.
        desk.say("sbatch", "echo 4714")
        fenced = desk.folder / "fenced"
        assert desk.submit("fenced").returncode == 0
        assert "--exclude" not in (fenced / "job.sbatch").read_text()
        for node, yes in (("n7", True), ("n3", True), ("n9", True), ("n9", False)):
            fence(fenced, node=node, fenced=yes)
        done = desk.submit("fenced")
        assert done.returncode == 0, done.stderr
        assert "#SBATCH --exclude=n3,n7\n" in (fenced / "job.sbatch").read_text(), (fenced / "job.sbatch").read_text()
        (fenced / "batch.json").unlink()
        desk.say("scontrol", f"echo \"$@\" >> {folder}/fenced.log")
        done = desk.guda("requeue", fenced, SLURM_JOB_ID="4714", SLURM_JOB_NODELIST="n1")
        assert done.returncode == 0 and Path(folder, "fenced.log").read_text() == "update JobId=4714 ExcNodeList=n3,n7\nrequeue 4714\n", done
        desk.without("scontrol")

        # What sbatch itself says.
        for message, cure in [("invalid partition specified: gpux", "--partition with one of"),
                              ("Batch job submission failed: Invalid account or account/partition combination specified", "sacctmgr show associations"),
                              ("Batch job submission failed: Requested node configuration is not available", "fewer --gpus-per-node"),
                              ("Batch job submission failed: Unable to contact slurm controller (connect failure)", "scontrol ping")]:
            desk.say("sbatch", f"echo 'sbatch: error: {message}' >&2; exit 1")
            refused(desk.submit("said"), message, cure)
        desk.say("sbatch", "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1")
        refused(desk.submit("timeout"), "may have been accepted", "squeue --me", code=75)
        desk.say("sbatch", "echo 'maintenance tonight'")
        refused(desk.submit("nonsense"), "no job id: maintenance tonight")

        # sinfo that fails says nothing: sbatch decides.
        desk.say("sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
        desk.say("sbatch", "echo 4713")
        assert desk.submit("blind", "--partition", "anything").returncode == 0
        desk.without("sinfo")
        assert desk.submit("none").returncode == 0
        desk.without("sbatch")
        refused(desk.submit("nothing"), "sbatch is not on PATH")

        # --dry-run writes nothing and needs no Slurm.
        dry = desk.submit("dry", "--gpus-per-node", "0", "--account", "abc", "--setup", "module load openmpi", "--dry-run")
        assert dry.returncode == 0 and "#SBATCH --account=abc" in dry.stdout and "module load openmpi\n" in dry.stdout, dry.stdout + dry.stderr
        assert not (desk.folder / "dry").exists()
        syntax = subprocess.run(["bash", "-n"], input=dry.stdout[dry.stdout.index("#!/bin/bash"):], text=True, capture_output=True)
        assert syntax.returncode == 0, syntax.stderr

        # requeue
        good = desk.folder / "good"
        refused(desk.guda("requeue", good), "this is no Slurm job")
        inside = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "n1"}
        missing = desk.guda("requeue", good, **inside)
        assert missing.returncode == 75 and "scontrol requeue 4711" in missing.stdout, missing
        desk.say("scontrol", "echo 'Job has already finished for job 4711' >&2; exit 1")
        failed = desk.guda("requeue", good, **inside)
        assert failed.returncode == 75 and "already finished" in failed.stdout and "type on a login node" in failed.stdout, failed
        desk.say("scontrol", f"echo \"$@\" >> {folder}/scontrol.log")
        barren = desk.guda("requeue", good, **inside)
        assert barren.returncode == 75 and "3 lives in a row without progress" in barren.stdout, barren
        assert not Path(folder, "scontrol.log").exists()
        (good / "batch.json").unlink()
        assert desk.guda("requeue", good, **inside).returncode == 0
        assert Path(folder, "scontrol.log").read_text() == "requeue 4711\n"
        refused(desk.guda("requeue", desk.folder / "dry", **inside), "is no run directory")


if __name__ == "__main__":
    main()
