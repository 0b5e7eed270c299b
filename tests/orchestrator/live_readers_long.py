"""live_readers.py with 150 kills."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ["GUDA_SOURCE_DIR"], "tests", "support"))
from live_reading import read_under_kills  # noqa: E402

read_under_kills(kills=150, seed=12)
