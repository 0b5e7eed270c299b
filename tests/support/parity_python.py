"""Starts the script again with GUDA_PARITY_PYTHON, which has torch, diffusers and safetensors; imported before these."""
import argparse
import os
import pathlib
import sys

if os.environ.get("GUDA_PARITY_PYTHON") and not os.environ.get("GUDA_PARITY_STARTED"):
    os.environ["GUDA_PARITY_STARTED"] = "1"
    try:
        os.execv(os.environ["GUDA_PARITY_PYTHON"], [os.environ["GUDA_PARITY_PYTHON"], *sys.argv])
    except OSError as e:
        print(f"SKIPPED: cannot start GUDA_PARITY_PYTHON: {e}")
        sys.exit(77)

try:
    import diffusers  # noqa: F401
    import safetensors  # noqa: F401
    import torch  # noqa: F401
except ImportError as e:
    print(f"SKIPPED: {e}. Cure: GUDA_PARITY_PYTHON=<python with torch 2.11, diffusers 0.31, safetensors>")
    sys.exit(77)


def arguments_with_worker(**defaults):
    """Command line of a parity script: [GUDA_WORKER], and an option --NAME for each default. Skips where there is no worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("guda_worker", type=pathlib.Path, nargs="?",
                        default=pathlib.Path(os.environ.get("GUDA_BIN_DIR", "build/bin")) / "guda-worker")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    arguments = parser.parse_args()
    if not arguments.guda_worker.exists():
        if os.environ.get("GUDA_WITH_TORCH") == "0":
            print("SKIPPED: this build has no guda-worker (GUDA_WITH_TORCH=OFF)")
            sys.exit(77)
        parser.error(f"{arguments.guda_worker} does not exist; build it or name another")
    return arguments
