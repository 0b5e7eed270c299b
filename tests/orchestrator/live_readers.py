"""h5py, xarray and h5dump read results.h5 while rows are committed and 30 writers are killed with -9: no read fails."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ["GUDA_SOURCE_DIR"], "tests", "support"))
from live_reading import read_under_kills  # noqa: E402

read_under_kills(kills=30, seed=11)
