"""Opens results.h5 as a user would, with xarray and h5py, while it is being written and afterwards.

Runs guda_write_results of GUDA_BIN_DIR. Exit 77: xarray, h5netcdf or h5py is not installed (a visible skip).
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import h5netcdf  # noqa: F401
    import h5py
    import numpy as np
    import xarray as xr
except ImportError as missing:
    print(f"skipped: {missing}; cure: pip install xarray h5netcdf h5py for this Python: {sys.executable}")
    sys.exit(77)


def expected_losses(group, queries, slots):
    return 1 + group + np.arange(queries)[:, None] / 8 + np.arange(slots)[None, :] / 64


def check_common(data):
    assert dict(data.sizes) == {"group": 10, "query": 48, "slot": 12, "block": 3}, data.sizes
    assert list(data.coords["group"].values) == [str(k) for k in range(10)]
    assert data.coords["query"].values[30] == "real/s0/6"
    assert data["query_set"].values[0] == "generated" and data["query_set"].values[47] == "real"
    assert data["query_group"].values[0] == "" and data["query_group"].values[30] == "6"
    assert data["loss__logo"].dims == ("group", "query", "slot")
    assert data["loss__logo"].dtype == np.float32 and data["score__logo"].dtype == np.float64
    assert data["loss_full"].dims == ("query", "slot")
    assert data["score__knn"].dims == ("query", "group") and data["status__logo"].dims == ("group", "block")
    assert "loss__knn" not in data and data["status__logo"].dtype == np.uint8
    assert data["loss__logo"].attrs["units"] == "squared error summed over pixels"
    assert data["loss__logo"].attrs["long_name"]
    assert data["slot_timestep"].values[0] == 83 and data["slot_draw"].values[11] == 1
    assert json.loads(data.attrs["config"])["name"] == "synthetic é" and data.attrs["build"] == "test"
    assert data.attrs["guda_results_format"] == 1


def check_during(path):
    with xr.open_dataset(path, engine="h5netcdf") as data:
        check_common(data)
        seven = data.sel(group="7")
        assert (seven["status__logo"].values == [1, 0, 0]).all()
        assert np.array_equal(seven["loss__logo"].values[:16], expected_losses(7, 48, 12)[:16])
        assert np.isnan(seven["loss__logo"].values[16:]).all()
        assert np.isnan(data["loss__exact"].values).all()


def check_after(path):
    with xr.open_dataset(path, engine="h5netcdf") as data:
        check_common(data)
        seven = data.sel(group="7")
        assert np.array_equal(seven["loss__logo"].values, expected_losses(7, 48, 12))
        oracle = data["slot_draw"].values == 0
        scores = ((data["loss__logo"] - data["loss_full"]) * data["slot_weight"])[:, :, oracle].sum("slot")
        np.testing.assert_allclose(data["score__logo"].values, scores.T.values, rtol=1e-12)
        by_name = data["score__logo"].sel(query="generated/s0/3", group="2").item()
        np.testing.assert_allclose(by_name, 2 + 3 / 8 + np.arange(6).mean() / 64, rtol=1e-12)
        assert np.isfinite(data["score_stderr__logo"].values).all()
        assert np.isnan(data["score__exact"].values).all()
    with h5py.File(path, "r") as file:
        assert file["group"].asstr()[7] == "7"
        assert np.isnan(file["loss__logo"].attrs["_FillValue"]) and np.isnan(file["loss__logo"].fillvalue)
        assert file["loss__logo"].dims[0][0].name == "/group" and file["loss__logo"].chunks is None


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.h5"
        command = [str(Path(os.environ["GUDA_BIN_DIR"]) / "guda_write_results"), str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout.readline() == "half\n"
            check_during(path)
            writer.stdin.write("go on\n")
            writer.stdin.flush()
            assert writer.wait(timeout=60) == 0
        check_after(path)
    print("results.h5 opens in xarray and h5py, during and after")


main()
