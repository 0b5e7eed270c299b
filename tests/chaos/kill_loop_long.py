"""kill_loop.py, 300 runs."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from kill_loop import main  # noqa: E402

main(300, 11)
