"""What the scripts compare of two runs: every number in results.h5, bit by bit."""
from pathlib import Path

import h5py


def data_of(folder):
    with h5py.File(Path(folder) / "results.h5", "r") as f:
        return {name: f[name][()] for name in f if f[name].dtype.kind in "fui"}


def same(a, b):
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].tobytes() == b[name].tobytes(), f"{name} differs"
