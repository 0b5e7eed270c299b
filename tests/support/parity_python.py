"""Starts the script again with GUDA_PARITY_PYTHON, which has torch, diffusers and safetensors; imported before these."""
import os
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
