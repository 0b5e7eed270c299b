"""Programs built with CUDA start where there is no driver: they link neither libcuda nor NVML, and say what is missing when a GPU is asked for."""
import os
import pathlib
import shutil
import subprocess
import sys

bin_dir = pathlib.Path(os.environ["GUDA_BIN_DIR"])
readelf = shutil.which("readelf")
if readelf is None or not (bin_dir / "guda-worker").exists():
    print("skipped: no readelf or no guda-worker")
    sys.exit(77)

for program in sorted(p for p in bin_dir.iterdir() if p.name.startswith("guda") and os.access(p, os.X_OK)):
    needed = [line.split("[")[1].split("]")[0] for line in
              subprocess.run([readelf, "-d", program], capture_output=True, text=True, check=True).stdout.splitlines()
              if "(NEEDED)" in line]
    drivers = [name for name in needed if name.startswith(("libcuda.so", "libnvidia-"))]
    assert not drivers, f"{program} links {drivers}"
    undefined = subprocess.run([readelf, "-Ws", "--dyn-syms", program], capture_output=True, text=True, check=True).stdout
    calls = [line.split()[-1] for line in undefined.splitlines() if " UND " in line and line.split()[-1].startswith(("cu", "nvml"))
             and not line.split()[-1].startswith("cuda")]
    assert not calls, f"{program} calls the driver itself: {calls[:5]}"

worker = bin_dir / "guda-worker"
missing = [line for line in subprocess.run(["ldd", worker], capture_output=True, text=True, check=True).stdout.splitlines()
           if "not found" in line]
assert not missing, missing
subprocess.run([worker, "--version"], check=True, stdout=subprocess.DEVNULL)

# A GPU that is not there is said, with a cure, and is no crash.
recipe = pathlib.Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
hidden = dict(os.environ, CUDA_VISIBLE_DEVICES="")
said = subprocess.run([worker, "--profile", recipe, "--work", "train", "--steps", "1", "--set", "resources.device=cuda"], env=hidden,
                      capture_output=True, text=True)
assert said.returncode == 2 and "Cure: resources.device: cpu" in said.stderr, (said.returncode, said.stderr[-500:])
print(said.stderr.strip().splitlines()[-1])
