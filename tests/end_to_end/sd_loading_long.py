"""Loading Stable Diffusion 1.5's UNet, 3.4 GB of random numbers, takes the memory of its weights and 10 % at most.

Skipped with less than 9 GB of memory or 8 GB of disk. How long it takes is ./run bench sd-load.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["GUDA_SOURCE_DIR"]) / "tests" / "bench"))
from networks import SD15  # noqa: E402

PROGRAM = Path(os.environ["GUDA_BIN_DIR"]) / "guda_bench_sd"


class Program:
    def __init__(self, config):
        self.process = subprocess.Popen([PROGRAM, config, "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, line):
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"'{line}' ended the program with {self.process.wait()}"
        return float(answer)

    def memory(self, key):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return 1024 * int(line.split()[1])
        raise KeyError(key)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def main():
    if not PROGRAM.exists():
        print("skipped: no guda_bench_sd in this build (./run build)")
        sys.exit(77)
    available = next(1024 * int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if available < 9e9 or shutil.disk_usage(folder).free < 8e9:
            print("skipped: this needs 9 GB of memory and 8 GB of disk")
            sys.exit(77)
        config = folder / "sd15.json"
        config.write_text(json.dumps(SD15))
        maker = Program(config)
        maker(f"save {folder / 'unet'}")
        maker.close()
        weights = 4 * 859_520_964
        assert (folder / "unet/diffusion_pytorch_model.safetensors").stat().st_size > weights
        loader = Program(config)
        loader(f"read {folder / 'unet'}")  # the program is started, the file in the cache, its memory given back
        Path(f"/proc/{loader.process.pid}/clear_refs").write_text("5")  # forgets the peak
        before = loader.memory("VmRSS")
        seconds = loader(f"load {folder / 'unet'}")
        taken = loader.memory("VmHWM") - before
        loader.close()
        print(f"loaded in {seconds:.2f} s; {taken / 1e9:.3f} GB taken for {weights / 1e9:.3f} GB of weights, {taken / weights:.3f} times")
        assert weights * 0.99 < taken < weights * 1.1, f"{taken / weights:.3f} times the weights"


if __name__ == "__main__":
    sys.exit(main())
